"""The bundled model answers several prompts at once: each step computes the next token of all of them.

`python -m cblab.demos.streaming` shows the answers as they grow, in panels on a terminal and as plain
lines elsewhere; then it runs the same prompts one after the other, and compares the two.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cblab import assets
from cblab.core.sampling_params import SamplingParams
from cblab.demos.command import run_demo
from cblab.serving import LLM, StreamEvent


def _story(seed: int) -> SamplingParams:
    return SamplingParams(temperature=0.7, seed=seed, max_tokens=120)


_FACT = SamplingParams(temperature=0, max_tokens=40)
PROMPTS = (
    ("Once upon a time, there was a little fox", _story(1)),
    ("In a small house near the sea, there lived", _story(2)),
    ("Once upon a time, there was a brave girl", _story(3)),
    ("There once was a clever mouse", _story(4)),
    ("The capital of France is", _FACT),
    ("Count by twos from 2 to 20:", _FACT),
    ("7 + 5 =", _FACT),
    ("Question: What does a cow say?\nAnswer:", _FACT),
)
_FRAMES_PER_SECOND = 15
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


@dataclass
class Answer:
    """One prompt and what has come back so far."""

    prompt: str
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    ended_by: str = ""

    def add(self, event: StreamEvent) -> None:
        """Take what a step has added."""
        self.text += event.text
        self.token_ids += event.token_ids
        self.ended_by = event.finish_reason or ""


class Panels:
    """The answers on a terminal: panels in two columns, each showing the end of its text while it grows."""

    def __init__(self, console: Console, answers: Sequence[Answer]) -> None:
        self.console = console
        self.answers = answers
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next_frame = 0.0

    def __enter__(self) -> "Panels":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self.console.print(self._grid(max_lines=None))

    def show(self, _: Answer) -> None:
        """Draw all panels again, unless that has been done a moment ago."""
        if time.perf_counter() >= self._next_frame:
            num_rows = (len(self.answers) + 1) // 2
            self._live.update(self._grid(max(1, (self.console.height - 1) // num_rows - 2)), refresh=True)
            self._next_frame = time.perf_counter() + 1 / _FRAMES_PER_SECOND

    def _grid(self, max_lines: int | None) -> Table:
        grid = Table.grid(expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        panels = [self._panel(answer, max_lines) for answer in self.answers]
        for left in range(0, len(panels), 2):
            grid.add_row(*panels[left : left + 2])
        return grid

    def _panel(self, answer: Answer, max_lines: int | None) -> Panel:
        text = Text(answer.prompt, style="bold").append(answer.text, style="not bold")
        lines = text.wrap(self.console, max(8, self.console.width // 2 - 4))
        shown = lines if max_lines is None else lines[-max_lines:]
        return Panel(
            Text("\n").join(shown),
            height=None if max_lines is None else max_lines + 2,
            subtitle=f"{len(answer.token_ids)} tokens",
            subtitle_align="right",
            border_style="green" if answer.ended_by else "dim",
        )


class Lines:
    """The answers where nothing can be drawn: each sentence as a line, when it is complete."""

    def __init__(self, console: Console, answers: Sequence[Answer]) -> None:
        self.console = console
        self._numbers = {id(answer): number for number, answer in enumerate(answers, start=1)}
        self._num_printed = dict.fromkeys(self._numbers, 0)

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, answer: Answer) -> None:
        """Print the sentences that the answer's last token has completed."""
        text = answer.prompt + answer.text
        start = self._num_printed[id(answer)]
        ends = [match.end() for match in _SENTENCE_END.finditer(text, max(start, len(answer.prompt)))]
        if answer.ended_by:
            ends.append(len(text))
        for end in ends:
            sentence = " ".join(text[start:end].split())
            if sentence:
                self.console.print(f"{self._numbers[id(answer)]} | {sentence}", soft_wrap=True)
            start = end
        self._num_printed[id(answer)] = start


def answer_together(llm: LLM, answers: Sequence[Answer], show: Callable[[Answer], None]) -> float:
    """Answer all prompts at once, calling `show` after each token; return the seconds it took."""
    started = time.perf_counter()
    for event in llm.stream([answer.prompt for answer in answers], [params for _, params in PROMPTS]):
        answers[event.prompt_index].add(event)
        show(answers[event.prompt_index])
    return time.perf_counter() - started


def answer_one_by_one(llm: LLM, answers: Sequence[Answer]) -> float:
    """Answer the prompts one after the other; return the seconds it took."""
    started = time.perf_counter()
    for answer, (_, params) in zip(answers, PROMPTS, strict=True):
        for event in llm.stream(answer.prompt, params):
            answer.add(event)
    return time.perf_counter() - started


def summary(
    together: Sequence[Answer], seconds: float, alone: Sequence[Answer], seconds_alone: float
) -> Table:
    """Return both runs side by side, as measured."""
    num_tokens = sum(len(answer.token_ids) for answer in together)
    num_alone = sum(len(answer.token_ids) for answer in alone)
    num_steps = max(len(answer.token_ids) for answer in together)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(f"{len(together)} prompts")
    for heading in ("tokens", "steps", "seconds", "tokens/s"):
        table.add_column(heading, justify="right")
    for name, tokens, steps, took in (
        ("all at once", num_tokens, num_steps, seconds),
        ("one after the other", num_alone, num_alone, seconds_alone),
    ):
        table.add_row(name, f"{tokens}", f"{steps}", f"{took:.2f}", f"{tokens / took:.0f}")
    return table


def run(console: Console, source: str | Path = assets.BUNDLED_MODEL) -> None:
    """Load the model in `source`, and show it answering `PROMPTS`."""
    # Without the prefix cache: the second run is not to profit from the first.
    llm = LLM(source, max_num_seqs=len(PROMPTS), enable_prefix_caching=False)
    llm.engine.warmup()
    together, alone = ([Answer(prompt) for prompt, _ in PROMPTS] for _ in range(2))
    view = Panels(console, together) if console.is_terminal else Lines(console, together)
    with view:
        seconds = answer_together(llm, together, view.show)
    console.print("\nThe same prompts, one after the other, to compare …")
    seconds_alone = answer_one_by_one(llm, alone)
    console.print(summary(together, seconds, alone, seconds_alone))
    num_same = sum(mine.token_ids == other.token_ids for mine, other in zip(together, alone, strict=True))
    console.print(f"{num_same} of {len(together)} answers are the same, token for token, in both runs.")


if __name__ == "__main__":
    run_demo(run, "streaming", __doc__)
