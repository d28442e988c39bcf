"""The troubleshooting page quotes messages as they are raised."""

import ctypes
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from nbgrader.preprocessors import Execute
from torch import Tensor

from cblab import LLM, SamplingParams
from cblab.attention import AttentionSpec
from cblab.attention.layout import LayerKV
from cblab.core import BlockManager, EngineConfig, Parts
from cblab.core.plan import StepPlan
from cblab.core.pool_size import pool_size
from cblab.core.scheduler import Scheduler
from cblab.lab import api, commands, progress
from cblab.lab.judge import judge
from cblab.lab.notebook import Submission
from cblab.lab.registry import load_lab

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "labs" / "TROUBLESHOOTING.md"
IN_TORCH: dict[str, Any] = {"attention_backend": "torch", "fused_ops": "torch"}
FOX = "Once upon a time there was a little fox who lived in a big green forest near the river and the hill"
Messages = Iterable[str]

# What Jupyter, nbgrader's command line and the machine say: seen once, and not made again here.
NOT_RAISED_HERE = {"No GPU", "The port is in use", "nbgrader's *Validate*"}


def entries() -> dict[str, list[str]]:
    """Heading to the messages of its text blocks. A line that begins with blanks belongs to the one above."""
    found = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        blocks = re.findall(r"^```text\n(.*?)^```$", part.partition("\n## ")[0], re.M | re.S)
        lines = re.sub(r"\n +", " ", "".join(blocks)).splitlines()
        found[part.partition("\n")[0]] = lines
    return {heading: lines for heading, lines in found.items() if lines}


def quotes(line: str, message: str) -> bool:
    """Whether a line of the page is the message; … stands for anything."""
    pattern = ".*".join(re.escape(piece) for piece in line.split("…"))
    return re.fullmatch(pattern, " ".join(message.split())) is not None


def raised(call: Callable[[], object]) -> str:
    """The last line of the traceback."""
    with pytest.raises(Exception) as found:  # noqa: PT011  (what it says is what is compared)
        call()
    named = next(one for one in type(found.value).__mro__ if not one.__name__.startswith("Blank"))
    return f"{named.__name__}: {found.value}"


def answer(source: str, *, seconds: float | None = None, setup: str = "", copies: int = 1) -> str:
    """What `cblab check` says of this answer to 1.1."""
    lab = load_lab(1)
    exercise = lab.exercise("1.1")
    limited = exercise if seconds is None else replace(exercise, seconds=seconds)
    submission = Submission(setup, {"1.2": ("",), "1.1": (source,) * copies})
    (verdict,) = judge(submission, [limited], lab)
    message = verdict.outcomes[0].message or ""
    return message if seconds is None else message.replace(f"{seconds:g} s", f"{exercise.seconds:g} s")


def function(body: str) -> str:
    return f"def count_pairs(sequences):\n    {body}"


def notebook(source: str) -> dict[str, Any]:
    """The namespace of a notebook after this source."""
    namespace: dict[str, Any] = {"check": api.check, "best": api.best}
    exec(source, namespace)
    return namespace


def blank() -> Messages:
    yield raised(
        lambda: notebook(
            "def attention(*_):\n    raise NotImplementedError('exercise 3.2')\ncheck('3.2')",
        )
    )


def missing() -> Messages:
    yield raised(lambda: notebook("check('1.1')"))


def elsewhere() -> Messages:
    yield answer(function("return helper(sequences)"))


def endless() -> Messages:
    yield answer(function("while True: pass"), seconds=0.2)


def exits() -> Messages:
    yield answer("import os\n" + function("os._exit(0)"))


def reference(capsys: pytest.CaptureFixture[str]) -> Messages:
    right = function(
        "return dict(__import__('collections').Counter(p for s in sequences for p in zip(s, s[1:])))"
    )
    notebook(f"best('1.1')\n{right}\ncheck('1.1')\n{right}\nbest('1.1')")
    yield from capsys.readouterr().out.splitlines()


def cells() -> Messages:
    yield answer("", copies=0)
    yield answer("", copies=2)


def setup() -> Messages:
    yield raised(lambda: answer("", setup="import no_such_module")).partition(": ")[2]


def no_lab(tmp_path: Path) -> Messages:
    (tmp_path / "other.ipynb").write_text(json.dumps({"cells": []}))
    yield raised(lambda: commands.check(tmp_path / "other.ipynb")).partition(": ")[2]
    empty = tmp_path / "empty"
    empty.mkdir()
    text = raised(lambda: progress.show_progress(empty)).partition(": ")[2]
    yield text.replace(str(empty), "/tmp")


def too_few_blocks(caplog: pytest.LogCaptureFixture) -> Messages:
    with caplog.at_level(logging.WARNING):
        llm = LLM("story-4m", num_blocks=4, **IN_TORCH)
    yield raised(lambda: llm.generate("Once upon a time " * 20))
    yield caplog.messages[0]


def too_large() -> Messages:
    yield raised(lambda: pool_size(EngineConfig(num_blocks=20_000_000), 81_920, 2048, 2**30))


def context() -> Messages:
    yield raised(lambda: LLM("story-4m", num_blocks=64, max_model_len=16, **IN_TORCH).generate(FOX))
    yield raised(lambda: LLM("story-4m", num_blocks=64, max_model_len=5000, **IN_TORCH))


