"""Check of exercise 6.4: paged decode in loops."""

from typing import Any

import numpy as np

from cblab.lab.compare import difference
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kernels.cases import LONG_SHAPE, SHAPES, Decode, draw_case, paged_case, spelled
from cblab.lab.labs.kernels.compiling import call_compiled
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial

CLOSE = 5e-5
_RUN = "cblab.lab.labs.kernels.running:run"


class _HeadModulo(Decode):
    def kv_head(self, head: int, num_heads: int, num_kv_heads: int) -> int:
        return head % num_kv_heads


class _OwnHead(Decode):
    def kv_head(self, head: int, num_heads: int, num_kv_heads: int) -> int:
        return head


class _FirstHead(Decode):
    def kv_head(self, head: int, num_heads: int, num_kv_heads: int) -> int:
        return 0


class _OneTooFew(Decode):
    def num_tokens(self, length: int, block_size: int, room: int) -> int:
        return length - 1


class _WholeBlocks(Decode):
    def num_tokens(self, length: int, block_size: int, room: int) -> int:
        return -(-length // block_size) * block_size


class _WholeTable(Decode):
    def num_tokens(self, length: int, block_size: int, room: int) -> int:
        return room


class _FullBlocks(Decode):
    def num_tokens(self, length: int, block_size: int, room: int) -> int:
        return length // block_size * block_size


class _TopOfBlocks(Decode):
    def num_scored(self, length: int, block_size: int, room: int) -> int:
        return _WholeBlocks().num_tokens(length, block_size, room)


class _TopOfTable(Decode):
    def num_scored(self, length: int, block_size: int, room: int) -> int:
        return room


class _NoTable(Decode):
    def place(self, tables: np.ndarray, seq: int, position: int, block_size: int) -> tuple[int, int]:
        return position // block_size, position % block_size


class _FirstTable(Decode):
    def place(self, tables: np.ndarray, seq: int, position: int, block_size: int) -> tuple[int, int]:
        return super().place(tables, 0, position, block_size)


class _SameBlock(Decode):
    def place(self, tables: np.ndarray, seq: int, position: int, block_size: int) -> tuple[int, int]:
        return tables[seq, 0], position % block_size


class _NoScale(Decode):
    def weights(self, scores: np.ndarray, top: np.float32, scale: float) -> np.ndarray:
        return super().weights(scores, top, 1.0)


class _NotDivided(Decode):
    def weights(self, scores: np.ndarray, top: np.float32, scale: float) -> np.ndarray:
        return np.asarray(np.exp((scores - top) * np.float32(scale)))


class _ScaledAfter(Decode):
    def weights(self, scores: np.ndarray, top: np.float32, scale: float) -> np.ndarray:
        return super().weights(scores, top, 1.0) * np.float32(scale)


class _KeysWeighed(Decode):
    def values(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        return keys


def _highest_from_behind(args: Args, want: Any, got: Any) -> bool:
    """Whether the weights are right, but for a highest score that was found behind the context's end."""
    return any(difference(got, wrong(*args), 0.0, CLOSE) is None for wrong in (_TopOfTable(), _TopOfBlocks()))


def _overflows(args: Args, want: Any, got: Any) -> bool:
    """Whether what came back is what e^score, not relative to the highest score, does with large scores."""
    if isinstance(got, StudentError):
        return "OverflowError" in got.type_names
    return bool((~np.isfinite(got)).any())


WRONGS = (
    Wrong(
        "The query heads of a group lie side by side: head h reads KV head h // group, and h % num_kv_heads "
        "was read.",
        _HeadModulo(),
    ),
    Wrong("Every query head reads a KV head of its own: there are fewer, each serves a group.", _OwnHead()),
    Wrong("All query heads read KV head 0.", _FirstHead()),
    Wrong("The newest token is left out: a token sees itself, and `context_lens` counts it.", _OneTooFew()),
    Wrong(
        "The last block is read to its end: behind the context lies what others have left there.",
        _WholeBlocks(),
    ),
    Wrong(
        "The whole block table is read: behind `context_lens[seq]` there is nothing of this request.",
        _WholeTable(),
    ),
    Wrong(
        "The first pass goes on behind the context's end: a score found there becomes the highest, and "
        "beside it the request's own weights all come out as 0.",
        matches=_highest_from_behind,
    ),
    Wrong("The partly filled last block is left out: its tokens count too.", _FullBlocks()),
    Wrong("The block table is not used: block i of a sequence is anywhere in the pool.", _NoTable()),
    Wrong("Every sequence reads the blocks of the first one.", _FirstTable()),
    Wrong("All tokens are read from the sequence's first block: look up the block of each.", _SameBlock()),
    Wrong("The scores are not multiplied with `scale`.", _NoScale()),
    Wrong(
        "The result is multiplied with `scale`: it belongs to the scores, before the softmax.", _ScaledAfter()
    ),
    Wrong("The weights are not divided by their sum.", _NotDivided()),
    Wrong("The keys are weighed: weights are for the values.", _KeysWeighed()),
    Wrong(
        "Large scores overflow: take e^(score - highest), with the highest score of this head.",
        matches=_overflows,
    ),
)


def check_decode_loops(t: Trial) -> None:
    """Exercise 6.4, uncompiled; then, if that is right, compiled and over longer contexts."""
    kernel = t.executor.request("get", name="decode_loops", result="handle").value
    immediate = [
        paged_case(1, SHAPES[0], (5,)),
        paged_case(2, SHAPES[1], (7, 3)),
        paged_case(3, SHAPES[0], (8, 1, 6)),
        paged_case(4, SHAPES[2], (9, 4), stretch=4_000.0),
    ]
    diagnose(
        t,
        lambda *args: t.executor.call(_RUN, kernel, *args),
        t.cases(immediate, draw_case, 10),
        Decode(),
        WRONGS,
        spell=lambda args: spelled("decode_loops", args),
        abs_=CLOSE,
    )
    if t.level == "random":
        args = paged_case(5, LONG_SHAPE, (75, 16, 31))
        found = difference(call_compiled(t, kernel, "call", *args), Decode()(*args), 0.0, CLOSE)
        if found:
            t.fail(
                f"Compiled, it differs from what it gives as Python. ({spelled('decode_loops', args)}: "
                f"{found})"
            )
