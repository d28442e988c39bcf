"""From logits to token ids, all rows of a step at once.

What a row goes through, in transformers' order:

    logits ─► bias ─► repetition, presence, frequency ─► banned, allowed, min_tokens ─► own functions
           ─► temperature ─► top-k ─► top-p ─► min-p ─► one uniform number picks the token

A greedy row that asks for none of it takes its largest logit, and nothing is copied. vLLM's order differs in
two places that matter: own functions come before the penalties, and min-p before top-k and top-p.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from cblab.core.filters import apply_filters, probabilities
from cblab.core.logits_processors import apply_bans, apply_bias, run_processors
from cblab.core.logprobs import TokenLogprobs, score_rows
from cblab.core.penalties import apply_penalties
from cblab.core.sampling_params import SamplingParams

__all__ = ["SamplerOutput", "SamplingRow", "probabilities", "sample", "uniform"]


class SamplingRow(NamedTuple):
    """What the sampler must know of the request that a row of logits belongs to.

    Attributes:
        params: how its tokens are chosen.
        prompt_token_ids: its prompt.
        output_token_ids: what has been sampled so far.
        seed: of its random numbers.
        sample_index: which of the samples of one prompt it is.
        stop_token_ids: all ids that end it, EOS included: not to be chosen before `params.min_tokens`.
    """

    params: SamplingParams
    prompt_token_ids: Sequence[int] = ()
    output_token_ids: Sequence[int] = ()
    seed: int = 0
    sample_index: int = 0
    stop_token_ids: frozenset[int] = frozenset()

    @property
    def forbids_tokens(self) -> bool:
        """Whether there are tokens that may not be chosen now."""
        params = self.params
        return (
            bool(params.banned_token_ids)
            or params.allowed_token_ids is not None
            or len(self.output_token_ids) < params.min_tokens
        )

    @property
    def changes_logits(self) -> bool:
        """Whether its largest logit may become another's before the temperature is looked at."""
        params = self.params
        penalties = params.repetition_penalty - 1, params.presence_penalty, params.frequency_penalty
        return bool(params.logit_bias or any(penalties) or self.forbids_tokens or params.logits_processors)

    def uniform(self) -> float:
        """Return the number in [0, 1) that picks its next token."""
        position = len(self.prompt_token_ids) + len(self.output_token_ids)
        return uniform(self.seed, self.sample_index, position)


@dataclass(frozen=True)
class SamplerOutput:
    """One token a row.

    Attributes:
        token_ids: the tokens; what stands in a row that has an error means nothing.
        logprobs: of the rows that ask for them; None in the others, and where there is an error.
        errors: by row, why no token could be chosen. It concerns that row alone.
    """

    token_ids: list[int]
    logprobs: list[TokenLogprobs | None]
    errors: dict[int, Exception]


