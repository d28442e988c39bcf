"""The bundled model's output tokens a second, greedy: cblab over ragged batches beside transformers."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cblab import assets
from cblab.core.generate import generate
from cblab.core.sampling_params import SamplingParams
from cblab.model import load_model
from cblab.tokenization import load_tokenizer
from cblab.training.corpus import make_corpus
from tests.benchmarks.report import interleaved, report

NUM_PROMPTS = 16
MAX_TOKENS = 64


def bench_greedy_generation() -> None:
    tokenizer = load_tokenizer(assets.path())
    # Prompts of 8 to 68 tokens, cut from documents: mixed lengths, as a service sees them.
    documents = make_corpus(seed=7, num_documents=NUM_PROMPTS)
    prompts = [tokenizer.encode(d)[: 8 + 4 * i] for i, d in enumerate(documents)]
    params = SamplingParams(temperature=0, max_tokens=MAX_TOKENS, ignore_eos=True)
    model = load_model(assets.path(), dtype="float32")
    theirs: Any = AutoModelForCausalLM.from_pretrained(assets.path(), dtype=torch.float32)
    padder = AutoTokenizer.from_pretrained(assets.path(), padding_side="left")

    @torch.inference_mode()
    def transformers(rows: list[list[int]]) -> None:
        padded = padder.pad({"input_ids": rows}, return_tensors="pt")
        theirs.generate(**padded, max_new_tokens=MAX_TOKENS, min_new_tokens=MAX_TOKENS, do_sample=False)

    sides = {
        "cblab, all at once": lambda: list(generate(model, tokenizer, prompts, params)),
        "cblab, one by one": lambda: [list(generate(model, tokenizer, [p], params)) for p in prompts],
        "transformers, one padded batch": lambda: transformers(prompts),
        "transformers, one by one": lambda: [transformers([p]) for p in prompts],
    }
    title = (
        f"{NUM_PROMPTS} prompts of {len(prompts[0])}-{len(prompts[-1])} tokens, {MAX_TOKENS} new tokens each"
    )
    report(title, "output tokens", NUM_PROMPTS * MAX_TOKENS, interleaved(sides, repeats=3))
