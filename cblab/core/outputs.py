"""What an engine gives back, by vLLM's names."""

from dataclasses import dataclass

from cblab.core.logprobs import TokenLogprobs


@dataclass(frozen=True)
class RequestMetrics:
    """When things happened to a request, in seconds on the engine's clock; None: not yet, or never.

    `num_cached_tokens` is what the prefix cache saved at its last admission, `num_preemptions` how often it
    lost its blocks. Of several samples of one prompt the first one counts.
    """

    arrival_time: float
    first_scheduled_time: float | None = None
    first_token_time: float | None = None
    finish_time: float | None = None
    num_cached_tokens: int = 0
    num_preemptions: int = 0

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from arrival to the first token."""
        return None if self.first_token_time is None else self.first_token_time - self.arrival_time


@dataclass(frozen=True)
class CompletionOutput:
    """One sample of a request.

    Attributes:
        index: which of the `n` samples.
        text: what is safe to show so far; a stop string is not in it, unless it was asked for.
        token_ids: all tokens so far; the one that ended it included.
        new_text: what the last step added to `text`.
        new_token_ids: what the last step added to `token_ids`.
        finish_reason: "stop", "length", "abort" or "error"; None while it runs.
        stop_reason: the stop string or stop token id that ended it; "deadline" where that did.
        cumulative_logprob: of all tokens, from the raw logits; None unless `params.logprobs` was set.
        logprobs: one entry a token; None unless `params.logprobs` was set.
    """

    index: int
    text: str
    token_ids: list[int]
    new_text: str = ""
    new_token_ids: tuple[int, ...] = ()
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    cumulative_logprob: float | None = None
    logprobs: list[TokenLogprobs] | None = None


@dataclass(frozen=True)
class RequestOutput:
    """A request as it stands after a step.

    `prompt` is None where ids were given. `prompt_logprobs` has one entry a prompt token, None for the first,
    which nothing precedes; it is None itself until all are known, and unless `params.prompt_logprobs` was
    set. `error` is what went wrong where a sample's finish_reason is "error".
    """

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    metrics: RequestMetrics
    finished: bool
    prompt_logprobs: list[TokenLogprobs | None] | None = None
    error: BaseException | None = None
