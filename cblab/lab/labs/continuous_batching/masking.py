"""The check of exercise 5.3: who sees whom in a step of several requests."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial


def _sees(rule: Callable[[int, int, int, int, int, int], bool]) -> Callable[..., Any]:
    """A mask by a rule of (query's sequence, its row there, cached, key's sequence, its place there, new)."""

    def formula(cu_seqlens_q: Any, context_lens: Any) -> Any:
        import torch

        borders, lengths = cu_seqlens_q.tolist(), context_lens.tolist()
        new = [end - start for start, end in pairwise(borders)]
        return torch.tensor(
            [
                [
                    rule(seq, row, lengths[seq] - new[seq], other, key, new[seq])
                    for other, length in enumerate(lengths)
                    for key in range(length)
                ]
                for seq, count in enumerate(new)
                for row in range(count)
            ]
        )

    return formula


def _one_triangle(cu_seqlens_q: Any, context_lens: Any) -> Any:
    import torch

    rows, columns = int(cu_seqlens_q[-1]), int(context_lens.sum())
    return torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)


def _top_left(cu_seqlens_q: Any, context_lens: Any) -> Any:
    import torch

    rows, columns = int(cu_seqlens_q[-1]), int(context_lens.sum())
    return torch.ones(rows, columns, dtype=torch.bool).tril()


def _right(cu_seqlens_q: Any, context_lens: Any) -> Any:
    from cblab.attention.masks import ragged_causal_mask

    return ragged_causal_mask(cu_seqlens_q, context_lens)


def _as_numbers(cu_seqlens_q: Any, context_lens: Any) -> Any:
    return _right(cu_seqlens_q, context_lens).float()


_WRONGS = (
    Wrong(
        "One triangle over all rows and keys: a request reads the keys of the requests before it.",
        _one_triangle,
    ),
    Wrong("One triangle from the top left over everything: requests read each other's keys.", _top_left),
    Wrong(
        "Every query sees all keys of its own sequence, the future ones too: a query sees up to itself.",
        _sees(lambda seq, row, cached, other, key, new: seq == other),
    ),
    Wrong(
        "Aligned at the top left: the cached tokens come first, so query i sees `num_computed + i + 1` keys.",
        _sees(lambda seq, row, cached, other, key, new: seq == other and key <= row),
    ),
    Wrong(
        "A query does not see its own key: it is one of those that it may see.",
        _sees(lambda seq, row, cached, other, key, new: seq == other and key < cached + row),
    ),
    Wrong(
        "A query sees one key too many, that of the token after it.",
        _sees(lambda seq, row, cached, other, key, new: seq == other and key <= cached + row + 1),
    ),
    Wrong(
        "Only new keys are seen: the cached ones before them count too.",
        _sees(lambda seq, row, cached, other, key, new: seq == other and cached <= key <= cached + row),
    ),
    Wrong(
        "Only cached keys are seen: the new tokens up to the query itself count too.",
        _sees(lambda seq, row, cached, other, key, new: seq == other and key < cached),
    ),
    Wrong(
        "Every query of a sequence sees all that came before, of all sequences before it: keep to its "
        "own keys.",
        _sees(
            lambda seq, row, cached, other, key, new: other < seq or (seq == other and key <= cached + row)
        ),
    ),
    Wrong(
        "The sequences are compared, but not which is which: each sees only the others' keys.",
        _sees(lambda seq, row, cached, other, key, new: seq != other and key <= cached + row),
    ),
    Wrong(
        "Positions are compared, but not the sequences: a request sees early keys of every other one.",
        _sees(lambda seq, row, cached, other, key, new: key <= cached + row),
    ),
    Wrong(
        "The mask is the wrong way round: True is for what may be seen.",
        _sees(lambda seq, row, cached, other, key, new: not (seq == other and key <= cached + row)),
    ),
    Wrong("The mask is of numbers: make it bool, True for what may be seen.", _as_numbers),
)


def _make(new: list[int], cached: list[int]) -> Args:
    import torch

    lengths = torch.tensor(new)
    borders = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)))
    return borders.int(), (lengths + torch.tensor(cached)).int()


def _draw(rng: random.Random) -> Args:
    count = rng.randint(1, 4)
    new = [rng.choice((1, 1, 2, 3, 5)) for _ in range(count)]
    return _make(new, [rng.choice((0, 0, 1, 3, 6)) for _ in range(count)])


def _spell(args: Args) -> str:
    return f"ragged_causal_mask(cu_seqlens_q={args[0].tolist()}, context_lens={args[1].tolist()})"


def check_mask(t: Trial) -> None:
    """Exercise 5.3."""
    immediate = [_make([1, 5, 4], [6, 4, 0]), _make([2, 3], [0, 2]), _make([3], [0])]
    cases = list(t.cases(immediate, _draw))
    diagnose_function(t, "ragged_causal_mask", cases, _right, _WRONGS, spell=_spell)
