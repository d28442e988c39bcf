"""Checks of exercise 4.8: the engine runs on the trusted side, with the student's block manager in it."""

import random
from functools import cache
from typing import TYPE_CHECKING

from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.parts import Parts
from cblab.core.sampling_params import SamplingParams
from cblab.lab.labs.in_the_engine import told
from cblab.lab.labs.paging.plug import plugged, remote
from cblab.lab.labs.paging.tables import BlockManager
from cblab.lab.labs.random_model import random_model
from cblab.lab.trial import Trial

if TYPE_CHECKING:
    from cblab.model.tiny import TinyLLM

Answers = dict[str, list[int]]
_VOCAB = 40
_BEGINNING = 21  # tokens that all prompts have in common
_MOST_STEPS = 1_000


@cache
def _model() -> "TinyLLM":
    """A model of one layer, the same in every process."""
    return random_model(_VOCAB, seed=11)


def _engine(parts: Parts, num_blocks: int) -> Engine:
    config = EngineConfig(
        block_size=4,
        num_blocks=num_blocks,
        max_num_seqs=6,
        max_model_len=64,
        max_num_batched_tokens=64,
        watermark=0.0,
        attention_backend="torch",
        fused_ops="torch",
    )
    return Engine(_model(), None, config, parts=parts)


def _serve(engine: Engine, seed: str) -> Answers:
    """Prompts behind one beginning, some of them sampled several times, in a pool that is too small.

    The books are looked at after every step. Raises RuntimeError if it never ends.
    """
    rng = random.Random(seed)
    beginning = [rng.randrange(_VOCAB) for _ in range(_BEGINNING)]
    for number in range(6):
        prompt = beginning + [rng.randrange(_VOCAB) for _ in range(rng.choice((0, 1, 3, 6)))]
        params = SamplingParams(
            temperature=1.0,
            n=3 if number in (2, 5) else 1,
            seed=number,
            max_tokens=rng.randint(4, 11),
            ignore_eos=True,
        )
        engine.add_request(prompt, params, request_id=f"r{number}")
    answers: Answers = {}
    for _ in range(_MOST_STEPS):
        if not engine.has_unfinished:
            return answers
        for one in engine.step():
            for sample in one.outputs:
                answers[f"{one.request_id}#{sample.index}"] = list(sample.token_ids)
        engine.check_integrity()
    raise RuntimeError(f"after {_MOST_STEPS:,} steps there are still requests that have not ended")


def check_in_the_engine(t: Trial) -> None:
    """Exercise 4.8, in the engine: the student's manager is asked through the executor, one message a call.

    One run that everybody sees and a hidden one; the many small cases are those of the books.
    """
    if t.level == "random":
        return
    seed, num_blocks = str(t.rng.random()), t.rng.choice((15, 17, 19))
    expected = _engine(Parts(block_manager=plugged(BlockManager)), num_blocks)
    want = _serve(expected, seed)
    where = f"In the engine, with {num_blocks} blocks"
    with told(t, where):
        engine = _engine(Parts(block_manager=remote(t, "BlockManager")), num_blocks)
        got = _serve(engine, seed)
    _compare_answers(t, got, want, where)
    for name, what in (
        ("num_prefix_hit_tokens", "tokens found in the prefix cache"),
        ("num_preemptions", "preemptions"),
    ):
        mine, reference = getattr(engine.stats(), name), getattr(expected.stats(), name)
        if mine != reference:
            t.fail(
                f"{where}, the answers are right, but there are {mine} {what} where the reference has "
                f"{reference}."
            )


def _compare_answers(t: Trial, got: Answers, want: Answers, where: str) -> None:
    short = [name for name in want if len(got[name]) < len(want[name])]
    if short:
        t.fail(
            f"{where}, {len(short)} of {len(want)} answers ended too early, first that of {short[0]}: a "
            "block was refused that could have been had."
        )
    wrong = [name for name in want if got[name] != want[name]]
    if wrong:
        t.fail(
            f"{where}, {len(wrong)} of {len(want)} answers are not those of the reference, first that of "
            f"{wrong[0]}: some request read a block that is not its own."
        )
