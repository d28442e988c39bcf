"""What must be true of an engine between two steps, whatever has happened before."""

from collections.abc import Iterable, Sequence

from cblab.core.errors import IntegrityError
from cblab.core.parts import BlockManagerPart, SchedulerPart
from cblab.core.request import Request, RequestStatus


def check_engine(
    requests: Iterable[Request], scheduler: SchedulerPart, blocks: BlockManagerPart, block_size: int
) -> None:
    """Hold requests, scheduler and blocks against one another; `requests` are the unfinished ones.

    Raises:
        IntegrityError: the first thing found wrong, by name and numbers.
    """
    blocks.check_integrity()
    unfinished = list(requests)
    for request in unfinished:
        _check_request(request, blocks.block_table(request.request_id), block_size)
    joined = [one for one in unfinished if not _waits_for_its_sample_0(one, unfinished)]
    for name, listed, statuses in (
        ("running", scheduler.running, {RequestStatus.RUNNING}),
        ("waiting", scheduler.waiting, {RequestStatus.WAITING, RequestStatus.PREEMPTED}),
    ):
        mine = sorted(one.request_id for one in joined if one.status in statuses)
        if mine != sorted(one.request_id for one in listed):
            raise IntegrityError(
                f"the scheduler's {name} requests are {sorted(one.request_id for one in listed)}, "
                f"by their status they are {mine}"
            )
    if not unfinished and blocks.stats().used:
        raise IntegrityError(f"no request is left and {blocks.stats().used} blocks are still in use")


def _check_request(request: Request, table: Sequence[int], block_size: int) -> None:
    name, computed = f"request {request.request_id!r}", request.num_computed_tokens
    if request.is_finished:
        raise IntegrityError(f"{name} is {request.status.value} and still among the unfinished")
    if not 0 <= computed <= request.num_tokens:
        raise IntegrityError(f"{name} has {computed} computed tokens of {request.num_tokens}")
    if request.status is RequestStatus.RUNNING:
        if computed > len(table) * block_size:
            raise IntegrityError(
                f"{name} has {computed} computed tokens in {len(table)} blocks of {block_size}"
            )
    elif table:
        raise IntegrityError(f"{name} is {request.status.value} and holds the blocks {list(table)}")


def _waits_for_its_sample_0(request: Request, unfinished: list[Request]) -> bool:
    """Whether a sample has not been forked yet: the scheduler does not know of it until then."""
    return any(request in other.siblings for other in unfinished)
