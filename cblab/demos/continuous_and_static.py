"""Continuous against static batching: the same requests, the same engine, only the time of admission differs.

A static batch begins when the one before it has ended, and ends with its longest request: seats of requests
that are done stay empty. Continuous batching fills a seat in the step after it became free. The bundled model
really computes both.
"""

import time
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cblab import LLM, SamplingParams
from cblab.core.engine import Engine
from cblab.core.trace import StepRecord, Trace
from cblab.demos.command import run_demo

_SEATS = 6
_LENGTHS = (6, 90, 12, 40, 8, 24, 64, 10, 16, 80, 5, 30, 12, 48, 9, 20, 70, 14)
_PROMPTS = ("Once upon a time, there was", "The capital of Italy is", "One day, a small bird")
_COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red")
_STRIDE = 4  # steps a character


def run(console: Console) -> None:
    """Run both, draw the seats over the steps, and print what was measured."""
    console.print("Six seats, four steps a character: █ a request computes, · nobody sits there.\n")
    rows = []
    tokens = []
    for name, batches in (
        ("static", [range(i, i + _SEATS) for i in range(0, len(_LENGTHS), _SEATS)]),
        ("continuous", [range(len(_LENGTHS))]),
    ):
        trace = Trace()
        llm = LLM("story-4m", max_num_seqs=_SEATS, enable_prefix_caching=False, trace=trace, seed=0)
        llm.engine.warmup()
        started = time.perf_counter()
        answers = dict(pair for batch in batches for pair in _answer(llm.engine, batch))
        seconds = time.perf_counter() - started
        tokens.append(answers)
        records = list(trace)
        console.print(f"{name}: {len(records)} steps", style="bold")
        for line in _draw(records):
            console.print(line)
        console.print()
        busy = sum(len(record.plan.scheduled) for record in records) / (_SEATS * len(records))
        rows.append(
            (name, f"{len(records)}", f"{busy:.0%}", f"{seconds:.2f}", f"{sum(_LENGTHS) / seconds:.0f}")
        )
    table = Table("batching", "steps", "seats in use", "seconds", "output tokens/s", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"The tokens of both are {'the same' if tokens[0] == tokens[1] else 'DIFFERENT'}.")


def _answer(engine: Engine, batch: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Answer a batch of requests, and give each one's id and tokens."""
    for index in batch:
        params = SamplingParams(temperature=0, max_tokens=_LENGTHS[index], ignore_eos=True)
        engine.add_request(_PROMPTS[index % len(_PROMPTS)], params, request_id=f"{index}")
    while engine.has_unfinished:
        yield from ((one.request_id, one.outputs[0].token_ids) for one in engine.step() if one.finished)


def _draw(records: Sequence[StepRecord]) -> list[Text]:
    """One line a seat, every fourth step a character: the request that sits there."""
    seats: list[str | None] = [None] * _SEATS
    lines = [Text("  ") for _ in seats]
    for record in records:
        present = [one.request_id for one in record.plan.scheduled]
        seats = [one if one in present else None for one in seats]
        for newcomer in [one for one in present if one not in seats]:
            seats[seats.index(None)] = newcomer
        if record.number % _STRIDE == 0:
            for line, name in zip(lines, seats, strict=True):
                line.append("·" if name is None else "█", "dim" if name is None else _COLOURS[int(name) % 6])
    return lines


if __name__ == "__main__":
    run_demo(run, "continuous_and_static", __doc__)
