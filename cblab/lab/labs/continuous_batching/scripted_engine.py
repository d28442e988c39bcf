"""The engine that the check of exercise 5.8 puts beside a step: plans from a list, tokens from a formula."""

from collections.abc import Sequence
from typing import Any

from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.core.sampling_params import SamplingParams
from cblab.lab.labs.continuous_batching.reference import Row

_BLOCK = 4
Spec = tuple[str, Sequence[int], Sequence[int], int, Sequence[int]]
"""Request id, prompt, output so far, the longest that it may become, tokens that end it."""


class ScriptedEngine:
    """The parts that `step` is written over, without a model; it logs every call.

    Args:
        requests: see `Spec`.
        plans: for each step the pairs (request id, tokens).
    """

    def __init__(self, requests: Sequence[Spec], plans: Sequence[Sequence[tuple[str, int]]]) -> None:
        self._requests = {
            name: Request(
                name,
                list(prompt),
                SamplingParams(temperature=0),
                max_length=max_length,
                output_token_ids=list(output),
                status=RequestStatus.RUNNING,
                stop_token_ids=frozenset(stops),
            )
            for name, prompt, output, max_length, stops in requests
        }
        self._plans = [list(plan) for plan in plans]
        self._log: list[tuple[Any, ...]] = []
        self._ended: list[str] = []

    def schedule(self) -> list[tuple[Request, int]]:
        """Return the next plan, without those that have ended by now."""
        plan = self._plans.pop(0) if self._plans else []
        return [(self._requests[name], count) for name, count in plan if name not in self._ended]

    def block_table(self, request: Request) -> list[int]:
        """Return as many blocks as a request could need; their ids name it."""
        index = list(self._requests).index(request.request_id)
        return [100 * (index + 1) + block for block in range(-(-request.max_length // _BLOCK))]

    def build(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Log the rows, and return them as the batch."""
        batch = [(list(ids), start, list(table), bool(samples)) for ids, start, table, samples in rows]
        self._log.append(("build", batch))
        return batch

    def forward(self, batch: Sequence[Row]) -> list[int]:
        """Return one number a sampling row, which only its tokens and its position decide."""
        self._log.append(("forward", len(batch)))
        return [7 * ids[-1] + start + len(ids) for ids, start, _, samples in batch if samples]

    def sample(self, logits: Sequence[int]) -> list[int]:
        """Return a token for each of them."""
        self._log.append(("sample", len(logits)))
        return [one % 50 for one in logits]

    def finish(self, request: Request) -> None:
        """End a request."""
        self._log.append(("finish", request.request_id))
        self._ended.append(request.request_id)
        request.finish(FinishReason.LENGTH, 0.0)

    def has_ended(self, name: str) -> bool:
        """Return whether a request has been finished."""
        return name in self._ended

    def log(self) -> list[tuple[Any, ...]]:
        """Return the calls since the last time, in order."""
        log, self._log = self._log, []
        return log

    def state(self) -> dict[str, tuple[list[int], int]]:
        """Return each request's output tokens and how many of its tokens are computed."""
        return {
            name: (list(one.output_token_ids), one.num_computed_tokens)
            for name, one in self._requests.items()
        }
