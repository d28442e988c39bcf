"""The parity matrix: ways to run an engine that must not change one greedy token, and what to compare with.

A cell is one way: alone or in a batch, how prompts are cut, how large blocks are, whether prefixes are
shared, how much room there is. `run_cell` runs it and counts what happened on the way, and `Cell.complaints`
says what ought to have happened and did not: a cell that was to preempt and never did has shown nothing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product, zip_longest
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from cblab.core.block_manager import BlockEvent
from cblab.core.clock import Clock
from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.parts import Parts
from cblab.core.plan import StepPlan
from cblab.core.sampling_params import SamplingParams
from cblab.model import load_model
from cblab.tokenization import BPETokenizer, Tokenizer
from tests.model.checkpoints import FAMILIES, VOCAB_SIZE, make_checkpoint

NUM_NEW = 8
NEAR_TIE = 1e-4  # of the reference's two largest logits: closer than float32 reductions are to one another
LONGEST = 70  # longer than a chunk of 64; with NUM_NEW below GPT-2's 96 positions

# 256 bytes and three special tokens: every id below the tiny models' vocabulary size is an ASCII character.
TOKENIZER = BPETokenizer([])

# Two checkpoints have no place here. llama-dynamic and llama-longrope turn a key by angles that depend on
# how long the sequence is when the key is computed: other chunks, or a recomputation after preemption, give
# other keys, and rightly so. tests/model/test_parity.py compares what there is to compare.
MODELS = (
    *FAMILIES,
    "llama-one-kv-head",
    "llama-llama3",
    "llama-yarn",
    "qwen2-window",
    "qwen3-window",
    "mixtral-window",
    "gpt2-options",
)

Company = Literal["alone", "batch"]
Room = Literal["roomy", "small, recompute", "small, swap"]


def make_prompts() -> list[list[int]]:
    """32 prompts of 1 to 70 tokens: some begin alike, some are the same, some have nothing in common."""
    generator = torch.Generator().manual_seed(11)

    def ids(length: int) -> list[int]:
        return torch.randint(VOCAB_SIZE, (length,), generator=generator).tolist()

    long, short = ids(40), ids(19)
    alone = [ids(length) for length in (LONGEST, 1, 2, 5, 8, 16, 17, 33, 1, 7, 23, 50)]
    sharing = [long + ids(length) for length in (1, 10, 30, 1, 10, 30, 10)]
    sharing += [short + ids(length) for length in (4, 14, 4, 14, 31)]
    # Equal prompts: all but the last token may be found in the cache, one is to be computed.
    again = [alone[5], alone[7], sharing[0], sharing[2], sharing[8], long[:16], short[:16], long[:32]]
    return [prompt for three in zip_longest(alone, sharing, again) for prompt in three if prompt]


PROMPTS = make_prompts()
# Computed each by itself: one longer than every chunk, two that begin alike, two that are the same.
ALONE = [PROMPTS[i] for i in (0, 1, 2, 3, 4, 7, 8)]


@dataclass(frozen=True)
class Reference:
    """Greedy tokens of one prompt, and by how much the best logit leads the second at each."""

    tokens: list[int]
    leads: list[float]


def make_references(model: Any, prompts: Sequence[Sequence[int]]) -> dict[tuple[int, ...], Reference]:
    """What transformers' `generate` says; prompts of equal length are one batch, so nothing is padded."""
    references = {}
    for length in sorted({len(prompt) for prompt in prompts}):
        same = sorted({tuple(prompt) for prompt in prompts if len(prompt) == length})
        ids = torch.tensor(same)
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NUM_NEW,
            do_sample=False,
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
        best = torch.stack(out.logits, dim=1).topk(2, dim=-1).values
        leads = (best[..., 0] - best[..., 1]).tolist()
        for prompt, row, lead in zip(same, out.sequences[:, length:].tolist(), leads, strict=True):
            references[prompt] = Reference(row, lead)
    return references


