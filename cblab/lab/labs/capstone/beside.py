"""The same requests through transformers, one after another: what everything here is held against."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch

from cblab.assets import path as asset_path
from cblab.lab.labs.capstone.workload import MODEL, REQUESTS, Run


class _FirstToken:
    """A streamer that notes when the first new token comes; the prompt is the first thing it is given."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(perf_counter())

    def end(self) -> None:
        """Nothing is left to be shown."""


def transformers_run(requests: Mapping[str, tuple[str, int]] = REQUESTS) -> Run:
    """Run the requests through `transformers` with its own tokenizer, greedy, each when the last one is done.

    All are there at the beginning, so that the time to a first token has the wait for the others in it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    folder = str(asset_path(MODEL))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    run = Run({}, {}, {}, {}, {}, 0.0)
    started = perf_counter()
    with torch.inference_mode():
        for name, (prompt, num_new) in requests.items():
            given = tokenizer(prompt, return_tensors="pt")
            stream = _FirstToken()
            made = model.generate(
                **given,
                do_sample=False,
                max_new_tokens=num_new,
                min_new_tokens=num_new,
                eos_token_id=None,
                streamer=stream,
            )
            run.prompts[name] = given["input_ids"][0].tolist()
            run.tokens[name] = made[0, len(run.prompts[name]) :].tolist()
            run.waits[name] = stream.times[1] - started
    seconds = perf_counter() - started
    texts = {name: str(tokenizer.decode(tokens)) for name, tokens in run.tokens.items()}
    return Run(run.tokens, run.prompts, texts, {}, run.waits, seconds)
