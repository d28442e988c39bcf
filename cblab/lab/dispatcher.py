"""The student's side of a check: carries out requests on the student's names, and answers in plain data.

Both executors run this one class, in the student's kernel or in a worker process, so that they cannot differ.
"""

import contextlib
import importlib
import itertools
import json
import linecache
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from cblab.lab.codec import CodecError, Handle, UnsupportedValue, decode, encode
from cblab.lab.limits import TimeUp
from cblab.lab.protocol import MAX_PRINTED, error_reply
from cblab.lab.quiet import Printed, captured_output

MAX_LISTED = 100_000
_MISSING = object()


class MissingNameError(Exception):
    """A check asked for a name that the student's code does not define."""


def load_reference(path: str) -> Any:
    """The object at ``"module:name"`` within cblab."""
    module, _, name = path.partition(":")
    if module != "cblab" and not module.startswith("cblab."):
        raise ValueError(
            f"{path!r}: a reference lies within cblab, as in 'cblab.tokenization.bpe:merge_pair'"
        )
    return getattr(importlib.import_module(module), name)


@contextlib.contextmanager
def overlaid(namespace: dict[str, Any], references: Mapping[str, str]) -> Iterator[None]:
    """`references` (name to path) in place of the names in `namespace`, which get their old values back."""
    before = {name: namespace.get(name, _MISSING) for name in references}
    namespace.update({name: load_reference(path) for name, path in references.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is _MISSING:
                namespace.pop(name, None)
            else:
                namespace[name] = value


class Dispatcher:
    """Carries out requests on `namespace`.

    references: name to ``"module:name"``, what stands in for earlier exercises during each request.
    limited: a context that raises TimeUp in what runs within it after so many seconds, where it can.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        references: Mapping[str, str] | None = None,
        limited: Callable[[float], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self.namespace = namespace
        self.references = dict(references or {})
        self.limited = limited
        self.objects: dict[int, Any] = {}
        self._base: dict[str, Any] | None = None
        self._numbers = itertools.count(1)
        self._operations: dict[str, Callable[[dict[str, Any], list[Any]], Any]] = {
            "call": self._call,
            "method": self._method,
            "attribute": self._attribute,
            "get": self._get,
            "run": self._run,
            "load": self._load,
        }

    def handle(self, line: str) -> str:
        """One request in, one reply out, both as JSON; never raises for what the student's code does."""
        request = json.loads(line)
        printed = Printed(MAX_PRINTED)
        try:
            references = {} if request["op"] == "load" else self.references
            with captured_output(printed), overlaid(self.namespace, references):
                reply = self._carry_out(request)
        except TimeUp:
            reply = error_reply("timeout", "ran too long")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reply = self._describe(error)
        return json.dumps({"id": request["id"], **reply, "printed": printed.text})

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        arguments = [decode(item, self.objects) for item in request.get("args", [])]
        before = [_fingerprint(argument) for argument in arguments] if request.get("watch") else []
        with self.limited(float(request["limit"])):
            value = self._operations[request["op"]](request, arguments)
            if request.get("result") == "list":
                value = list(itertools.islice(iter(value), MAX_LISTED))
        changed = [index for index, old in enumerate(before) if _fingerprint(arguments[index]) != old]
        return {"value": self._outgoing(value, request.get("result") == "handle"), "changed": changed}

    def _outgoing(self, value: Any, keep: bool) -> Any:
        if not keep:
            return encode(value)
        number = next(self._numbers)
        self.objects[number] = value
        return encode(Handle(number))

    def _call(self, request: dict[str, Any], arguments: list[Any]) -> Any:
        return self._named(request["name"])(*arguments)

    def _method(self, request: dict[str, Any], arguments: list[Any]) -> Any:
        return getattr(self.objects[request["handle"]], request["name"])(*arguments)

    def _attribute(self, request: dict[str, Any], arguments: list[Any]) -> Any:
        return getattr(self.objects[request["handle"]], request["name"])

    def _get(self, request: dict[str, Any], arguments: list[Any]) -> Any:
        return self._named(request["name"])

    def _run(self, request: dict[str, Any], arguments: list[Any]) -> None:
        """Run the source of a cell in the namespace."""
        source, title = request["source"], request["name"]
        linecache.cache[title] = (len(source), None, source.splitlines(keepends=True), title)
        exec(compile(source, title, "exec"), self.namespace)

    def _load(self, request: dict[str, Any], arguments: list[Any]) -> None:
        """Begin an exercise: back to what the namespace held at the first load, with these references.

        They are imported here, so that no call's time limit has to pay for it.
        """
        if self._base is None:
            self._base = dict(self.namespace)
        self.namespace.clear()
        self.namespace.update(self._base)
        self.objects.clear()
        self.references = dict(arguments[0])
        for path in self.references.values():
            load_reference(path)

    def _named(self, name: str) -> Any:
        if ":" in name:
            return load_reference(name)
        if name not in self.namespace:
            raise MissingNameError(f"`{name}` is not defined: has the cell that defines it been run?")
        return self.namespace[name]

    def _describe(self, error: BaseException) -> dict[str, Any]:
        """The error reply for what the student's code raised."""
        if isinstance(error, UnsupportedValue):
            return error_reply("value", str(error))
        if isinstance(error, MissingNameError):
            return error_reply("blank", str(error))
        if isinstance(error, CodecError):
            raise error
        names = tuple(base.__name__ for base in type(error).__mro__ if base is not object)
        message = _text_of(error)
        if isinstance(error, NotImplementedError) and re.match(r"exercise \d", message):
            return error_reply("blank", message, names)
        text = f"{names[0]}: {message}" if message else names[0]
        return error_reply("raised", text + _student_line(error), names)


def _fingerprint(argument: Any) -> Any:
    """The state of an argument, to see whether a call changed it; None for a student's own object."""
    try:
        return encode(argument)
    except UnsupportedValue:
        return None


def _text_of(error: BaseException) -> str:
    try:
        # The text of a SyntaxError also has the line, which _student_line adds for every error.
        return str(error.msg if isinstance(error, SyntaxError) else error)[:500]
    except Exception:
        return "(an exception whose text cannot be made)"


def _student_line(error: BaseException) -> str:
    """Where in the student's own code `error` arose: the innermost frame outside of installed packages."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" (line {error.lineno})"
    try:
        frames = traceback.extract_tb(error.__traceback__)
    except Exception:
        return ""
    for frame in reversed(frames):
        if _is_student_file(frame.filename):
            return (
                f" (line {frame.lineno}: `{frame.line.strip()}`)" if frame.line else f" (line {frame.lineno})"
            )
    return ""


def _is_student_file(filename: str) -> bool:
    """Cells are compiled under a title in angle brackets, or by ipykernel under a temporary name."""
    return (
        filename.startswith("<exercise") or "ipykernel_" in filename or filename.startswith("<ipython-input")
    )
