"""The check of exercise 5.8: one whole step, over an engine that plays plans from a list and logs calls."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from cblab.lab.compare import same, shown
from cblab.lab.labs.continuous_batching.reference import step
from cblab.lab.labs.continuous_batching.scripted_engine import ScriptedEngine, Spec
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial

_ENGINE = "cblab.lab.labs.continuous_batching.scripted_engine:ScriptedEngine"
Step = Callable[[Any], Any]


def _history(make: Step) -> Callable[..., list[Any]]:
    """What a step function does: its results, the calls that it makes, and the requests after each step."""

    def play(requests: Sequence[Spec], plans: Sequence[Any]) -> list[Any]:
        engine = ScriptedEngine(requests, plans)
        return [(make(engine), engine.log(), engine.state()) for _ in range(len(plans) + 1)]

    return play


class _Pieces:
    """`step` in pieces, each of which can have a defect."""

    def __call__(self, engine: Any) -> Any:
        shares = engine.schedule()
        if self.stops(shares):
            return []
        rows, due = [], []
        for request, num_new in shares:
            start = request.num_computed_tokens
            is_caught_up = self.is_caught_up(request, start + num_new)
            rows.append(
                (*self.new_tokens(request, start, num_new), engine.block_table(request), is_caught_up)
            )
            if is_caught_up:
                due.append(request)
        tokens = self.tokens(engine, rows)
        self.advance(shares, due)
        for request, token in self.pairs(shares, due, tokens):
            self.append(request, token)
            if self.ends(request, token):
                self.finish(engine, request)
        return self.result(shares, due, tokens)

    def stops(self, shares: Sequence[Any]) -> bool:
        return not shares

    def is_caught_up(self, request: Any, end: int) -> bool:
        return bool(end == request.num_tokens)

    def new_tokens(self, request: Any, start: int, num_new: int) -> tuple[list[int], int]:
        return request.token_ids(start, start + num_new), start

    def tokens(self, engine: Any, rows: list[Any]) -> list[int]:
        return list(engine.sample(engine.forward(engine.build(rows))))

    def advance(self, shares: Sequence[Any], due: Sequence[Any]) -> None:
        for request, num_new in shares:
            request.num_computed_tokens += num_new

    def pairs(
        self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]
    ) -> list[tuple[Any, int]]:
        return list(zip(due, tokens, strict=False))

    def append(self, request: Any, token: int) -> None:
        request.output_token_ids.append(token)

    def ends(self, request: Any, token: int) -> bool:
        return token in request.stop_token_ids or request.num_tokens >= request.max_length

    def finish(self, engine: Any, request: Any) -> None:
        engine.finish(request)

    def result(self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]) -> Any:
        return [(request.request_id, token) for request, token in zip(due, tokens, strict=False)]


class _NoStop(_Pieces):
    def stops(self, shares: Sequence[Any]) -> bool:
        return False


class _AlwaysSamples(_Pieces):
    def is_caught_up(self, request: Any, end: int) -> bool:
        return True


class _PromptDone(_Pieces):
    def is_caught_up(self, request: Any, end: int) -> bool:
        return bool(end >= request.num_prompt_tokens)


class _DecodesSample(_Pieces):
    def is_caught_up(self, request: Any, end: int) -> bool:
        return bool(end == request.num_tokens and request.output_token_ids)


class _AllTokens(_Pieces):
    def new_tokens(self, request: Any, start: int, num_new: int) -> tuple[list[int], int]:
        return request.token_ids(0, start + num_new), start


class _LastTokens(_Pieces):
    def new_tokens(self, request: Any, start: int, num_new: int) -> tuple[list[int], int]:
        return request.token_ids(request.num_tokens - num_new), start


class _EndAsStart(_Pieces):
    def new_tokens(self, request: Any, start: int, num_new: int) -> tuple[list[int], int]:
        return request.token_ids(start, start + num_new), start + num_new


class _PromptOnly(_Pieces):
    def new_tokens(self, request: Any, start: int, num_new: int) -> tuple[list[int], int]:
        return request.prompt_token_ids[start : start + num_new], start


class _OnePassEach(_Pieces):
    def tokens(self, engine: Any, rows: list[Any]) -> list[int]:
        return [token for row in rows for token in engine.sample(engine.forward(engine.build([row])))]


class _TwoPasses(_Pieces):
    def tokens(self, engine: Any, rows: list[Any]) -> list[int]:
        decodes, chunks = [row for row in rows if len(row[0]) == 1], [row for row in rows if len(row[0]) > 1]
        found = []
        for part in (decodes, chunks):
            if part:
                found += engine.sample(engine.forward(engine.build(part)))
        return found


class _NotAdvanced(_Pieces):
    def advance(self, shares: Sequence[Any], due: Sequence[Any]) -> None:
        pass


class _AdvancedByOne(_Pieces):
    def advance(self, shares: Sequence[Any], due: Sequence[Any]) -> None:
        for request, _ in shares:
            request.num_computed_tokens += 1


class _AdvancedIfDue(_Pieces):
    def advance(self, shares: Sequence[Any], due: Sequence[Any]) -> None:
        for request, num_new in shares:
            if request in due:
                request.num_computed_tokens += num_new


class _ToTheEnd(_Pieces):
    def advance(self, shares: Sequence[Any], due: Sequence[Any]) -> None:
        for request, _ in shares:
            request.num_computed_tokens = request.num_tokens


class _TokenComputedToo(_Pieces):
    def advance(self, shares: Sequence[Any], due: Sequence[Any]) -> None:
        for request, num_new in shares:
            request.num_computed_tokens += num_new + (request in due)


class _TokensToTheFirst(_Pieces):
    def pairs(
        self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]
    ) -> list[tuple[Any, int]]:
        return [(request, token) for (request, _), token in zip(shares, tokens, strict=False)]


class _DealtToTheFirst(_TokensToTheFirst):
    def result(self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]) -> Any:
        return [(request.request_id, token) for (request, _), token in zip(shares, tokens, strict=False)]


class _TokensRunOut(_TokensToTheFirst):
    """A token for each request of the plan is asked for; `error` is what that raises."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def pairs(
        self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]
    ) -> list[tuple[Any, int]]:
        if len(tokens) < len(shares):
            raise self._error
        return super().pairs(shares, due, tokens)


