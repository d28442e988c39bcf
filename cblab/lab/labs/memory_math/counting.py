"""Checks of exercises 2.1 and 2.2: parameters from a config.json, and the bytes of quantized weights."""

import math
import random
from collections.abc import Mapping
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.memory_math.reference import count_parameters
from cblab.lab.trial import Trial
from cblab.memory.quantization import quantized_bytes

Config = Mapping[str, Any]


def missing_key(args: Any, want: Any, got: Any) -> bool:
    """Whether the answer asked a config for an entry that it does not have."""
    return "KeyError" in getattr(got, "type_names", ())


def _count(
    *,
    tables: str = "tied",
    kv: str = "own",
    head_dim: str = "file",
    matrices: int = 3,
    norms: int = 2,
    last_norm: bool = True,
    output: str = "heads",
    keys_and_values: int = 2,
    layers: bool = True,
    times: int = 1,
) -> Any:
    """Counting with a defect."""

    def count(config: Config) -> int:
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        kv_heads = heads if kv == "query" else config.get("num_key_value_heads", heads)
        dim = hidden // heads if head_dim == "computed" else config.get("head_dim", hidden // heads)
        q_size, kv_size = heads * dim, kv_heads * dim
        out = {"heads": q_size * hidden, "square": hidden * hidden, "none": 0}[output]
        attention = hidden * (q_size + keys_and_values * kv_size) + out
        layer = attention + matrices * hidden * config["intermediate_size"] + norms * hidden
        of_tables = {"tied": 1 if config["tie_word_embeddings"] else 2, "one": 1, "two": 2, "none": 0}[tables]
        if tables == "swapped":
            of_tables = 2 if config["tie_word_embeddings"] else 1
        total = of_tables * config["vocab_size"] * hidden + last_norm * hidden
        return times * (total + (config["num_hidden_layers"] if layers else 1) * layer)

    return count


def _swapped(config: Config) -> int:
    turned = {**config, "tie_word_embeddings": not config["tie_word_embeddings"]}
    return count_parameters(turned)


_COUNT_WRONGS = (
    Wrong(
        "The output head is counted although it is tied: `tie_word_embeddings` means that it is the token "
        "table itself.",
        _count(tables="two"),
    ),
    Wrong(
        "The output head is missing: without `tie_word_embeddings` it is a second table of the same size.",
        _count(tables="one"),
    ),
    Wrong("`tie_word_embeddings` is taken the wrong way round: tied means one table, untied two.", _swapped),
    Wrong("The token table is missing: vocabulary × hidden size.", _count(tables="none")),
    Wrong(
        "The key and value projections are as wide as the queries': they have `num_key_value_heads` heads.",
        _count(kv="query"),
    ),
    Wrong(
        "`head_dim` stands in the file and is not always hidden size / heads: compute it only where it is "
        "missing.",
        _count(head_dim="computed"),
    ),
    Wrong(
        "The MLP has two matrices: there are three, gate, up and down.",
        _count(matrices=2),
    ),
    Wrong("The MLP has one matrix: there are three, gate, up and down.", _count(matrices=1)),
    Wrong("One norm a layer: there are two, before attention and before the MLP.", _count(norms=1)),
    Wrong("The norms of the layers are missing: two vectors of the hidden size each.", _count(norms=0)),
    Wrong("The last norm is missing, the one after all the layers.", _count(last_norm=False)),
    Wrong(
        "All norms are missing: two in each layer and one after the last.", _count(norms=0, last_norm=False)
    ),
    Wrong("The output projection of attention is missing.", _count(output="none")),
    Wrong(
        "The output projection of attention is taken as hidden × hidden: it is (heads × head_dim) × hidden.",
        _count(output="square"),
    ),
    Wrong("Only one of the key and value projections is counted.", _count(keys_and_values=1)),
    Wrong("One layer is counted: there are `num_hidden_layers`.", _count(layers=False)),
    Wrong("These are bytes (2 a parameter): count the parameters.", _count(times=2)),
    Wrong(
        "`config[...]` fails where the file lacks the entry: `num_key_value_heads` and `head_dim` may be "
        "missing, and `config.get` has a default.",
        matches=missing_key,
    ),
)

_SMALL = {
    "vocab_size": 101,
    "hidden_size": 12,
    "intermediate_size": 31,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 5,
    "tie_word_embeddings": False,
}


def without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    """A config that lacks some entries."""
    return {name: value for name, value in config.items() if name not in names}


