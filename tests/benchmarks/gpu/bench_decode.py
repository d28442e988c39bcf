"""Paged decode on a GPU: the share of the measured copy bandwidth that it reaches, beside its peers."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from cblab.attention import paged_decode_torch
from tests.benchmarks.gpu.decode_sides import SPEC, DecodeCase, Prepare, sides
from tests.benchmarks.gpu.measure import (
    copy_bytes_per_s,
    machine,
    median_seconds,
    publish,
    require_cuda,
    save,
)

BATCHES = (1, 16, 128)
CONTEXTS = (1024, 8192, 32_768)
GOAL = {"batch": 128, "context": 8192, "share_of_copy_bandwidth": 0.85}
TOLERANCE = 2e-2  # of results in bfloat16


def bench_paged_decode_beside_its_peers() -> None:
    require_cuda()
    copied, known = copy_bytes_per_s(), sides()
    figures: dict[str, Any] = {"machine": machine(), "copy_bytes_per_s": copied, "goal": GOAL, "cases": []}
    for batch, context in product(BATCHES, CONTEXTS):
        figures["cases"].append(measure_case(batch, context, known, copied))
        save("decode", figures)  # what there is so far, should time run out
    publish("decode", figures, decode_table(figures))


def measure_case(batch: int, context: int, known: Mapping[str, Prepare], copied: float) -> dict[str, Any]:
    """Share of the copy bandwidth of each side, or in words why it has none."""
    results: dict[str, float | str] = dict.fromkeys(known, "does not fit")
    try:
        case = DecodeCase.draw(batch, context)
    except torch.OutOfMemoryError:
        return {"batch": batch, "context": context, "sides": results}
    checked = slice(0, 2)  # by the definition, for which a large batch would not fit
    expected = paged_decode_torch(
        case.q[checked], case.layers[0], case.block_tables[checked], case.context_lens[checked], SPEC
    )
    for name, prepare in known.items():
        try:
            results[name] = share_of_copy(case, prepare, copied, expected)
        except torch.OutOfMemoryError:
            results[name] = "does not fit"
        except Exception as error:  # a peer that fails must not cost the others their figures
            results[name] = f"{type(error).__name__}: {error}"[:200]
        torch.cuda.empty_cache()
    return {"batch": batch, "context": context, "sides": results}


def share_of_copy(case: DecodeCase, prepare: Prepare, copied: float, expected: Tensor) -> float | str:
    """Bytes that one layer has to move, over its seconds, as a share of what a copy moves."""
    calls = prepare(case)
    if not torch.allclose(calls[0]()[: len(expected)], expected, atol=TOLERANCE, rtol=TOLERANCE):
        return "another result"
    seconds = median_seconds(lambda: [call() for call in calls]) / len(calls)
    return case.num_bytes / seconds / copied


def decode_table(figures: Mapping[str, Any]) -> Table:
    """A row for each batch and context, a column for each side."""
    names = list(figures["cases"][0]["sides"])
    title = (
        f"paged decode, {SPEC.num_heads}/{SPEC.num_kv_heads} heads of {SPEC.head_dim}, bfloat16: share of "
        f"the copy bandwidth, {figures['copy_bytes_per_s'] / 1e12:.2f} TB/s\n{figures['machine']}"
    )
    if "FlashInfer" not in names:
        title += "\nFlashInfer is not installed"
    table = Table("batch", "context", *names, title=title, title_justify="left")
    for row in figures["cases"]:
        table.add_row(str(row["batch"]), f"{row['context']:,}", *map(cell, row["sides"].values()))
    return table


def cell(share: float | str) -> str:
    """A share with two digits, or why there is none."""
    return share if isinstance(share, str) else f"{share:.2f}"
