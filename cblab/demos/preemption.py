"""Preemption: what happens when the blocks run out, and that nobody can tell from the answers.

The same six requests run three times: with room for all, in a pool that is too small and computes again what
it threw away, and in the same small pool with host memory to swap to. The last request to come is the first
to lose its blocks, and it comes back when there is room.
"""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cblab import LLM, SamplingParams
from cblab.core.trace import Trace, spans
from cblab.demos.command import run_demo

_PROMPTS = (
    "Once upon a time, there was a little fox",
    "In a small house near the sea, there lived",
    "There once was a clever mouse",
    "Once upon a time, there was a brave girl",
    "One day, a small bird",
    "The king had a daughter",
)
_MAX_TOKENS = 60
_RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("room for all", {"num_blocks": 120}),
    ("small pool, recompute", {"num_blocks": 30}),
    ("small pool, swap", {"num_blocks": 30, "preemption_mode": "swap", "num_host_blocks": 60}),
)
_MARKS = {
    "waiting": ("·", "dim"),
    "prefill": ("█", "cyan"),
    "decode": ("▪", "green"),
    "preempted": ("x", "red"),
}
_SETTINGS: dict[str, Any] = {
    "block_size": 8,
    "max_num_seqs": 6,
    "watermark": 0.0,
    "enable_prefix_caching": False,
}


def run(console: Console) -> None:
    """Run all three, draw each request's life, and compare the answers."""
    console.print("Two steps a character: █ prompt, or all again  ▪ decodes  x has lost its blocks\n")
    table = Table("", "steps", "preemptions", "tokens computed", "blocks swapped", box=box.SIMPLE_HEAD)
    answers = []
    params = [SamplingParams(temperature=0.7, seed=i, max_tokens=_MAX_TOKENS) for i in range(len(_PROMPTS))]
    for name, settings in _RUNS:
        trace = Trace()
        llm = LLM("story-4m", trace=trace, **_SETTINGS, **settings)
        outputs = llm.generate(_PROMPTS, params, use_tqdm=False)
        answers.append([one.outputs[0].token_ids for one in outputs])
        console.print(name, style="bold")
        for line in _lives(trace, [one.request_id for one in outputs]):
            console.print(line)
        console.print()
        stats = llm.engine.stats()
        table.add_row(
            name, f"{stats.num_steps}", f"{stats.num_preemptions}",
            f"{stats.num_prefill_tokens + stats.num_decode_tokens}", f"{stats.num_swapped_out}",
        )  # fmt: skip
    console.print(table)
    same = answers[0] == answers[1] == answers[2]
    verdict = "the same" if same else "DIFFERENT"
    console.print(f"The answers of all three, sampled at temperature 0.7, are {verdict}.")


def _lives(trace: Trace, request_ids: Sequence[str]) -> list[Text]:
    """A line a request, two steps a character."""
    lines = {name: [" "] * (len(trace) + 1) for name in request_ids}
    for span in spans(trace):
        for step in range(span.first_step, min(span.end_step, len(trace))):
            lines[span.request_id][step] = span.kind
    drawn = []
    for steps in lines.values():
        line = Text("  ")
        for kind in steps[::2]:
            line.append(*_MARKS.get(kind, (" ", "")))
        drawn.append(line)
    return drawn


if __name__ == "__main__":
    run_demo(run, "preemption", __doc__)
