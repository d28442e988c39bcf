"""The process in which a submission's code runs: ``python -P -m cblab.lab.worker``.

Requests come in on standard input and replies go out on standard output, one JSON line each. Before any of
the student's code runs, both are moved to other descriptors and the standard ones lead nowhere, so that a
print, or C code that writes to descriptor 1, cannot get between the replies.
"""

import os
import sys
from types import ModuleType

from cblab.lab.dispatcher import Dispatcher
from cblab.lab.limits import ends_the_process


def main() -> None:
    """Answer requests until standard input ends."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    notebook = sys.modules["__main__"] = ModuleType("__main__")
    dispatcher = Dispatcher(notebook.__dict__, limited=ends_the_process)
    for line in requests:
        replies.write(dispatcher.handle(line) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