@dataclass(frozen=True)
class Cell:
    """One way to run.

    A small pool holds one and a half of the longest requests, so that a batch must preempt. Who runs alone
    cannot be preempted: there "small" is exactly what the longest request needs, its last token excepted,
    which is never computed. What is cached must then be evicted for the next one.
    """

    batch: Company
    chunk: int | None
    block_size: int
    prefix_caching: bool
    room: Room

    def __str__(self) -> str:
        chunk = "whole prompts" if self.chunk is None else f"chunks of {self.chunk}"
        prefix = "prefixes cached" if self.prefix_caching else "no prefix cache"
        return f"{self.batch}, {chunk}, blocks of {self.block_size}, {prefix}, {self.room}"

    @property
    def prompts(self) -> list[list[int]]:
        """What is asked, in this order."""
        return ALONE if self.batch == "alone" else PROMPTS

    @property
    def num_blocks(self) -> int:
        """Size of the pool."""
        if self.room == "roomy":
            return len(PROMPTS) * -(-(LONGEST + NUM_NEW) // self.block_size)
        longest = LONGEST + NUM_NEW - 1
        return -(-(longest if self.batch == "alone" else 3 * longest // 2) // self.block_size)

    @property
    def config(self) -> EngineConfig:
        """The engine's settings."""
        swap = self.room == "small, swap"
        return EngineConfig(
            block_size=self.block_size,
            num_blocks=self.num_blocks,
            num_host_blocks=2 * self.num_blocks if swap else 0,
            preemption_mode="swap" if swap else "recompute",
            max_num_seqs=len(PROMPTS),
            max_num_batched_tokens=96,
            prefill_chunk_size=self.chunk,
            enable_prefix_caching=self.prefix_caching,
            watermark=0.0,
        )

    def complaints(self, counts: Counter[str]) -> list[str]:
        """Name everything that should have happened and did not, or the other way round."""
        preempts = self.batch == "batch" and self.room != "roomy"
        wanted: dict[str, bool] = {
            "prefix hits": self.prefix_caching,
            "preemptions": preempts,
            "swaps": preempts and self.room == "small, swap",
        }
        # Side by side, the step's budget cuts whole prompts too: there is nothing to demand.
        if self.chunk is not None or self.batch == "alone":
            wanted["later chunks"] = self.chunk is not None
        return [
            f"{counts[what]} {what}, expected {'some' if some else 'none'}"
            for what, some in wanted.items()
            if bool(counts[what]) != some
        ]


CELLS = [
    Cell(batch, chunk, block_size, prefix_caching, room)
    for batch, chunk, block_size, prefix_caching, room in product(
        get_args(Company), (7, 64, None), (1, 16), (True, False), get_args(Room)
    )
]


def _pairs(cell: Cell) -> set[tuple[tuple[str, object], ...]]:
    """Every two of a cell's five choices."""
    return set(combinations(vars(cell).items(), 2))


def make_slices(count: int) -> list[list[Cell]]:
    """So many selections of cells: every two choices meet in each of them, and every cell is in some."""
    slices: list[list[Cell]] = []
    times_chosen: Counter[Cell] = Counter()
    for _ in range(count):
        missing = set().union(*map(_pairs, CELLS))
        chosen: list[Cell] = []
        while missing:
            cell = max(CELLS, key=lambda one: (len(_pairs(one) & missing), -times_chosen[one]))
            chosen.append(cell)
            times_chosen[cell] += 1
            missing -= _pairs(cell)
        slices.append(chosen)
    assert len(times_chosen) == len(CELLS)
    return slices


class Watched:
    """An engine that counts what happens in it: preemptions, later chunks of a prompt, block events.

    `blocks` counts block events by kind: "hit", "swap_out", "swap_in", "evict", "copy" and the others.
    """

    def __init__(
        self,
        model: Any,
        config: EngineConfig,
        *,
        tokenizer: Tokenizer = TOKENIZER,
        parts: Parts | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.plans: list[StepPlan] = []
        self.blocks: Counter[str] = Counter()
        self.engine = Engine(model, tokenizer, config, parts=parts, clock=clock)
        scheduler: Any = self.engine.scheduler
        self._schedule = scheduler.schedule
        scheduler.schedule = self._record_plan
        block_manager: Any = self.engine.block_manager
        block_manager.on_event = self._count_event

    def _record_plan(self, now: float) -> StepPlan:
        plan: StepPlan = self._schedule(now)
        self.plans.append(plan)
        return plan

    def _count_event(self, event: BlockEvent) -> None:
        self.blocks[event.kind] += 1

    def counts(self) -> Counter[str]:
        """What has happened since the start."""
        counts = Counter(
            {
                "prefix hits": self.blocks["hit"],
                "swaps": self.blocks["swap_in"],
                "copies": self.blocks["copy"],
            }
        )
        for plan in self.plans:
            counts["preemptions"] += len(plan.preempted)
            counts["later chunks"] += sum(
                one.request_id not in plan.admitted and one.num_new_tokens > 1 for one in plan.scheduled
            )
        return counts

    def assert_whole(self) -> None:
        """Nobody holds a block any more, in the pool or in host memory, and none is lost."""
        stats = self.engine.block_manager.stats()
        assert (stats.used, stats.free + stats.cached, stats.num_host_used) == (0, stats.num_blocks, 0)
        assert not self.engine.requests
        assert not list(self.engine.scheduler.waiting)
        assert not list(self.engine.scheduler.running)


def run_cell(model: Any, cell: Cell) -> tuple[list[list[int]], Counter[str]]:
    """Run a cell's prompts, with the books checked after every step and the pool whole after the last.

    Returns the tokens of the prompts, in their order, and what was counted on the way.
    """
    watched = Watched(model, cell.config)
    engine = watched.engine
    params = SamplingParams(temperature=0, max_tokens=NUM_NEW)
    together = [cell.prompts] if cell.batch == "batch" else [[prompt] for prompt in cell.prompts]
    tokens: dict[str, list[int]] = {}
    order = []
    for prompts in together:
        order += [engine.add_request(prompt, params) for prompt in prompts]
        while engine.has_unfinished:
            for output in engine.step():
                if output.finished:
                    tokens[output.request_id] = list(output.outputs[0].token_ids)
            engine.check_integrity()
    watched.assert_whole()
    counts = watched.counts() + Counter(tokens=sum(map(len, tokens.values())))
    return [tokens[request_id] for request_id in order], counts


def compare(
    results: Sequence[list[int]],
    prompts: Sequence[Sequence[int]],
    references: dict[tuple[int, ...], Reference],
) -> tuple[list[str], int]:
    """Return what differs, in words, and how many first differences are near-ties, which are no errors."""
    errors, near_ties = [], 0
    for number, (tokens, prompt) in enumerate(zip(results, prompts, strict=True)):
        reference = references[tuple(prompt)]
        if tokens == reference.tokens:
            continue
        pairs = enumerate(zip(tokens, reference.tokens, strict=False))
        first = next((i for i, (ours, theirs) in pairs if ours != theirs), None)
        if first is not None and reference.leads[first] <= NEAR_TIE:
            near_ties += 1
            continue
        errors.append(
            f"prompt {number} of {len(prompt)} tokens, from output {first}: "
            f"{tokens} is not {reference.tokens}"
        )
    return errors, near_ties


def check_cells(case: str, cells: Sequence[Cell], folder: Path) -> tuple[list[str], Counter[str]]:
    """Run cells of one of `MODELS`; return everything that is wrong with them, and what was counted."""
    references = make_references(make_checkpoint(case, folder, seed=3), PROMPTS)
    model = load_model(folder)
    errors: list[str] = []
    total: Counter[str] = Counter(cells=len(cells))
    for cell in cells:
        tokens, counts = run_cell(model, cell)
        differences, near_ties = compare(tokens, cell.prompts, references)
        errors += [f"{case}, {cell}: {error}" for error in (*differences, *cell.complaints(counts))]
        total += counts + Counter({"near-ties": near_ties})
    if total["near-ties"] * 1000 > total["tokens"]:
        errors.append(f"{case}: {total['near-ties']} near-ties are to be rare: choose another seed")
    return errors, total


def describe(total: Counter[str]) -> str:
    """What was counted, in one line."""
    names = ("cells", "tokens", "preemptions", "swaps", "later chunks", "prefix hits", "near-ties")
    return ", ".join(f"{total[name]:,} {name}" for name in names)