class _NotAppended(_Pieces):
    def append(self, request: Any, token: int) -> None:
        pass


class _StopNotAppended(_Pieces):
    def append(self, request: Any, token: int) -> None:
        if token not in request.stop_token_ids:
            request.output_token_ids.append(token)


class _StopIgnored(_Pieces):
    def ends(self, request: Any, token: int) -> bool:
        return bool(request.num_tokens >= request.max_length)


class _LengthIgnored(_Pieces):
    def ends(self, request: Any, token: int) -> bool:
        return token in request.stop_token_ids


class _OneTooLong(_Pieces):
    def ends(self, request: Any, token: int) -> bool:
        return token in request.stop_token_ids or request.num_tokens > request.max_length


class _OutputsOnly(_Pieces):
    def ends(self, request: Any, token: int) -> bool:
        return token in request.stop_token_ids or len(request.output_token_ids) >= request.max_length


class _NeverFinishes(_Pieces):
    def finish(self, engine: Any, request: Any) -> None:
        pass


class _Nothing(_Pieces):
    def result(self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]) -> Any:
        return None


class _TokensOnly(_Pieces):
    def result(self, shares: Sequence[Any], due: Sequence[Any], tokens: Sequence[int]) -> Any:
        return list(tokens)


_MISTAKES: tuple[tuple[str, Callable[[], _Pieces]], ...] = (
    ("A step without any request goes through the model all the same: return [] before.", _NoStop),
    (
        "Every scheduled request is sampled from: a chunk in the middle of a prompt has no next token yet.",
        _AlwaysSamples,
    ),
    (
        "A request is sampled from as soon as its prompt is computed: one that comes back after a "
        "preemption "
        "computes its output again first. Compare with `num_tokens`.",
        _PromptDone,
    ),
    ("The end of a prompt is not sampled from: it gives the first token.", _DecodesSample),
    ("A row has all tokens from the start: the first ones are computed.", _AllTokens),
    ("A row has the sequence's last tokens: it goes on at `num_computed_tokens`.", _LastTokens),
    ("A row's second entry is where it ends: it is how many tokens were computed *before*.", _EndAsStart),
    ("Tokens are taken from the prompt alone: use `request.token_ids(start, end)`.", _PromptOnly),
    ("The model is run once for each request: one pass for all of them is the point.", _OnePassEach),
    (
        "Decodes and chunks go through the model in two passes: the weights are read twice. One "
        "batch can "
        "hold both.",
        _TwoPasses,
    ),
    ("`num_computed_tokens` is not moved on.", _NotAdvanced),
    ("`num_computed_tokens` is moved on by 1: a chunk has computed more.", _AdvancedByOne),
    ("`num_computed_tokens` is moved on only for requests that were sampled from.", _AdvancedIfDue),
    ("All known tokens count as computed: only those of this step are.", _ToTheEnd),
    (
        "The sampled token counts as computed: its key and value are computed in the next step.",
        _TokenComputedToo,
    ),
    (
        "Tokens go to the first requests of the plan: they belong to those that were sampled from.",
        _TokensToTheFirst,
    ),
    (
        "The tokens are dealt to the first of the plan: there is one for each request that *samples*.",
        _DealtToTheFirst,
    ),
    *(
        (
            "A token is asked for each request of the plan, and they run out: only those that *sample* "
            "get one.",
            partial(_TokensRunOut, error),
        )
        for error in (StopIteration, IndexError, ValueError)
    ),
    ("The token is not appended to `output_token_ids`.", _NotAppended),
    ("A token that ends the answer is not appended: it is part of what was generated.", _StopNotAppended),
    ("`stop_token_ids` is not looked at.", _StopIgnored),
    ("`max_length` is not looked at.", _LengthIgnored),
    ("An answer gets one token too long.", _OneTooLong),
    (
        "`max_length` is compared with the output alone: it is of prompt and output together.",
        _OutputsOnly,
    ),
    ("`finish` is never called: nobody's blocks are given back.", _NeverFinishes),
    ("`step` returns nothing: is a `return` missing?", _Nothing),
    ("Only the tokens came back: return pairs of request id and token.", _TokensOnly),
)
_WRONGS = tuple(Wrong(message, _history(pieces())) for message, pieces in _MISTAKES)


