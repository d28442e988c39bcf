"""Decode steps as CUDA graphs: the launches of a whole forward pass, recorded once and replayed.

A decode step of a small model computes for a few milliseconds and is some hundred kernels long: to launch
them one by one from Python takes longer than they run. A graph is launched at once. But it replays exactly
what was recorded, the same shapes at the same addresses; so there is one for each of a few batch sizes, and a
batch is copied into buffers that they all read:

```
batch of 5          input_ids     [ 7  3  9  4  1 |  .  .  . ]     bucket of 8
                    positions     [ 4 80 12  0  6 |  .  .  . ]     .: whatever was there before
                    slot_mapping  [ 20 3 44 16 38 | -1 -1 -1 ]     a slot below 0 is not written
                    context_lens  [ 5 81 13  1  7 |  0  0  0 ]     nothing is attended to
                    block_tables  [ 5 rows        |  .  .  . ]     as many columns as a bucket of widths has
```

So padding costs some rows of the matrix products and touches no block of the pool. That asks of a backend
that its kernels need no length on the host, skip slots below 0, and give zeros for an empty context: `triton`
does.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend
from cblab.attention.batch import RaggedBatch
from cblab.model.config import ModelConfig

logger = logging.getLogger("cblab.core.cuda_graphs")

Forward = Callable[[RaggedBatch], Tensor]
"""One forward pass over a batch: writes its keys and values, and returns `[num_tokens, vocab_size]`."""

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""`capture(run)` returns a function that does what `run` does, on the same tensors."""

_NARROWEST_TABLE = 64  # columns of the narrowest block tables that graphs are made for


def make_decode_graphs(
    forward: Forward,
    config: ModelConfig,
    backend: AttentionBackend,
    *,
    max_num_seqs: int,
    max_blocks: int,
    device: torch.device,
) -> "DecodeGraphs | None":
    """Return graphs for a model's decode steps; None without a GPU, and where something cannot be recorded.

    Args:
        forward: see `Forward`.
        config: the model's.
        backend: that of the engine.
        max_num_seqs: sequences that run at once.
        max_blocks: blocks of the longest sequence.
        device: the model's.
    """
    if device.type != "cuda":
        return None
    reason = why_not_capturable(config, backend)
    if reason is not None:
        logger.info("decode steps run without CUDA graphs: %s", reason)
        return None
    return DecodeGraphs(forward, max_num_seqs, max_blocks, device, CudaCapture())


def why_not_capturable(config: ModelConfig, backend: AttentionBackend) -> str | None:
    """Return why a model's forward pass cannot be recorded, or None if it can.

    What looks at a tensor's values on the host cannot: a mixture of experts asks which of them have tokens,
    and some rotary positions ask how long a sequence is. A reader's own module or kernel might.
    """
    if config.rope is not None and config.rope.rope_type in ("dynamic", "longrope"):
        return f"rope_type {config.rope.rope_type!r} looks at the lengths of sequences"
    for kind, name, known in (
        ("attention_backend", backend.name, ("triton",)),
        ("attn_impl", config.attn_impl, ("gqa",)),
        ("mlp_impl", config.mlp_impl, ("swiglu", "gelu")),
        ("norm_impl", config.norm_impl, ("rms_norm", "layer_norm")),
    ):
        if name not in known:
            return f"{kind} {name!r} may look at values on the host"
    from cblab.attention.triton.launch import is_supported

    if not all(map(is_supported, config.attention_specs)):
        return f"heads of {config.head_dim} numbers are too wide for the backend's own kernels"
    return None


def batch_buckets(max_num_seqs: int) -> tuple[int, ...]:
    """Return the batch sizes that get graphs: 1, 2, 4, 8, 16, 24, ... 128, 144, 160, ... `max_num_seqs`.

    A few rows of padding cost next to nothing while the weights are what a decode step reads.
    """
    sizes = (1, 2, 4, *range(8, 128, 8), *range(128, max_num_seqs, 16))
    return (*(size for size in sizes if size < max_num_seqs), max_num_seqs)


def table_buckets(max_blocks: int) -> tuple[int, ...]:
    """Return the widths of block tables that get graphs: 64, 128, 256, ... up to `max_blocks`.

    Attention starts programs for every column, used or not: as wide as the longest context that the model
    allows, a table would cost short batches more than their work.
    """
    widths = [_NARROWEST_TABLE]
    while widths[-1] < max_blocks:
        widths.append(2 * widths[-1])
    return (*widths[:-1], max_blocks)


