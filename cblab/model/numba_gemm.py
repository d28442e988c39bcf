"""A matrix product for the few rows of a decode step, over weights that were laid out for it once.

```
W, [k, n] as this page draws it (a checkpoint's is [n, k])

      16 columns: a panel
    ├──────┼──────┼──────┤
    │  0   │  1   │  2   │     panels lie one behind the other, each row by row: [num_panels, k, 16]
    │  ↓   │  ↓   │  ↓   │
    └──────┴──────┴──────┘

x, [m, k]                     y, [m, n]
    ├─ tile of rows ─► k         a tile of 6 × 16 sums stays in registers while k runs:
                                 one load of a panel's row serves 6 rows of x
```

(Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008; the tile is theirs, for a
matrix so narrow that little has to be blocked around it: rows of x are taken 48 at a time.) Threads share the
panels.

Weights are read from memory while a panel's first tile is computed, which then waits for memory; during the
others memory would have nothing to do. So every tile also asks for its share of the next panel, a little at
each k.

A row of y is summed in the same order whatever the other rows are, so that its bits do not depend on them. A
library's product is not like that: for another number of rows it picks another algorithm.
"""

import ctypes

import torch
from numba import types
from torch import Tensor

from cblab.attention.numba.kernel import Kernel, integers
from cblab.attention.numba.recording import new_floats
from cblab.attention.numba.threads import share_of, workers
from cblab.attention.numba.tiles import inlined, leaf
from cblab.attention.numba.vector import (
    LANES,
    behind,
    fma_rows,
    load,
    pointer,
    prefetch,
    repeat_row,
    rows_at,
    store_rows,
)

_ROWS = 48  # of x that are multiplied by all panels before the next


def pack(weight: Tensor) -> Tensor:
    """Lay out a checkpoint's weights, `[n, k]`, as `[num_panels, k, 16]`, with zeros behind column n."""
    n, k = weight.shape
    num_panels = -(-n // LANES)
    padded = torch.zeros(num_panels * LANES, k)
    padded[:n] = weight
    return padded.view(num_panels, LANES, k).transpose(1, 2).contiguous()


def multiply(x: Tensor, panels: Tensor, bias: Tensor) -> Tensor:
    """`x @ W + bias`, all float32.

    Args:
        x: `[m, k]`.
        panels: `[num_panels, k, 16]`, from `pack`.
        bias: `[num_panels * 16]`.

    Returns:
        `[m, num_panels * 16]`.

    Raises:
        ValueError: the rows of x have another length than the columns of W.
    """
    if x.shape[1] != panels.shape[1]:
        raise ValueError(f"x is {list(x.shape)}, but the weights take rows of {panels.shape[1]} numbers")
    x = x.contiguous()
    out = new_floats((x.shape[0], bias.shape[0]))
    num_workers = workers()
    call = MultiplyCall(
        x.data_ptr(),
        panels.data_ptr(),
        bias.data_ptr(),
        out.data_ptr(),
        x.shape[0],
        x.shape[1],
        panels.shape[0],
        num_workers,
    )
    _multiply(call, num_workers)
    return out


class MultiplyCall(ctypes.Structure):
    """What a product is told: the addresses of what `multiply` gets and returns, and sizes."""

    _fields_ = integers("x", "panels", "bias", "out", "num_rows", "num_inner", "num_panels", "num_workers")


@inlined
def _work(call, worker):
    """Compute this worker's panels, a few rows at a time: as many as stay near while the panels go by."""
    x, out = pointer(call.x, types.float32), pointer(call.out, types.float32)
    bias, panels = pointer(call.bias, types.float32), pointer(call.panels, types.float32)
    num_inner, width = call.num_inner, call.num_panels * LANES
    first, last = share_of(call.num_panels, worker, call.num_workers)
    for row in range(0, call.num_rows, _ROWS):
        num_rows = min(_ROWS, call.num_rows - row)
        x_rows, out_rows = behind(x, row * num_inner), behind(out, row * width)
        _multiply_rows(x_rows, num_rows, num_inner, panels, first, last, bias, out_rows, width)


_multiply = Kernel("multiply", MultiplyCall, _work)


@leaf
def _multiply_rows(x, num_rows, num_inner, panels, first, last, bias, out, width):
    """At most `_ROWS` rows by the panels first to last (excluded)."""
    # Numbers of the next panel that a tile asks for at each k: 16 by all tiles together.
    pace = -(-LANES // (-(-num_rows // 6)))
    for panel in range(first, last):
        weights, columns = behind(panels, panel * num_inner * LANES), panel * LANES
        ahead, start = behind(weights, num_inner * LANES), load(bias, columns)
        row, rest = 0, num_rows
        while rest > 8 or rest == 6:
            _tile(x, row, 6, num_inner, weights, ahead, pace, start, out, columns, width)
            ahead, row, rest = behind(ahead, num_inner * pace), row + 6, rest - 6
        if rest > 6:  # 4 and 3, or 4 and 4, which takes less time than 6 and 1, or 6 and 2
            _tile(x, row, 4, num_inner, weights, ahead, pace, start, out, columns, width)
            ahead, row, rest = behind(ahead, num_inner * pace), row + 4, rest - 4
        if rest == 5:
            _tile(x, row, 5, num_inner, weights, ahead, pace, start, out, columns, width)
        elif rest == 4:
            _tile(x, row, 4, num_inner, weights, ahead, pace, start, out, columns, width)
        elif rest == 3:
            _tile(x, row, 3, num_inner, weights, ahead, pace, start, out, columns, width)
        elif rest == 2:
            _tile(x, row, 2, num_inner, weights, ahead, pace, start, out, columns, width)
        elif rest == 1:
            _tile(x, row, 1, num_inner, weights, ahead, pace, start, out, columns, width)


@inlined
def _tile(x, row, count, num_inner, weights, ahead, pace, bias, out, columns, width):
    """`count` rows of one panel. Weights that are needed later are asked for: `pace` numbers at each k."""
    factors, sums = rows_at(behind(x, row * num_inner), num_inner, count), repeat_row(bias, count)
    for k in range(num_inner):
        prefetch(ahead, k * pace)
        sums = fma_rows(sums, factors, k, load(weights, k * LANES))
    store_rows(behind(out, row * width + columns), width, sums)
