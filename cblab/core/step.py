"""One step of the engine between its launch and its end.

With `async_scheduling` the host plans and launches a step while the tokens of the one before are still on the
device, so that neither waits for the other:

    host     plan k, launch k │ plan k+1, launch k+1 │ tokens of k: append, stop, outputs │ plan k+2 ...
    device           forward k, sample k ─────────► forward k+1, sample k+1 ─────────────► forward k+2 ...
                                      └─ token ids, on the device ─┘

The plan of k+1 counts on every request to go on. One that ends with its token of step k, at a stop string
say, has had a row of step k+1 computed for nothing: its token is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cblab.core.plan import StepPlan
from cblab.core.request import Request
from cblab.core.sampler import SamplerOutput, Sampling
from cblab.core.stats import PhaseSeconds
from cblab.core.transfers import to_device

NOT_PLANNED = StepPlan()


@dataclass(frozen=True)
class Sampled:
    """What an own sampler has returned: there is nothing left to wait for."""

    output: SamplerOutput

    def result(self) -> SamplerOutput:
        """Return the tokens."""
        return self.output


@dataclass(eq=False)
class Step:
    """What is to be remembered of a step until its tokens have been handed out.

    Attributes:
        started: when, on the engine's clock.
        phases: the seconds that its parts took.
        plan: the scheduler's; `NOT_PLANNED` until it has made one.
        requests: of the plan's rows, in their order.
        due: the requests that get a token.
        sampling: their tokens; None while nobody is due one.
        may_wait: whether the next step may be planned before these are known.
    """

    started: float
    phases: PhaseSeconds = field(default_factory=PhaseSeconds)
    plan: StepPlan = NOT_PLANNED
    requests: Sequence[Request] = ()
    due: Sequence[Request] = ()
    sampling: Sampling | Sampled | None = None
    may_wait: bool = False

    def put_tokens(self, input_ids: Tensor, later: "Step") -> None:
        """Put this step's tokens where a later one computes them, in its `input_ids`, `[num_tokens]`."""
        rows = {request: row for row, request in enumerate(self.due)}
        targets, sources, end = [], [], 0
        for one, request in zip(later.plan.scheduled, later.requests, strict=True):
            end += one.num_new_tokens
            if request.num_pending_tokens:
                targets.append(end - 1)
                sources.append(rows[request])
        if targets:
            assert isinstance(self.sampling, Sampling)
            at, of = (to_device(torch.tensor(one), input_ids.device) for one in (targets, sources))
            input_ids[at] = self.sampling.token_ids[of]


def goes_on_unseen(request: Request) -> bool:
    """Whether a request's next token can be computed before the host knows its last one.

    Not if its parameters look at the tokens before it, or want numbers from the logits, or if other samples
    wait for its prompt.
    """
    params = request.params
    wants_numbers = params.logprobs is not None or request.is_scoring
    return not (params.looks_back or wants_numbers or request.siblings)
