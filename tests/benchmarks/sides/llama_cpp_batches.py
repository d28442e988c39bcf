"""llama.cpp: its batches of many sequences, put together here as its own parallel example and server do."""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from tests.benchmarks.sides.gguf_checkpoint import convert
from tests.benchmarks.sides.protocol import Job, Served, answer

GGML_TYPES = {"float32": 0, "bfloat16": 30}
TOKENS_A_STEP = 512
MAX_CONTEXT = 768  # of one sequence: more than any job of ours has


@dataclass
class _Sequence:
    """One job as it is served, in a slot of the cache that is its own."""

    slot: int
    job: Job
    num_computed: int = 0
    output: list[int] = field(default_factory=list)

    @property
    def pending(self) -> list[int]:
        """Tokens that are known and not computed: what is left of the prompt, or the newest one."""
        return self.job.prompt[self.num_computed :] or self.output[-1:]


class LlamaCppSide:
    """Continuous batching over `llama_decode`: every running sequence's token, and then prompt chunks.

    Settings: `dtype`, of weights and of keys and values, and `kv_unified`: one cache that all sequences
    share, in which each token's attention passes over all of them, or one for each.
    """

    def __init__(self, checkpoint: Path, num_threads: int, settings: dict[str, Any]) -> None:
        self.settings = settings
        llama_cpp.llama_backend_init()
        path = str(convert(checkpoint, settings["dtype"])).encode()
        self.model = llama_cpp.llama_model_load_from_file(path, llama_cpp.llama_model_default_params())
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.num_threads = num_threads
        self.batch = llama_cpp.llama_batch_init(TOKENS_A_STEP, 0, 1)
        self.context: Any = None
        self.num_slots = 0

    def describe(self) -> str:
        """Version and settings."""
        shared = "one cache for all sequences" if self.settings["kv_unified"] else "a cache for each sequence"
        return (
            f"llama.cpp of llama-cpp-python {llama_cpp.__version__}, built for this CPU, weights, keys and "
            f"values {self.settings['dtype']}; continuous batches of {TOKENS_A_STEP} tokens, {shared}"
        )

    def serve(self, jobs: Sequence[Job]) -> Served:
        """Steps until all jobs have ended; room for all of them at once is made before the clock starts."""
        if self.num_slots < len(jobs):
            self._make_context(len(jobs))
        memory = llama_cpp.llama_get_memory(self.context)
        llama_cpp.llama_memory_clear(memory, True)
        sequences = [_Sequence(slot, job) for slot, job in enumerate(jobs)]
        running, first_token_s = sequences, [0.0] * len(jobs)
        started = time.perf_counter()
        while running:
            for sequence in self._step(running):
                if len(sequence.output) == 1:
                    first_token_s[sequence.slot] = time.perf_counter() - started
                if len(sequence.output) == sequence.job.num_new_tokens:
                    llama_cpp.llama_memory_seq_rm(memory, sequence.slot, -1, -1)
            running = [one for one in running if len(one.output) < one.job.num_new_tokens]
        seconds = time.perf_counter() - started
        return Served(seconds, first_token_s, [one.output for one in sequences])

    def _make_context(self, num_slots: int) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_seq_max, params.n_ctx = num_slots, num_slots * MAX_CONTEXT
        params.n_batch = params.n_ubatch = TOKENS_A_STEP
        params.n_threads = params.n_threads_batch = self.num_threads
        params.type_k = params.type_v = GGML_TYPES[self.settings["dtype"]]
        params.kv_unified = self.settings["kv_unified"]
        if self.context is not None:
            llama_cpp.llama_free(self.context)
        self.context, self.num_slots = llama_cpp.llama_init_from_model(self.model, params), num_slots
        if not self.context:
            raise RuntimeError("llama.cpp made no context")

    def _step(self, running: Sequence[_Sequence]) -> list[_Sequence]:
        """One batch: decodes first, then prompts for what is left; return who got a token."""
        due, budget, size = [], TOKENS_A_STEP, 0
        for sequence in sorted(running, key=lambda one: not one.output):
            tokens = sequence.pending[:budget]
            for token in tokens:
                self.batch.token[size] = token
                self.batch.pos[size] = sequence.num_computed
                self.batch.n_seq_id[size] = 1
                self.batch.seq_id[size][0] = sequence.slot
                self.batch.logits[size] = 0
                sequence.num_computed += 1
                size += 1
            budget -= len(tokens)
            if tokens and sequence.num_computed == len(sequence.job.prompt) + len(sequence.output):
                self.batch.logits[size - 1] = 1
                due.append(sequence)
            if not budget:
                break
        self.batch.n_tokens = size
        status = llama_cpp.llama_decode(self.context, self.batch)
        if status:
            raise RuntimeError(f"llama_decode returned {status}")
        if due:
            pointer = llama_cpp.llama_get_logits(self.context)
            logits = np.ctypeslib.as_array(
                ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (len(due), self.vocab_size)
            )
            for sequence, token in zip(due, logits.argmax(axis=1).tolist(), strict=True):
                sequence.output.append(token)
        return due


if __name__ == "__main__":
    answer(LlamaCppSide)
