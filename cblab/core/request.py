"""A request and its life. Torch-free; everything that is true of one sequence stands here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from cblab.core.sampling_params import SamplingParams

if TYPE_CHECKING:
    from cblab.core.logprobs import TokenLogprobs


class RequestStatus(Enum):
    """Where a request is in its life.

    ```
                 admitted              stop, length
    WAITING ───────────────► RUNNING ───────────────► FINISHED
                             │     ▲
                   no blocks │     │ resumed
                             ▼     │
                            PREEMPTED         from any of the three:  abort ► CANCELLED,  error ► FAILED
    ```
    """

    WAITING = "waiting"
    RUNNING = "running"
    PREEMPTED = "preempted"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self in _FINAL


class FinishReason(StrEnum):
    """Why a request ended: the status that it ended in follows from it."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


_FINAL = frozenset({RequestStatus.FINISHED, RequestStatus.CANCELLED, RequestStatus.FAILED})
_MAY_BECOME: dict[RequestStatus, frozenset[RequestStatus]] = {
    # A waiting request finishes without having run when its deadline or the pool leaves it no room.
    RequestStatus.WAITING: _FINAL | {RequestStatus.RUNNING},
    RequestStatus.RUNNING: _FINAL | {RequestStatus.PREEMPTED},
    RequestStatus.PREEMPTED: _FINAL | {RequestStatus.RUNNING},
    **{status: frozenset() for status in _FINAL},
}
_ENDS_AS = {
    FinishReason.STOP: RequestStatus.FINISHED,
    FinishReason.LENGTH: RequestStatus.FINISHED,
    FinishReason.ABORT: RequestStatus.CANCELLED,
    FinishReason.ERROR: RequestStatus.FAILED,
}


@dataclass(eq=False)
class Request:
    """One sequence: a prompt, what has been generated, and how much of both is in the KV cache.

    There is no prefill phase and no decode phase: `num_computed_tokens` chases `num_tokens`, and whenever it
    has caught up a token is sampled, which makes `num_tokens` one larger.

    Attributes:
        request_id: unique in its engine.
        prompt_token_ids: at least one.
        params: how its tokens are chosen and when it ends.
        arrival_time: on the engine's clock, seconds.
        priority: smaller is more urgent; used under `scheduling_policy="priority"` alone.
        seed: of its random numbers; drawn by the engine where `params.seed` is None.
        sample_index: which of the `params.n` samples of one prompt this is.
        siblings: of sample 0, the other samples; each joins it when the prompt has been computed.
        max_length: prompt and output tokens together, by `max_tokens` and the context limit.
        stop_token_ids: all ids that end it, those of the tokenizer and the model included.
        cache_salt: requests share cached blocks only where their salts are equal.
        deadline: on the engine's clock; the request is aborted when it passes. None: never.
        num_pending_tokens: sampled ones, at the end, whose ids are still on the device: at most one between
            two steps, and only under `async_scheduling`.
        num_computed_tokens: tokens whose keys and values are in the cache, in all layers, or will be when the
            passes that have been launched are done.
        num_cached_tokens: of them, those that a prefix hit gave when it was last admitted.
        error: what went wrong, where `finish_reason` is "error".
        stop_reason: the stop string or token id that ended it, "deadline" where that did; None otherwise.
    """

    request_id: str
    prompt_token_ids: list[int]
    params: SamplingParams
    arrival_time: float = 0.0
    priority: int = 0
    seed: int = 0
    sample_index: int = 0
    siblings: tuple["Request", ...] = ()
    max_length: int = 1 << 62
    stop_token_ids: frozenset[int] = frozenset()
    cache_salt: str = ""
    deadline: float | None = None
    on_token: "Callable[[Request, int], None] | None" = None

    output_token_ids: list[int] = field(default_factory=list)
    num_pending_tokens: int = 0
    num_computed_tokens: int = 0
    num_cached_tokens: int = 0
    num_preemptions: int = 0
    status: RequestStatus = RequestStatus.WAITING
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    error: BaseException | None = None
    first_scheduled_time: float | None = None
    first_token_time: float | None = None
    finish_time: float | None = None
    cumulative_logprob: float = 0.0
    logprobs: "list[TokenLogprobs]" = field(default_factory=list)
    prompt_logprobs: "dict[int, TokenLogprobs]" = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """The prompt's tokens and the sampled ones, those on their way included."""
        return len(self.prompt_token_ids) + len(self.output_token_ids) + self.num_pending_tokens

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt_token_ids)

    @property
    def is_full(self) -> bool:
        """Whether it is as long as it may be; it ends when its last token has arrived."""
        return self.num_tokens >= self.max_length

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, for whatever reason."""
        return self.status.is_final

    @property
    def is_scoring(self) -> bool:
        """Whether logprobs of its prompt are wanted and not known yet: then all its logits are needed."""
        wanted = self.params.prompt_logprobs is not None and self.sample_index == 0
        return wanted and len(self.prompt_logprobs) < self.num_prompt_tokens - 1

    def token_ids(self, start: int = 0, end: int | None = None) -> list[int]:
        """Tokens `start:end` of prompt and output, without joining the two when one holds them all.

        Pending tokens, whose ids are not known, are left out.
        """
        end = self.num_tokens if end is None else end
        border = self.num_prompt_tokens
        if start >= border:
            return self.output_token_ids[start - border : end - border]
        if end <= border:
            return self.prompt_token_ids[start:end]
        return self.prompt_token_ids[start:] + self.output_token_ids[: end - border]

    def become(self, status: RequestStatus) -> None:
        """Go to another status.

        Raises:
            RuntimeError: there is no such arrow in `RequestStatus`'s diagram.
        """
        if status not in _MAY_BECOME[self.status]:
            raise RuntimeError(f"request {self.request_id!r} cannot go from {self.status} to {status}")
        self.status = status

    def finish(
        self,
        reason: FinishReason,
        now: float,
        *,
        stop_reason: int | str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End it; what was generated stays."""
        self.become(_ENDS_AS[reason])
        self.finish_reason, self.stop_reason, self.error = reason, stop_reason, error
        self.finish_time = now
