"""The check of exercise 5.6: what a preempted request loses, and what it must keep."""

import random
from collections.abc import Callable
from typing import Any

from cblab.core.block_manager import BlockManager
from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.lab.labs.continuous_batching.given import running_request, snapshot
from cblab.lab.labs.continuous_batching.reference import preempt
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.trial import Trial

_GIVEN = "cblab.lab.labs.continuous_batching.given"
Change = Callable[[Request, Any], None]


def _outcome(change: Change) -> Callable[..., dict[str, Any]]:
    """What a request looks like after a function has preempted it."""

    def play(prompt: list[int], output: list[int], num_computed: int, num_preemptions: int) -> dict[str, Any]:
        blocks = BlockManager(40, 4, enable_prefix_caching=False)
        request = running_request(prompt, output, num_computed, num_preemptions, blocks)
        change(request, blocks)
        return snapshot(request, blocks)

    return play


def _also(change: Change) -> Callable[..., dict[str, Any]]:
    """The reference, and something more."""

    def both(request: Request, blocks: Any) -> None:
        preempt(request, blocks)
        change(request, blocks)

    return _outcome(both)


def keep_what_was_computed(request: Request, blocks: Any) -> None:
    """Preempt, and cut the output to what had been computed: the defect that the lab shows."""
    num_kept = max(0, request.num_computed_tokens - request.num_prompt_tokens)
    preempt(request, blocks)
    del request.output_token_ids[num_kept:]


def _forget_output(request: Request, blocks: Any) -> None:
    request.output_token_ids.clear()


def _into_the_prompt(request: Request, blocks: Any) -> None:
    request.prompt_token_ids += request.output_token_ids
    request.output_token_ids = []


def _keeps_computed(request: Request, blocks: Any) -> None:
    computed = request.num_computed_tokens
    preempt(request, blocks)
    request.num_computed_tokens = computed


def _keeps_blocks(request: Request, blocks: Any) -> None:
    request.num_computed_tokens = 0
    request.num_preemptions += 1
    request.become(RequestStatus.PREEMPTED)


def _keeps_blocks_and_computed(request: Request, blocks: Any) -> None:
    request.num_preemptions += 1
    request.become(RequestStatus.PREEMPTED)


def _not_counted(request: Request, blocks: Any) -> None:
    request.num_preemptions -= 1


def _count_set(request: Request, blocks: Any) -> None:
    request.num_preemptions = 1


def _still_running(request: Request, blocks: Any) -> None:
    request.status = RequestStatus.RUNNING


def _waiting(request: Request, blocks: Any) -> None:
    request.status = RequestStatus.WAITING


def _finished(request: Request, blocks: Any) -> None:
    request.status = RequestStatus.FINISHED


def _ends(request: Request, blocks: Any) -> None:
    blocks.free(request.request_id)
    request.finish(FinishReason.LENGTH, 0.0)


def _to_the_prompt(request: Request, blocks: Any) -> None:
    computed = min(request.num_computed_tokens, request.num_prompt_tokens)
    preempt(request, blocks)
    request.num_computed_tokens = computed


def _last_prompt_token(request: Request, blocks: Any) -> None:
    del request.prompt_token_ids[-1:]


def _new_seed(request: Request, blocks: Any) -> None:
    request.seed += 1


def _arrives_anew(request: Request, blocks: Any) -> None:
    request.arrival_time = 0.0


_WRONGS = (
    Wrong(
        "The output is cut to what has been computed: the token that was sampled last is lost, though its "
        "client has seen it.",
        _outcome(keep_what_was_computed),
    ),
    Wrong("The output is thrown away: its client has seen these tokens.", _also(_forget_output)),
    Wrong(
        "The output is moved into the prompt: what counts as an answer, and where it ends, is wrong "
        "afterwards.",
        _also(_into_the_prompt),
    ),
    Wrong("A token of the prompt is lost.", _also(_last_prompt_token)),
    Wrong(
        "`num_computed_tokens` stays: its keys and values are gone with the blocks, all is to be "
        "computed again.",
        _outcome(_keeps_computed),
    ),
    Wrong(
        "The prompt still counts as computed: its blocks were given back as well.", _outcome(_to_the_prompt)
    ),
    Wrong("The blocks are not given back: that is what it was preempted for.", _outcome(_keeps_blocks)),
    Wrong(
        "Nothing is taken from it but its status: free its blocks, and set back what is computed.",
        _outcome(_keeps_blocks_and_computed),
    ),
    Wrong("`num_preemptions` is not counted up.", _also(_not_counted)),
    Wrong("`num_preemptions` is set to 1: it may have been preempted before.", _also(_count_set)),
    Wrong("Its status stays `running`: use `request.become(…)`.", _also(_still_running)),
    Wrong("Its status is `waiting`: it is `preempted`, a state of its own.", _also(_waiting)),
    Wrong("Its status is `finished`: it will come back.", _also(_finished)),
    Wrong("The request is ended: it will come back, and go on where it was.", _outcome(_ends)),
    Wrong("Its seed is changed: it would go on with other random numbers.", _also(_new_seed)),
    Wrong("Its `arrival_time` is changed: it came when it came.", _also(_arrives_anew)),
)


def _draw(rng: random.Random) -> Args:
    prompt = [rng.randrange(100) for _ in range(rng.randint(2, 12))]
    output = [rng.randrange(100) for _ in range(rng.choice((0, 1, 2, 7)))]
    known = len(prompt) + len(output)
    computed = known - 1 if output else rng.randint(1, known - 1)
    return prompt, output, computed, rng.randint(0, 3)


_IMMEDIATE: list[Args] = [
    ([5, 6, 7, 8, 9], [21, 22, 23], 7, 0),
    ([5, 6, 7, 8, 9], [21], 5, 2),
    ([5, 6, 7, 8, 9, 10, 11], [], 4, 1),
]


def _show(args: Args, want: Any, got: Any) -> str:
    prompt, output, computed, _ = args
    text = f"a request with prompt {prompt}, output {output} and {computed} computed tokens"
    if not isinstance(got, dict):
        return f"`preempt` of {text}: {got}"
    wrong = next((name for name in want if got.get(name) != want[name]), "state")
    return f"`preempt` of {text}: `{wrong}` is {got.get(wrong)}, expected {want.get(wrong)}."


def check_preempt(t: Trial) -> None:
    """Exercise 5.6: over a real request and a real block manager."""

    def students(*args: Any) -> Any:
        blocks = t.new("cblab.core.block_manager:BlockManager", 40, 4)
        request = t.call(f"{_GIVEN}:running_request", *args, blocks, result="handle")
        t.executor.call("preempt", request, blocks)
        return t.call(f"{_GIVEN}:snapshot", request, blocks)

    diagnose(t, students, list(t.cases(_IMMEDIATE, _draw)), _outcome(preempt), _WRONGS, show=_show)
