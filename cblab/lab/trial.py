"""What a check's script is handed: the student's code to call, random numbers, and expectations to state."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

from cblab.lab.codec import Handle
from cblab.lab.compare import difference, kind_of, same, shown
from cblab.lab.executor import Executor, Result
from cblab.lab.protocol import BadValueError, BlankError, StudentError

Level = Literal["immediate", "random", "hidden"]
Case = TypeVar("Case")


class CheckFailed(Exception):  # noqa: N818  (a verdict, not an error of the check)
    """An expectation was not met; the text is for the student."""


@dataclass(frozen=True)
class Raises:
    """For a Mistake: the call raised `type_name` (or a subclass), with `mentions` in its text."""

    type_name: str
    mentions: str = ""

    def matches(self, error: StudentError) -> bool:
        """Whether `error` is one of these."""
        return self.type_name in error.type_names and self.mentions in str(error)


@dataclass(frozen=True)
class Mistake:
    """A foreseen wrong answer and what to say about it.

    when: the wrong value itself, a predicate on the value that came back (an exception in it means no), or
    Raises. message: what the student reads; the mistake in their terms.
    """

    when: Any
    message: str

    def matches(self, got: Any) -> bool:
        """Whether `got`, a value or a StudentError, is this mistake."""
        if isinstance(self.when, Raises):
            return isinstance(got, StudentError) and self.when.matches(got)
        if isinstance(got, StudentError):
            return False
        if not callable(self.when):
            return same(got, self.when)
        try:
            return bool(self.when(got))
        except Exception:
            return False


class Trial:
    """One run of a part's script against one student's code.

    executor: where the code runs. level: "immediate" (small, readable), "random", or "hidden".
    rng: random numbers of this level, the same in each run with the same seed.
    """

    def __init__(self, executor: Executor, level: Level, seed: str) -> None:
        self.executor = executor
        self.level = level
        self.rng = random.Random(seed)

    def cases(
        self, immediate: Iterable[Case], draw: Callable[[random.Random], Case], count: int = 20
    ) -> Iterator[Case]:
        """The `immediate` cases at that level, `count` cases drawn with `draw(rng)` at the others."""
        if self.level == "immediate":
            yield from immediate
        else:
            for _ in range(count):
                yield draw(self.rng)

    def new(self, cls: str, *args: Any, mistakes: Sequence[Mistake] = ()) -> Handle:
        """A Handle on an object of the student's class, or of a part of cblab (``"module:Name"``)."""
        with _Blame(_call_text(cls, args), mistakes):
            return self.executor.new(cls, *args)

    def call(
        self,
        function: str,
        *args: Any,
        mistakes: Sequence[Mistake] = (),
        pure: bool = False,
        result: Result = "value",
    ) -> Any:
        """What the student's function returns; `pure` fails the part when the call changed an argument.

        result: "value", or "handle" to keep it on the student's side, or "list" for what an iterator yields.
        """
        what = _call_text(function, args)
        with _Blame(what, mistakes):
            reply = self.executor.request("call", name=function, args=args, result=result, watch=pure)
        if reply.changed:
            self.fail(f"{what} changed its argument {shown(args[reply.changed[0]])}: work on a copy")
        return reply.value

    def method(
        self,
        handle: Handle,
        name: str,
        *args: Any,
        mistakes: Sequence[Mistake] = (),
        result: Result = "value",
    ) -> Any:
        """What a method of the student's object returns."""
        with _Blame(_call_text(f".{name}", args), mistakes):
            return self.executor.method(handle, name, *args, result=result)

    def attribute(self, handle: Handle, name: str) -> Any:
        """The value of an attribute of the student's object."""
        with _Blame(f".{name}", ()):
            return self.executor.attribute(handle, name)

    def get(self, name: str) -> Any:
        """The value of a variable that the answer cell assigns."""
        with _Blame(name, ()):
            return self.executor.get(name)

    def expect_call(
        self,
        function: str,
        *args: Any,
        want: Any,
        mistakes: Sequence[Mistake] = (),
        pure: bool = False,
        result: Result = "value",
        rel: float = 0.0,
        abs_: float = 0.0,
    ) -> Any:
        """Call a function, expect `want` (within `rel` and `abs_`), and return what came back."""
        got = self.call(function, *args, mistakes=mistakes, pure=pure, result=result)
        self._judge(got, want, _call_text(function, args), mistakes, rel, abs_)
        return got

    def expect_method(
        self,
        handle: Handle,
        name: str,
        *args: Any,
        want: Any,
        mistakes: Sequence[Mistake] = (),
        result: Result = "value",
        rel: float = 0.0,
        abs_: float = 0.0,
    ) -> Any:
        """Call a method, expect `want` (within `rel` and `abs_`), and return what came back."""
        got = self.method(handle, name, *args, mistakes=mistakes, result=result)
        self._judge(got, want, _call_text(f".{name}", args), mistakes, rel, abs_)
        return got

    def expect(self, got: Any, want: Any, *, what: str, mistakes: Sequence[Mistake] = ()) -> None:
        """Expect exactly `want`; `what` names, in the student's terms, what `got` is."""
        self._judge(got, want, what, mistakes, 0.0, 0.0)

    def expect_close(
        self,
        got: Any,
        want: Any,
        *,
        what: str,
        rel: float = 1e-6,
        abs_: float = 0.0,
        mistakes: Sequence[Mistake] = (),
    ) -> None:
        """Expect `want` within `abs_`, or `rel` times its size, element by element."""
        self._judge(got, want, what, mistakes, rel, abs_)

    def expect_error(
        self,
        type_name: str,
        function: str,
        *args: Any,
        handle: Handle | None = None,
        mentions: str = "",
        mistakes: Sequence[Mistake] = (),
    ) -> None:
        """Expect the call to raise `type_name` (or a subclass of it) with `mentions` in its text.

        handle: `function` is a method of this object. `mistakes` see what was returned or raised instead.
        """
        what = _call_text(f".{function}" if handle else function, args)
        wanted = f"{type_name} that mentions {mentions!r}" if mentions else type_name
        got: Any
        try:
            op = "method" if handle else "call"
            got = self.executor.request(op, name=function, handle=handle, args=args).value
        except BlankError:
            raise
        except StudentError as error:
            if Raises(type_name, mentions).matches(error):
                return
            got = error
        _raise_foreseen(mistakes, got)
        instead = happened(got) if isinstance(got, StudentError) else f"returned {shown(got)}"
        self.fail(f"{what}: {wanted} was expected, but it {instead}")

    def fail(self, message: str) -> NoReturn:
        """Fail the part, with this message."""
        raise CheckFailed(message)

    def _judge(
        self, got: Any, want: Any, what: str, mistakes: Sequence[Mistake], rel: float, abs_: float
    ) -> None:
        found = difference(got, want, rel, abs_)
        if found is None:
            return
        _raise_foreseen(mistakes, got)
        if got is None:
            self.fail(f"{what} gave None: is a `return` missing?")
        if type(got) is not type(want):
            self.fail(
                f"{what} gave {kind_of(got)}: {found}"
                if kind_of(got) not in found
                else f"{what} gave {found}"
            )
        self.fail(f"{what}: {found}")


class _Blame:
    """Turns what the student's code raises within it into a foreseen mistake's message, or a standing one."""

    def __init__(self, what: str, mistakes: Sequence[Mistake]) -> None:
        self.what = what
        self.mistakes = mistakes

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, StudentError) or isinstance(error, BlankError):
            return
        _raise_foreseen(self.mistakes, error)
        raise CheckFailed(f"{self.what} {happened(error)}") from None


def happened(error: StudentError) -> str:
    """What came back in place of a value, as the rest of a sentence that begins with the call."""
    if isinstance(error, BadValueError):
        return f"gave {error}, which is not plain data that could be compared"
    return f"raised {error}" if error.type_name else str(error)


def _raise_foreseen(mistakes: Sequence[Mistake], got: Any) -> None:
    for mistake in mistakes:
        if mistake.matches(got):
            raise CheckFailed(mistake.message) from None


def _call_text(function: str, args: Sequence[Any]) -> str:
    name = function.rpartition(":")[2]
    arguments = ", ".join("…" if isinstance(argument, Handle) else shown(argument, 60) for argument in args)
    return f"`{name}({arguments})`" if len(arguments) <= 100 else f"`{name}({arguments[:100]} …)`"
