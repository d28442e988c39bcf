"""Wrong answers to 5.1, 5.4, 5.5, 5.6 and 5.14: states, shares, admission, preemption, priorities."""

from tests.labs.edit import Mutant, edited

_ALIVE = 'for alive in ("waiting", "running", "preempted"):'
_ABORT = 'arrows[alive, "abort"] = "cancelled"'
_FAIL = 'arrows[alive, "fail"] = "failed"'
_LOOP = f"{_ALIVE}\n    {_ABORT}\n    {_FAIL}"
_NONE = "if (status, event) not in arrows:\n"
_RAISE = '    raise ValueError(f"a request that is {status} cannot {event}")\n'


def _states(*changes: tuple[str, str]) -> tuple[str, ...]:
    return edited("5.1", *changes)


def _more(line: str) -> tuple[str, ...]:
    return _states((_NONE, f"{line}\n{_NONE}"))


STATES: list[Mutant] = [
    (
        "aborts what has ended",
        _more('arrows |= {(s, "abort"): "cancelled" for s in ("finished", "cancelled", "failed")}'),
        "can be aborted again",
    ),
    (
        "fails what has ended",
        _more('arrows |= {(s, "fail"): "failed" for s in ("finished", "cancelled", "failed")}'),
        "lets an ended request fail",
    ),
    (
        "preempted is waiting",
        _states(
            ('("preempted", "admit"): "running",\n', ""),
            ('("running", "preempt"): "preempted"', '("running", "preempt"): "waiting"'),
        ),
        "goes back to `waiting`",
    ),
    (
        "target waiting",
        _states(('("running", "preempt"): "preempted"', '("running", "preempt"): "waiting"')),
        "The target of preempting",
    ),
    ("never back", _states(('    ("preempted", "admit"): "running",\n', "")), "never admitted again"),
    (
        "waiting cannot abort",
        _more('del arrows["waiting", "abort"]'),
        "A request that waits cannot be aborted",
    ),
    (
        "preempted cannot abort",
        _more('del arrows["preempted", "abort"]'),
        "A preempted request cannot be aborted",
    ),
    (
        "only running fails",
        _more('del arrows["preempted", "fail"], arrows["waiting", "fail"]'),
        "Only a running request can fail:",
    ),
    (
        "only running ends",
        _states((_ALIVE, 'for alive in ("running",):')),
        "Only a running request can be aborted or fail",
    ),
    (
        "finishes unrun",
        _more('arrows["waiting", "finish"] = arrows["preempted", "finish"] = "finished"'),
        "finishes without having run",
    ),
    ("preempts waiting", _more('arrows["waiting", "preempt"] = "preempted"'), "no blocks to lose"),
    ("abort finishes", _states((_ABORT, 'arrows[alive, "abort"] = "finished"')), "counts as `finished`"),
    ("abort fails", _states((_ABORT, 'arrows[alive, "abort"] = "failed"')), "nothing went wrong"),
    ("fail cancels", _states((_FAIL, 'arrows[alive, "fail"] = "cancelled"')), "nobody gave it up"),
    ("admits twice", _more('arrows["running", "admit"] = "running"'), "it would run twice"),
    ("stays", _states((_RAISE, "    return status\n")), "the status stays as it is"),
    (
        "none",
        _states((_NONE + _RAISE, ""), ("return arrows[status, event]", "return arrows.get((status, event))")),
        "None comes back",
    ),
    ("key error", _states((_NONE + _RAISE, "")), "a KeyError is raised"),
]

_SHARE = "shares.append(min(num_wanted, chunk_size, budget - behind))"


def _share(new: str) -> tuple[str, ...]:
    return edited("5.4", (_SHARE, new))