def check_count_parameters(t: Trial) -> None:
    """Exercise 2.1."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        kv_heads = rng.choice((1, 2, 3))
        heads = kv_heads * rng.choice((2, 3, 5))
        config = {
            "vocab_size": rng.randrange(50, 400),
            "hidden_size": heads * rng.choice((2, 4, 7)),
            "intermediate_size": rng.randrange(20, 90),
            "num_hidden_layers": rng.randint(2, 7),
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": rng.choice((3, 5, 9)),
            "tie_word_embeddings": rng.random() < 0.5,
        }
        dropped = [name for name in ("num_key_value_heads", "head_dim") if rng.random() < 0.25]
        return (without(config, *dropped),)

    immediate = [
        (_SMALL,),
        ({**_SMALL, "tie_word_embeddings": True},),
        (without(_SMALL, "head_dim"),),
        (without(_SMALL, "head_dim", "num_key_value_heads"),),
        ({**_SMALL, "num_hidden_layers": 1, "num_key_value_heads": 3},),
    ]
    diagnose_function(
        t,
        "count_parameters",
        t.cases(immediate, draw),
        count_parameters,
        _COUNT_WRONGS,
        spell=lambda args: f"count_parameters({args[0]})",
    )


def _quantized(
    *,
    codes: str = "up",
    groups: str = "up",
    scale: float = 2,
    rows: bool = True,
    per: str = "group",
) -> Any:
    """Counting the bytes of a quantized matrix with a defect."""

    def count(num_rows: int, row_length: int, bits: int, group_size: int) -> int | float:
        of_codes = {
            "up": math.ceil(row_length * bits / 8),
            "down": row_length * bits // 8,
            "exact": row_length * bits / 8,
            "bits": row_length * bits,
            "byte each": row_length,
        }[codes]
        num_groups = {
            "up": math.ceil(row_length / group_size),
            "down": row_length // group_size,
            "one": 1,
            "none": 0,
            "inverse": group_size,
            "each": row_length,
        }[groups]
        if per == "matrix":
            return num_rows * of_codes + scale * num_groups
        return (num_rows if rows else 1) * (of_codes + scale * num_groups)

    return count


def _packed_across_rows(num_rows: int, row_length: int, bits: int, group_size: int) -> int:
    numbers = num_rows * row_length
    return math.ceil(numbers * bits / 8) + 2 * math.ceil(numbers / group_size)


def _codes_across_rows(num_rows: int, row_length: int, bits: int, group_size: int) -> int:
    return math.ceil(num_rows * row_length * bits / 8) + 2 * num_rows * math.ceil(row_length / group_size)


_QUANTIZED_WRONGS = (
    Wrong(
        "The scales are missing: each group of a row has one, of 2 bytes.",
        _quantized(groups="none"),
    ),
    Wrong("A float16 scale has 2 bytes: they are counted as 4.", _quantized(scale=4)),
    Wrong("A float16 scale has 2 bytes: they are counted as 1.", _quantized(scale=1)),
    Wrong(
        "The last, shorter group of a row has no scale: round the number of groups up.",
        _quantized(groups="down"),
    ),
    Wrong("Each row has one scale: it has one for each group.", _quantized(groups="one")),
    Wrong("The codes are counted in bits: a byte has 8.", _quantized(codes="bits")),
    Wrong(
        "Each code takes a whole byte: codes of a row are packed, `bits` bits each.",
        _quantized(codes="byte each"),
    ),
    Wrong(
        "The bits of a row are rounded down to whole bytes: the last numbers would be lost.",
        _quantized(codes="down"),
    ),
    Wrong(
        "A row takes a fraction of a byte: round the packed bits of a row up to whole bytes.",
        _quantized(codes="exact"),
    ),
    Wrong(
        "All rows are packed together: each is packed and grouped on its own.",
        _packed_across_rows,
    ),
    Wrong("The codes of all rows are packed together: each row begins with a new byte.", _codes_across_rows),
    Wrong("One row is counted: there are `num_rows`.", _quantized(rows=False)),
    Wrong("The scales of one row are counted: each row has its own.", _quantized(per="matrix")),
    Wrong(
        "Every number has a scale of its own: a group of `group_size` numbers shares one.",
        _quantized(groups="each"),
    ),
    Wrong(
        "There are `group_size` scales a row: it is the numbers of a group, not the groups of a row.",
        _quantized(groups="inverse"),
    ),
)


def check_quantized_bytes(t: Trial) -> None:
    """Exercise 2.2."""

    def draw(rng: random.Random) -> tuple[int, ...]:
        group_size = rng.choice((4, 7, 16, 32))
        return rng.randint(2, 40), rng.randint(1, 150), rng.choice((3, 4, 5, 6, 8)), group_size

    immediate = [
        (3, 10, 4, 5),
        (3, 21, 4, 8),
        (5, 64, 8, 32),
        (2, 7, 3, 16),
        (7, 33, 6, 4),
        (11, 13, 5, 7),
    ]
    diagnose_function(t, "quantized_bytes", t.cases(immediate, draw), quantized_bytes, _QUANTIZED_WRONGS)
