"""Checks of exercises 1.7, 1.8 and 1.17: padded batches, the embedding look-up, packing."""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.tokenization.reference import pack
from cblab.lab.trial import Trial

if TYPE_CHECKING:
    from torch import Tensor


def _padded(
    *,
    side: Callable[[str], str] = lambda side: side,
    fill: Callable[[int], int] = lambda pad: pad,
    mask: Callable[["Tensor", "Tensor", int], "Tensor"] = lambda ids, mask, pad: mask,
    extra: int = 0,
    shortest: bool = False,
) -> Callable[..., Any]:
    """Padding with a defect."""

    def pad_batch(sequences: Sequence[list[int]], pad_id: int, where: str = "left") -> Any:
        import torch

        length = min(map(len, sequences)) if shortest else max(map(len, sequences)) + extra
        rows, ones = [], []
        for ids in sequences:
            kept = ids[:length]
            padding = [fill(pad_id)] * (length - len(kept))
            left = side(where) == "left"
            rows.append(padding + kept if left else kept + padding)
            ones.append(
                [0] * len(padding) + [1] * len(kept) if left else [1] * len(kept) + [0] * len(padding)
            )
        ids_tensor = torch.tensor(rows, dtype=torch.int64)
        return ids_tensor, mask(ids_tensor, torch.tensor(ones, dtype=torch.int64), pad_id)

    return pad_batch


def _as_lists(*args: Any) -> Any:
    from cblab.lab.labs.tokenization.tensors import pad_batch

    ids, mask = pad_batch(*args)
    return ids.tolist(), mask.tolist()


_PAD_WRONGS = (
    Wrong(
        "The mask is made by comparing ids with `pad_id`, so a real token with that id is hidden: make "
        "it from the lengths.",
        _padded(mask=lambda ids, mask, pad: (ids != pad).long()),
    ),
    Wrong(
        "The padding is always on the right: `side` says where it goes.", _padded(side=lambda side: "right")
    ),
    Wrong("The padding is always on the left: `side` says where it goes.", _padded(side=lambda side: "left")),
    Wrong(
        'Left and right are swapped: side="left" puts the padding in front.',
        _padded(side=lambda side: "right" if side == "left" else "left"),
    ),
    Wrong("The rows are filled with 0: fill them with `pad_id`.", _padded(fill=lambda pad: 0)),
    Wrong("The mask is inverted: 1 is a token, 0 is padding.", _padded(mask=lambda ids, mask, pad: 1 - mask)),
    Wrong(
        "The ones of the mask stand on the left whatever `side` says: they belong where the tokens are.",
        _padded(mask=lambda ids, mask, pad: mask.sort(dim=1, descending=True).values),
    ),
    Wrong(
        "The ones of the mask stand on the right whatever `side` says: they belong where the tokens are.",
        _padded(mask=lambda ids, mask, pad: mask.sort(dim=1).values),
    ),
    Wrong("The mask is 1 everywhere: padding must be 0.", _padded(mask=lambda ids, mask, pad: mask * 0 + 1)),
    Wrong(
        "The rows were cut to the shortest sequence: fill the others up to the longest.",
        _padded(shortest=True),
    ),
    Wrong("The rows are one slot too long: the longest sequence needs no padding.", _padded(extra=1)),
    Wrong(
        "The mask is not int64 but of floating point: say `dtype=torch.int64`.",
        _padded(mask=lambda ids, mask, pad: mask.float()),
    ),
    Wrong(
        "The mask is of type bool: say `dtype=torch.int64`.", _padded(mask=lambda ids, mask, pad: mask.bool())
    ),
    Wrong("Only the ids came back: return `(input_ids, attention_mask)`.", lambda *args: _padded()(*args)[0]),
    Wrong("Lists came back: make tensors of them.", _as_lists),
    Wrong("The two results are swapped: `input_ids` first.", lambda *args: _padded()(*args)[::-1]),
)


