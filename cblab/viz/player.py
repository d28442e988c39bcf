"""The trace player: one page without network or kernel that steps through a recorded run."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from cblab.core.trace import StepRecord

_STYLE = "width:100%;border:1px solid #d5dae0;border-radius:6px;background:#ffffff"
_CAPTION = "font-size:0.92em;opacity:0.85;margin-top:0.3em"
_FIGURE = "margin:0.4em 0;max-width:100%"


@dataclass(frozen=True)
class Player:
    """A recorded run as one HTML page; in a notebook it shows itself in a frame of its own.

    `page` is the whole document, `alt` says in words what it shows, `caption` in one line what to see.
    """

    page: str
    alt: str
    caption: str
    height: int

    def save(self, path: str | Path) -> None:
        """Write the page as a file that any browser opens."""
        Path(path).write_text(self.page, encoding="utf-8")

    def _repr_html_(self) -> str:
        alt, page = html.escape(self.alt, quote=True), html.escape(self.page, quote=True)
        return (
            f'<figure style="{_FIGURE}"><iframe title="{alt}" srcdoc="{page}" '
            f'sandbox="allow-scripts" style="{_STYLE};height:{self.height}px"></iframe>'
            f'<figcaption style="{_CAPTION}">{html.escape(self.caption)}</figcaption></figure>'
        )

    def __repr__(self) -> str:
        return f"Player: {self.alt}"


def player(
    records: Iterable[StepRecord],
    *,
    block_size: int,
    caption: str,
    prompts: Mapping[str, int] | None = None,
    unit: str = "s",
) -> Player:
    """Make a player of a run: buttons, a slider and the arrow keys go from step to step.

    Each step shows who computes how many tokens, what each request is doing and holds, who owns which block
    of the pool, and what has happened.

    Args:
        records: a `Trace`, or some of its records from the first on.
        block_size: tokens in a block.
        caption: one line that says what to see.
        prompts: {request: tokens of its prompt}, shown beside its name.
        unit: of the engine's clock.

    Raises:
        ValueError: there is no record.
    """
    found = list(records)
    if not found:
        raise ValueError("the trace has no steps: run the engine first")
    steps = _steps(found)
    names = list(dict.fromkeys(name for step in steps for name in step["requests"]))
    first = found[0]
    num_blocks = first.num_used_blocks + first.num_free_blocks + first.num_cached_blocks
    data = {
        "names": names,
        "prompts": dict(prompts or {}),
        "unit": unit,
        "blockSize": block_size,
        "numBlocks": num_blocks,
        "mostTokens": max(record.plan.num_tokens for record in found),
        "steps": steps,
        "title": caption,
    }
    template = (files("cblab") / "assets" / "player" / "player.html").read_text(encoding="utf-8")
    # A "</script>" within the data would end it.
    page = template.replace("/*DATA*/null", json.dumps(data).replace("</", "<\\/"))
    num_preempted = sum(len(record.plan.preempted) for record in found)
    alt = f"Player of {len(found)} steps of {len(names)} requests with {num_preempted} preemptions."
    return Player(page, alt, caption, height=330 + 26 * len(names) + 26 * -(-num_blocks // 32))


def _steps(records: Sequence[StepRecord]) -> list[dict[str, Any]]:
    """What the page shows of each step: every request's state and every block's owner after it."""
    requests: dict[str, dict[str, Any]] = {}
    owners: dict[int, list[str]] = {}
    steps = []
    for record in records:
        for name, _ in record.arrived:
            requests[name] = {"status": "waiting", "computed": 0, "new": 0, "sampled": 0}
        for event in record.block_events:
            _follow(owners, event.kind, event.block_id, event.request_id)
        _advance(requests, record)
        steps.append(
            {
                "number": record.number,
                "start": record.start,
                "end": record.end,
                "scheduled": [
                    [one.request_id, one.num_new_tokens, one.is_decode] for one in record.plan.scheduled
                ],
                "requests": {name: dict(one) for name, one in requests.items()},
                "owners": {block: holders[0] for block, holders in sorted(owners.items()) if holders},
                "events": _events(record),
                "used": record.num_used_blocks,
                "waiting": record.num_waiting,
                "running": record.num_running,
            }
        )
    return steps


def _follow(owners: dict[int, list[str]], kind: str, block: int, name: str | None) -> None:
    """Keep up who holds a block; of those that share it the first is shown."""
    if kind == "allocate" and name is not None:
        owners[block] = [name]
    elif kind == "hit" and name is not None:
        owners.setdefault(block, []).append(name)
    elif kind == "free":
        owners.pop(block, None)


def _advance(requests: dict[str, dict[str, Any]], record: StepRecord) -> None:
    for one in requests.values():
        one["new"] = 0
    for name in record.plan.preempted:
        requests[name] |= {"status": "preempted", "computed": 0}
    for share in record.plan.scheduled:
        one = requests.setdefault(share.request_id, {"sampled": 0})
        one["status"] = "decode" if share.is_decode else "prefill"
        one["new"] = share.num_new_tokens
        one["computed"] = share.num_computed_tokens + share.num_new_tokens
        one["sampled"] += share.is_caught_up
    for name, reason in record.finished:
        if name in requests:
            requests[name] |= {"status": "finished", "reason": reason}


def _events(record: StepRecord) -> list[str]:
    found = [f"{name} arrives" for name, _ in record.arrived]
    found += [f"{name} loses its blocks (preempted)" for name in record.plan.preempted]
    found += [f"{name} is admitted" for name in record.plan.admitted]
    return found + [f"{name} ends ({reason})" for name, reason in record.finished]
