"""Checks that call a student's kernel compiled, and say what to do where Numba cannot compile it."""

import re
from typing import Any

from cblab.lab.codec import Handle
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial

_COMPILED = "cblab.lab.labs.kernels.running:Compiled"
_NO_REASON = ("Failed in ", "- Resolution failure")


def call_compiled(t: Trial, kernel: Handle, method: str, *args: Any) -> Any:
    """What `method` of `running.Compiled` gives for a kernel that is right as Python."""
    compiled = t.new(_COMPILED, kernel)
    try:
        return t.executor.method(compiled, method, *args)
    except BlankError:
        raise
    except StudentError as error:
        if "NumbaError" in error.type_names:
            t.fail(
                f"Right as Python, but Numba cannot compile it ({reason_of(str(error))}): write loops over "
                "single numbers."
            )
        t.fail(f"Right as Python, but compiled it raised {error}" if error.type_name else str(error))


def reason_of(text: str) -> str:
    """The line of Numba's long message that names what it cannot compile."""
    lines = [line.strip() for line in text.splitlines()[:12]]
    call = next((line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")), "")
    if call:
        return f"it has no {call.removeprefix('npy_')}"[:200]
    telling = (line.partition(": ")[2] if ": Failed in " in line else line for line in lines)
    reason = next((line for line in telling if line and not line.startswith(_NO_REASON)), lines[0])
    return re.sub(r" at 0x[0-9a-f]+", "", reason)[:200]
