"""What a check says to a student's code and what comes back: one JSON line each way.

A request is ``{"id", "op", ...}``, a reply ``{"id", "value", "printed", "changed"}`` or ``{"id", "error",
"printed"}``. The errors below are the verdicts on student code that the trusted side raises; their text is
shown to the student.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

MAX_PRINTED = 4000


class StudentError(Exception):
    """The student's code raised, or could not be run.

    type_name: the exception's class; type_names: its bases as well.
    """

    def __init__(self, message: str, type_name: str = "", type_names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.type_names = type_names or (type_name,)


class BlankError(StudentError):
    """The exercise's blank is still a blank, or its cell has not been run."""


class BadValueError(StudentError):
    """The result is not plain data, so that nothing can be compared with it."""


class StudentTimeoutError(StudentError):
    """The call did not come back within its time limit."""


class StudentProcessError(StudentError):
    """The process that runs the student's code ended, or does not speak the protocol any more."""


_KINDS: Mapping[str, type[StudentError]] = {
    "raised": StudentError,
    "blank": BlankError,
    "value": BadValueError,
    "timeout": StudentTimeoutError,
}


def error_reply(kind: str, message: str, type_names: tuple[str, ...] = ()) -> dict[str, Any]:
    """The body of a reply that raises on the trusted side: `kind` is raised, blank, value or timeout."""
    return {"error": {"kind": kind, "message": message, "types": list(type_names)}}


def raise_error(error: Any) -> NoReturn:
    """Raise the StudentError that an error reply describes."""
    if not isinstance(error, dict):
        raise StudentProcessError("the process sent something that is not a reply")
    names = tuple(str(name) for name in error.get("types") or ())
    kind = _KINDS.get(str(error.get("kind")), StudentError)
    raise kind(str(error.get("message")), names[0] if names else "", names)
