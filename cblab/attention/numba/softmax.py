"""The softmax of rows of scores, 16 at a time, to base 2: queries are scaled by log2(e), e^x is 2^x."""

import numpy as np

from cblab.attention.numba.tiles import inlined, leaf
from cblab.attention.numba.vector import (
    LANES,
    add,
    fma,
    load,
    max_of,
    maximum,
    multiply,
    nearest,
    power_of_two,
    splat,
    store,
    sum_of,
)

LOG2_E = float(np.log2(np.e))

# The score of a key that a query may not see. Finite: a row without any key has a difference to itself.
HIDDEN = -1e30


@inlined
def exp2(x):
    """2 to the power of 16 numbers, at most 0 each, to a relative error of 2e-7; exactly 0 below -126.5.

    With n the nearest whole number, 2^x = 2^n * 2^(x - n). The first factor is an exponent of two; the second
    is a Taylor polynomial of e^y at y = (x - n) * ln 2, whose magnitude is at most 0.35.
    """
    x = maximum(x, splat(-127.0))
    n = nearest(x)
    y = multiply(add(x, multiply(n, splat(-1.0))), splat(0.6931471805599453))
    p = splat(1 / 5040)
    p = fma(p, y, splat(1 / 720))
    p = fma(p, y, splat(1 / 120))
    p = fma(p, y, splat(1 / 24))
    p = fma(p, y, splat(1 / 6))
    p = fma(p, y, splat(1 / 2))
    p = fma(p, y, splat(1.0))
    p = fma(p, y, splat(1.0))
    return multiply(p, power_of_two(n))


@leaf
def hide(scores, first, last):
    """Take scores[first:last] out of the softmax."""
    for i in range(first, last):
        scores[i] = HIDDEN


@leaf
def highest(scores, width):
    """The largest of `width` scores, whole vectors."""
    largest = splat(HIDDEN)
    for i in range(0, width, LANES):
        largest = maximum(largest, load(scores, i))
    return max_of(largest)


@leaf
def exponentiate(scores, width, largest):
    """Turn scores into weights 2^(score - largest), and return their sum."""
    shift = splat(-largest)
    total = splat(0.0)
    for i in range(0, width, LANES):
        weights = exp2(add(load(scores, i), shift))
        total = add(total, weights)
        store(scores, i, weights)
    return sum_of(total)


@leaf
def power(x):
    """2^x of one number that is at most 0, the same as `exp2` of it."""
    return max_of(exp2(splat(x)))