_SORTED = "for index, num_wanted in enumerate(wanted):"
SHARE: list[Mutant] = [
    (
        "greedy",
        _share("shares.append(min(num_wanted, chunk_size, budget))"),
        "those behind a long prompt get",
    ),
    (
        "drops the unserved",
        (
            "shares = []\nfor one in wanted:\n    new = min(one, chunk_size, budget)\n    if new:\n"
            "        shares.append(new)\n        budget -= new\nreturn shares",
        ),
        "left out of the list",
    ),
    ("no chunk", _share("shares.append(min(num_wanted, budget - behind))"), "`chunk_size` is not used"),
    ("not spent", edited("5.4", ("budget -= shares[-1]", "pass")), "The budget is never reduced"),
    ("no budget", _share("shares.append(min(num_wanted, chunk_size))"), "`budget` is not used"),
    (
        "one for itself",
        _share("shares.append(min(num_wanted, chunk_size, budget - behind - 1))"),
        "kept back",
    ),
    (
        "one for all others",
        edited("5.4", ("behind = len(wanted) - index - 1", "behind = len(wanted) - 1")),
        "every other request",
    ),
    (
        "equal parts",
        ("return [min(one, chunk_size, budget // len(wanted)) for one in wanted]",),
        "equal parts",
    ),
    (
        "whole or nothing",
        _share("shares.append(num_wanted if num_wanted <= min(chunk_size, budget - behind) else 0)"),
        "does not fit whole",
    ),
    (
        "whole chunks",
        _share("shares.append(1 if num_wanted == 1 else min(chunk_size, budget - behind))"),
        "although it wants less",
    ),
    (
        "keeps for decodes",
        edited("5.4", ("behind = len(wanted) - index - 1", "behind = wanted[index + 1 :].count(1)")),
        "only for requests that decode",
    ),
    (
        "from the end",
        edited(
            "5.4",
            (_SORTED, "for index, num_wanted in enumerate(wanted[::-1]):"),
            ("return shares", "return shares[::-1]"),
        ),
        "from the end",
    ),
    (
        "sorted",
        edited("5.4", (_SORTED, "for index, num_wanted in enumerate(sorted(wanted)):")),
        "were sorted",
    ),
]

_BLOCKS = "num_blocks = math.ceil(num_new / block_size)"
_CHUNK = "num_new = min(num_tokens, chunk_size, budget)"
_STOP = "if len(shares) == seats or num_new == 0 or num_blocks > free_blocks:"
_WAITING = "for num_tokens in waiting:"


def _admit(old: str, new: str) -> tuple[str, ...]:
    return edited("5.5", (old, new))


ADMIT: list[Mutant] = [
    ("counted before", _admit("    free_blocks -= num_blocks\n", ""), "The free blocks are counted once"),
    (
        "passes over",
        _admit(
            f"{_STOP}\n        break",
            "if len(shares) == seats or num_new == 0:\n        break\n"
            "    if num_blocks > free_blocks:\n        continue",
        ),
        "is passed over",
    ),
    ("shortest first", _admit(_WAITING, "for num_tokens in sorted(waiting):"), "The shortest go first"),
    ("last first", _admit(_WAITING, "for num_tokens in waiting[::-1]:"), "The last to come goes first"),
    ("budget not spent", _admit("    budget -= num_new\n", ""), "The budget is not reduced"),
    ("no seats", _admit("len(shares) == seats or ", ""), "`seats` is not looked at"),
    ("a seat too many", _admit("len(shares) == seats", "len(shares) > seats"), "One too many is admitted"),
    ("no chunk", _admit(_CHUNK, "num_new = min(num_tokens, budget)"), "`chunk_size` is not used"),
    (
        "whole prompts",
        _admit(_CHUNK, "num_new = num_tokens if num_tokens <= min(chunk_size, budget) else 0"),
        "only if it fits the budget whole",
    ),
    (
        "blocks of the prompt",
        _admit(_BLOCKS, "num_blocks = math.ceil(num_tokens / block_size)"),
        "for the whole prompt",
    ),
    ("rounded down", _admit(_BLOCKS, "num_blocks = num_new // block_size"), "is rounded down"),
    ("one more", _admit(_BLOCKS, "num_blocks = num_new // block_size + 1"), "One block too many"),
    ("tokens as blocks", _admit(_BLOCKS, "num_blocks = num_new"), "a block for each token"),
    (
        "the last is kept",
        _admit("num_blocks > free_blocks", "num_blocks >= free_blocks"),
        "The last free block",
    ),
    ("blocks unasked", _admit(" or num_blocks > free_blocks", ""), "`free_blocks` is not looked at"),
    ("chunks of nothing", _admit(" or num_new == 0", ""), "with a chunk of 0 tokens"),
    ("one only", _admit("return shares", "return shares[:1]"), "Only one is admitted"),
    ("places", _admit("return shares", "return list(range(len(shares)))"), "Places in the queue"),
]

