"""A small engine for exercise 5.8: everything but the step, over a real model, pool and block manager."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cblab.attention.backends import get_backend
from cblab.attention.batch import RaggedBatch
from cblab.core.block_manager import BlockManager
from cblab.core.config import EngineConfig
from cblab.core.model_runner import LanguageModel, make_cache
from cblab.core.paged_attend import PagedAttention
from cblab.core.request import FinishReason, Request
from cblab.core.sampling_params import SamplingParams
from cblab.lab.labs.continuous_batching import reference
from cblab.lab.labs.continuous_batching.plug import Preempt, plugged, ragged_batch
from cblab.lab.labs.continuous_batching.reference import Row


class SmallEngine:
    """The parts of an engine that answers greedily; `step(engine)` makes them work together.

    Args:
        model: a `Decoder` or a `TinyLLM`.
        scheduler: a class of lab 5's Scheduler.
        token_table: lab 5's function.
        num_blocks: in the pool.
        block_size: tokens in a block.
        budget: tokens of a step.
        chunk_size: tokens of one request in a step.
        max_num_seqs: requests at once.
        preempt: lab 5's function.
    """

    def __init__(
        self,
        model: LanguageModel,
        scheduler: Callable[..., Any],
        token_table: Callable[..., Any],
        *,
        num_blocks: int,
        block_size: int = 8,
        budget: int = 64,
        chunk_size: int = 32,
        max_num_seqs: int = 8,
        preempt: Preempt = reference.preempt,
    ) -> None:
        config = EngineConfig(
            num_blocks=num_blocks,
            block_size=block_size,
            max_num_batched_tokens=budget,
            prefill_chunk_size=chunk_size,
            max_num_seqs=max_num_seqs,
            enable_prefix_caching=False,
            watermark=0.0,
        )
        self.requests: dict[str, Request] = {}  # the unfinished ones
        self.num_passes = 0
        self.cache = make_cache(model, config, get_backend("torch", "cpu").layout)
        self._model, self._token_table, self._block_size = model, token_table, block_size
        self._blocks = BlockManager(num_blocks, block_size, enable_prefix_caching=False)
        self._scheduler = plugged(scheduler, preempt)(config, self._blocks, num_blocks)

    def add(self, request_id: str, prompt: Sequence[int], max_tokens: int) -> Request:
        """Queue a prompt."""
        request = Request(
            request_id, list(prompt), SamplingParams(temperature=0), max_length=len(prompt) + max_tokens
        )
        self._scheduler.add(request)
        self.requests[request_id] = request
        return request

    def schedule(self) -> list[tuple[Request, int]]:
        """Let the scheduler decide; return who computes how many tokens. Blocks are theirs by then."""
        plan = self._scheduler.schedule(0.0)
        return [(self.requests[one.request_id], one.num_new_tokens) for one in plan.scheduled]

    def block_table(self, request: Request) -> list[int]:
        """Return the blocks of a request, in the order of its tokens."""
        return list(self._blocks.block_table(request.request_id))

    def build(self, rows: list[Row]) -> RaggedBatch:
        """Lay the rows' tokens end to end, by `token_table`."""
        return ragged_batch(self._token_table(rows, self._block_size), [row[2] for row in rows])

    @torch.inference_mode()
    def forward(self, batch: RaggedBatch) -> Tensor:
        """Run the model once; return the logits of the rows that sample, `[num_rows, vocab_size]`."""
        self.num_passes += 1
        return self._model(batch, PagedAttention(self.cache, batch, get_backend("torch", "cpu")))

    def sample(self, logits: Tensor) -> list[int]:
        """Return the most likely token of each row."""
        return logits.argmax(dim=-1).tolist()

    def finish(self, request: Request) -> None:
        """End a request and free its blocks."""
        self._scheduler.remove(request)
        request.finish(FinishReason.LENGTH, 0.0)
        del self.requests[request.request_id]
