"""Prefix sharing: many questions behind one long instruction, with and without the prefix cache.

The instruction's blocks are computed once and held by every request that begins with it. The demo shows which
blocks each request holds, what was saved, and that the answers are the same.
"""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cblab import LLM, SamplingParams
from cblab.core.outputs import RequestOutput
from cblab.demos.command import run_demo

_INSTRUCTION = (
    "Once upon a time, there was an old owl who lived in a tall tree. The owl knew many things, and all the "
    "animals came to ask. The owl was kind and patient, and told everyone what they wanted to know. "
)
_QUESTIONS = (
    "The capital of France is",
    "The cow says",
    "The capital of Japan is",
    "Count by twos from 2 to 20:",
    "7 + 5 =",
    "The capital of Spain is",
)
_BLOCK_SIZE = 16


def run(console: Console) -> None:
    """Answer the questions with the cache off and on, and compare."""
    prompts = [_INSTRUCTION + question for question in _QUESTIONS]
    params = SamplingParams(temperature=0, max_tokens=12)
    table = Table(
        "prefix cache", "prompt tokens computed", "blocks in use", "shared", "mean first token",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    answers = []
    for is_on in (False, True):
        llm = LLM(
            "story-4m", block_size=_BLOCK_SIZE, num_blocks=200, enable_prefix_caching=is_on, max_num_seqs=8,
            max_num_batched_tokens=256,
        )  # fmt: skip
        llm.engine.warmup()
        # Somebody has asked before: with the cache, the instruction's blocks are there.
        llm.generate(_INSTRUCTION, SamplingParams(max_tokens=1), use_tqdm=False)
        before = llm.engine.stats()
        ids = [llm.engine.add_request(prompt, params) for prompt in prompts]
        done: dict[str, RequestOutput] = {}
        while len(llm.engine.scheduler.running) < len(ids):
            done |= {one.request_id: one for one in llm.engine.step()}
        tables = {name: list(llm.engine.block_manager.block_table(name)) for name in ids}
        while llm.engine.has_unfinished:
            done |= {one.request_id: one for one in llm.engine.step()}
        after = llm.engine.stats()
        if is_on:
            _print_tables(console, tables)
        used = {block for blocks in tables.values() for block in blocks}
        held = [block for blocks in tables.values() for block in blocks]
        shared = sum(held.count(block) > 1 for block in used)
        waits = [done[name].metrics.time_to_first_token or 0.0 for name in ids]
        table.add_row(
            "on" if is_on else "off",
            f"{after.num_prefill_tokens - before.num_prefill_tokens}",
            f"{len(used)}", f"{shared}", f"{1000 * sum(waits) / len(waits):.0f} ms",
        )  # fmt: skip
        answers.append([done[name].outputs[0].text for name in ids])
    console.print("Six questions behind an instruction that an earlier request had brought already:")
    console.print(table)
    for question, answer in zip(_QUESTIONS, answers[1], strict=True):
        console.print(Text(f"  {question}", style="bold").append(answer.replace("\n", " "), style="not bold"))
    verdict = "the same" if answers[0] == answers[1] else "DIFFERENT"
    console.print(f"\nThe answers with and without the cache are {verdict}.")


def _print_tables(console: Console, tables: dict[str, list[int]]) -> None:
    """The block tables; blocks that stand in more than one are coloured."""
    held = [block for blocks in tables.values() for block in blocks]
    console.print("The block tables while all six are running. Coloured blocks stand in several of them.\n")
    for blocks, question in zip(tables.values(), _QUESTIONS, strict=True):
        line = Text("  ")
        for block in blocks:
            line.append(f"{block:>4}", style="cyan" if held.count(block) > 1 else "dim")
        console.print(line.append(f"   {question}", style="not dim"))
    console.print()


if __name__ == "__main__":
    run_demo(run, "prefix_sharing", __doc__)
