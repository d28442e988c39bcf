"""On a CPU in float32 a request's numbers are the same, bit for bit, whoever shares its batch."""

from pathlib import Path

import pytest
import torch

from cblab import LLM, SamplingParams
from cblab.core.logprobs import TokenLogprobs
from cblab.model import load_model

PROMPTS = [
    [(seed * 31 + i * i) % 256 for i in range(length)]
    for seed, length in enumerate((3, 300, 17, 1, 64, 257, 120))
]
PARAMS = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True, logprobs=3)


def logprobs(llm: LLM, prompts: list[list[int]]) -> list[list[TokenLogprobs] | None]:
    """Each prompt's tokens, with their logprobs and the three largest of each position."""
    return [output.outputs[0].logprobs for output in llm.generate(prompts, PARAMS)]


@pytest.fixture(scope="module")
def llm(checkpoint: Path) -> LLM:
    # Room for all prompts at once: a prompt in other chunks is computed by other sums.
    return LLM(load_model(checkpoint), max_num_batched_tokens=2048, enable_prefix_caching=False)


def test_the_kernels_run(llm: LLM) -> None:
    assert (llm.engine.backend.name, llm.engine.runner.ops.name) == ("numba", "numba")


@pytest.mark.parametrize("threads", [1, 2])
def test_alone_and_among_others(llm: LLM, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = logprobs(llm, PROMPTS)
        assert [logprobs(llm, [prompt])[0] for prompt in PROMPTS] == together
        assert logprobs(llm, PROMPTS[::-1])[::-1] == together
    finally:
        torch.set_num_threads(before)
