"""Checks of exercises 2.3 and 2.4: what training holds for its parameters, and its activations."""

import math
import random
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.trial import Trial
from cblab.memory.activations import activation_bytes
from cblab.memory.training import OPTIMIZERS, training_bytes

Shapes = list[tuple[int, ...]]


def _training(
    *,
    weights: tuple[int, int] = (2, 4),
    gradients: tuple[int, int] = (2, 4),
    master: tuple[int, int] = (4, 0),
    adam: float = 8,
    sgd: float = 4,
    matrix: str = "sum",
    vector: str = "each",
    factor: int = 4,
    follow: bool = False,
) -> Any:
    """Counting with a defect; pairs are (mixed precision, float32). follow: states in 16 bits under mixed."""

    def count(shapes: Shapes, optimizer: str, mixed_precision: bool) -> dict[str, float]:
        numbers = sum(math.prod(shape) for shape in shapes)
        at = 0 if mixed_precision else 1
        kept = 0
        for shape in shapes:
            if len(shape) == 1:
                kept += {"each": shape[0], "none": 0, "one": 1, "two": shape[0] + 1}[vector]
            else:
                rows, columns = shape
                kept += {"sum": rows + columns, "rows": rows, "columns": columns, "all": rows * columns}[
                    matrix
                ]
        states = {"adam": adam * numbers, "sgd_momentum": sgd * numbers, "adafactor": factor * kept}[
            optimizer
        ]
        return {
            "weights": weights[at] * numbers,
            "gradients": gradients[at] * numbers,
            "master_weights": master[at] * numbers,
            "optimizer": states // 2 if follow and mixed_precision else states,
        }

    return count


