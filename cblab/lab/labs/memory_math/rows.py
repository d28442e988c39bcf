"""Check of exercise 2.15: rows of numbers as small whole numbers and a scale."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.memory_math.reference import quantize_rows
from cblab.lab.trial import Trial

if TYPE_CHECKING:
    from torch import Tensor


def _rows(
    *,
    most: Callable[[int], int] = lambda bits: 2 ** (bits - 1) - 1,
    size: str = "row",
    rounding: str = "nearest",
    inverse: bool = False,
    zeros: bool = True,
    dtype: str = "int8",
    keepdim: bool = True,
    signed: bool = True,
) -> Any:
    """Quantizing with a defect."""

    def quantize(x: "Tensor", bits: int) -> Any:
        import torch

        of = {
            "row": x.abs().amax(dim=1, keepdim=True),
            "matrix": x.abs().max().expand(len(x), 1),
            "column": x.abs().amax(dim=0, keepdim=True),
            "signed": x.amax(dim=1, keepdim=True),
            "mean": x.abs().mean(dim=1, keepdim=True),
        }[size]
        scales = of / most(bits)
        if zeros:
            scales = torch.where(scales == 0, torch.ones_like(scales), scales)
        codes = x / scales if not inverse else x * scales
        codes = {"nearest": codes.round(), "down": codes.floor(), "cut": codes.trunc(), "none": codes}[
            rounding
        ]
        codes = codes if signed else codes.abs()
        codes = codes.to(getattr(torch, dtype))
        return codes, scales if keepdim else scales[:, 0]

    return quantize


def _dequantized(x: "Tensor", bits: int) -> Any:
    codes, scales = quantize_rows(x, bits)
    return codes * scales


def _reciprocal(x: "Tensor", bits: int) -> Any:
    codes, scales = quantize_rows(x, bits)
    return codes, 1 / scales


_WRONGS = (
    Wrong(
        "One scale for the whole matrix: each row has its own, so that a large one does not coarsen the "
        "rest.",
        _rows(size="matrix"),
    ),
    Wrong("The scales are those of the columns: one for each row.", _rows(size="column")),
    Wrong(
        "The scale comes from the row's largest number: take the largest *size*, a negative one may be "
        "larger.",
        _rows(size="signed"),
    ),
    Wrong("The scale comes from the row's mean size: large numbers would not fit.", _rows(size="mean")),
    Wrong(
        "The largest code is taken as 2^bits - 1: one bit is the sign.", _rows(most=lambda bits: 2**bits - 1)
    ),
    Wrong(
        "The largest code is taken as 2^(bits-1): one more than the largest whole number of so many bits.",
        _rows(most=lambda bits: 2 ** (bits - 1)),
    ),
    Wrong("The largest code is always 127: it depends on `bits`.", _rows(most=lambda bits: 127)),
    Wrong("The codes are rounded down: round to the nearest, half the error.", _rows(rounding="down")),
    Wrong(
        "The codes are cut off towards zero: `.to(torch.int8)` does that, round to the nearest first.",
        _rows(rounding="cut"),
    ),
    Wrong("A row of zeros divides by zero: its scale is 1.", _rows(zeros=False)),
    Wrong("The codes lost their sign.", _rows(signed=False)),
    Wrong("The codes are floating point: store them as int8.", _rows(dtype="float32")),
    Wrong("The codes are int64: eight bytes each. Store them as int8.", _rows(dtype="int64")),
    Wrong("The scales have one dimension: keep them as `[num_rows, 1]`.", _rows(keepdim=False)),
    Wrong("The scales are upside down: `codes * scales` must give the row again.", _reciprocal),
    Wrong("The numbers are multiplied by the scale: divide.", _rows(inverse=True)),
    Wrong("The row itself came back, quantized and restored: return `(codes, scales)`.", _dequantized),
    Wrong("The two results are swapped: codes first.", lambda *args: quantize_rows(*args)[::-1]),
)


def check_quantize_rows(t: Trial) -> None:
    """Exercise 2.15."""
    import torch

    def matrix(rng: random.Random, rows: int, length: int, bits: int) -> "Tensor":
        """Rows whose codes are far from the middle between two, so that rounding errors decide nothing."""
        most, made = 2 ** (bits - 1) - 1, []
        for _ in range(rows):
            scale = 2.0 ** rng.randint(-4, 4) * rng.choice((1.0, 1.25, 1.5))
            codes = [
                rng.randint(-most + 1, most - 1) + rng.choice((-0.3, 0.0, 0.2, 0.35)) for _ in range(length)
            ]
            codes[rng.randrange(length)] = rng.choice((-most, most))
            made.append([scale * code for code in codes])
        if rng.random() < 0.4:
            made[rng.randrange(rows)] = [0.0] * length
        return torch.tensor(made)

    def draw(rng: random.Random) -> tuple[Any, ...]:
        bits = rng.choice((3, 4, 5, 8))
        return matrix(rng, rng.randint(2, 5), rng.randint(6, 12), bits), bits

    immediate = [
        (torch.tensor([[7.0, -3.3, 0.4, 2.7], [-14.0, 5.3, 1.3, -2.9]]), 4),
        (torch.tensor([[0.0, 0.0, 0.0], [3.0, -1.4, 0.7]]), 3),
        (torch.tensor([[127.0, -50.7, 3.3], [-254.0, 20.9, -1.3]]), 8),
    ]
    diagnose_function(
        t,
        "quantize_rows",
        t.cases(immediate, draw),
        quantize_rows,
        _WRONGS,
        ("codes", "scales"),
        abs_=1e-5,
    )
