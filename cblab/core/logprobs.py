"""Log-probabilities of tokens under the model's own distribution."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenLogprobs:
    """What the model thought of one token, in nats.

    The log-probabilities are those of the raw logits, before bias, penalties and temperature (vLLM's
    `raw_logprobs`). `probability` and `entropy` are of the distribution that the token was sampled from,
    after all of these; a token that was not sampled, like one of the prompt, has None.

    Attributes:
        token_id: the token.
        logprob: its log-probability.
        rank: 1 + the number of tokens that are likelier. (vLLM counts equally likely ones too.)
        top: the likeliest tokens, the likeliest first; of equally likely ones that with the smallest id.
        probability: with which the token was chosen; 1 if it was chosen greedily.
        entropy: of that distribution in nats: 0 if there was no choice, log(m) among m equally likely ones.
    """

    token_id: int
    logprob: float
    rank: int
    top: dict[int, float]
    probability: float | None = None
    entropy: float | None = None


def score_rows(logits: Tensor, token_ids: Sequence[int], k: int | Sequence[int]) -> list[TokenLogprobs]:
    """Score one token a row, and tell the `k` likeliest (one number for all rows, or one each).

    logits is `[num_rows, vocab_size]`, as the model gives them. For the logprobs of a prompt, row i is that
    of the token before `token_ids[i]`.

    Raises:
        ValueError: the counts of rows differ, a token id is not in the vocabulary, or a row holds NaN or +inf
            or nothing but -inf.
    """
    num_rows, vocab_size = logits.shape
    ks = [k] * num_rows if isinstance(k, int) else list(k)
    if not len(token_ids) == len(ks) == num_rows:
        raise ValueError(f"{num_rows} rows of logits, {len(token_ids)} token ids, {len(ks)} counts k")
    if not all(0 <= token < vocab_size for token in token_ids):
        raise ValueError(
            f"the token ids go from {min(token_ids)} to {max(token_ids)}: the vocabulary has {vocab_size}"
        )
    if num_rows == 0:
        return []
    logprobs = logits.float().log_softmax(dim=-1)
    chosen = logprobs.gather(1, torch.tensor(token_ids, device=logits.device)[:, None])
    ranks = 1 + (logprobs > chosen).sum(dim=-1)
    if bool(chosen.isnan().any()):
        row = int(chosen.isnan()[:, 0].nonzero()[0])
        raise ValueError(f"row {row} of the logits holds NaN or +inf, or is all -inf: it has no distribution")
    top_ids = _largest(logprobs, min(max(ks), vocab_size))
    top = logprobs.gather(1, top_ids)
    return [
        TokenLogprobs(token_id, logprob, rank, dict(zip(ids[:count], values[:count], strict=True)))
        for token_id, logprob, rank, ids, values, count in zip(
            token_ids, chosen[:, 0].tolist(), ranks.tolist(), top_ids.tolist(), top.tolist(), ks, strict=True
        )
    ]


def _largest(logprobs: Tensor, k: int) -> Tensor:
    """Return the ids of the k largest of each row, largest first, `[num_rows, k]`; of ties the smaller ids.

    `topk` leaves open which of several equal values it takes. So it sees integers of which no two are equal:
    the bits of the absolute value, which order as the value does, and then the id.
    """
    vocab_size = logprobs.shape[1]
    bits = (
        logprobs.abs().view(torch.int32).long()
    )  # a log-probability is at most 0: the largest has the fewest
    return (
        (bits * vocab_size + torch.arange(vocab_size, device=logprobs.device)).topk(k, largest=False).indices
    )
