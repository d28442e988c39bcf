"""Naming a mistake by what it does over all cases at once."""

import pytest

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.local import LocalExecutor
from cblab.lab.protocol import BlankError
from cblab.lab.trial import CheckFailed, Trial

WRONGS = (
    Wrong("doubled", lambda n: n * 2),
    Wrong("squared", lambda n: n * n),
    Wrong("fails at zero", lambda n: 1 // n),
    Wrong("negative", matches=lambda args, want, got: got == -want),
)


def verdict(source: str, cases: list[tuple[int]]) -> str:
    """The message that `source`, which defines f, gets where f(n) = n + 2 is right; "" for none."""
    namespace: dict[str, object] = {}
    exec(source, namespace)
    trial = Trial(LocalExecutor(namespace, {}), "immediate", "seed")
    try:
        diagnose_function(trial, "f", cases, lambda n: n + 2, WRONGS)
    except CheckFailed as failure:
        return str(failure)
    return ""


def test_right_answers_hear_nothing() -> None:
    assert verdict("def f(n): return 2 + n", [(0,), (2,), (5,)]) == ""


def test_a_mistake_is_named_with_an_example() -> None:
    message = verdict("def f(n): return n ** 2", [(2,), (5,)])
    assert message.startswith("squared ")
    assert "`f(5)` gave 25; expected 7" in message


def test_all_cases_must_agree_with_the_formula() -> None:
    assert verdict("def f(n): return 4", [(2,), (5,)]) == "`f(5)`: expected 7, got 4"


def test_exceptions_are_answers_too() -> None:
    assert verdict("def f(n): return 1 // n", [(0,), (3,)]).startswith("fails at zero ")
    assert "raised ValueError" in verdict("def f(n): raise ValueError('no')", [(1,)])


def test_a_predicate_explains_only_what_is_wrong() -> None:
    assert verdict("def f(n): return -(n + 2)", [(1,), (5,)]).startswith("negative ")


def test_a_changed_argument_is_told() -> None:
    namespace: dict[str, object] = {}
    exec("def f(items):\n    items.append(1)\n    return len(items) - 1", namespace)
    trial = Trial(LocalExecutor(namespace, {}), "immediate", "seed")
    with pytest.raises(CheckFailed, match="work on a copy"):
        diagnose_function(trial, "f", [([5],)], len, ())


def test_a_blank_stays_a_blank() -> None:
    namespace: dict[str, object] = {}
    exec("def f(n): raise NotImplementedError('exercise 1.1')", namespace)
    trial = Trial(LocalExecutor(namespace, {}), "immediate", "seed")
    with pytest.raises(BlankError):
        diagnose_function(trial, "f", [(1,)], abs, ())
