"""Whether greedy outputs are transformers': each is read by its model, in float32, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.sides.protocol import Job

NEAR_TIE = 1e-4  # of the two largest logits: closer than float32 reductions are to one another


@dataclass(frozen=True)
class Agreement:
    """How many outputs are the model's own choice throughout, but for near-ties, or not at all."""

    num_equal: int
    num_near_ties: int
    num_different: int

    def __str__(self) -> str:
        counts = {
            "equal": self.num_equal,
            "near-ties": self.num_near_ties,
            "different": self.num_different,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "equal")


class Judge:
    """transformers' model of a checkpoint; remembers the outputs that it has read."""

    def __init__(self, checkpoint: Path) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        self.model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self._lags: dict[tuple[int, ...], float] = {}

    def compare(self, jobs: Sequence[Job], token_ids: Sequence[Sequence[int]]) -> Agreement:
        """Hold outputs against the largest logits after all that stands before each token."""
        lags = [self._lag(job, output) for job, output in zip(jobs, token_ids, strict=True)]
        num_equal = sum(lag == 0 for lag in lags)
        num_different = sum(lag > NEAR_TIE for lag in lags)
        return Agreement(num_equal, len(lags) - num_equal - num_different, num_different)

    @torch.inference_mode()
    def _lag(self, job: Job, output: Sequence[int]) -> float:
        """By how much, at most, a token's logit lies below the largest one."""
        known = (*job.prompt, *output)
        if known not in self._lags:
            logits = self.model(torch.tensor([known[:-1]])).logits[0, len(job.prompt) - 1 :]
            chosen = logits.gather(1, torch.tensor(output)[:, None])[:, 0]
            self._lags[known] = float((logits.amax(dim=1) - chosen).max())
        return self._lags[known]