def check_pad_batch(t: Trial) -> None:
    """Exercise 1.7."""
    from cblab.lab.labs.tokenization.tensors import pad_batch

    def draw(rng: random.Random) -> tuple[Any, ...]:
        pad = rng.choice((3, 11, 263))
        sequences = [
            [rng.choice((pad, rng.randrange(1, 400))) for _ in range(rng.randint(1, 9))]
            for _ in range(rng.randint(2, 5))
        ]
        return sequences, pad, rng.choice(("left", "right"))

    immediate = [
        ([[5, 6, 7], [8]], 9, "left"),
        ([[5, 6, 7], [8], [4, 3]], 9, "right"),
        ([[2, 9, 4], [9, 1], [9]], 9, "left"),
        ([[1, 2], [3, 4, 5, 6, 7]], 9, "right"),
        ([[4, 2, 6]], 9, "left"),
    ]
    diagnose_function(
        t, "pad_batch", t.cases(immediate, draw), pad_batch, _PAD_WRONGS, ("input_ids", "attention_mask")
    )


def _positions_added(ids: "Tensor", table: "Tensor") -> "Tensor":
    return table[ids] + table[: ids.shape[1]]


def _zero_row(ids: "Tensor", table: "Tensor") -> "Tensor":
    return table[ids] * (ids != 0)[..., None]


_EMBED_WRONGS = (
    Wrong(
        "The rows are √hidden_size times too large: neither Llama nor GPT-2 scales its embeddings; "
        "return them as they are.",
        lambda ids, table: table[ids] * table.shape[1] ** 0.5,
    ),
    Wrong(
        "The rows are √hidden_size times too small: that factor belongs to attention, not here.",
        lambda ids, table: table[ids] / table.shape[1] ** 0.5,
    ),
    Wrong(
        "Something that depends on the position was added: the same id gives the same row wherever it "
        "stands.",
        _positions_added,
    ),
    Wrong(
        "Each id takes the row before its own: ids count from 0, as rows do.",
        lambda ids, table: table[ids - 1],
    ),
    Wrong("The row of id 0 came back as zeros: every id has a row of its own.", _zero_row),
    Wrong(
        "The batch and the length are one dimension: keep `[batch, length, hidden_size]`.",
        lambda ids, table: table[ids.reshape(-1)],
    ),
    Wrong(
        "The rows were normalised: return them as they are.",
        lambda ids, table: table[ids] / table[ids].norm(dim=-1, keepdim=True),
    ),
    Wrong(
        "The last two dimensions are swapped: `[batch, length, hidden_size]`.",
        lambda ids, table: table[ids].transpose(1, 2),
    ),
    Wrong("The rows of a sequence were averaged: one row a token.", lambda ids, table: table[ids].mean(1)),
    Wrong(
        "Only the first sequence was looked up: the whole batch goes in.", lambda ids, table: table[ids[0]]
    ),
    Wrong(
        "Columns were taken: a token is a row of the table, its first dimension.",
        lambda ids, table: table[:, ids],
    ),
)


def check_embed(t: Trial) -> None:
    """Exercise 1.8."""
    import torch

    def case(batch: int, length: int, vocab_size: int, hidden_size: int, seed: int) -> tuple[Any, ...]:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(0, vocab_size, (batch, length), generator=generator)
        ids[0, 0] = 0
        return ids, torch.randn(vocab_size, hidden_size, generator=generator)

    def draw(rng: random.Random) -> tuple[Any, ...]:
        return case(
            rng.randint(2, 4),
            rng.choice((3, 5, 8)),
            rng.choice((17, 23)),
            rng.choice((7, 11, 12)),
            rng.randrange(10**6),
        )

    diagnose_function(
        t,
        "embed",
        t.cases([case(2, 3, 13, 5, 1), case(3, 4, 11, 7, 2)], draw, 8),
        lambda ids, table: table[ids],
        _EMBED_WRONGS,
    )


