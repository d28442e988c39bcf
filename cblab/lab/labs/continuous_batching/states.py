"""The check of exercise 5.1: the arrows between the states of a request."""

from collections.abc import Callable, Mapping

from cblab.lab.labs.continuous_batching.reference import next_status
from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.trial import Trial

STATUSES = ("waiting", "running", "preempted", "finished", "cancelled", "failed")
EVENTS = ("admit", "preempt", "finish", "abort", "fail")
Arrows = Mapping[tuple[str, str], str]

_ALIVE = STATUSES[:3]
_ENDED = STATUSES[3:]


def _right_arrows() -> dict[tuple[str, str], str]:
    arrows = {}
    for status in STATUSES:
        for event in EVENTS:
            try:
                arrows[status, event] = next_status(status, event)
            except ValueError:
                continue
    return arrows


def _with(changes: Mapping[tuple[str, str], str | None]) -> Callable[[str, str], str]:
    """The reference with some arrows changed; None takes one away."""

    def formula(status: str, event: str) -> str:
        arrows: dict[tuple[str, str], str | None] = {**_right_arrows(), **changes}
        target = arrows.get((status, event))
        if target is None:
            raise ValueError("no such arrow")
        return target

    return formula


def _lenient(status: str, event: str) -> str:
    """Where there is no arrow, nothing happens."""
    return _right_arrows().get((status, event), status)


def _by_event(status: str, event: str) -> str:
    """Goes by the event alone."""
    return dict(zip(EVENTS, ("running", "preempted", "finished", "cancelled", "failed"), strict=True))[event]


def _returns_none(status: str, event: str) -> str | None:
    return _right_arrows().get((status, event))


def _raises_key_error(status: str, event: str) -> str:
    return _right_arrows()[status, event]


def _all(statuses: tuple[str, ...], event: str, target: str | None) -> dict[tuple[str, str], str | None]:
    return {(status, event): target for status in statuses}


_WRONGS = (
    Wrong(
        "A request that has ended can be aborted again: nothing comes after `finished`, `cancelled`, "
        "`failed`.",
        _with(_all(_ENDED, "abort", "cancelled")),
    ),
    Wrong(
        "Your version lets an ended request fail: nothing comes after an end.",
        _with(_all(_ENDED, "fail", "failed")),
    ),
    Wrong(
        "Preempted, a request goes back to `waiting`: it has a status of its own, for it has been running.",
        _with({("running", "preempt"): "waiting", **_all(("preempted",), "admit", None)}),
    ),
    Wrong(
        "The target of preempting is `waiting`: preempted requests have a status of their own.",
        _with({("running", "preempt"): "waiting"}),
    ),
    Wrong(
        "A preempted request is never admitted again: it would wait for ever.",
        _with({("preempted", "admit"): None}),
    ),
    Wrong(
        "A request that waits cannot be aborted: a client may hang up before its turn has come.",
        _with({("waiting", "abort"): None}),
    ),
    Wrong(
        "A preempted request cannot be aborted: its client may hang up while it is away.",
        _with({("preempted", "abort"): None}),
    ),
    Wrong(
        "Only a running request can fail: one that waits may never fit, and fails too.",
        _with(_all(("waiting", "preempted"), "fail", None)),
    ),
    Wrong(
        "Only a running request can be aborted or fail: all three that have not ended can.",
        _with({(one, event): None for one in ("waiting", "preempted") for event in ("abort", "fail")}),
    ),
    Wrong(
        "A request finishes without having run: only a running one gets its last token.",
        _with(_all(("waiting", "preempted"), "finish", "finished")),
    ),
    Wrong(
        "A waiting request can be preempted: it has no blocks to lose.",
        _with({("waiting", "preempt"): "preempted"}),
    ),
    Wrong(
        "An aborted request counts as `finished`: it is `cancelled`.",
        _with(_all(_ALIVE, "abort", "finished")),
    ),
    Wrong(
        "An aborted request counts as `failed`: nothing went wrong.", _with(_all(_ALIVE, "abort", "failed"))
    ),
    Wrong(
        "A failed request counts as `cancelled`: nobody gave it up.", _with(_all(_ALIVE, "fail", "cancelled"))
    ),
    Wrong(
        "A request that runs can be admitted once more: it would run twice.",
        _with({("running", "admit"): "running"}),
    ),
    Wrong(
        "Where there is no arrow the status stays as it is, and nobody notices: raise ValueError.", _lenient
    ),
    Wrong("Only the event counts: what may happen depends on the status too.", _by_event),
    Wrong("Where there is no arrow None comes back: raise ValueError.", _returns_none),
    Wrong("Where there is no arrow a KeyError is raised: a ValueError was asked for.", _raises_key_error),
)


def _right(status: str, event: str) -> object:
    """What the reference gives, or the error that it raises."""
    try:
        return next_status(status, event)
    except ValueError as error:
        return error


def check_next_status(t: Trial) -> None:
    """Exercise 5.1: every status with every event."""
    cases = [(status, event) for status in STATUSES for event in EVENTS]
    t.rng.shuffle(cases)
    diagnose_function(t, "next_status", cases, _right, _WRONGS)
