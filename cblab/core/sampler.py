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
from cblab.core.transfers import HostCopy, to_device

__all__ = ["SamplerOutput", "Sampling", "SamplingRow", "probabilities", "sample", "uniform"]


class SamplingRow(NamedTuple):
    """What the sampler must know of the request that a row of logits belongs to.

    Attributes:
        params: how its tokens are chosen.
        prompt_token_ids: its prompt.
        output_token_ids: what has been sampled so far.
        seed: of its random numbers.
        sample_index: which of the samples of one prompt it is.
        stop_token_ids: all ids that end it, EOS included: not to be chosen before `params.min_tokens`.
        num_pending_tokens: sampled ones behind these whose ids are not known yet.
    """

    params: SamplingParams
    prompt_token_ids: Sequence[int] = ()
    output_token_ids: Sequence[int] = ()
    seed: int = 0
    sample_index: int = 0
    stop_token_ids: frozenset[int] = frozenset()
    num_pending_tokens: int = 0

    @property
    def num_output_tokens(self) -> int:
        """How many have been sampled so far."""
        return len(self.output_token_ids) + self.num_pending_tokens

    @property
    def forbids_tokens(self) -> bool:
        """Whether there are tokens that may not be chosen now."""
        return self.params.forbids_tokens or self.num_output_tokens < self.params.min_tokens

    @property
    def changes_logits(self) -> bool:
        """Whether its largest logit may become another's before the temperature is looked at."""
        return self.params.changes_logits or self.forbids_tokens

    def uniform(self) -> float:
        """Return the number in [0, 1) that picks its next token."""
        position = len(self.prompt_token_ids) + self.num_output_tokens
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
    return Sampling(logits, rows).result()


