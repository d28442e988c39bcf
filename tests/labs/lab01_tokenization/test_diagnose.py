"""Naming a mistake by what it does over all cases at once."""

import pytest

from cblab.lab.labs.diagnose import Wrong, diagnose, diagnose_function
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


def test_where_no_formula_explains_everything_the_likeliest_is_probable() -> None:
    source = "def f(n): return n * 2 if n > 3 else -9"
    assert verdict(source, [(2,), (5,), (7,)]) == "`f(2)`: expected 4, got -9"
    message = verdict("def f(n): return n * n if n < 9 else 0", [(1,), (3,), (9,)])
    assert message == "Probably: squared (`f(1)` gave 1; expected 3.)"


def test_the_call_can_be_spelled_and_results_named() -> None:
    namespace: dict[str, object] = {}
    exec("def f(n): return n, n", namespace)
    trial = Trial(LocalExecutor(namespace, {}), "immediate", "seed")
    with pytest.raises(CheckFailed, match=r"`f\(1\)`: right: expected 2, got 1"):
        diagnose_function(trial, "f", [(1,)], lambda n: (n, n + 1), (), ("left", "right"))
    with pytest.raises(CheckFailed, match=r"^`g 1`: expected 2, got 1"):
        diagnose(trial, lambda n: n, [(1,)], lambda n: n + 1, (), spell=lambda args: f"g {args[0]}")


def test_exceptions_are_answers_too() -> None:
    assert verdict("def f(n): return 1 // n", [(0,), (3,)]).startswith("fails at zero ")
    assert "raised ValueError" in verdict("def f(n): raise ValueError('no')", [(1,)])


def test_what_cannot_be_compared_is_named() -> None:
    message = verdict("def f(n): return lambda: n", [(1,)])
    assert message == "`f(1)` gave a `function`, which is not plain data that could be compared"


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