def unknown() -> Messages:
    yield raised(lambda: LLM("story-4m", num_block=5))
    yield raised(lambda: LLM("story-4m", num_blocks=64, attention_backend="tritn"))


def short_kernel(
    q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
) -> Tensor:
    return q[:, :, :5]


def nan_kernel(
    q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
) -> Tensor:
    return q * torch.nan


class Idle(Scheduler):
    def schedule(self, now: float) -> StepPlan:
        return StepPlan()


class Leaky(BlockManager):
    def free(self, request_id: str) -> None:
        pass


def served(parts: Parts) -> LLM:
    llm = LLM("story-4m", num_blocks=64, parts=parts, **IN_TORCH)
    llm.generate("Once upon a time", SamplingParams(max_tokens=2), use_tqdm=False)
    return llm


def shape() -> Messages:
    yield raised(lambda: served(Parts(paged_decode=short_kernel)))


def nan() -> Messages:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        served(Parts(paged_decode=nan_kernel))
    yield f"{caught[0].category.__name__}: {caught[0].message}"


def idle() -> Messages:
    yield raised(lambda: served(Parts(scheduler=Idle)))


def books() -> Messages:
    yield raised(lambda: served(Parts(block_manager=Leaky)).engine.check_integrity())


def dies() -> Messages:
    yield answer(function("import ctypes; ctypes.string_at(0)"))


def memory() -> Messages:
    yield answer(function("x = bytearray(10**18)"))


def compiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Messages:
    from cblab.attention.numba import kernel

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel, "cfunc", lambda *_, **__: lambda function: function)
    kernel.Kernel("decode", _Told, numba.njit(_work))._compile(())
    yield capsys.readouterr().err


class _Told(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int64)]


def _work(call: Any, worker: int) -> None:
    pass


def no_place(monkeypatch: pytest.MonkeyPatch) -> Messages:
    from numba.core.caching import CacheImpl, FunctionCache

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    yield raised(lambda: FunctionCache(_work))


SITUATIONS: dict[str, Callable[..., Messages]] = {
    "The blank is still there": blank,
    "The name is not there": missing,
    "It works in the notebook and not in `cblab check`": elsewhere,
    "It takes for ever": endless,
    "The answer has ended its process": exits,
    "Your answer passes, and the lab goes on with the reference": reference,
    "An answer's cell is gone, or there twice": cells,
    "The set-up cell does not run": setup,
    "It is no notebook of the course": no_lab,
    "One request is larger than the pool": too_few_blocks,
    "The pool is larger than the memory": too_large,
    "The context limit": context,
    "Unknown setting": unknown,
    "Shape mismatch in a forward pass": shape,
    "NaN in the logits": nan,
    "The scheduler does nothing": idle,
    "The books do not balance": books,
    "The kernel dies": dies,
    "`MemoryError`": memory,
    "Nothing happens at the first use": compiling,
    "Numba finds no place to keep kernels": no_place,
}


def test_every_entry_with_a_message_is_tried() -> None:
    assert entries().keys() == SITUATIONS.keys() | NOT_RAISED_HERE


@pytest.mark.parametrize("heading", SITUATIONS, ids=lambda heading: SITUATIONS[heading].__name__)
def test_the_page_quotes_what_is_raised(heading: str, request: pytest.FixtureRequest) -> None:
    situation = SITUATIONS[heading]
    wanted = [name for name in situation.__annotations__ if name != "return"]
    messages = list(situation(**{name: request.getfixturevalue(name) for name in wanted}))
    lines = entries()[heading]
    wrong = [(one, two) for one, two in zip(lines, messages, strict=True) if not quotes(one, two)]
    assert not wrong


def test_a_quote_with_another_number_is_none() -> None:
    assert quotes("the pool has … blocks: 4 are free", "the pool has 17 blocks: 4 are free")
    assert not quotes("the pool has … blocks: 4 are free", "the pool has 17 blocks: 5 are free")


def test_float32_and_bfloat16_tell_of_different_foxes() -> None:
    greedy = SamplingParams(temperature=0, max_tokens=3)
    said = {}
    for dtype in ("float32", "bfloat16"):
        llm = LLM("story-4m", num_blocks=8, dtype=dtype, **IN_TORCH)
        said[dtype] = llm.generate("There was a little fox", greedy, use_tqdm=False)[0].outputs[0].text
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for dtype, answered in said.items():
        (quoted,) = re.findall(rf"{dtype} (?:answers )?` (named \w+)`", text)
        assert quoted in answered


def test_the_numbers_about_pools_and_time_limits() -> None:
    text = PAGE.read_text(encoding="utf-8")
    llm = LLM("story-4m", num_blocks=200, **IN_TORCH)
    block = 81_920
    assert round(200 * block / 2**20) == 16
    assert "takes 16" in text
    config = EngineConfig()
    assert pool_size(config, block, 2048, 2**40) * block == 640 * 2**20
    assert "640 MiB" in text
    assert llm.engine.config.block_size == config.block_size
    assert Execute.timeout.default_value == 30
    assert Execute.iopub_timeout.default_value == 4
    assert "c.Execute.timeout = 600" in (ROOT / "nbgrader_config.py").read_text(encoding="utf-8")
    assert {"30 s", "4 s", "600 s"} <= set(re.findall(r"\d+ s\b", text))
