"""What one step is to do: plain ids and counts, from the scheduler to the rest of the engine. Torch-free."""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class ScheduledRequest(NamedTuple):
    """One request's share of a step.

    ```
    tokens known      [ c c c c c c | n n n n | . . ]
                      num_computed    num_new   left for later steps: then nothing is sampled
    ```

    `is_caught_up` says that nothing is left: the row of its last token is sampled from.
    """

    request_id: str
    num_computed_tokens: int
    num_new_tokens: int
    is_caught_up: bool

    @property
    def is_decode(self) -> bool:
        """Whether the request computes one token, the last one known; anything else is a prefill chunk.

        It goes by the work, not by where the token stands: a prompt of which all but the last token was
        cached is a decode, and a preempted request that computes its output again is a prefill.
        """
        return self.num_new_tokens == 1 and self.is_caught_up


@dataclass(frozen=True)
class BlockOp:
    """One block's content to be copied before the forward pass.

    "copy" is from block to block of the pool, "swap_out" from a block of the pool to one of host memory,
    "swap_in" the way back.
    """

    kind: Literal["copy", "swap_out", "swap_in"]
    source: int
    target: int


@dataclass(frozen=True)
class StepPlan:
    """The scheduler's decision for one step.

    Attributes:
        scheduled: who computes how many tokens; requests with one token come first, else in scheduling order.
        block_ops: to be carried out before the forward pass, in this order: a block may be given to another
            request in the step in which its content was copied away.
        admitted: requests that entered the running ones in this step, resumed ones too.
        preempted: requests that left them again for want of blocks.
        exhausted: requests that fill the whole pool alone and end here, with "length".
    """

    scheduled: tuple[ScheduledRequest, ...] = ()
    block_ops: tuple[BlockOp, ...] = ()
    admitted: tuple[str, ...] = ()
    preempted: tuple[str, ...] = ()
    exhausted: tuple[str, ...] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens that the step computes."""
        return sum(one.num_new_tokens for one in self.scheduled)

    @property
    def num_decode_tokens(self) -> int:
        """Tokens of requests that decode."""
        return sum(one.is_decode for one in self.scheduled)

    @property
    def num_prefill_tokens(self) -> int:
        """Tokens of prefill chunks."""
        return self.num_tokens - self.num_decode_tokens
