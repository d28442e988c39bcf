"""`LLM`: the engine for whoever has all prompts at hand and waits for the answers."""

import math
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from cblab.core.beam_search import BeamSearchOutput, BeamSearchParams, beam_search
from cblab.core.clock import Clock
from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.errors import ForwardPassError
from cblab.core.intake import Prompt
from cblab.core.logprobs import TokenLogprobs
from cblab.core.model_runner import LanguageModel
from cblab.core.outputs import RequestOutput
from cblab.core.parts import Parts
from cblab.core.sampling_params import SamplingParams
from cblab.core.trace import Trace
from cblab.serving.loading import load
from cblab.tokenization import Tokenizer

_BAR_AFTER_S = 1.0  # a batch that is done sooner needs no progress bar


@dataclass(frozen=True)
class StreamEvent:
    """What one step has added to one sample of one prompt.

    `text` is what has become safe to show: empty while a character is half-finished, or while a stop string
    may be under way. `finish_reason` is set on a sample's last event, and `error` where that is "error".
    """

    prompt_index: int
    sample_index: int
    token_ids: tuple[int, ...]
    text: str
    finish_reason: str | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class TextScore:
    """How likely a model finds a text. The first token has no logprob: nothing precedes it."""

    token_ids: list[int]
    logprobs: list[TokenLogprobs | None]

    @property
    def total_logprob(self) -> float:
        """Natural logarithm of the probability of all tokens after the first."""
        return sum(one.logprob for one in self.logprobs if one is not None)

    @property
    def perplexity(self) -> float:
        """exp of the mean negative logprob of the tokens after the first; NaN where there are none."""
        num_scored = len(self.token_ids) - 1
        return math.exp(-self.total_logprob / num_scored) if num_scored else math.nan