def uniform(seed: int, sample_index: int, position: int) -> float:
    """Return a number in [0, 1) that depends on these three and on nothing else.

    seed is the request's, sample_index the number of the sample among those asked for one prompt, position
    that of the sampled token in its sequence: the number of tokens known before it. A hash is used as a
    counter-based generator: unlike a generator with a state, it does not care which other requests share the
    step, or whether a token is computed again.
    """
    digest = hashlib.blake2b(f"{seed},{sample_index},{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 12) / 2**52


@torch.no_grad()
def sample(logits: Tensor, rows: Sequence[SamplingRow]) -> SamplerOutput:
    """Choose one token for each row of `logits`, `[num_rows, vocab_size]`, which stay as they are.

    A greedy row takes its largest logit, the first of several; another row takes the token at which the
    cumulated probabilities pass its uniform number. A row whose logits hold NaN or +inf, or leave nothing to
    choose, or whose logits processor fails, is named in `errors`; the others do not notice. -inf is an
    impossible token.

    Raises:
        ValueError: there are not as many rows as rows of logits.
    """
    if len(rows) != logits.shape[0]:
        raise ValueError(f"{logits.shape[0]} rows of logits, but {len(rows)} rows of parameters")
    if logits.device.type == "mps":
        logits = logits.cpu()  # Metal has no float64
    tokens = _argmax(logits)
    errors = _unusable(logits.gather(-1, tokens[:, None])[:, 0], "the logits")
    greedy = [
        row
        for row, one in enumerate(rows)
        if one.params.is_greedy and one.changes_logits and row not in errors
    ]
    random = [row for row, one in enumerate(rows) if not one.params.is_greedy and row not in errors]
    told: dict[int, tuple[float, float]] = {}
    if greedy:
        tokens[greedy] = _argmax(_shape(logits, rows, greedy, errors))
    if random:
        scores = _shape(logits, rows, random, errors)
        apply_filters(scores, [rows[row].params for row in random])
        weights = scores.softmax(dim=-1)
        tokens[random] = _pick(weights, [rows[row].uniform() for row in random])
        told = _tell(weights, tokens, rows, random)
    token_ids = tokens.tolist()
    return SamplerOutput(token_ids, _logprobs(logits, rows, token_ids, told, errors), errors)


def _argmax(scores: Tensor) -> Tensor:
    """Return the first of each row's largest scores, `[num_rows]`; of a row with NaN, one of those."""
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        # On a CPU torch looks at one number after the other, numpy at a vector of them.
        return torch.from_numpy(scores.numpy().argmax(axis=-1))
    return scores.argmax(dim=-1)


def _shape(
    logits: Tensor, rows: Sequence[SamplingRow], group: Sequence[int], errors: dict[int, Exception]
) -> Tensor:
    """Return the logits of the rows in `group`, float32, after all that comes before the filters.

    A row that fails is entered in `errors` and becomes zeros, which trouble nobody further down.
    """
    scores = logits[group].float()  # a copy: what follows changes it in place
    members = [rows[row] for row in group]
    failed: dict[int, Exception] = {}
    _change(scores, members, apply_bias, lambda row: row.params.logit_bias, failed)
    apply_penalties(scores, members)
    _change(scores, members, apply_bans, lambda row: row.forbids_tokens, failed)
    _change(scores, members, run_processors, lambda row: row.params.logits_processors, failed)
    temperatures = [1 if row.params.is_greedy else row.params.temperature for row in members]
    scores /= scores.new_tensor(temperatures)[:, None]
    failed = _unusable(scores.amax(dim=-1), "after bias, penalties, bans and temperature the logits") | failed
    if failed:
        scores[list(failed)] = 0
        errors.update({group[at]: error for at, error in failed.items()})
    return scores


def _change(
    scores: Tensor,
    rows: Sequence[SamplingRow],
    function: Callable[[Tensor, SamplingRow], None],
    asks: Callable[[SamplingRow], object],
    failed: dict[int, Exception],
) -> None:
    """Let a function change the rows that ask for it, in place; a row in which it raises has failed."""
    for at, row in enumerate(rows):
        if asks(row) and at not in failed:
            try:
                function(scores[at], row)
            except Exception as error:
                failed[at] = error


def _unusable(largest: Tensor, what: str) -> dict[int, Exception]:
    """Return an error for each row, by its largest logit, that has no distribution."""
    causes = {math.inf: "hold +inf", -math.inf: "are all -inf: no token is left to choose"}
    return {
        row: ValueError(f"{what} {causes.get(value, 'hold NaN')}")
        for row, value in enumerate(largest.tolist())
        if not math.isfinite(value)
    }


def _pick(weights: Tensor, uniforms: Sequence[float]) -> Tensor:
    """Return the token of each row at which the cumulated weights pass its uniform number, `[num_rows]`."""
    cumulated = weights.cumsum(dim=-1, dtype=torch.float64)
    target = torch.tensor(uniforms, dtype=torch.float64, device=weights.device)[:, None]
    # right=True: the first token whose cumulated weight exceeds the target, so none of probability 0.
    return torch.searchsorted(cumulated, target * cumulated[:, -1:], right=True)[:, 0]


def _tell(
    weights: Tensor, tokens: Tensor, rows: Sequence[SamplingRow], group: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Return, for the rows of `group` that ask for logprobs, the token's probability and the entropy."""
    asking = [at for at, row in enumerate(group) if rows[row].params.logprobs is not None]
    if not asking:
        return {}
    asked = [group[at] for at in asking]
    part = weights[asking].double()
    chances = part.gather(1, tokens[asked][:, None])[:, 0].tolist()
    entropies = torch.special.entr(part).sum(dim=-1).tolist()
    return dict(zip(asked, zip(chances, entropies, strict=True), strict=True))


def _logprobs(
    logits: Tensor,
    rows: Sequence[SamplingRow],
    token_ids: Sequence[int],
    told: dict[int, tuple[float, float]],
    errors: dict[int, Exception],
) -> list[TokenLogprobs | None]:
    """Score the tokens of the rows that ask for it; a greedy row, not in `told`, had no choice."""
    asked = {
        row: one.params.logprobs
        for row, one in enumerate(rows)
        if one.params.logprobs is not None and row not in errors
    }
    result: list[TokenLogprobs | None] = [None] * len(rows)
    if asked:
        scored = score_rows(logits[list(asked)], [token_ids[row] for row in asked], list(asked.values()))
        for row, one in zip(asked, scored, strict=True):
            probability, entropy = told.get(row, (1.0, 0.0))
            result[row] = replace(one, probability=probability, entropy=entropy)
    return result
