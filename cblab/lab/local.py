"""The executor in the student's own kernel, for the check cells of a notebook."""

from collections.abc import Mapping
from typing import Any

from cblab.lab.dispatcher import Dispatcher
from cblab.lab.executor import DEFAULT_SECONDS, Executor
from cblab.lab.limits import raises_time_up


class LocalExecutor(Executor):
    """Runs the code of `namespace`, with `references` (name to path) in place of earlier exercises."""

    def __init__(
        self,
        namespace: dict[str, Any],
        references: Mapping[str, str] | None = None,
        seconds: float = DEFAULT_SECONDS,
    ) -> None:
        super().__init__(seconds)
        self._dispatcher = Dispatcher(namespace, references, limited=raises_time_up)

    def _exchange(self, line: str) -> str:
        return self._dispatcher.handle(line)