class LLM:
    """A model that answers prompts, many at once: `LLM("story-4m").generate(["Once upon a time"])`.

    Args:
        model: a bundled model's name, a checkpoint folder, a hub id, or a model that is loaded already.
        tokenizer: a tokenizer, or where to load one from; None loads the model's own.
        skip_tokenizer_init: work without a tokenizer, ids in and ids out.
        device: "cpu", "cuda" or "auto", for a model that is to be loaded.
        parts: see `Parts`.
        clock: see `Engine`.
        trace: see `Engine`.
        settings: the fields of `EngineConfig`, by name.

    Raises:
        TypeError: a setting that `EngineConfig` does not have.
        ValueError: a setting that makes no sense, alone or with this model.
    """

    def __init__(
        self,
        model: str | Path | LanguageModel,
        tokenizer: str | Path | Tokenizer | None = None,
        *,
        skip_tokenizer_init: bool = False,
        device: str = "auto",
        parts: Parts | None = None,
        clock: Clock | None = None,
        trace: Trace | None = None,
        **settings: Any,
    ) -> None:
        config = _engine_config(settings)
        if isinstance(model, str | Path):
            model, tokenizer = load(
                model, tokenizer, dtype=config.dtype, device=device, skip_tokenizer_init=skip_tokenizer_init
            )
        elif isinstance(tokenizer, str | Path) or skip_tokenizer_init or device != "auto":
            raise ValueError(
                "a loaded model is where it is, with a loaded tokenizer or with none: a tokenizer's path, "
                "skip_tokenizer_init and device are for a model that is to be loaded"
            )
        self.engine = Engine(model, tokenizer, config, parts=parts, clock=clock, trace=trace)
        # Whose outputs are whose: a stream may be half read while another call steps the same engine.
        self._queues: dict[str, deque[RequestOutput]] = {}

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer, or None where there is none."""
        return self.engine.tokenizer

    def generate(
        self,
        prompts: str | Sequence[int] | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        """Answer prompts, and return one output each in their order.

        Args:
            prompts: a text or a list of token ids, one or many.
            params: one for all or one each; None for the defaults.
            use_tqdm: show a progress bar where it takes longer than a second.

        Raises:
            ValueError: a prompt or a parameter that makes no sense; nothing has been computed then.
            UserWarning: issued for a prompt that failed alone; its output has the error.
            ForwardPassError: a step broke; what is left of the prompts is aborted, the next call works.
        """
        finished: dict[str, RequestOutput] = {}
        request_ids = self._add(prompts, params, final_only=True)
        with tqdm(total=len(request_ids), unit=" prompts", delay=_BAR_AFTER_S, disable=not use_tqdm) as bar:
            for output in self._run(request_ids):
                if output.finished:
                    finished[output.request_id] = output
                    bar.update()
        for index, request_id in enumerate(request_ids):
            error = finished[request_id].error
            if error is not None:
                warnings.warn(f"prompt {index} failed: {error!r} (its output.error)", stacklevel=2)
        return [finished[request_id] for request_id in request_ids]

    def stream(
        self,
        prompts: str | Sequence[int] | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
    ) -> "EventStream":
        """Answer prompts, and give each new piece as soon as its step is done; arguments as in `generate`.

        An iterator that is dropped, begun or not, aborts what is left of its requests.
        """
        request_ids = self._add(prompts, params)
        return EventStream(self._events(request_ids), partial(self._abandon, request_ids))

    def score(self, texts: str | Sequence[int] | Sequence[Prompt], num_top: int = 0) -> list[TextScore]:
        """Return the logprob of each token of given texts, and of the `num_top` likeliest in its place."""
        params = SamplingParams(max_tokens=0, prompt_logprobs=num_top)
        return [
            TextScore(one.prompt_token_ids, cast("list[TokenLogprobs | None]", one.prompt_logprobs))
            for one in self.generate(texts, params)
        ]

    def beam_search(
        self, prompts: str | Sequence[int] | Sequence[Prompt], params: BeamSearchParams
    ) -> list[BeamSearchOutput]:
        """Return the likeliest continuations of each prompt; see `cblab.core.beam_search`."""
        return beam_search(self.engine, _as_list(prompts), params)

    def _add(
        self,
        prompts: str | Sequence[int] | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None,
        *,
        final_only: bool = False,
    ) -> list[str]:
        """Add all prompts or, where one is refused, none."""
        each = _as_list(prompts)
        given = [params or SamplingParams()] * len(each) if not isinstance(params, list | tuple) else params
        strange = next((one for one in given if not isinstance(one, SamplingParams)), None)
        if strange is not None:
            raise ValueError(
                f"params must be SamplingParams, one for all or a list of one each, got {strange!r}"
            )
        if len(given) != len(each):
            raise ValueError(
                f"{len(each)} prompts but {len(given)} sampling parameters: give one for all or one each"
            )
        request_ids: list[str] = []
        queue: deque[RequestOutput] = deque()
        for index, (prompt, one) in enumerate(zip(each, given, strict=True)):
            try:
                request_ids.append(self.engine.add_request(prompt, one, final_only=final_only))
            except BaseException as error:
                self._abandon(request_ids)
                if isinstance(error, ValueError):
                    raise ValueError(f"prompt {index}: {error}") from error
                raise
            self._queues[request_ids[-1]] = queue
        return request_ids

    def _run(self, request_ids: Sequence[str]) -> Iterator[RequestOutput]:
        """Step the engine until these requests have ended; give their outputs as they come."""
        if not request_ids:
            return
        queue, num_left = self._queues[request_ids[0]], len(request_ids)
        try:
            while num_left:
                while not queue:
                    self._step()
                output = queue.popleft()
                num_left -= output.finished
                yield output
        finally:
            self._abandon(request_ids)

    def _step(self) -> None:
        try:
            self._hand_out(self.engine.step())
        except ForwardPassError as error:
            self._hand_out(error.outputs)
            raise

    def _hand_out(self, outputs: Sequence[RequestOutput]) -> None:
        for output in outputs:
            if output.request_id in self._queues:
                self._queues[output.request_id].append(output)

    def _events(self, request_ids: Sequence[str]) -> Iterator[StreamEvent]:
        index = {request_id: i for i, request_id in enumerate(request_ids)}
        ended: set[tuple[str, int]] = set()
        for output in self._run(request_ids):
            for sample in output.outputs:
                key = (output.request_id, sample.index)
                if key not in ended and (sample.new_token_ids or sample.new_text or sample.finish_reason):
                    if sample.finish_reason:
                        ended.add(key)
                    yield StreamEvent(
                        index[output.request_id],
                        sample.index,
                        sample.new_token_ids,
                        sample.new_text,
                        sample.finish_reason,
                        output.error if sample.finish_reason == "error" else None,
                    )

    def _abandon(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            if self._queues.pop(request_id, None) is not None:
                self.engine.abort(request_id)


class EventStream(Iterator[StreamEvent]):
    """Events, and what to do when nobody wants the rest: a generator that has not begun does nothing."""

    def __init__(self, events: Iterator[StreamEvent], abandon: Callable[[], None]) -> None:
        self._events = events
        self._finalizer = weakref.finalize(self, abandon)
        self._finalizer.atexit = False

    def __next__(self) -> StreamEvent:
        return next(self._events)

    def close(self) -> None:
        """Abort what is left."""
        self._finalizer()


def _as_list(prompts: str | Sequence[int] | Sequence[Prompt]) -> list[Prompt]:
    """One prompt, or many, as many."""
    if hasattr(prompts, "tolist"):  # an array or a tensor of ids
        prompts = prompts.tolist()
    if isinstance(prompts, str):
        return [prompts]
    if not isinstance(prompts, Sequence):
        raise ValueError(
            f"prompts are a text or a list of token ids, one or a list of them, got {prompts!r:.80}"
        )
    is_one = len(prompts) > 0 and all(isinstance(one, Integral) for one in prompts)
    return [cast("Sequence[int]", prompts)] if is_one else list(cast("Sequence[Prompt]", prompts))


def _engine_config(settings: dict[str, Any]) -> EngineConfig:
    known = [field.name for field in fields(EngineConfig)]
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
            raise TypeError(f"LLM has no setting {name!r}{meant}")
    return EngineConfig(**settings)
