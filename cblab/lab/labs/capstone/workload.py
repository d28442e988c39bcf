"""Sixteen requests for the bundled model, and one run of them through an engine of given parts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any

from cblab.assets import path as asset_path
from cblab.core.parts import Parts
from cblab.core.sampling_params import SamplingParams
from cblab.core.stats import EngineStats
from cblab.core.trace import StepRecord, Trace
from cblab.model import load_model
from cblab.serving import LLM
from cblab.tokenization import BPETokenizer

MODEL = "story-4m"
OWL = (
    "Once upon a time, there was an old owl who lived in a tall tree. The owl knew many things, and all the "
    "animals came to ask. The owl was kind and patient, and told everyone what they wanted to know. "
)
_ASKED = (
    (OWL + "The capital of France is", 10),
    ("Once upon a time, there was a little fox", 32),
    (OWL + "The cow says", 8),
    ("7 + 5 =", 6),
    (OWL + "The capital of Japan is", 14),
    ("In a small house near the sea, there lived", 30),
    ("Count by twos from 2 to 20:", 22),
    (OWL + "The dog says", 8),
    ("One day, a small bird", 38),
    ("The king had a daughter", 28),
    (OWL + OWL + "The capital of Spain is", 10),
    ("There once was a clever mouse", 34),
    ("The capital of Italy is", 8),
    (OWL + "7 + 5 =", 16),
    ("Once upon a time, there was a brave girl", 36),
    ("Once upon a time, there was an old owl who lived in a tall tree.", 24),
)
REQUESTS: Mapping[str, tuple[str, int]] = {f"r{number}": one for number, one in enumerate(_ASKED)}
"""{request id: (prompt, tokens to generate)}."""

SETTINGS: Mapping[str, Any] = {
    "block_size": 8,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 96,
    "prefill_chunk_size": 64,
    "watermark": 0.0,
    "attention_backend": "torch",
    "fused_ops": "torch",
}
PARTS = {
    "block manager": "block_manager",
    "scheduler": "scheduler",
    "batch builder": "build_batch",
    "prefill": "paged_prefill",
    "decode": "paged_decode",
}
"""What a part is called here, and in `Parts`; beside them there is the "tokenizer"."""
NAMES = ("tokenizer", *PARTS)


@dataclass(frozen=True)
class Run:
    """One run of the requests; every dict is by request id.

    Attributes:
        tokens: what was generated.
        prompts: the prompts' token ids.
        texts: what was generated, as text.
        errors: what went wrong, of those where something did.
        waits: seconds to the first token, from the beginning of the run.
        seconds: of the whole run.
        stats: the engine's own counts; None for a run without our engine.
        records: its trace.
    """

    tokens: dict[str, list[int]]
    prompts: dict[str, list[int]]
    texts: dict[str, str]
    errors: dict[str, str]
    waits: dict[str, float]
    seconds: float
    stats: EngineStats | None = None
    records: tuple[StepRecord, ...] = ()

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens by seconds."""
        return sum(map(len, self.tokens.values())) / self.seconds


@cache
def _model() -> Any:
    return load_model(asset_path(MODEL), dtype="float32")


def num_parameters() -> int:
    """How many weights the bundled model has."""
    return sum(weight.numel() for weight in _model().parameters())


def stored_merges() -> list[str | list[str]]:
    """The merges of the bundled model's tokenizer, as its file has them."""
    path = asset_path(MODEL) / "tokenizer.json"
    merges: list[str | list[str]] = json.loads(path.read_text(encoding="utf-8"))["model"]["merges"]
    return merges


def lengths(tokenizer: Any) -> list[int]:
    """Tokens of each request at its longest: prompt and output."""
    return [len(tokenizer.encode(prompt)) + num_new for prompt, num_new in REQUESTS.values()]


def serve(
    parts: Mapping[str, Any],
    num_blocks: int,
    requests: Mapping[str, tuple[str, int]] = REQUESTS,
    **settings: Any,
) -> Run:
    """Run the requests, all there at the beginning, through an engine of `parts`; greedy.

    parts: by `NAMES`; what is missing is cblab's own. settings: on top of `SETTINGS`.
    """
    tokenizer = parts.get("tokenizer") or BPETokenizer.load(asset_path(MODEL))
    chosen = Parts(**{PARTS[name]: part for name, part in parts.items() if name in PARTS})
    trace = Trace()
    chosen_settings = {**SETTINGS, "num_blocks": num_blocks, **settings}
    engine = LLM(_model(), tokenizer, parts=chosen, trace=trace, **chosen_settings).engine
    started = perf_counter()
    for request_id, (prompt, num_new) in requests.items():
        engine.add_request(prompt, _greedy(num_new), request_id=request_id, final_only=True)
    outputs = []
    while engine.has_unfinished:
        outputs += engine.step()
    seconds = perf_counter() - started
    engine.check_integrity()
    by_name = {one.request_id: one for one in outputs}
    ended = [by_name[name] for name in requests]
    return Run(
        tokens={one.request_id: one.outputs[0].token_ids for one in ended},
        prompts={one.request_id: one.prompt_token_ids for one in ended},
        texts={one.request_id: one.outputs[0].text for one in ended},
        errors={one.request_id: str(one.error) for one in ended if one.error is not None},
        waits={one.request_id: one.metrics.time_to_first_token or 0.0 for one in ended},
        seconds=seconds,
        stats=engine.stats(),
        records=tuple(trace),
    )


def _greedy(num_new: int) -> SamplingParams:
    return SamplingParams(temperature=0.0, max_tokens=num_new, ignore_eos=True)