def _in_numbers(shapes: Shapes, optimizer: str, mixed_precision: bool) -> dict[str, int]:
    parts = training_bytes(shapes, optimizer, False)
    parts["master_weights"] = parts["weights"] if mixed_precision else 0
    return {name: size // 4 for name, size in parts.items()}


def _total(shapes: Shapes, optimizer: str, mixed_precision: bool) -> int:
    return sum(training_bytes(shapes, optimizer, mixed_precision).values())


def _sums_of_sides(shapes: Shapes, optimizer: str, mixed_precision: bool) -> dict[str, int]:
    parts = training_bytes([(sum(shape),) for shape in shapes], optimizer, mixed_precision)
    return {**parts, "optimizer": training_bytes(shapes, optimizer, mixed_precision)["optimizer"]}


def _master_in_weights(shapes: Shapes, optimizer: str, mixed_precision: bool) -> dict[str, int]:
    parts = training_bytes(shapes, optimizer, mixed_precision)
    return {**parts, "weights": parts["weights"] + parts["master_weights"], "master_weights": 0}


_TRAINING_WRONGS = (
    Wrong(
        "Half of what is expected for Adam: are both moments counted, each in float32 (4 bytes)?",
        _training(adam=4),
    ),
    Wrong(
        "Under mixed precision the optimizer's states shrink with the weights: they stay in float32.",
        _training(follow=True),
    ),
    Wrong(
        "Master weights are missing: mixed precision keeps the weights a second time, in float32.",
        _training(master=(0, 0)),
    ),
    Wrong("The master weights are in 16 bits: they are the float32 copy.", _training(master=(2, 0))),
    Wrong(
        "Master weights without mixed precision: in float32 the weights are their own.",
        _training(master=(4, 4)),
    ),
    Wrong(
        "The gradients are missing.",
        _training(gradients=(0, 0)),
    ),
    Wrong(
        "Under mixed precision the gradients are counted in float32: they are 16-bit numbers.",
        _training(gradients=(4, 4)),
    ),
    Wrong(
        "Under mixed precision the weights are counted in float32: the working copy has 16 bits.",
        _training(weights=(4, 4)),
    ),
    Wrong(
        "Without mixed precision weights and gradients are 16-bit numbers: they are float32, 4 bytes.",
        _training(weights=(2, 2), gradients=(2, 2)),
    ),
    Wrong(
        "The float32 copy is put into `weights`: it has an entry of its own, `master_weights`.",
        _master_in_weights,
    ),
    Wrong(
        "SGD with momentum keeps one number a parameter: two are counted.",
        _training(sgd=8),
    ),
    Wrong("SGD with momentum keeps one number a parameter: none is counted.", _training(sgd=0)),
    Wrong(
        "Adafactor keeps only row and column means of a matrix, not a number for each entry.",
        _training(matrix="all"),
    ),
    Wrong("Adafactor keeps the means of the columns too, not of the rows alone.", _training(matrix="rows")),
    Wrong(
        "Adafactor keeps the means of the rows too, not of the columns alone.", _training(matrix="columns")
    ),
    Wrong(
        "A vector has no rows and columns: Adafactor keeps a number for each of its entries.",
        _training(vector="none"),
    ),
    Wrong(
        "Adafactor keeps one number for a whole vector: it keeps one for each entry.",
        _training(vector="one"),
    ),
    Wrong(
        "A vector counts as a matrix with one column: Adafactor keeps its entries and nothing else.",
        _training(vector="two"),
    ),
    Wrong(
        "Adafactor's states are float32, 4 bytes each: they are counted in 16 bits.",
        _training(factor=2),
    ),
    Wrong("These are counts of numbers: multiply each by its bytes.", _in_numbers),
    Wrong("The parts are added up: return them by name.", _total),
    Wrong(
        "The sides of a shape are added: a matrix holds rows × columns numbers.",
        _sums_of_sides,
    ),
)


def check_training_bytes(t: Trial) -> None:
    """Exercise 2.3."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        shapes: Shapes = [(rng.randint(3, 40), rng.randint(3, 40)) for _ in range(rng.randint(1, 4))]
        shapes += [(rng.randint(2, 60),) for _ in range(rng.randint(0, 3))]
        rng.shuffle(shapes)
        return shapes, rng.choice(OPTIMIZERS), rng.random() < 0.6

    immediate: list[tuple[Any, ...]] = [
        ([(7, 5), (11,)], optimizer, mixed) for optimizer in OPTIMIZERS for mixed in (True, False)
    ]
    diagnose_function(t, "training_bytes", t.cases(immediate, draw), training_bytes, _TRAINING_WRONGS)


def _recomputed(
    *,
    inputs: str = "segments",
    inner: str = "segment",
    shared: str = "once",
    rounding: str = "up",
    clip: bool = True,
    plain: str = "all",
) -> Any:
    """Counting activations with a defect."""

    def count(num_layers: int, input_bytes: int, inner_bytes: int, segment: int | None) -> int | float:
        if segment is None:
            return {
                "all": num_layers * (input_bytes + inner_bytes),
                "inner": num_layers * inner_bytes,
                "one": input_bytes + inner_bytes,
            }[plain]
        segments = {
            "up": math.ceil(num_layers / segment),
            "down": num_layers // segment,
            "more": num_layers // segment + 1,
            "exact": num_layers / segment,
        }[rounding]
        longest = min(segment, num_layers) if clip else segment
        kept = {"segments": segments, "layers": num_layers, "none": 0, "sizes": segment}[inputs] * input_bytes
        held = {"segment": longest, "one": 1, "none": 0, "all": num_layers, "segments": segments}[inner]
        again = {"once": longest - 1, "twice": longest, "none": 0}[shared]
        return kept + held * inner_bytes + again * input_bytes

    return count


_RECOMPUTE_WRONGS = (
    Wrong(
        "Without segments every layer keeps its input as well as its inner tensors.",
        _recomputed(plain="inner"),
    ),
    Wrong("Without segments one layer is counted: all of them are kept.", _recomputed(plain="one")),
    Wrong(
        "The input of every layer is kept: with segments only the input of each segment is.",
        _recomputed(inputs="layers"),
    ),
    Wrong(
        "The inputs that are kept are missing: one for each segment.",
        _recomputed(inputs="none"),
    ),
    Wrong(
        "The number of segments and the layers of a segment are mixed up: there are num_layers / segment, "
        "rounded up.",
        _recomputed(inputs="sizes"),
    ),
    Wrong(
        "The last, shorter segment is not counted: round the number of segments up.",
        _recomputed(rounding="down"),
    ),
    Wrong(
        "One segment too many where the layers divide evenly: round up, do not add one.",
        _recomputed(rounding="more"),
    ),
    Wrong(
        "There are fractions of a segment: round their number up.",
        _recomputed(rounding="exact"),
    ),
    Wrong(
        "Only one layer is held while a segment is computed again: all layers of that segment are.",
        _recomputed(inner="one"),
    ),
    Wrong(
        "What the backward pass computes again is missing: one whole segment is held at a time.",
        _recomputed(inner="none", shared="none"),
    ),
    Wrong(
        "The inner tensors of all layers are held: with segments only those of one segment at a time.",
        _recomputed(inner="all"),
    ),
    Wrong(
        "The first input of the segment is counted twice: it is one of those that are kept.",
        _recomputed(shared="twice"),
    ),
    Wrong(
        "The inputs inside the segment are missing: its layers after the first have inputs too.",
        _recomputed(shared="none"),
    ),
    Wrong(
        "A segment longer than the model has no more layers than the model: take the smaller of the two.",
        _recomputed(clip=False),
    ),
)


def check_activation_bytes(t: Trial) -> None:
    """Exercise 2.4."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        segment = rng.choice((None, 1, 2, 3, 4, 5, 9, 40))
        return rng.randint(2, 36), 100 * rng.randint(1, 9), 1_000 * rng.randint(2, 9) + 7, segment

    immediate = [
        (6, 100, 1_003, None),
        (6, 100, 1_003, 2),
        (7, 100, 1_003, 3),
        (12, 100, 1_003, 1),
        (4, 100, 1_003, 9),
        (10, 100, 1_003, 4),
    ]
    diagnose_function(t, "activation_bytes", t.cases(immediate, draw), activation_bytes, _RECOMPUTE_WRONGS)