class Sampling:
    """Tokens that are being chosen: begun when it is made, on the logits' device, and known with `result`.

    A forward pass may begin from `token_ids` before the host has seen them. All that the host must see comes
    in one transfer:

        token_ids        [  7   3   9 ]
        largest logit    [ 4.1 nan 2.0 ]    not finite: the model's logits give no distribution
        ... as changed   [ 4.1 nan inf ]    not finite: nor do they after penalties, bans and the like

    Only rows with top-k, top-p or min-p make the host look at values on the way (`apply_filters`).

    Attributes:
        token_ids: `[num_rows]`, int64, on the logits' device; in a row that has an error it means nothing.
    """

    @torch.no_grad()
    def __init__(self, logits: Tensor, rows: Sequence[SamplingRow]) -> None:
        if len(rows) != logits.shape[0]:
            raise ValueError(f"{logits.shape[0]} rows of logits, but {len(rows)} rows of parameters")
        if logits.device.type == "mps":
            logits = logits.cpu()  # Metal has no float64
        self._logits, self._rows = logits, rows
        self._failed: dict[int, Exception] = {}  # in rows whose own functions raised
        self._random = [row for row, one in enumerate(rows) if not one.params.is_greedy]
        self._weights: Tensor | None = None  # of the random rows
        self.token_ids = _argmax(logits)
        largest = logits.gather(-1, self.token_ids[:, None])[:, 0].double()
        changed = largest.clone()
        greedy = [row for row, one in enumerate(rows) if one.params.is_greedy and one.changes_logits]
        if greedy:
            at = self._indices(greedy)
            scores, changed[at] = self._shape(greedy, at)
            self.token_ids[at] = _argmax(scores)
        if self._random:
            at = self._indices(self._random)
            scores, changed[at] = self._shape(self._random, at)
            apply_filters(scores, [rows[row].params for row in self._random])
            self._weights = scores.softmax(dim=-1)
            self.token_ids[at] = _pick(self._weights, [rows[row].uniform() for row in self._random])
        self._on_its_way = HostCopy(torch.stack([self.token_ids.double(), largest, changed]))

    @torch.no_grad()
    def result(self) -> SamplerOutput:
        """Wait for the tokens. Where logprobs are asked for, the logits must still be what they were."""
        tokens, largest, changed = self._on_its_way.tolist()
        errors = _unusable(changed, "after bias, penalties, bans and temperature the logits")
        errors |= self._failed
        errors |= _unusable(largest, "the logits")
        token_ids = list(map(int, tokens))
        return SamplerOutput(token_ids, self._logprobs(token_ids, errors), errors)

    def _indices(self, group: Sequence[int]) -> Tensor:
        return to_device(torch.tensor(group), self._logits.device)

    def _shape(self, group: Sequence[int], at: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of some rows after all that comes before the filters, and the largest of each.

        Float32 and float64; `at` is `group` as a tensor. A row that is of no use becomes zeros, which
        trouble nobody further down.
        """
        scores = self._logits[at].float()  # a copy: what follows changes it in place
        members = [self._rows[row] for row in group]
        failed: dict[int, Exception] = {}
        _change(scores, members, apply_bias, lambda row: row.params.logit_bias, failed)
        apply_penalties(scores, members)
        _change(scores, members, apply_bans, lambda row: row.forbids_tokens, failed)
        _change(scores, members, run_processors, lambda row: row.params.logits_processors, failed)
        self._failed |= {group[at]: error for at, error in failed.items()}
        temperatures = torch.tensor(
            [1 if row.params.is_greedy else row.params.temperature for row in members]
        )
        scores /= to_device(temperatures, scores.device)[:, None]
        largest = scores.amax(dim=-1)
        useless = ~largest.isfinite()
        if failed:
            useless[list(failed)] = True
        if useless.device.type != "cpu" or useless.any():  # a GPU is not asked: that would be to wait for it
            scores.masked_fill_(useless[:, None], 0)
        return scores, largest.double()

    def _logprobs(self, token_ids: Sequence[int], errors: dict[int, Exception]) -> list[TokenLogprobs | None]:
        """Score the tokens of the rows that ask for it; a greedy row had no choice."""
        result: list[TokenLogprobs | None] = [None] * len(self._rows)
        asked = {
            row: one.params.logprobs
            for row, one in enumerate(self._rows)
            if one.params.logprobs is not None and row not in errors
        }
        if asked:
            told = self._tell([row for row in self._random if row in asked])
            chosen = [token_ids[row] for row in asked]
            scored = score_rows(self._logits[list(asked)], chosen, list(asked.values()))
            for row, one in zip(asked, scored, strict=True):
                probability, entropy = told.get(row, (1.0, 0.0))
                result[row] = replace(one, probability=probability, entropy=entropy)
        return result

    def _tell(self, asked: Sequence[int]) -> dict[int, tuple[float, float]]:
        """Return for these random rows the probability of the token that was chosen, and the entropy."""
        if not asked:
            return {}
        assert self._weights is not None
        part = self._weights[[self._random.index(row) for row in asked]].double()
        chances = part.gather(1, self.token_ids[asked][:, None])[:, 0].tolist()
        entropies = torch.special.entr(part).sum(dim=-1).tolist()
        return dict(zip(asked, zip(chances, entropies, strict=True), strict=True))


def _argmax(scores: Tensor) -> Tensor:
    """Return the first of each row's largest scores, `[num_rows]`; of a row with NaN, one of those."""
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        # On a CPU torch looks at one number after the other, numpy at a vector of them.
        return torch.from_numpy(scores.numpy().argmax(axis=-1))
    return scores.argmax(dim=-1)


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


def _unusable(largest: Sequence[float], what: str) -> dict[int, Exception]:
    """Return an error for each row, by its largest logit, that has no distribution."""
    causes = {math.inf: "hold +inf", -math.inf: "are all -inf: no token is left to choose"}
    return {
        row: ValueError(f"{what} {causes.get(value, 'hold NaN')}")
        for row, value in enumerate(largest)
        if not math.isfinite(value)
    }


def _pick(weights: Tensor, uniforms: Sequence[float]) -> Tensor:
    """Return the token of each row at which the cumulated weights pass its uniform number, `[num_rows]`."""
    cumulated = weights.cumsum(dim=-1, dtype=torch.float64)
    target = to_device(torch.tensor(uniforms, dtype=torch.float64), weights.device)[:, None]
    # right=True: the first token whose cumulated weight exceeds the target, so none of probability 0.
    return torch.searchsorted(cumulated, target * cumulated[:, -1:], right=True)[:, 0]
