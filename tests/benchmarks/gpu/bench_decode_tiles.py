"""Which tiles of paged decode are fastest: the defaults of `DecodeTiles` are to be the best compromise."""

from functools import partial
from itertools import product

from rich.table import Table
from torch import Tensor

from cblab.attention import LayerKV
from tests.benchmarks.gpu.bench_decode import cell
from tests.benchmarks.gpu.decode_sides import SPEC, DecodeCase
from tests.benchmarks.gpu.measure import copy_bytes_per_s, machine, median_seconds, publish, require_cuda

SHAPES = ((1, 8192), (16, 8192), (128, 8192))
SPLIT_SIZES, TILES, STAGES = (128, 256, 512, 1024), (32, 64, 128), (2, 3, 4)


def bench_tiles_of_paged_decode() -> None:
    require_cuda()
    copied = copy_bytes_per_s()
    cases = [DecodeCase.draw(*shape) for shape in SHAPES]
    rows = {
        setting: [share_with(case, *setting, copied) for case in cases]
        for setting in product(SPLIT_SIZES, TILES, STAGES)
    }
    headings = (f"{batch} x {context:,}" for batch, context in SHAPES)
    title = "share of the copy bandwidth, by batch x context"
    table = Table("split_size", "tile", "num_stages", *headings, title=title)
    for setting, shares in rows.items():
        table.add_row(*map(str, setting), *map(cell, shares))
    figures = {"machine": machine(), "copy_bytes_per_s": copied, "rows": list(rows.items())}
    publish("decode-tiles", figures, table)


def share_with(case: DecodeCase, split_size: int, tile: int, num_stages: int, copied: float) -> float | str:
    """As in `bench_decode`; or the error's name, where a program needs more shared memory than there is."""
    from cblab.attention.triton import DecodeTiles, paged_decode_triton

    tiles = DecodeTiles(split_size, tile, num_warps=4, num_stages=num_stages)

    def decode(kv: LayerKV) -> Tensor:
        return paged_decode_triton(case.q, kv, case.block_tables, case.context_lens, SPEC, tiles)

    calls = [partial(decode, kv) for kv in case.layers]
    try:
        seconds = median_seconds(lambda: [call() for call in calls]) / len(calls)
    except Exception as error:
        return type(error).__name__
    return case.num_bytes / seconds / copied
