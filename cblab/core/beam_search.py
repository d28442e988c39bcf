"""Beam search: the `beam_width` likeliest continuations of a prompt, kept side by side over shared blocks.

A beam is a block table. All beams begin in the blocks of the one prompt; each token decides which go on:

```
 tokens             tables, blocks of 2
 p p p ─┬─ a ─┬─ d   [ 0 ][ 2 ][ 4 ]     0 is full, it stays shared; 2 and 3 are copies of the half filled 1,
        │     └─ e   [ 0 ][ 2 ][ 5 ]     made when a and b were written; 2 is full by now, and shared
        ├─ b ─── f   [ 0 ][ 3 ][ 6 ]
        └─ c         [ 0 ][ 1 ]          loses: 1 is given back
```

There is no scheduler in it: all beams of all prompts compute one token in each pass, in an engine that has
nothing else to do. What is chosen, and when it ends, is what transformers' `generate(num_beams=…)` does.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from cblab.core.batch_builder import BatchRow
from cblab.core.errors import IntegrityError
from cblab.core.intake import Arrival, Intake, Prompt
from cblab.core.output_text import OutputText
from cblab.core.parts import BlockManagerPart
from cblab.core.plan import BlockOp
from cblab.core.request import Request
from cblab.core.sampling_params import SamplingParams
from cblab.tokenization import Tokenizer

if TYPE_CHECKING:
    from cblab.core.engine import Engine


@dataclass(frozen=True)
class BeamSearchParams:
    """How wide a beam search is, how it scores and when it ends; a senseless value is a `ValueError`.

    Attributes:
        beam_width: beams that go on at once, and sequences that are returned.
        max_tokens: at most so many new tokens.
        ignore_eos: go on past EOS.
        length_penalty: a finished beam's score is its log-probability divided by
            `num_new_tokens ** length_penalty`. As log-probabilities are negative, more than 0 favours long
            outputs, less than 0 short ones.
        early_stopping: when to stop, once `beam_width` beams have finished. True: at once. False: when the
            best running beam, were it to end here, would score no better than the worst finished one.
            "never": when it could not, at whatever length it ends.
    """

    beam_width: int
    max_tokens: int
    ignore_eos: bool = False
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False

    def __post_init__(self) -> None:
        for name in ("beam_width", "max_tokens"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        penalty = self.length_penalty
        if not isinstance(penalty, int | float) or isinstance(penalty, bool) or not math.isfinite(penalty):
            raise ValueError(f"length_penalty must be a finite number, got {penalty!r}")
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise ValueError(f"early_stopping must be False, True or 'never', got {self.early_stopping!r}")

    def score(self, cum_logprob: float, num_new_tokens: int) -> float:
        """Return what a beam of `num_new_tokens` would be ranked by if it ended."""
        return cum_logprob / num_new_tokens**self.length_penalty


@dataclass(frozen=True)
class BeamSearchSequence:
    """One beam that has finished.

    Attributes:
        tokens: the prompt's and the new ones; the one that ended it included.
        cum_logprob: sum of the new tokens' log-probabilities.
        score: the same with the length penalty; what sequences are ranked by.
        text: of `tokens`, without a token that ended it; None where the engine has no tokenizer.
        finish_reason: "stop" at EOS, "length" at `max_tokens` or the context limit.
        stop_reason: the id that ended it; None for "length".
    """

    tokens: list[int]
    cum_logprob: float
    score: float
    text: str | None
    finish_reason: Literal["stop", "length"]
    stop_reason: int | None = None


@dataclass(frozen=True)
class BeamSearchOutput:
    """The `beam_width` best sequences of one prompt, the best first."""

    sequences: list[BeamSearchSequence]


@torch.inference_mode()
def beam_search(
    engine: "Engine", prompts: Sequence[Prompt], params: BeamSearchParams
) -> list[BeamSearchOutput]:
    """Search for the likeliest continuations of each prompt, in the blocks of an engine that is idle.

    The result is that of transformers' `generate(num_beams=k, num_return_sequences=k, do_sample=False)`.
    `beam_width=1` is greedy search, unless `early_stopping` is "never" and `length_penalty` positive: then
    the second choice at EOS goes on, for as long as a longer output could score better.

    Prompts search side by side, as many as `max_num_seqs` and the pool allow; their outputs do not depend on
    one another. Steps of other threads wait for its end.

    Args:
        engine: one without unfinished requests; its prefix cache is used and added to.
        prompts: each a text, or token ids.
        params: for all of them.

    Raises:
        ValueError: a prompt or a parameter does not go with the model, the pool, or `max_num_seqs`.
        RuntimeError: the engine has unfinished requests; or the model yields logits that are NaN.
    """
    with engine.exclusive():
        searches = _make_searches(engine, prompts, params)
        for group in _groups(searches, engine):
            _run(engine, group)
    return [search.output(engine.tokenizer) for search in searches]


@dataclass
class _Beam:
    """A running beam: the name of its block table, and its new tokens, all computed but the last."""

    table: str
    tokens: list[int]
    cum_logprob: float = 0.0


@dataclass(frozen=True)
class _Finished:
    tokens: list[int]
    cum_logprob: float
    score: float


class _Search:
    """The search of one prompt: log-probabilities in, beams out. It knows names of block tables, no blocks.

    Attributes:
        tables: as many names as there can be beams.
        beams: those that go on, the likeliest first; none when the search is over.
        finished: the best that have ended, the best first.

    Raises:
        ValueError: the vocabulary is too small.
    """

    def __init__(self, request: Request, params: BeamSearchParams, vocab_size: int) -> None:
        self.request = request
        self.params = params
        self.tables = [f"{request.request_id}/{index}" for index in range(params.beam_width)]
        self.beams = [_Beam(self.tables[0], [])]
        self.finished: list[_Finished] = []
        self.max_new_tokens = request.max_length - request.num_prompt_tokens
        # Each beam may end in each stop token: so many candidates leave `beam_width` that go on.
        self.num_candidates = params.beam_width * (1 + len(request.stop_token_ids))
        if self.num_candidates > vocab_size:
            raise ValueError(
                f"beam_width={params.beam_width} with {len(request.stop_token_ids)} EOS ids chooses among "
                f"{self.num_candidates} candidates: the vocabulary has {vocab_size} tokens"
            )

    def num_blocks(self, block_size: int) -> int:
        """Blocks that it may need: full ones of the prompt once, all that follows for each beam by itself.

        The last token of a sequence is never computed: with `max_new_tokens=1` the prompt is all there is.
        """
        num_shared = self.request.num_prompt_tokens // block_size
        num_own = -(-(self.request.max_length - 1) // block_size) - num_shared
        return num_shared + num_own * (1 if self.max_new_tokens == 1 else self.params.beam_width)

    def advance(self, logprobs: Tensor) -> None:
        """Take each beam's log-probabilities of the next token, `[num_beams, vocab_size]`, and choose anew.

        A new beam stands with the table of the beam that it continues.
        """
        width = self.params.beam_width
        going_on: list[_Beam] = []
        for rank, beam in enumerate(self._candidates(logprobs)):
            length = len(beam.tokens)
            if beam.tokens[-1] not in self.request.stop_token_ids and length < self.max_new_tokens:
                going_on.append(beam)
            elif rank < width:  # what has ended counts only where it would have gone on, had it not
                score = self.params.score(beam.cum_logprob, length)
                self.finished.append(_Finished(beam.tokens, beam.cum_logprob, score))
        self.finished = sorted(self.finished, key=lambda one: one.score, reverse=True)[:width]
        self.beams = [] if self._is_over(going_on) else going_on[:width]

    def _candidates(self, logprobs: Tensor) -> Iterator[_Beam]:
        """Yield the likeliest continuations over all beams, the likeliest first."""
        sums = logprobs + logprobs.new_tensor([beam.cum_logprob for beam in self.beams])[:, None]
        best, indices = sums.flatten().topk(self.num_candidates)
        if best.isnan().any():
            raise RuntimeError(f"{self.request.request_id!r}: the model's logits hold NaN")
        for cum_logprob, index in zip(best.tolist(), indices.tolist(), strict=True):
            row, token = divmod(index, logprobs.shape[1])
            yield _Beam(self.beams[row].table, [*self.beams[row].tokens, token], cum_logprob)

    def _is_over(self, going_on: Sequence[_Beam]) -> bool:
        """Whether another pass is not worth it; see `BeamSearchParams.early_stopping`."""
        if not going_on or len(self.finished) < self.params.beam_width:
            return not going_on
        if self.params.early_stopping is True:
            return True
        best, length = going_on[0], len(going_on[0].tokens)
        if self.params.early_stopping == "never" and self.params.length_penalty > 0:
            length = self.max_new_tokens  # at which what it has by now would score best
        return self.params.score(best.cum_logprob, length) <= self.finished[-1].score

    def output(self, tokenizer: Tokenizer | None) -> BeamSearchOutput:
        """Return the finished beams."""
        return BeamSearchOutput([self._sequence(one, tokenizer) for one in self.finished])

    def _sequence(self, one: _Finished, tokenizer: Tokenizer | None) -> BeamSearchSequence:
        tokens = self.request.prompt_token_ids + one.tokens
        stopped = one.tokens[-1] in self.request.stop_token_ids
        text = OutputText(tokenizer, SamplingParams())
        for token in tokens[:-1] if stopped else tokens:
            text.push(token)
        text.finish()
        return BeamSearchSequence(
            tokens=tokens,
            cum_logprob=one.cum_logprob,
            score=one.score,
            text=None if tokenizer is None else text.text,
            finish_reason="stop" if stopped else "length",
            stop_reason=one.tokens[-1] if stopped else None,
        )


def _make_searches(engine: "Engine", prompts: Sequence[Prompt], params: BeamSearchParams) -> list[_Search]:
    """Refuse what cannot be searched for, before anything is computed."""
    if params.beam_width > engine.config.max_num_seqs:
        raise ValueError(f"beam_width={params.beam_width} exceeds max_num_seqs={engine.config.max_num_seqs}")
    block_size, available = engine.config.block_size, _num_available(engine)
    config = engine.runner.model.config
    intake = Intake(config, engine.tokenizer, engine.config, available * block_size)
    wanted = SamplingParams(temperature=0, max_tokens=params.max_tokens, ignore_eos=params.ignore_eos)
    searches = []
    for index, prompt in enumerate(prompts):
        try:
            (request,) = intake.make(prompt, wanted, Arrival(f"beam-search-{index}", arrival_time=0.0))
        except ValueError as error:
            raise ValueError(f"prompt {index}: {error}") from error
        search = _Search(request, params, config.vocab_size)
        needed = search.num_blocks(block_size)
        if needed > available:
            raise ValueError(
                f"prompt {index} has {request.num_prompt_tokens} tokens: {params.beam_width} beams of up to "
                f"{request.max_length} tokens may need {needed} blocks of {block_size}, {available} are "
                "available. Take a smaller beam_width or max_tokens, or a larger num_blocks"
            )
        searches.append(search)
    return searches


def _num_available(engine: "Engine") -> int:
    stats = engine.block_manager.stats()
    return stats.free + stats.cached


def _groups(searches: Sequence[_Search], engine: "Engine") -> Iterator[list[_Search]]:
    """Yield searches that have room beside one another, in their order."""
    group: list[_Search] = []
    num_seqs, room = engine.config.max_num_seqs, _num_available(engine)
    for search in searches:
        needed = search.num_blocks(engine.config.block_size)
        if group and (needed > room or search.params.beam_width > num_seqs):
            yield group
            group = []
            num_seqs, room = engine.config.max_num_seqs, _num_available(engine)
        group.append(search)
        num_seqs, room = num_seqs - search.params.beam_width, room - needed
    if group:
        yield group


def _run(engine: "Engine", searches: Sequence[_Search]) -> None:
    """Search side by side: the prompts one after another, then a pass for each new token of all beams."""
    running = list(searches)
    try:
        logits = torch.cat([_compute_prompt(engine, search) for search in running])
        while running:
            num_beams = [len(search.beams) for search in running]
            logprobs = logits.float().log_softmax(dim=-1).split(num_beams)
            for search, rows in zip(running, logprobs, strict=True):
                search.advance(rows)
                _hand_down_tables(engine.block_manager, search)
            running = [search for search in running if search.beams]
            if running:
                logits = _compute_tokens(engine, running)
    finally:
        for search in searches:
            for table in search.tables:
                engine.block_manager.free(table)


def _compute_prompt(engine: "Engine", search: _Search) -> Tensor:
    """Compute what the prefix cache does not hold of a prompt; return its last logits, `[1, vocab_size]`.

    One prompt at a time, so that the next one finds the blocks of a beginning that both share.
    """
    blocks, config = engine.block_manager, engine.config
    name, tokens = search.tables[0], search.request.prompt_token_ids
    computed_blocks = blocks.get_computed_blocks(tokens)
    block_ops = _allocate(engine, name, len(tokens), computed_blocks)
    size = min(config.max_num_batched_tokens, config.prefill_chunk_size or config.max_num_batched_tokens)
    for start in range(len(computed_blocks) * config.block_size, len(tokens), size):
        row = BatchRow(tokens[start : start + size], start, blocks.block_table(name), num_logits=1)
        logits = engine.runner.forward(engine.runner.build([row]), block_ops)
        block_ops = ()
    blocks.cache_blocks(name, tokens, len(tokens))
    return logits.clone()  # the next prompt's pass may write over them


def _compute_tokens(engine: "Engine", searches: Sequence[_Search]) -> Tensor:
    """Compute the last token of each beam; return the logits that follow, `[num_beams, vocab_size]`."""
    rows: list[BatchRow] = []
    block_ops: list[BlockOp] = []
    for search in searches:
        for beam in search.beams:
            num_tokens = search.request.num_prompt_tokens + len(beam.tokens)
            block_ops += _allocate(engine, beam.table, num_tokens)
            table = engine.block_manager.block_table(beam.table)
            rows.append(BatchRow(beam.tokens[-1:], num_tokens - 1, table, num_logits=1))
    return engine.runner.forward(engine.runner.build(rows), block_ops)


def _hand_down_tables(blocks: BlockManagerPart, search: _Search) -> None:
    """Give each new beam a table of its own.

    The likeliest child keeps its parent's, the others fork it; beams without a child give their blocks back.
    """
    kept = {beam.table for beam in search.beams}
    vacant = [table for table in search.tables if table not in kept]
    for table in vacant:
        blocks.free(table)
    for beam in search.beams:
        if beam.table in kept:
            kept.remove(beam.table)
        else:
            parent, beam.table = beam.table, vacant.pop(0)
            blocks.fork(parent, beam.table)


def _allocate(
    engine: "Engine", table: str, num_tokens: int, computed_blocks: Sequence[int] = ()
) -> Sequence[BlockOp]:
    allocation = engine.block_manager.allocate_slots(table, num_tokens, computed_blocks)
    if allocation is None:
        raise IntegrityError(
            f"{table!r} gets no block for {num_tokens} tokens, though {_num_available(engine)} are available"
        )
    return allocation.block_ops
