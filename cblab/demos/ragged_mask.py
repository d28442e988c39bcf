"""The ragged causal mask: who sees whom when several requests share one forward pass.

Three requests are in one step: one decodes, one computes the middle of its prompt, one begins. Their new
tokens lie end to end; each row of the mask is a new token, each column a token that is in the cache by then.
The same step with one triangle over everything would let requests read each other: the demo counts how often.
"""

from itertools import pairwise

import torch
from rich.console import Console
from rich.text import Text

from cblab.attention.masks import ragged_causal_mask
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.demos.command import run_demo

_COLOURS = ("cyan", "yellow", "magenta")
# Name, tokens in the cache, new tokens, blocks of four tokens.
_ROWS = (("A", 6, 1, (5, 2)), ("B", 4, 5, (7, 1, 3)), ("C", 0, 4, (0,)))
_BLOCK_SIZE = 4


def run(console: Console) -> None:
    """Print the token table, the mask, and what a careless mask would leak."""
    rows = [BatchRow(list(range(cached, cached + new)), cached, table) for _, cached, new, table in _ROWS]
    batch = build_batch(rows, _BLOCK_SIZE)
    assert batch.slot_mapping is not None
    owners = [index for index, row in enumerate(rows) for _ in row.token_ids]

    console.print("One step, three requests, no padding: the token table.\n")
    for name, values in (
        ("request", [_ROWS[owner][0] for owner in owners]),
        ("position", batch.positions.tolist()),
        ("slot", batch.slot_mapping.tolist()),
    ):
        line = Text(f"  {name:9}")
        for owner, value in zip(owners, values, strict=True):
            line.append(f"{value:>4}", style=_COLOURS[owner])
        console.print(line)
    lengths = batch.context_lens.tolist()
    console.print(f"\n  cu_seqlens_q  {batch.cu_seqlens_q.tolist()}   context_lens  {lengths}")
    console.print("  A decodes one token, B is in the middle of its prompt, C begins.\n")

    mask = ragged_causal_mask(batch.cu_seqlens_q, batch.context_lens)
    console.print("The mask: a row a new token, a column a key. ■ new  □ cached  · not seen\n")
    for line in _draw(mask, owners, lengths):
        console.print(line)

    leaks = _leaks(mask.shape, owners, lengths)
    console.print(
        f"\n{int(mask.sum())} of {mask.numel()} pairs are seen. One triangle over the whole table would add\n"
        f"{leaks} pairs in which a request reads another one's keys."
    )


def _draw(mask: torch.Tensor, owners: list[int], lengths: list[int]) -> list[Text]:
    """The mask with one line a row; a key is new if it is among its sequence's last new tokens."""
    borders = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    lines = []
    for row, owner in enumerate(owners):
        line = Text(f"  {_ROWS[owner][0]}{row:>3}  ")
        for seq, (start, end) in enumerate(pairwise(borders)):
            for key in range(start, end):
                is_new = key - start >= _ROWS[seq][1]
                sees = bool(mask[row, key])
                mark = "·" if not sees else "■" if is_new else "□"
                line.append(f"{mark} ", _COLOURS[seq] if sees else "dim")
            line.append(" ")
        lines.append(line)
    return lines


def _leaks(shape: torch.Size, owners: list[int], lengths: list[int]) -> int:
    """Pairs of different requests under one bottom-right aligned triangle over all rows and keys."""
    keys = [seq for seq, length in enumerate(lengths) for _ in range(length)]
    offset = shape[1] - shape[0]
    return sum(seq != owner for row, owner in enumerate(owners) for seq in keys[: row + offset + 1])


if __name__ == "__main__":
    run_demo(run, "ragged_mask", __doc__)
