"""The page that closes the course: the student's parts, whether they are right together, and how fast."""

import platform
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from cblab.lab.labs.capstone.workload import MODEL, REQUESTS, SETTINGS, Run, num_parameters
from cblab.viz import Answer, EngineReport, Speed, engine_report, player, timeline

Made = Mapping[str, Mapping[str, Any]]


def whose(answers: Mapping[str, Any]) -> str:
    """Whose the answers are: the course's are defined within cblab, the student's in a notebook."""
    courses = [name for name, answer in answers.items() if answer.__module__.startswith("cblab")]
    if not courses:
        return "mine"
    return "the course's" if len(courses) == len(answers) else f"mine, but for {', '.join(courses)}"


def report(made: Made, rounds: Mapping[str, Sequence[Run]], right: Mapping[str, list[int]]) -> EngineReport:
    """Make the page.

    Args:
        made: {part: {answer, as "ByteLevelTokenizer (1.5)": the object}}.
        rounds: {name: its run in each round}; the student's engine first, then what it is held against.
        right: {request id: the right tokens}.

    Raises:
        ValueError: the first run is not one of our engine.
    """
    own = next(iter(rounds.values()))[0]
    if own.stats is None:
        raise ValueError("the first run has no counts of an engine: put your own engine first")
    parts = [(part, ", ".join(answers), whose(answers)) for part, answers in made.items()]
    return engine_report(
        [*parts, ("model, sampler, engine loop", "story-4m, greedy, Engine", "cblab's")],
        [
            Answer(REQUESTS[name][0], text, own.tokens[name] == right[name])
            for name, text in own.texts.items()
        ],
        {name: _speed(runs) for name, runs in rounds.items()},
        {
            "steps": f"{own.stats.num_steps}",
            "tokens generated": f"{sum(map(len, own.tokens.values()))}",
            "prompt tokens asked for were found (those who came back asked again)": (
                f"{own.stats.num_prefix_hit_tokens} of {own.stats.num_prefix_query_tokens}"
            ),
            "preemptions": f"{own.stats.num_preemptions}",
            f"blocks of {SETTINGS['block_size']} tokens": f"{own.stats.blocks.num_blocks}",
            "blocks in use at most": f"{max(record.num_used_blocks for record in own.records)}",
        },
        reference="transformers",
        title="An engine of my own",
        caption="What you built, whether it is right, and how fast it is: a page of its own.",
        notes=(
            "Transformers was asked one request after the other: no comparison at equal batching.",
            f"{_where()}.",
        ),
        timeline=timeline(own.records, caption="Chunks of prompts beside decodes, and who gave way."),
        player=player(
            own.records,
            block_size=SETTINGS["block_size"],
            prompts={name: len(ids) for name, ids in own.prompts.items()},
            caption="The same run, step by step: use the buttons, the slider or the arrow keys.",
        ),
    )


def _speed(runs: Sequence[Run]) -> Speed:
    waits = chain.from_iterable(run.waits.values() for run in runs)
    return Speed([run.tokens_per_second for run in runs], list(waits))


def _where() -> str:
    """What was measured, on what and when."""
    threads = torch.get_num_threads()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "cblab"))
    return (
        f"{MODEL}, {num_parameters():,} parameters, float32; {_processor()}, {threads} torch "
        f"thread{'s'[: threads > 1]}; {versions}; {date.today().isoformat()}"
    )


def _processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
