"""Naming a mistake by what it does: a wrong answer is compared with foreseen wrong formulas.

One case can look the same under several mistakes. So the student's code is run on every case of a level
first, and a formula is named only if it gives what the student's code gave on each of them. Where none does
(two mistakes at once), one that explains the first wrong case is named as probable.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cblab.lab.codec import decode, encode
from cblab.lab.compare import difference, shown
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial, happened

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Wrong:
    """A foreseen mistake, and what the student is told; one of `formula` and `matches` says what it does.

    formula: makes the mistake, or raises what it would raise.
    matches: for mistakes that no formula can state; a predicate on (arguments, expected, what came back).
    """

    message: str
    formula: Callable[..., Any] | None = None
    matches: Callable[[Args, Any, Any], bool] | None = None

    def __post_init__(self) -> None:
        if (self.formula is None) == (self.matches is None):
            raise ValueError(f"the mistake {self.message!r} needs either a formula or a predicate `matches`")

    def explains(self, runs: Sequence[tuple[Args, Any, Any]], abs_: float = 0.0) -> bool:
        """Whether this mistake gives what came back in all `runs` of (arguments, expected, came back)."""
        try:
            if self.matches is not None:
                wrong_ones = [run for run in runs if not _agrees(run[2], run[1], abs_)]
                return all(self.matches(*run) for run in wrong_ones)
            assert self.formula is not None
            return all(_agrees(got, _attempt(self.formula, args), abs_) for args, _, got in runs)
        except Exception:
            return False


def diagnose(
    t: Trial,
    call: Callable[..., Any],
    cases: Iterable[Args],
    right: Callable[..., Any],
    wrongs: Sequence[Wrong],
    *,
    name: str = "",
    spell: Callable[[Args], str] | None = None,
    results: Sequence[str] = (),
    abs_: float = 0.0,
    show: Callable[[Args, Any, Any], str] | None = None,
) -> None:
    """Run `call` on every case and fail with the message of the mistake that explains all that came back.

    call: runs the student's code on the trusted side's behalf, raising StudentError for what it raises.
    right: the reference. name: the function in messages, or spell: the whole call as a student would type it.
    results: the names of the results, where a tuple comes back. abs_: by how much a number may be off.
    show: says where (arguments, expected, came back) first differ, where results are too long to be shown.
    """
    runs = []
    for args in cases:
        try:
            got = call(*args)
        except BlankError:
            raise
        except StudentError as error:
            got = error
        runs.append((args, right(*args), got))
    bad = next((run for run in runs if not _agrees(run[2], run[1], abs_)), None)
    if bad is None:
        return
    args, want, got = bad
    text = f"`{spell(args) if spell else _call_text(name, args)}`"
    example = f"({show(*bad)})" if show else _example(text, want, got, abs_)
    for wrong in wrongs:
        if wrong.explains(runs, abs_):
            t.fail(f"{wrong.message} {example}")
    likely = [wrong for wrong in wrongs if wrong.formula and wrong.explains([bad], abs_)]
    if likely:
        best = max(likely, key=lambda wrong: sum(wrong.explains([run], abs_) for run in runs))
        t.fail(f"Probably: {best.message} {example}")
    if isinstance(got, StudentError):
        t.fail(f"{text} {happened(got)}")
    if show:
        t.fail(show(*bad))
    if results and isinstance(got, tuple) and len(got) == len(results):
        for result, one, other in zip(results, got, want, strict=True):
            found = difference(one, other, 0.0, abs_)
            if found is not None:
                place = found.removeprefix("at ") if found.startswith("at [") else f": {found}"
                t.fail(f"{text}: {result}{place}")
    t.expect_close(got, want, what=text, rel=0.0, abs_=abs_)


def diagnose_function(
    t: Trial,
    function: str,
    cases: Iterable[Args],
    right: Callable[..., Any],
    wrongs: Sequence[Wrong],
    results: Sequence[str] = (),
    *,
    spell: Callable[[Args], str] | None = None,
    abs_: float = 0.0,
    show: Callable[[Args, Any, Any], str] | None = None,
) -> None:
    """`diagnose` for a plain function, which must leave its arguments as they are."""
    changed: list[Args] = []

    def call(*args: Any) -> Any:
        reply = t.executor.request("call", name=function, args=args, watch=True)
        if reply.changed:
            changed.append(args)
        return reply.value

    diagnose(t, call, cases, right, wrongs, name=function, spell=spell, results=results, abs_=abs_, show=show)
    if changed:
        text = f"`{spell(changed[0]) if spell else _call_text(function, changed[0])}`"
        t.fail(f"The answer is right, but {text} changed its argument: work on a copy.")


def _attempt(formula: Callable[..., Any], args: Args) -> Any:
    """What a formula gives, as it would look coming back from a student's code, or what it raises."""
    try:
        return decode(encode(formula(*args)))
    except Exception as error:
        return error


def _agrees(got: Any, value: Any, abs_: float = 0.0) -> bool:
    """Whether `got`, a value or a StudentError, is `value`, a value or an exception of the trusted side."""
    if isinstance(got, StudentError) or isinstance(value, Exception):
        return isinstance(got, StudentError) and type(value).__name__ in got.type_names
    return difference(got, value, 0.0, abs_) is None


def _call_text(name: str, args: Args) -> str:
    return f"{name}({', '.join(shown(argument, 70) for argument in args)})"


def _example(text: str, want: Any, got: Any, abs_: float) -> str:
    if isinstance(got, StudentError):
        return f"({text} {happened(got)}{'' if _holds_array(want) else f'; expected {shown(want, 90)}'}.)"
    if _holds_array(want):
        return f"({text}: {difference(got, want, 0.0, abs_)}.)"
    return f"({text} gave {shown(got, 90)}; expected {shown(want, 90)}.)"


def _holds_array(value: Any) -> bool:
    """Whether a value is, or contains, an array, of which the first difference says more than its numbers."""
    if isinstance(value, list | tuple):
        return any(_holds_array(one) for one in value)
    return type(value).__name__ in ("Tensor", "ndarray")
