"""Checks of exercise 6.7: tasks in threads, merged; alone, in any arrangement, and in the engine."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.errors import ForwardPassError
from cblab.core.parts import Parts
from cblab.core.sampling_params import SamplingParams
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kernels.cases import SHAPES, paged_case
from cblab.lab.labs.kernels.plug import plugged
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial
from cblab.model.config import ModelConfig
from cblab.model.decoder import Decoder

CLOSE = 5e-5
Shares = list[list[tuple[int, int, int]]]


def tasks_of(lengths: Sequence[int], size: int) -> list[tuple[int, int, int]]:
    """Splits of every context, in order."""
    return [
        (seq, start, min(start + size, int(length)))
        for seq, length in enumerate(lengths)
        for start in range(0, int(length), size)
    ]


def _dealt(tasks: Sequence[tuple[int, int, int]], num_threads: int) -> Shares:
    return [list(tasks[thread::num_threads]) for thread in range(num_threads)]


class _Splits:
    """Decode by its definition, over what a defect leaves of each sequence's splits."""

    def splits(self, tasks: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Those of one sequence that count."""
        return tasks

    def table(self, tables: np.ndarray) -> np.ndarray:
        """The block tables that are read."""
        return tables

    def query(self, q: np.ndarray) -> np.ndarray:
        """The queries that are asked."""
        return q

    def merged(self, scores: np.ndarray, values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
        """The result of one head from the scores and values of its tokens, in splits of these sizes."""
        weights = np.exp(scores - scores.max())
        return np.asarray(weights @ values / weights.sum())

    def __call__(
        self,
        q: np.ndarray,
        keys: np.ndarray,
        values: np.ndarray,
        tables: np.ndarray,
        shares: Shares,
        scale: float,
    ) -> Any:
        q, tables, size = self.query(q), self.table(tables), keys.shape[1]
        group = q.shape[1] // keys.shape[2]
        out = np.zeros_like(q)
        for seq in range(len(q)):
            mine = self.splits(sorted(task for share in shares for task in share if task[0] == seq))
            positions = [position for _, start, end in mine for position in range(start, end)]
            if not positions:
                continue
            blocks = tables[seq, [position // size for position in positions]]
            slots = [position % size for position in positions]
            for head in range(q.shape[1]):
                scores = keys[blocks, slots, head // group] @ q[seq, head] * scale
                sizes = [end - start for _, start, end in mine]
                out[seq, head] = self.merged(scores, values[blocks, slots, head // group], sizes)
        return out


class _FirstSplit(_Splits):
    def splits(self, tasks: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        return tasks[:1]


class _FirstTable(_Splits):
    def table(self, tables: np.ndarray) -> np.ndarray:
        return np.repeat(tables[:1], len(tables), axis=0)


class _FirstQuery(_Splits):
    def query(self, q: np.ndarray) -> np.ndarray:
        return np.repeat(q[:1], len(q), axis=0)


class _NotDivided(_Splits):
    def merged(self, scores: np.ndarray, values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
        return np.asarray(np.exp(scores - scores.max()) @ values)


class _Averaged(_Splits):
    def merged(self, scores: np.ndarray, values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
        ends = np.cumsum(sizes)
        parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        return np.mean([super(_Averaged, self).merged(scores[one], values[one], ()) for one in parts], axis=0)


class _Added(_Splits):
    def merged(self, scores: np.ndarray, values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
        total, sums, start = 0.0, np.zeros(values.shape[1]), 0
        for size in sizes:
            one = slice(start, start + size)
            weights = np.exp(scores[one] - scores[one].max())
            total, sums, start = total + weights.sum(), sums + weights @ values[one], start + size
        return np.asarray(sums / total)


def _one_split_each(args: Args, want: Any, got: Any) -> bool:
    """Whether every sequence's result is that of a single one of its splits."""
    tasks = [task for share in args[4] for task in share]
    q, keys, values, tables, _, scale = args
    alone = {task: _Splits()(q, keys, values, tables, [[task]], scale)[task[0]] for task in tasks}
    return all(
        any(np.allclose(got[seq], alone[task], atol=CLOSE) for task in tasks if task[0] == seq)
        for seq in range(len(got))
    )


def _only_first(args: Args, want: Any, got: Any) -> bool:
    """Whether only the first sequence has a result."""
    return len(want) > 1 and not got[1:].any() and bool(np.allclose(got[0], want[0], atol=CLOSE))


_WRONGS = (
    Wrong("Only each sequence's first split counts: merge all of them.", _FirstSplit()),
    Wrong(
        "Only one split of each sequence counts, that which was finished last: keep a partial result for "
        "every task.",
        matches=_one_split_each,
    ),
    Wrong("Every task reads the blocks of sequence 0: a task says which sequence it is of.", _FirstTable()),
    Wrong(
        "Every task asks with the query of sequence 0: a task says which sequence it is of.", _FirstQuery()
    ),
    Wrong("The splits' values are not divided by the sum of all weights: use `merge`.", _NotDivided()),
    Wrong(
        "The splits' results are averaged: use `merge`, which knows what each of them weighs.", _Averaged()
    ),
    Wrong("The splits are added without bringing them to one highest score: use `merge`.", _Added()),
    Wrong("Only sequence 0 has a result.", matches=_only_first),
    Wrong(
        "The result is of another type than `q`: float32 all the way.",
        matches=lambda args, want, got: got.dtype != np.float32,
    ),
    Wrong("Nothing was computed: every number is still 0.", matches=lambda args, want, got: not got.any()),
    Wrong(
        "Something is NaN: a running state begins with -inf as highest score and zeros, and every task needs "
        "one of its own.",
        matches=lambda args, want, got: bool(np.isnan(got).any()),
    ),
    Wrong(
        "Tasks disturb each other: the same state is handed to several of them. Make a new one for each.",
        matches=lambda args, want, got: (
            len({task[0] for share in args[4] for task in share}) > 1 or max(map(len, args[4])) > 1
        ),
    ),
)


def _case(seed: int, shape: Any, lengths: Sequence[int], size: int, num_threads: int) -> Args:
    q, keys, values, tables, _, scale = paged_case(seed, shape, lengths)
    return q, keys, values, tables, _dealt(tasks_of(lengths, size), num_threads), scale


def _spelled(args: Args) -> str:
    return f"decode_in_threads: {len(args[0])} sequences, shares {args[4]}"[:160]


def check_decode_in_threads(t: Trial) -> None:
    """Exercise 6.7, the result."""

    def draw(rng: random.Random) -> Args:
        shape = rng.choice(SHAPES)
        size = shape[3] * rng.choice((1, 2))
        lengths = [rng.randint(1, 4 * size) for _ in range(rng.randint(1, 3))]
        return _case(rng.randrange(2**30), shape, lengths, size, rng.choice((1, 2, 3)))

    immediate = [
        _case(1, SHAPES[0], (4,), 4, 1),
        _case(2, SHAPES[0], (11,), 4, 2),
        _case(3, SHAPES[1], (9, 4, 7), 3, 2),
    ]
    diagnose(
        t,
        lambda *args: t.executor.call("decode_in_threads", *args),
        t.cases(immediate, draw, 8),
        _Splits(),
        _WRONGS,
        spell=_spelled,
        abs_=CLOSE,
    )


def check_bits(t: Trial) -> None:
    """Exercise 6.7, the same bits whoever computes what."""
    for seed in range(4):
        q, keys, values, tables, _, scale = paged_case(seed + t.rng.randrange(99), SHAPES[0], (31, 26))
        tasks = tasks_of((31, 26), 4)
        shuffled = t.rng.sample(tasks, len(tasks))
        results = [
            t.call("decode_in_threads", q, keys, values, tables, shares, scale)
            for shares in ([tasks], [tasks[::-1]], _dealt(shuffled, 2), _dealt(shuffled, 3))
        ]
        for one in results[1:]:
            if not np.array_equal(results[0], one, equal_nan=True):
                t.fail(
                    "Given to other threads in another order, the same tasks give other bits: merge a "
                    "sequence's parts in the order of its tokens, not in the order in which they are "
                    "finished."
                )


@cache
def model() -> Decoder:
    """Two layers with 4 query heads over 2 KV heads, with random weights, the same in every process."""
    config = ModelConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=6,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    made = Decoder(config).requires_grad_(False)
    generator = torch.Generator().manual_seed(6)
    for parameter in made.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return made


def serve(parts: Parts, seed: str) -> list[list[int]]:
    """The tokens of some requests of mixed lengths, by an engine with these parts."""
    rng = random.Random(seed)
    config = EngineConfig(
        block_size=4,
        num_blocks=40,
        max_num_seqs=4,
        max_model_len=64,
        max_num_batched_tokens=64,
        attention_backend="torch",
        fused_ops="torch",
    )
    engine = Engine(model(), None, config, parts=parts)
    for number in range(4):
        prompt = [rng.randrange(40) for _ in range(rng.randint(2, 18))]
        params = SamplingParams(temperature=0.0, max_tokens=rng.randint(3, 6), ignore_eos=True)
        engine.add_request(prompt, params, request_id=f"r{number}")
    finished = {}
    while engine.has_unfinished:
        for one in engine.step():
            finished[one.request_id] = list(one.outputs[0].token_ids)
    return [finished[f"r{number}"] for number in range(4)]


def check_in_the_engine(t: Trial) -> None:
    """Exercise 6.7, in the engine: the student's function is called through the executor, layer by layer."""
    seed = f"{t.level}/{t.rng.random()}"

    def decode(*args: Any) -> Any:
        return t.executor.call("decode_in_threads", *args)

    try:
        got = serve(Parts(paged_decode=plugged(decode, split_size=8, num_threads=2)), seed)
    except StudentError as error:
        if isinstance(error, BlankError):
            raise
        t.fail(f"In the engine: {error}")
    except (ForwardPassError, RuntimeError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, BlankError):
            raise cause from None
        t.fail(f"In the engine, a step broke: {cause}")
    want = serve(Parts(), seed)
    wrong = sum(one != other for one, other in zip(got, want, strict=True))
    if wrong:
        t.fail(
            f"In the engine, {wrong} of {len(want)} answers have other tokens than torch's attention gives."
        )
