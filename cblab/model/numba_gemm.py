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
matrix so narrow that nothing has to be blocked around it.) Threads share the panels.

A row of y is summed in the same order whatever the other rows are, so that its bits do not depend on them. A
library's product is not like that: for another number of rows it picks another algorithm.
"""

import numpy as np
from numba import njit, prange

from cblab.attention.numba.vector import LANES, fma, load, prefetch, repeat, store

_AHEAD = 64 * LANES  # how many numbers before their use weights are asked for: 4 KiB


def pack(weight: np.ndarray) -> np.ndarray:
    """Lay out a checkpoint's weights, `[n, k]`, as `[num_panels, k, 16]`, with zeros behind column n."""
    n, k = weight.shape
    num_panels = -(-n // LANES)
    padded = np.zeros((num_panels * LANES, k), dtype=np.float32)
    padded[:n] = weight
    return np.ascontiguousarray(padded.reshape(num_panels, LANES, k).transpose(0, 2, 1))


@njit(parallel=True, nogil=True, cache=True)
def multiply(x, panels, bias, y):
    """`y = x @ W + bias`, all float32.

    Args:
        x: `[m, k]`, its rows dense.
        panels: `[num_panels, k, 16]`, from `pack`.
        bias: `[num_panels * 16]`.
        y: `[m, num_panels * 16]`, written.
    """
    num_rows = x.shape[0]
    sixes, fours = _cut(num_rows)
    for panel in prange(panels.shape[0]):
        weights, columns = panels[panel], panel * LANES
        for tile in range(sixes):
            _tile_of_6(x, tile * 6, num_rows - 1, weights, bias, y, columns)
        for tile in range(fours):
            _tile_of_4(x, sixes * 6 + tile * 4, num_rows - 1, weights, bias, y, columns)


@njit(inline="always")
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


@njit(inline="always")
def _tile_of_6(x, row, last, weights, bias, y, columns):
    """Six rows of one panel; a row behind the last is the last once more, and written twice."""
    r0, r1, r2 = row, min(row + 1, last), min(row + 2, last)
    r3, r4, r5 = min(row + 3, last), min(row + 4, last), min(row + 5, last)
    a0 = a1 = a2 = a3 = a4 = a5 = load(bias, columns)
    for k in range(weights.shape[0]):
        w = load(weights, k * LANES)
        prefetch(weights, k * LANES + _AHEAD)
        a0 = fma(repeat(x, r0 * x.shape[1] + k), w, a0)
        a1 = fma(repeat(x, r1 * x.shape[1] + k), w, a1)
        a2 = fma(repeat(x, r2 * x.shape[1] + k), w, a2)
        a3 = fma(repeat(x, r3 * x.shape[1] + k), w, a3)
        a4 = fma(repeat(x, r4 * x.shape[1] + k), w, a4)
        a5 = fma(repeat(x, r5 * x.shape[1] + k), w, a5)
    width = y.shape[1]
    store(y, r0 * width + columns, a0)
    store(y, r1 * width + columns, a1)
    store(y, r2 * width + columns, a2)
    store(y, r3 * width + columns, a3)
    store(y, r4 * width + columns, a4)
    store(y, r5 * width + columns, a5)


@njit(inline="always")
def _tile_of_4(x, row, last, weights, bias, y, columns):
    """Like `_tile_of_6`, with four rows."""
    r0, r1, r2, r3 = row, min(row + 1, last), min(row + 2, last), min(row + 3, last)
    a0 = a1 = a2 = a3 = load(bias, columns)
    for k in range(weights.shape[0]):
        w = load(weights, k * LANES)
        prefetch(weights, k * LANES + _AHEAD)
        a0 = fma(repeat(x, r0 * x.shape[1] + k), w, a0)
        a1 = fma(repeat(x, r1 * x.shape[1] + k), w, a1)
        a2 = fma(repeat(x, r2 * x.shape[1] + k), w, a2)
        a3 = fma(repeat(x, r3 * x.shape[1] + k), w, a3)
    width = y.shape[1]
    store(y, r0 * width + columns, a0)
    store(y, r1 * width + columns, a1)
    store(y, r2 * width + columns, a2)
    store(y, r3 * width + columns, a3)
