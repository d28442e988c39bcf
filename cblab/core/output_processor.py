"""From sampled tokens to what a user sees: text, stopping, callbacks, and `RequestOutput`s."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cblab.core.logprobs import TokenLogprobs
from cblab.core.output_text import OutputText
from cblab.core.outputs import CompletionOutput, RequestMetrics, RequestOutput
from cblab.core.request import FinishReason, Request
from cblab.tokenization import Tokenizer


@dataclass(eq=False)
class _Sample:
    """One request of a group, its text, and what the running step has added."""

    request: Request
    text: OutputText
    new_token_ids: list[int] = field(default_factory=list)
    new_text: str = ""


@dataclass(eq=False)
class _Group:
    """The samples of one prompt: what a user calls a request."""

    request_id: str
    prompt: str | None
    samples: list[_Sample]
    final_only: bool
    prompt_logprobs: list[TokenLogprobs | None] | None = None  # once all of them are known


class OutputProcessor:
    """Keeps the text of every unfinished request, and knows which of them have changed in a step."""

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self.tokenizer = tokenizer
        self._groups: dict[str, _Group] = {}
        self._of: dict[str, tuple[_Group, _Sample]] = {}
        self._changed: dict[str, _Group] = {}

    @property
    def has_changes(self) -> bool:
        """Whether `take_outputs` has anything to return."""
        return bool(self._changed)

    def open(
        self, request_id: str, prompt: str | None, requests: Sequence[Request], *, final_only: bool = False
    ) -> None:
        """Begin to follow the samples of one prompt; `final_only` gives one output, when all have ended.

        Raises:
            ValueError: one of their ids is that of a request whose last output has not been taken.
        """
        taken = next((one.request_id for one in requests if one.request_id in self._of), None)
        if taken is not None:
            raise ValueError(f"request_id {taken!r} is taken by a request that is not finished")
        samples = [
            _Sample(one, OutputText(self.tokenizer, one.params, final_only=final_only)) for one in requests
        ]
        group = self._groups[request_id] = _Group(request_id, prompt, samples, final_only)
        for sample in samples:
            self._of[sample.request.request_id] = (group, sample)

    def members(self, request_id: str) -> list[Request]:
        """Return the samples of a user's request, or the one sample that has this id; empty if unknown."""
        if request_id in self._groups:
            return [sample.request for sample in self._groups[request_id].samples]
        return [self._of[request_id][1].request] if request_id in self._of else []

    def append(self, request: Request, token_id: int) -> tuple[FinishReason, int | str | None] | None:
        """Add a token to a request; return why it ends now and by what, or None if it goes on."""
        group, sample = self._of[request.request_id]
        request.output_token_ids.append(token_id)
        sample.new_token_ids.append(token_id)
        if not group.final_only:
            self._changed[group.request_id] = group
        if token_id in request.stop_token_ids and len(request.output_token_ids) > request.params.min_tokens:
            # The model's own end of text is no reason worth naming; a token that the user chose is.
            by_user = token_id in request.params.stop_token_ids
            return FinishReason.STOP, token_id if by_user else None
        sample.new_text += sample.text.push(token_id)
        if sample.text.matched_stop is not None:
            return FinishReason.STOP, sample.text.matched_stop
        num_known = request.num_prompt_tokens + len(request.output_token_ids)
        return (FinishReason.LENGTH, None) if num_known >= request.max_length else None

    def finish(self, request: Request) -> None:
        """Show the text that was held back; called once, when a request has ended."""
        group, sample = self._of[request.request_id]
        sample.new_text += sample.text.finish()
        if not group.final_only or all(one.request.is_finished for one in group.samples):
            self._changed[group.request_id] = group

    def take_outputs(self) -> list[RequestOutput]:
        """Return all requests that have changed since the last call, and forget those that are finished."""
        outputs = [_request_output(group) for group in self._changed.values()]
        for output in outputs:
            group = self._groups[output.request_id]
            for sample in group.samples:
                sample.new_token_ids, sample.new_text = [], ""
                if output.finished:
                    del self._of[sample.request.request_id]
            if output.finished:
                del self._groups[output.request_id]
        self._changed.clear()
        return outputs


def _request_output(group: _Group) -> RequestOutput:
    requests = [sample.request for sample in group.samples]
    first = requests[0]
    if first.params.prompt_logprobs is not None and not first.is_scoring and group.prompt_logprobs is None:
        group.prompt_logprobs = [first.prompt_logprobs.get(i) for i in range(first.num_prompt_tokens)]
    return RequestOutput(
        request_id=group.request_id,
        prompt=group.prompt,
        prompt_token_ids=first.prompt_token_ids,
        outputs=[_completion(sample) for sample in group.samples],
        metrics=RequestMetrics(
            arrival_time=first.arrival_time,
            first_scheduled_time=first.first_scheduled_time,
            first_token_time=first.first_token_time,
            finish_time=first.finish_time,
            num_cached_tokens=first.num_cached_tokens,
            num_preemptions=first.num_preemptions,
        ),
        finished=all(request.is_finished for request in requests),
        prompt_logprobs=group.prompt_logprobs,
        error=next((request.error for request in requests if request.error is not None), None),
    )


def _completion(sample: _Sample) -> CompletionOutput:
    request = sample.request
    wants_logprobs = request.params.logprobs is not None
    return CompletionOutput(
        index=request.sample_index,
        text=sample.text.text,
        token_ids=list(request.output_token_ids),
        new_text=sample.new_text,
        new_token_ids=tuple(sample.new_token_ids),
        finish_reason=None if request.finish_reason is None else request.finish_reason.value,
        stop_reason=request.stop_reason,
        cumulative_logprob=request.cumulative_logprob if wants_logprobs else None,
        logprobs=list(request.logprobs) if wants_logprobs else None,
    )
