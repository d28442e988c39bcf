"""What training holds for each parameter besides activations: weights, gradients, optimizer states."""

import math
from collections.abc import Sequence

OPTIMIZERS = ("adam", "sgd_momentum", "adafactor")
_FP32, _FP16 = 4, 2


def training_bytes(
    shapes: Sequence[tuple[int, ...]], optimizer: str, mixed_precision: bool
) -> dict[str, int]:
    """Return the bytes of training a model with parameters of these shapes, by part.

    `weights` and `gradients` are 16-bit numbers under mixed precision, with float32 `master_weights` beside
    them (Micikevicius and others, 2018); in float32 otherwise, with none. The `optimizer` keeps float32
    states: two moments a parameter ("adam"), one ("sgd_momentum"), or for a matrix one number a row and one a
    column, and one a parameter for a vector ("adafactor", Shazeer and Stern, 2018, without momentum).

    Raises:
        ValueError: an unknown optimizer.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {optimizer!r}; known are {', '.join(OPTIMIZERS)}")
    num_parameters = sum(math.prod(shape) for shape in shapes)
    working = _FP16 if mixed_precision else _FP32
    states = {"adam": 2 * num_parameters, "sgd_momentum": num_parameters}
    return {
        "weights": working * num_parameters,
        "gradients": working * num_parameters,
        "master_weights": _FP32 * num_parameters if mixed_precision else 0,
        "optimizer": _FP32 * states.get(optimizer, sum(map(_factored, shapes))),
    }


def _factored(shape: tuple[int, ...]) -> int:
    """The numbers that Adafactor keeps for one tensor: of a matrix its row and column means alone."""
    if len(shape) < 2:
        return math.prod(shape)
    *stacked, rows, columns = shape
    return math.prod(stacked) * (rows + columns)
