"""What lab 5 gives: the counts that a scheduler keeps, and requests in the middle of their lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cblab.core.block_manager import BlockManager
from cblab.core.request import Request, RequestStatus
from cblab.core.sampling_params import SamplingParams


@dataclass
class Counts:
    """What a scheduler knows of one request: numbers alone.

    Attributes:
        num_tokens: known so far, prompt and output.
        num_computed: of them, those whose keys and values are in the cache.
        num_blocks: blocks that it holds.
    """

    num_tokens: int
    num_computed: int = 0
    num_blocks: int = 0


def running_request(
    prompt: Sequence[int],
    output: Sequence[int],
    num_computed: int,
    num_preemptions: int,
    blocks: BlockManager,
) -> Request:
    """Return a running request that has got so far, and whose blocks are its own."""
    request = Request(
        "a",
        list(prompt),
        SamplingParams(temperature=1.0),
        arrival_time=3.5,
        seed=77,
        max_length=len(prompt) + 40,
        output_token_ids=list(output),
        num_computed_tokens=num_computed,
        num_preemptions=num_preemptions,
        status=RequestStatus.RUNNING,
    )
    blocks.allocate_slots("a", num_computed)
    return request


def snapshot(request: Request, blocks: BlockManager) -> dict[str, Any]:
    """Return all of a request that a preemption could change, as plain data."""
    return {
        "prompt_token_ids": list(request.prompt_token_ids),
        "output_token_ids": list(request.output_token_ids),
        "num_computed_tokens": request.num_computed_tokens,
        "num_preemptions": request.num_preemptions,
        "status": request.status.value,
        "arrival_time": request.arrival_time,
        "seed": request.seed,
        "blocks": list(blocks.block_table(request.request_id)),
    }
