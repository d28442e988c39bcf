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
from cblab.attention.numba.vector import LANES, behind, fma, load, pointer, prefetch, repeat, store

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
    sixes, fours = _cut(num_rows)
    # Numbers of the next panel that a tile asks for at each k: 16 by all tiles together.
    pace = -(-LANES // (sixes + fours))
    for panel in range(first, last):
        weights, columns = behind(panels, panel * num_inner * LANES), panel * LANES
        later, start = behind(weights, num_inner * LANES), load(bias, columns)
        for tile in range(sixes):
            ahead = behind(later, tile * num_inner * pace)
            _tile_of_6(x, tile * 6, num_rows - 1, num_inner, weights, ahead, pace, start, out, columns, width)
        for tile in range(sixes, sixes + fours):
            row, ahead = sixes * 6 + (tile - sixes) * 4, behind(later, tile * num_inner * pace)
            _tile_of_4(x, row, num_rows - 1, num_inner, weights, ahead, pace, start, out, columns, width)


@inlined
def _cut(num_rows):
    """How many tiles of 6 and of 4 rows cover `num_rows`, at most one row too many where there are over 2.

    ```
    rows      1  2  3  4  5  6  7    8    9    10   11   12  13     14
    tiles     4  4  4  4  6  6  4+4  4+4  6+4  6+4  6+6  6+6 6+4+4  6+4+4
    ```
    """
    whole, rest = num_rows // 6, num_rows % 6
    if rest == 5:
        return whole + 1, 0
    if rest == 0:
        return whole, 0
    if rest <= 2 and whole > 0:
        return whole - 1, 2
    return whole, 1


@inlined
def _tile_of_6(x, row, last, num_inner, weights, ahead, pace, bias, out, columns, width):
    """Six rows of one panel; a row behind the last is the last once more, and written twice.

    From `ahead` on weights are asked for that will be needed later, at each k `pace` numbers further on.
    """
    r0, r1, r2 = row, min(row + 1, last), min(row + 2, last)
    r3, r4, r5 = min(row + 3, last), min(row + 4, last), min(row + 5, last)
    x0, x1, x2 = behind(x, r0 * num_inner), behind(x, r1 * num_inner), behind(x, r2 * num_inner)
    x3, x4, x5 = behind(x, r3 * num_inner), behind(x, r4 * num_inner), behind(x, r5 * num_inner)
    a0 = a1 = a2 = a3 = a4 = a5 = bias
    for k in range(num_inner):
        w = load(weights, k * LANES)
        prefetch(ahead, k * pace)
        a0 = fma(repeat(x0, k), w, a0)
        a1 = fma(repeat(x1, k), w, a1)
        a2 = fma(repeat(x2, k), w, a2)
        a3 = fma(repeat(x3, k), w, a3)
        a4 = fma(repeat(x4, k), w, a4)
        a5 = fma(repeat(x5, k), w, a5)
    store(out, r0 * width + columns, a0)
    store(out, r1 * width + columns, a1)
    store(out, r2 * width + columns, a2)
    store(out, r3 * width + columns, a3)
    store(out, r4 * width + columns, a4)
    store(out, r5 * width + columns, a5)


@inlined
def _tile_of_4(x, row, last, num_inner, weights, ahead, pace, bias, out, columns, width):
    """Like `_tile_of_6`, with four rows."""
    r0, r1, r2, r3 = row, min(row + 1, last), min(row + 2, last), min(row + 3, last)
    x0, x1, x2 = behind(x, r0 * num_inner), behind(x, r1 * num_inner), behind(x, r2 * num_inner)
    x3 = behind(x, r3 * num_inner)
    a0 = a1 = a2 = a3 = bias
    for k in range(num_inner):
        w = load(weights, k * LANES)
        prefetch(ahead, k * pace)
        a0 = fma(repeat(x0, k), w, a0)
        a1 = fma(repeat(x1, k), w, a1)
        a2 = fma(repeat(x2, k), w, a2)
        a3 = fma(repeat(x3, k), w, a3)
    store(out, r0 * width + columns, a0)
    store(out, r1 * width + columns, a1)
    store(out, r2 * width + columns, a2)
    store(out, r3 * width + columns, a3)
