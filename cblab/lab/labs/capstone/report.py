"""The page that closes the course: the student's parts, whether they are right together, and how fast."""

from collections.abc import Mapping
from typing import Any

from cblab.lab.labs.capstone.workload import REQUESTS, SETTINGS, Run
from cblab.viz import Answer, EngineReport, Speed, engine_report, player, timeline

Made = Mapping[str, Mapping[str, Any]]


def whose(answers: Mapping[str, Any]) -> str:
    """Whose the answers are: the course's are defined within cblab, the student's in a notebook."""
    courses = [name for name, answer in answers.items() if answer.__module__.startswith("cblab")]
    if not courses:
        return "yours"
    return "the course's" if len(courses) == len(answers) else f"yours, but for {', '.join(courses)}"


def report(made: Made, runs: Mapping[str, Run], right: Mapping[str, list[int]]) -> EngineReport:
    """Make the page.

    Args:
        made: {part: {answer, as "ByteLevelTokenizer (1.5)": the object}}.
        runs: {name: run}; the student's engine first, then what it is held against.
        right: {request id: the right tokens}.

    Raises:
        ValueError: the first run is not one of our engine.
    """
    own = next(iter(runs.values()))
    if own.stats is None:
        raise ValueError("the first run has no counts of an engine: put your own engine first")
    parts = [(part, ", ".join(answers), whose(answers)) for part, answers in made.items()]
    return engine_report(
        [*parts, ("model, sampler, engine loop", "story-4m, greedy, Engine", "cblab's")],
        [
            Answer(REQUESTS[name][0], text, own.tokens[name] == right[name])
            for name, text in own.texts.items()
        ],
        {name: Speed(run.tokens_per_second, list(run.waits.values())) for name, run in runs.items()},
        {
            "steps": f"{own.stats.num_steps}",
            "tokens generated": f"{sum(map(len, own.tokens.values()))}",
            "of the prompts found in the cache": f"{own.stats.prefix_hit_rate:.0%}",
            "preemptions": f"{own.stats.num_preemptions}",
            f"blocks of {SETTINGS['block_size']} tokens": f"{own.stats.blocks.num_blocks}",
            "blocks in use at most": f"{max(record.num_used_blocks for record in own.records)}",
        },
        reference="transformers",
        title="An engine of my own",
        caption="What you built, whether it is right, and how fast it is: a page of its own.",
        timeline=timeline(own.records, caption="Chunks of prompts beside decodes, and who gave way."),
        player=player(
            own.records,
            block_size=SETTINGS["block_size"],
            prompts={name: len(ids) for name, ids in own.prompts.items()},
            caption="The same run, step by step: use the buttons, the slider or the arrow keys.",
        ),
    )
