"""From the tokens of one sequence to the text that is safe to show. Torch-free."""

from cblab.core.sampling_params import SamplingParams
from cblab.tokenization import IncrementalDetokenizer, StopStringMatcher, Tokenizer


class OutputText:
    """The text of one sequence while it is being generated.

    Two things are held back: the bytes of a character that is not finished, and the characters that may be
    the beginning of a stop string. A stop string counts only if a token behind the first `min_tokens`
    completes it; one completed earlier is text like any other. After a stop string nothing is added any more.

    A token that ends the output as a token (EOS, a stop id) has no text and is not to be pushed.

    Args:
        tokenizer: None gives no text at all.
        params: whose `stop`, `include_stop_str_in_output` and `min_tokens` count.
        final_only: nobody looks before the end. Then nothing is decoded before it, unless for stop strings.
    """

    def __init__(
        self, tokenizer: Tokenizer | None, params: SamplingParams, *, final_only: bool = False
    ) -> None:
        self._detokenizer = None if tokenizer is None else IncrementalDetokenizer(tokenizer)
        self._matcher = StopStringMatcher(params.stop, include_stop_str=params.include_stop_str_in_output)
        self._min_tokens = params.min_tokens
        self._num_tokens = 0
        self._decodes_at_end = final_only and not params.stop
        self._undecoded: list[int] = []
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """All that was shown so far."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    @property
    def matched_stop(self) -> str | None:
        """The stop string that ended the text, if one did."""
        return self._matcher.matched

    def push(self, token_id: int) -> str:
        """Take the next token; return the text that can be shown by now and was not before."""
        self._num_tokens += 1
        if self._decodes_at_end:
            self._undecoded.append(token_id)
            return ""
        return self._show(self._decode(token_id))

    def finish(self) -> str:
        """Return what was held back, an unfinished character as U+FFFD: no more tokens come."""
        rest = "".join(map(self._decode, self._undecoded))
        self._undecoded = []
        if self._detokenizer is not None:
            rest += self._detokenizer.flush()
        rest = self._show(rest)
        held = self._matcher.flush()
        self._parts.append(held)
        return rest + held

    def _decode(self, token_id: int) -> str:
        if self._detokenizer is None:
            return ""
        try:
            return self._detokenizer.push(token_id)
        except ValueError:  # no token: a model may have more rows than its tokenizer has tokens
            return ""

    def _show(self, text: str) -> str:
        shown = self._matcher.push(text, is_watched=self._num_tokens > self._min_tokens)
        self._parts.append(shown)
        return shown
