"""The trusted side's view of a student's code: names to call, plain data back.

A check is a script over an Executor; which one it gets, the student's own kernel or a worker process, it
cannot tell. Both send the same JSON to the same Dispatcher.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from cblab.lab.codec import CodecError, Handle, decode, encode
from cblab.lab.protocol import StudentError, StudentProcessError, StudentTimeoutError, raise_error

Result = Literal["value", "handle", "list"]
DEFAULT_SECONDS = 10.0


@dataclass(frozen=True)
class Reply:
    """What one request brought: the decoded value, and the positions of the arguments that it changed."""

    value: Any
    changed: tuple[int, ...]


class Executor(ABC):
    """Calls a student's functions, classes and methods by name.

    Arguments and results are plain data (see ``cblab.lab.codec``) or Handles. Every method raises
    StudentError, or one of its kinds (blank, bad value, timeout, process), and nothing else, for what the
    student's code does. After a timeout, or the end of its process, the executor refuses every further
    request, so that one endless loop costs one time limit.

    seconds: how long one request may compute (see ``cblab.lab.limits``).
    printed: the beginning of what the student's code has printed.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        self.seconds = seconds
        self.printed = ""
        self._number = 0
        self._stopped: StudentError | None = None

    @property
    def timed_out(self) -> bool:
        """Whether a call has taken too long, so that no further one is run."""
        return isinstance(self._stopped, StudentTimeoutError)

    def call(self, function: str, *args: Any, result: Result = "value") -> Any:
        """What ``function(*args)`` returns: decoded, kept as a Handle, or listed by iterating over it."""
        return self.request("call", name=function, args=args, result=result).value

    def new(self, cls: str, *args: Any) -> Handle:
        """A Handle on ``cls(*args)``, a class of the student's, or a part of cblab as ``"module:Name"``."""
        handle: Handle = self.request("call", name=cls, args=args, result="handle").value
        return handle

    def method(self, handle: Handle, name: str, *args: Any, result: Result = "value") -> Any:
        """What ``object.name(*args)`` returns, for the object behind `handle`."""
        return self.request("method", name=name, handle=handle, args=args, result=result).value

    def attribute(self, handle: Handle, name: str) -> Any:
        """The value of ``object.name``."""
        return self.request("attribute", name=name, handle=handle).value

    def get(self, name: str) -> Any:
        """The value of one of the student's variables."""
        return self.request("get", name=name).value

    def request(
        self,
        op: str,
        *,
        name: str = "",
        handle: Handle | None = None,
        args: tuple[Any, ...] = (),
        result: Result = "value",
        watch: bool = False,
        source: str = "",
    ) -> Reply:
        """Send one request and wait for its reply; `watch` asks which of `args` the call changed."""
        if self._stopped is not None:
            raise self._stopped
        self._number += 1
        request = {
            "id": self._number,
            "op": op,
            "name": name,
            "source": source,
            "handle": handle.number if handle else None,
            "args": [encode(argument) for argument in args],
            "result": result,
            "watch": watch,
            "limit": self.seconds,
        }
        try:
            return self._read(self._exchange(json.dumps(request)))
        except StudentTimeoutError as error:
            self._stopped = StudentTimeoutError("was not run: an earlier call took too long")
            raise StudentTimeoutError(
                f"took more than {self.seconds:g} s: is there an endless loop?"
            ) from error
        except StudentProcessError:
            self.close()
            self._stopped = StudentProcessError("was not run: an earlier call ended the process")
            raise
        except StudentError as error:
            raise self._explained(error) from None

    def close(self) -> None:
        """Give back what the executor holds; it cannot be used afterwards."""
        self._stopped = StudentProcessError("was not run: its executor is closed")

    @abstractmethod
    def _exchange(self, line: str) -> str:
        """Send a request, return the reply."""

    def _explained(self, error: StudentError) -> StudentError:
        """The error to raise in place of `error`, where the executor knows more."""
        return error

    def _read(self, line: str) -> Reply:
        try:
            reply = json.loads(line)
            if reply["id"] != self._number:
                raise StudentProcessError("the process sent a reply that nobody asked for")
            if "error" in reply:
                raise_error(reply["error"])
            self.printed = (self.printed + str(reply["printed"]))[:10_000]
            return Reply(decode(reply["value"]), tuple(int(index) for index in reply["changed"]))
        except (ValueError, KeyError, TypeError, CodecError, RecursionError) as error:
            raise StudentProcessError("the process sent something that is not a reply") from error
