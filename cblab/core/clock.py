"""The time that an engine goes by: the wall's, or one that advances by a computed cost per step. Torch-free.

Latencies and throughputs measured on a `SimulatedClock` are the same on every machine and in every run, so
they can be compared and graded; those of the wall clock can only be shown.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cblab.core.plan import StepPlan

CostModel = Callable[[StepPlan], float]


class Clock(Protocol):
    """Seconds since some moment; they never go backwards."""

    def now(self) -> float:
        """Return the time in seconds."""
        ...

    def step_done(self, plan: StepPlan) -> None:
        """Hear that the forward pass of a step and its sampling are done."""
        ...


class WallClock:
    """Real seconds since the clock was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def now(self) -> float:
        """Return the seconds since the clock was made."""
        return time.perf_counter() - self._start

    def step_done(self, plan: StepPlan) -> None:
        """Do nothing: real time has passed by itself."""


@dataclass(frozen=True)
class LinearCostModel:
    """What a step costs in seconds, as a sum of four products.

    ```
    seconds_per_step                                            launching, and reading the weights once
    + per_prefill_token x tokens computed in chunks             arithmetic of the prompt
    + per_decode_token  x requests that decode one token        arithmetic of a decode
    + per_context_token x tokens of context, over all requests  reading keys and values
    ```

    A request's context is read once a step, whether one token looks back at it or a whole chunk: that is why
    small chunks cost more than one big one. Which share of a step is a decode says
    `ScheduledRequest.is_decode`. The defaults are round numbers of no particular machine.
    """

    seconds_per_step: float = 5e-3
    per_prefill_token: float = 1e-4
    per_decode_token: float = 2e-4
    per_context_token: float = 1e-6

    def __post_init__(self) -> None:
        for name, cost in vars(self).items():
            if not 0 <= cost < math.inf:
                raise ValueError(f"{name} must be a finite number of seconds >= 0, got {cost!r}")

    def __call__(self, plan: StepPlan) -> float:
        """Return the cost of one step in seconds."""
        context = sum(one.num_computed_tokens + one.num_new_tokens for one in plan.scheduled)
        return (
            self.seconds_per_step
            + self.per_prefill_token * plan.num_prefill_tokens
            + self.per_decode_token * plan.num_decode_tokens
            + self.per_context_token * context
        )


class SimulatedClock:
    """A clock that starts at 0 and stands still but for the cost of each step and for `advance_to`."""

    def __init__(self, cost_model: CostModel) -> None:
        self._cost_model = cost_model
        self._now = 0.0

    def now(self) -> float:
        """Return the simulated time in seconds."""
        return self._now

    def step_done(self, plan: StepPlan) -> None:
        """Let the cost of the step pass.

        Raises:
            ValueError: the cost model gave a cost that is negative or no number.
        """
        cost = self._cost_model(plan)
        if not 0 <= cost < math.inf:
            raise ValueError(
                f"a step must cost a finite number of seconds >= 0, the cost model gave {cost!r}"
            )
        self._now += cost

    def advance_to(self, moment: float) -> None:
        """Let the time until `moment` pass, as when nothing is to do until the next request arrives.

        A moment that has passed already changes nothing.
        """
        self._now = max(self._now, moment)