def _packing(
    *,
    key: Callable[[int], float] | None = lambda length: -length,
    fits: Callable[[int, int], bool] = lambda room, length: room >= length,
    pick: str = "first",
    ties: int = 1,
) -> Callable[..., Any]:
    """Packing with a defect."""

    def packed(lengths: Sequence[int], row_length: int) -> list[list[int]]:
        rows: list[list[int]] = []
        free: list[int] = []
        order = list(range(len(lengths)))[::ties]
        for index in order if key is None else sorted(order, key=lambda index: key(lengths[index])):
            open_rows = [row for row, room in enumerate(free) if fits(room, lengths[index])]
            if pick == "next":
                open_rows = [row for row in open_rows if row == len(rows) - 1]
            if pick == "best":
                open_rows.sort(key=lambda row: free[row])
            if pick == "roomiest":
                open_rows.sort(key=lambda row: -free[row])
            row = open_rows[0] if open_rows else len(rows)
            if row == len(rows):
                rows.append([])
                free.append(row_length)
            rows[row].append(index)
            free[row] -= lengths[index]
        return rows

    return packed


def _sorted_places(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    return pack(sorted(lengths, reverse=True), row_length)


_PACK_WRONGS = (
    Wrong("The sequences are taken as they come: the longest goes first.", _packing(key=None)),
    Wrong(
        "The shortest goes first: take them from the longest to the shortest.",
        _packing(key=lambda length: length),
    ),
    Wrong("Among equal lengths the larger index goes first: the smaller one should.", _packing(ties=-1)),
    Wrong("Only the last row is looked at: an earlier one may still have room.", _packing(pick="next")),
    Wrong(
        "The fullest row with room is taken (best fit): take the first one with room.", _packing(pick="best")
    ),
    Wrong("The emptiest row is taken: take the first one with room.", _packing(pick="roomiest")),
    Wrong(
        "A sequence that exactly fills a row's room is not put there: `>=`, not `>`.",
        _packing(fits=lambda room, length: room > length),
    ),
    Wrong("The indices are places in the sorted list: give places in `lengths`.", _sorted_places),
    Wrong(
        "The rows hold lengths: give the indices of the sequences.",
        lambda lengths, row_length: [[lengths[i] for i in row] for row in pack(lengths, row_length)],
    ),
    Wrong(
        "Every sequence has a row of its own: put it into the first row that still has room.",
        lambda lengths, row_length: [[i] for i in sorted(range(len(lengths)), key=lambda i: -lengths[i])],
    ),
    Wrong(
        "Rows hold more than `row_length` tokens: take a sequence's length off the room of its row.",
        lambda lengths, row_length: (
            [sorted(range(len(lengths)), key=lambda i: -lengths[i])] if lengths else []
        ),
    ),
    Wrong(
        "Only the number of rows came back: return the rows.",
        lambda lengths, row_length: len(pack(lengths, row_length)),
    ),
    Wrong(
        "The indices in each row are sorted: give them in the order in which they were put there.",
        lambda lengths, row_length: [sorted(row) for row in pack(lengths, row_length)],
    ),
)


def check_pack(t: Trial) -> None:
    """Exercise 1.17."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        row_length = rng.choice((10, 13, 17))
        return [rng.randint(1, row_length) for _ in range(rng.choice((0, 1, 6, 9, 12)))], row_length

    immediate = [
        ([3, 7, 2, 8], 10),
        ([4, 4, 4, 6, 6, 2], 10),
        ([5, 5], 10),
        ([2, 9, 3, 6, 1, 4, 1], 10),
        ([7, 6, 3, 2, 4, 1], 10),
        ([], 10),
        ([1, 3, 4, 6], 8),
        ([6, 5, 4, 4, 2], 11),
    ]
    diagnose_function(t, "pack", t.cases(immediate, draw), pack, _PACK_WRONGS)