class DecodeGraphs:
    """Replays decode steps, and records a graph the first time that one of its size comes by.

    Not for two threads at once: all graphs share their buffers, the one for the result included.

    Args:
        forward: what is recorded; it runs once before it is.
        max_num_seqs: sequences of the largest batch.
        max_blocks: blocks of the longest sequence.
        device: where the batches are.
        capture: how to record; `CudaCapture` on a GPU.
    """

    def __init__(
        self,
        forward: Forward,
        max_num_seqs: int,
        max_blocks: int,
        device: torch.device | str,
        capture: Capture,
    ) -> None:
        self._forward = forward
        self._capture = capture
        self._rows, self._columns = batch_buckets(max_num_seqs), table_buckets(max_blocks)
        self._batch = _padding_alone(max_num_seqs, max_blocks, device)
        self._logits: Tensor | None = None
        self._replays: dict[tuple[int, int], Callable[[], None]] = {}

    def accepts(self, batch: RaggedBatch) -> bool:
        """Whether a batch is nothing but decodes, and fits."""
        if batch.block_tables is None or batch.num_decodes != batch.num_seqs:
            return False
        num_seqs, num_blocks = batch.block_tables.shape
        return num_seqs <= self._rows[-1] and num_blocks <= self._columns[-1]

    @torch.inference_mode()
    def __call__(self, batch: RaggedBatch) -> Tensor:
        """Carry out one decode step, and return its logits, `[num_logits, vocab_size]`.

        They are overwritten by the next one.
        """
        assert batch.block_tables is not None
        num_seqs, num_blocks = batch.block_tables.shape
        rows, columns = _smallest(self._rows, num_seqs), _smallest(self._columns, num_blocks)
        self._fill(batch, rows)
        self._replay_of(rows, columns)()
        assert self._logits is not None
        logits = self._logits[:num_seqs]
        # One row a sequence: as many logits as rows are all of them, in order.
        if batch.logits_indices is None or len(batch.logits_indices) == num_seqs:
            return logits
        return logits[batch.logits_indices]

    @torch.inference_mode()
    def capture_all(self, max_columns: int | None = None) -> int:
        """Record every graph whose tables have at most `max_columns` columns, and return how many there are.

        It runs on padding alone, which touches no block. The largest comes first: the others fit into the
        memory that it leaves behind.
        """
        widths = [one for one in self._columns if max_columns is None or one <= max_columns]
        sizes = [(rows, columns) for rows in reversed(self._rows) for columns in reversed(widths)]
        for rows, columns in sizes:
            self._fill(None, rows)
            self._replay_of(rows, columns)
        return len(sizes)

    def _fill(self, batch: RaggedBatch | None, rows: int) -> None:
        """Copy a batch into the first of `rows` rows, and make padding of those behind it."""
        own, used = self._batch, 0
        if batch is not None:
            used = batch.num_seqs
            for name in ("input_ids", "positions", "slot_mapping", "context_lens"):
                getattr(own, name)[:used].copy_(getattr(batch, name))
            assert own.block_tables is not None
            assert batch.block_tables is not None
            own.block_tables[:used, : batch.block_tables.shape[1]].copy_(batch.block_tables)
        if used < rows:
            assert own.slot_mapping is not None
            own.slot_mapping[used:rows].fill_(-1)
            own.context_lens[used:rows].fill_(0)

    def _replay_of(self, rows: int, columns: int) -> Callable[[], None]:
        if (rows, columns) not in self._replays:
            self._replays[rows, columns] = self._record(rows, columns)
        return self._replays[rows, columns]

    def _record(self, rows: int, columns: int) -> Callable[[], None]:
        batch = _part(self._batch, rows, columns)
        # What runs only the first time (compiling kernels, choosing algorithms) must not be recorded. It
        # computes the same as the replay that follows, and writes the same keys and values.
        first = self._forward(batch)
        if self._logits is None:
            self._logits = first.new_empty((self._rows[-1], first.shape[1]))
        # One buffer for all graphs: the memory of each one's own logits is free for the next to use.
        logits = self._logits[:rows]

        def run() -> None:
            logits.copy_(self._forward(batch))

        return self._capture(run)


class CudaCapture:
    """Records CUDA graphs; as one runs at a time, they share one pool of memory for intermediate results."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        """Record what `run` launches; it is not carried out until the result is called."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            run()
        return graph.replay


def _smallest(buckets: Sequence[int], size: int) -> int:
    return buckets[bisect_left(buckets, size)]


def _padding_alone(num_seqs: int, num_blocks: int, device: torch.device | str) -> RaggedBatch:
    """A decode batch of rows that are all padding."""

    def full(shape: tuple[int, ...], value: int, dtype: torch.dtype) -> Tensor:
        return torch.full(shape, value, dtype=dtype, device=device)

    return RaggedBatch(
        input_ids=full((num_seqs,), 0, torch.int64),
        positions=full((num_seqs,), 0, torch.int64),
        cu_seqlens_q=torch.arange(num_seqs + 1, dtype=torch.int32, device=device),
        context_lens=full((num_seqs,), 0, torch.int32),
        slot_mapping=full((num_seqs,), -1, torch.int64),
        block_tables=full((num_seqs, num_blocks), 0, torch.int32),
        num_decodes=num_seqs,
    )


def _part(batch: RaggedBatch, rows: int, columns: int) -> RaggedBatch:
    """The first rows of a decode batch, over the first columns of its block tables: views."""
    assert batch.slot_mapping is not None
    assert batch.block_tables is not None
    return RaggedBatch(
        input_ids=batch.input_ids[:rows],
        positions=batch.positions[:rows],
        cu_seqlens_q=batch.cu_seqlens_q[: rows + 1],
        context_lens=batch.context_lens[:rows],
        slot_mapping=batch.slot_mapping[:rows],
        block_tables=batch.block_tables[:rows, :columns],
        num_decodes=rows,
    )
