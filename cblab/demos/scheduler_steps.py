"""The scheduler, step by step: how a budget of 16 tokens a step is shared out.

Four requests arrive, one of them with a long prompt. Running requests get their tokens first, prompts are cut
into chunks for what is left, and nobody who decodes waits for a prompt. A model that is too small to say
anything does the computing; all the rest is the engine as it is.
"""

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.plan import StepPlan
from cblab.core.sampling_params import SamplingParams
from cblab.core.trace import Trace
from cblab.demos.command import run_demo
from cblab.model import TinyLLM

_COLOURS = {"A": "cyan", "B": "yellow", "C": "magenta", "D": "green"}
# Name, step in which it arrives, tokens of its prompt, tokens that it wants.
_ARRIVALS = (("A", 0, 5, 7), ("B", 0, 30, 4), ("C", 1, 8, 6), ("D", 3, 9, 3))
_CONFIG = EngineConfig(
    num_blocks=20,
    block_size=4,
    max_num_seqs=3,
    max_num_batched_tokens=16,
    prefill_chunk_size=10,
    enable_prefix_caching=False,
)


def run(console: Console) -> None:
    """Print one line a step: who got which part of the budget, and the state of the pool after it."""
    torch.manual_seed(0)
    trace = Trace()
    engine = Engine(TinyLLM(vocab_size=50), None, _CONFIG, trace=trace)
    step = 0
    while engine.has_unfinished or any(arrival > step for _, arrival, _, _ in _ARRIVALS) or step == 0:
        for name, arrival, num_prompt, num_new in _ARRIVALS:
            if arrival == step:
                params = SamplingParams(temperature=0, max_tokens=num_new)
                engine.add_request(list(range(num_prompt)), params, request_id=name)
        engine.step()
        step += 1

    console.print("A budget of 16 tokens a step, chunks of at most 10, seats for 3, 20 blocks of 4.")
    console.print("█ computes a part of its prompt, ▪ decodes, ░ budget that nobody needs.")
    console.print("A[0-4]+*: A computes its positions 0 to 4; + samples a token; * just admitted.")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("step", "budget", "who", "wait", "run", "blocks"):
        table.add_column(heading, no_wrap=True)
    for record in trace:
        table.add_row(
            f"{record.number}", _bar(record.plan), _shares(record.plan),
            f"{record.num_waiting}", f"{record.num_running}", f"{record.num_used_blocks}",
        )  # fmt: skip
    console.print(table)
    console.print("B's long prompt takes three steps, and A gets its token in each of them.")
    console.print("D waits for a seat, not for budget: only three may run.")


def _bar(plan: StepPlan) -> Text:
    bar = Text()
    for one in plan.scheduled:
        bar.append(("▪" if one.is_decode else "█") * one.num_new_tokens, style=_COLOURS[one.request_id])
    return bar.append("░" * (_CONFIG.max_num_batched_tokens - plan.num_tokens), style="dim")


def _shares(plan: StepPlan) -> Text:
    """Each request's part, as positions in its sequence."""
    shares = Text()
    for one in plan.scheduled:
        end = one.num_computed_tokens + one.num_new_tokens - 1
        span = f"{end}" if one.num_new_tokens == 1 else f"{one.num_computed_tokens}-{end}"
        is_new = "*" if one.request_id in plan.admitted else ""
        sampled = "+" if one.is_caught_up else ""
        shares.append(f"{one.request_id}[{span}]{sampled}{is_new} ", style=_COLOURS[one.request_id])
    return shares


if __name__ == "__main__":
    run_demo(run, "scheduler_steps", __doc__)