_FREE = "blocks.free(request.request_id)\n"
_COMPUTED = "request.num_computed_tokens = 0\n"
_COUNT = "request.num_preemptions += 1\n"
_BECOME = "request.become(RequestStatus.PREEMPTED)"


def _preempt(old: str, new: str) -> tuple[str, ...]:
    return edited("5.6", (old, new))


PREEMPT: list[Mutant] = [
    (
        "keeps what was computed",
        _preempt(
            _COMPUTED,
            "kept = max(0, request.num_computed_tokens - len(request.prompt_token_ids))\n"
            f"del request.output_token_ids[kept:]\n{_COMPUTED}",
        ),
        "is cut to what has been computed",
    ),
    ("forgets the output", _preempt(_COUNT, f"{_COUNT}request.output_token_ids = []\n"), "is thrown away"),
    (
        "into the prompt",
        _preempt(
            _COUNT,
            f"{_COUNT}request.prompt_token_ids = request.token_ids()\nrequest.output_token_ids = []\n",
        ),
        "is moved into the prompt",
    ),
    (
        "drops a prompt token",
        _preempt(_COUNT, f"{_COUNT}request.prompt_token_ids.pop()\n"),
        "A token of the prompt",
    ),
    ("still computed", _preempt(_COMPUTED, ""), "`num_computed_tokens` stays"),
    (
        "the prompt is computed",
        _preempt(
            _COMPUTED,
            "request.num_computed_tokens = min(request.num_computed_tokens, request.num_prompt_tokens)\n",
        ),
        "The prompt still counts as computed",
    ),
    ("keeps the blocks", _preempt(_FREE, ""), "The blocks are not given back"),
    ("only its status", edited("5.6", (_FREE, ""), (_COMPUTED, "")), "Nothing is taken from it"),
    ("not counted", _preempt(_COUNT, ""), "is not counted up"),
    ("counted as one", _preempt(_COUNT, "request.num_preemptions = 1\n"), "is set to 1"),
    ("still running", _preempt(_BECOME, ""), "Its status stays `running`"),
    ("waiting", _preempt(_BECOME, "request.status = RequestStatus.WAITING"), "Its status is `waiting`"),
    ("finished", _preempt(_BECOME, "request.become(RequestStatus.FINISHED)"), "Its status is `finished`"),
    ("a new seed", _preempt(_COUNT, f"{_COUNT}request.seed += 1\n"), "Its seed is changed"),
    ("arrives anew", _preempt(_COUNT, f"{_COUNT}request.arrival_time = 0.0\n"), "Its `arrival_time`"),
]

URGENCY: list[Mutant] = [
    (name, (f"return {text}",), says)
    for name, text, says in (
        ("priority alone", "float(priority)", "Only the priority counts"),
        ("arrival alone", "arrival", "Only the arrival counts"),
        ("minus", "arrival - priority * aging", "makes a request *less* urgent"),
        ("arrival turned", "priority * aging - arrival", "The arrival has the wrong sign"),
        ("all turned", "-(arrival + priority * aging)", "All is turned round"),
        ("no aging", "arrival + priority", "`aging` is not used"),
        ("divided", "arrival + priority / aging", "The priority is divided"),
        ("the other one", "arrival * aging + priority", "The arrival is multiplied"),
        ("a product", "arrival * priority * aging", "Arrival and priority are multiplied"),
        ("a pair", "(priority, arrival)", "by which priority always wins"),
        ("the other pair", "(arrival, priority)", "by which arrival always wins"),
        ("nothing", "None", "Nothing came back"),
    )
]
