"""Checks of exercise 3.7: which tokens go through the model, and at which positions."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kv_cache.generation import RecordingRunner, Runner, generate
from cblab.lab.trial import Trial


def _logged(loop: Callable[[Runner, list[int], int], Any]) -> Callable[..., Any]:
    """A formula: the new ids, and what the model was asked."""

    def formula(prompt: list[int], num_new: int) -> Any:
        runner = RecordingRunner()
        return loop(runner, list(prompt), num_new), runner.log()

    return formula


def _loop(
    *,
    place: Callable[[int, int, int], int] = lambda cached, prompt, step: cached,
    feed: Callable[[list[int], list[int]], list[int]] = lambda prompt, new: new[-1:],
    passes: Callable[[int], int] = lambda num_new: num_new,
    first: int = 0,
    give: Callable[[list[int], list[int], int], Any] = lambda prompt, new, num_new: new,
) -> Callable[..., Any]:
    """Generation with a defect; place: where a pass after the first begins, of (cached, prompt, step)."""

    def loop(runner: Runner, prompt: list[int], num_new: int) -> Any:
        new: list[int] = []
        ids, cached = list(prompt), 0
        for step in range(passes(num_new)):
            start = place(cached, len(prompt), step) if step else first
            new.append(runner.forward(ids, list(range(start, start + len(ids)))))
            cached += len(ids)
            ids = feed(prompt, new)
        return give(prompt, new, num_new)

    return _logged(loop)


def _token_by_token(runner: Runner, prompt: list[int], num_new: int) -> list[int]:
    token, new = 0, []
    for place in range(len(prompt) + num_new - 1 if num_new else 0):
        token = runner.forward([prompt[place] if place < len(prompt) else token], [place])
        if place >= len(prompt) - 1:
            new.append(token)
    return new


def _last_prompt_token_twice(runner: Runner, prompt: list[int], num_new: int) -> list[int]:
    runner.forward(prompt, list(range(len(prompt))))
    new: list[int] = []
    for step in range(num_new):
        new.append(runner.forward([(prompt + new)[-1]], [len(prompt) + step]))
    return new


def _prompt_without_its_last(runner: Runner, prompt: list[int], num_new: int) -> list[int]:
    if len(prompt) > 1 and num_new:
        runner.forward(prompt[:-1], list(range(len(prompt) - 1)))
    new: list[int] = []
    for step in range(num_new):
        new.append(runner.forward([(prompt + new)[-1]], [len(prompt) - 1 + step]))
    return new


_WRONGS = (
    Wrong(
        "The whole sequence goes through the model in every pass: that is recomputation. After the prompt "
        "only the newest token goes in.",
        _loop(feed=lambda prompt, new: prompt + new, place=lambda cached, prompt, step: 0),
    ),
    Wrong(
        "All new tokens so far go in again in each pass: those before the last are in the cache.",
        _loop(feed=lambda prompt, new: list(new), place=lambda cached, prompt, step: prompt),
    ),
    Wrong(
        "Decoded tokens are one position too far: the first one stands at len(prompt_ids), where the prompt, "
        "counted from 0, has ended.",
        _loop(place=lambda cached, prompt, step: cached + 1),
    ),
    Wrong(
        "Decoded tokens are one position too near: the first one gets that of the prompt's last token.",
        _loop(place=lambda cached, prompt, step: cached - 1),
    ),
    Wrong(
        "Decoded tokens are all at position 0: it is the number of tokens before them.",
        _loop(place=lambda cached, prompt, step: 0),
    ),
    Wrong(
        "Positions of decoded tokens count new tokens only: the prompt stands before them.",
        _loop(place=lambda cached, prompt, step: step - 1),
    ),
    Wrong(
        "Decoded tokens are numbered by the pass: pass 1 does not stand at position 1 unless the prompt has "
        "one token.",
        _loop(place=lambda cached, prompt, step: step),
    ),
    Wrong(
        "All decoded tokens stand at the position behind the prompt: it advances with each.",
        _loop(place=lambda cached, prompt, step: prompt),
    ),
    Wrong(
        "Positions count from 1: the first token of the prompt is at 0.",
        _loop(first=1, place=lambda cached, prompt, step: cached + 1),
    ),
    Wrong(
        "One pass too many: nobody asks what follows the last new token, so it does not go in.",
        _loop(
            passes=lambda num_new: num_new + 1 if num_new else 0,
            give=lambda prompt, new, num_new: new[:num_new],
        ),
    ),
    Wrong(
        "The model is run although no token is wanted: with `num_new_tokens` 0 there is nothing to do.",
        _loop(passes=lambda num_new: max(num_new, 1), give=lambda prompt, new, num_new: new[:num_new]),
    ),
    Wrong(
        "A token comes back although none is wanted (`num_new_tokens` is 0).",
        _loop(passes=lambda num_new: max(num_new, 1)),
    ),
    Wrong("One new token too many came back.", _loop(passes=lambda num_new: num_new + 1)),
    Wrong(
        "One new token is missing: the pass over the prompt gives the first one.",
        _loop(passes=lambda num_new: max(num_new - 1, 0)),
    ),
    Wrong(
        "The prompt came back with the new tokens: return the new ones only.",
        _loop(give=lambda prompt, new, num_new: prompt + new),
    ),
    Wrong(
        "Only the last new token came back: return all of them, in a list.",
        _loop(give=lambda prompt, new, num_new: new[-1:]),
    ),
    Wrong(
        "The prompt goes in token by token: it is known, so one pass is enough, and far faster.",
        _logged(_token_by_token),
    ),
    Wrong(
        "The prompt's last token goes in twice: its pass has given the first new token already.",
        _logged(_last_prompt_token_twice),
    ),
    Wrong(
        "The prompt's last token has a pass of its own: give the whole prompt to the first pass.",
        _logged(_prompt_without_its_last),
    ),
    Wrong(
        "The prompt goes in again in each pass: it is in the cache.",
        _loop(feed=lambda prompt, new: list(prompt)),
    ),
)


def _spelled(args: Args) -> str:
    return f"generate(runner, {args[0]}, {args[1]})"


def check_generate(t: Trial) -> None:
    """Exercise 3.7."""

    def call(prompt: list[int], num_new: int) -> Any:
        runner = t.executor.new("cblab.lab.labs.kv_cache.generation:RecordingRunner")
        reply = t.executor.request("call", name="generate", args=(runner, prompt, num_new), watch=True)
        if reply.changed:
            t.fail("`generate` changed its argument `prompt_ids`: work on a copy, as in `list(prompt_ids)`.")
        return reply.value, t.executor.method(runner, "log")

    def draw(rng: random.Random) -> tuple[list[int], int]:
        return [rng.randrange(97) for _ in range(rng.choice((1, 2, 5, 9)))], rng.choice((0, 1, 2, 6))

    immediate: Sequence[tuple[list[int], int]] = [
        ([5, 9, 2], 3),
        ([11, 4, 8, 15], 4),
        ([7], 2),
        ([3, 1], 1),
        ([3, 1, 2], 0),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw, 12),
        _logged(generate),
        _WRONGS,
        spell=_spelled,
        results=("the new ids", "what the model was given, as (token_ids, positions) a pass"),
    )