def _plans(requests: Sequence[Spec], rng: random.Random, num_steps: int) -> list[list[tuple[str, int]]]:
    """Plans that a scheduler could make, found by letting the reference play them."""
    plans: list[list[tuple[str, int]]] = []
    for _ in range(num_steps):
        engine = ScriptedEngine(requests, plans)
        for _ in plans:
            step(engine)
        left = [
            (name, len(prompt) + len(engine.state()[name][0]) - engine.state()[name][1])
            for name, prompt, _, _, _ in requests
            if not engine.has_ended(name)
        ]
        chosen = [one for one in left if rng.random() < 0.8]
        plans.append([(name, min(count, rng.choice((1, 3, 5, 9)))) for name, count in chosen])
    return plans


def _specs(rng: random.Random) -> list[Spec]:
    specs: list[Spec] = []
    for index in range(rng.randint(1, 4)):
        prompt = [rng.randrange(100) for _ in range(rng.randint(1, 9))]
        output = [rng.randrange(100) for _ in range(rng.choice((0, 0, 3)))]
        stops = [] if rng.random() < 0.5 else [rng.randrange(50) for _ in range(12)]
        specs.append((f"r{index}", prompt, output, len(prompt) + len(output) + rng.randint(1, 4), stops))
    return specs


def _draw(rng: random.Random) -> Args:
    specs = _specs(rng)
    return specs, _plans(specs, rng, 7)


_IMMEDIATE: list[Args] = [
    (
        [("a", [11, 12, 13, 14, 15], [], 8, []), ("b", [21, 22], [], 6, [])],
        [[("a", 3), ("b", 2)], [("b", 1), ("a", 2)], [("b", 1), ("a", 1)], [("a", 1)], []],
    ),
    ([("a", [1, 2], [], 9, [16])], [[("a", 2)], [("a", 1)]]),
    ([("a", [1, 2], [], 4, [])], [[("a", 2)], *[[("a", 1)]] * 5]),
    ([("a", [5, 6, 7], [8, 9], 9, [])], [[("a", 3)], [("a", 2)], [("a", 1)]]),
]


def _show(args: Args, want: Sequence[Any], got: Any) -> str:
    if isinstance(got, StudentError):
        return f"`{_spell(args)}`: {got}"
    words = "it returned", "its calls were", "it left (output tokens, num_computed_tokens)"
    for number, (one, other) in enumerate(zip(want, got, strict=False)):
        for what, mine, yours in zip(words, one, other, strict=True):
            if not same(yours, mine):
                plan = [*args[1], []][number]
                text = f"`step` number {number + 1}, plan {plan}: {what} {shown(yours, 200)}"
                return f"{text}; expected {shown(mine, 200)}."
    return f"`step`: {shown(got, 200)}"


def _spell(args: Args) -> str:
    return "step(engine)"


def check_step(t: Trial) -> None:
    """Exercise 5.8."""

    def students(requests: Sequence[Spec], plans: Sequence[Any]) -> list[Any]:
        engine = t.new(_ENGINE, requests, plans)
        history = []
        for number, plan in enumerate([*plans, []], start=1):
            try:
                result = t.executor.call("step", engine)
            except BlankError:
                raise
            except StudentError as error:
                text = f"{error} (in step number {number}, plan {plan})"
                raise type(error)(text, error.type_name, error.type_names) from None
            history.append((result, t.method(engine, "log"), t.method(engine, "state")))
        return history

    cases = list(t.cases(_IMMEDIATE, _draw, 8))
    diagnose(t, students, cases, _history(step), _WRONGS, spell=_spell, show=_show)
