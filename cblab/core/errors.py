"""What the engine raises where it is not the caller's mistake (that is a `ValueError`). Torch-free."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cblab.core.outputs import RequestOutput


class IntegrityError(RuntimeError):
    """The books of a part do not balance: a block is lost or counted wrongly. A bug, no mistake of use."""


class ForwardPassError(RuntimeError):
    """A step broke, and the requests in it failed; the engine and its cache stay usable.

    What broke it is chained to it.

    Attributes:
        request_ids: those that failed.
        outputs: the requests that have changed in the step, as `step` would have returned them.
    """

    def __init__(
        self, request_ids: "Sequence[str]", outputs: "Sequence[RequestOutput]", cause: object
    ) -> None:
        names = ", ".join(request_ids)
        super().__init__(
            f"a step broke with {cause!r}; its {len(request_ids)} requests failed ({names}), and the engine "
            "goes on without them"
        )
        self.request_ids = tuple(request_ids)
        self.outputs = tuple(outputs)
