"""Playing a script of calls on a student's object and on the reference, and saying where they part."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cblab.lab.codec import Handle
from cblab.lab.compare import same, shown
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial

Call = Callable[..., Any]  # call(method, *args)
Op = tuple[Any, ...]  # (method, *args), or a composite that an `expand` knows
Entry = tuple[str, Any, Any]  # the call as typed, what came of it, and the object's state afterwards
Expand = Callable[[Call, Op], None]


def simple(call: Call, op: Op) -> None:
    """An operation that is one call."""
    call(*op)


def history(call: Call, script: Sequence[Op], expand: Expand = simple) -> list[Entry]:
    """Carry out a script by `call`, with `state` after each call.

    A ValueError, which the docstrings announce, is an outcome, and the script goes on; other errors end it.
    """
    entries: list[Entry] = []

    def recorded(method: str, *args: Any) -> Any:
        if method == "state":
            return call("state")
        text = f"{method}({', '.join(shown(one, 60) for one in args)})"
        try:
            outcome = call(method, *args)
        except ValueError:
            outcome = "raised ValueError"
        entries.append((text, outcome, call("state")))
        return outcome

    for op in script:
        expand(recorded, op)
    return entries


def on_object(made: Any) -> Call:
    """`call` for an object of the trusted side."""
    return lambda method, *args: getattr(made, method)(*args)


def diagnose_play(
    t: Trial,
    cls: str,
    cases: Iterable[tuple[Args, Sequence[Op]]],
    right: type,
    wrongs: Sequence[tuple[str, type]],
    expand: Expand = simple,
) -> None:
    """Play each (constructor's arguments, script) on the student's class; fail with the mistake's message.

    wrongs: (message, a class with that mistake).
    """

    def play(made: type) -> Callable[..., list[Entry]]:
        return lambda args, script: history(on_object(made(*args)), script, expand)

    def students(args: Args, script: Sequence[Op]) -> list[Entry]:
        return history(on_handle(t, t.new(cls, *args)), script, expand)

    diagnose(
        t,
        students,
        cases,
        play(right),
        [Wrong(message, play(made)) for message, made in wrongs],
        spell=lambda args: f"{cls}({', '.join(map(str, args[0]))})",
        show=lambda args, want, got: _parting(cls, args[0], want, got),
    )


def on_handle(t: Trial, handle: Handle) -> Call:
    """`call` for an object of the student's; a ValueError there is one here."""

    def call(method: str, *args: Any) -> Any:
        try:
            return t.executor.method(handle, method, *args)
        except BlankError:
            raise
        except StudentError as error:
            if "ValueError" in error.type_names:
                raise ValueError(str(error)) from None
            raise

    return call


def _parting(cls: str, made_with: Args, want: Sequence[Entry], got: Any) -> str:
    """Where two histories first differ, with the calls before it."""
    name = f"`{cls}({', '.join(map(str, made_with))})`"
    if isinstance(got, StudentError):
        return f"{name}: {got}"
    for index, (one, other) in enumerate(zip(want, got, strict=False)):
        if same(other, one):
            continue
        before = ", ".join(entry[0] for entry in got[max(0, index - 6) : index])
        after = f", after {'… ' if index > 6 else ''}{before}" if before else ""
        text = f"{name}{after}: `{other[0]}`"
        if not same(other[1], one[1]):
            return f"{text} gave {shown(other[1], 80)}; expected {shown(one[1], 80)}."
        return f"{text} left {shown(other[2], 120)}; expected {shown(one[2], 120)}."
    return f"{name}: {len(got)} calls came back, {len(want)} were expected."
