import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from cblab.demos import streaming
from cblab.demos.streaming import PROMPTS, Answer, Lines, Panels, run
from cblab.serving import StreamEvent


@pytest.mark.parametrize("on_terminal", [False, True])
def test_both_runs_give_the_same_tokens(
    on_terminal: bool, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_FRAMES_PER_SECOND", 2)
    file = io.StringIO()
    run(Console(file=file, force_terminal=on_terminal, width=80, height=24, highlight=False), checkpoint)
    out = file.getvalue()
    assert f"{len(PROMPTS)} of {len(PROMPTS)} answers are the same" in out
    row = re.search(r"all at once +(\d+) +(\d+) ", out)
    assert row is not None
    assert int(row[1]) <= sum(params.max_tokens or 0 for _, params in PROMPTS)
    assert int(row[2]) <= 240
    assert ("\x1b[" in out) is on_terminal


def event(text: str, end: bool = False) -> StreamEvent:
    return StreamEvent(0, 0, token_ids=(0,), text=text, finish_reason="stop" if end else None)


def test_lines_are_printed_when_a_sentence_is_complete_and_nothing_is_lost() -> None:
    file = io.StringIO()
    answers = [Answer("One. Two"), Answer("Q: Moo?\nA:")]
    view = Lines(Console(file=file, width=10), answers)
    printed = []
    for index, text, end in [
        (0, " three", False),
        (0, ".", False),
        (1, " moo", False),
        (0, " Fo", False),
        (0, "ur\nfive", False),
        (1, "", True),
        (0, "!", True),
    ]:
        answers[index].add(event(text, end))
        view.show(answers[index])
        printed.append(file.getvalue().splitlines())
    assert [len(lines) for lines in printed] == [0, 0, 0, 1, 2, 3, 4]
    assert printed[-1] == ["1 | One. Two three.", "1 | Four", "2 | Q: Moo? A: moo", "1 | five!"]


def test_growing_panels_fit_the_screen_and_the_last_ones_show_everything() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=24, color_system=None)
    answers = [Answer(prompt, text=" word" * 200) for prompt, _ in PROMPTS]
    with Panels(console, answers) as view:
        view.show(answers[0])
        growing = file.getvalue()
    assert growing.count("\n") < 24
    last = file.getvalue().rpartition("\x1b[2K")[2]  # behind the last erased line
    assert last.count("word") == 200 * len(PROMPTS)
