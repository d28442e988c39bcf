"""The part of the engine that touches tensors: block copies, the forward pass, and whose logits are whose."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend, get_backend
from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.attention.layout import KVLayout
from cblab.core.batch_builder import BatchRow
from cblab.core.config import EngineConfig
from cblab.core.cuda_graphs import DecodeGraphs, make_decode_graphs
from cblab.core.kv_storage import StorageDtype, bytes_per_block
from cblab.core.paged_attend import PagedAttention
from cblab.core.paged_cache import PagedKVCache
from cblab.core.parts import BatchBuilderPart, Parts
from cblab.core.plan import BlockOp
from cblab.core.pool_size import free_memory_bytes, pool_size
from cblab.core.recorded_passes import RecordedPasses, record_passes
from cblab.model.config import ModelConfig
from cblab.model.decoder import Decoder
from cblab.model.fused import TORCH_OPS
from cblab.model.inference import choose_fused_ops, for_inference


class LanguageModel(Protocol):
    """What is needed of a model: its sizes, and logits `[num_logits, vocab_size]` for a batch."""

    @property
    def config(self) -> ModelConfig:
        """The model's sizes."""

    def __call__(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        """Return the logits of the rows that the batch asks for."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Return the weights, whose dtype and device are the cache's too."""


class ModelRunner:
    """One model over one paged cache; it knows rows of tokens and no requests.

    A `Decoder` is made ready for its device first, see `for_inference`; any other model runs as it is.
    """

    def __init__(
        self,
        model: LanguageModel,
        cache: PagedKVCache,
        backend: AttentionBackend,
        build_batch: BatchBuilderPart,
        config: EngineConfig,
    ) -> None:
        self.model = model
        self.ops = TORCH_OPS
        if isinstance(model, Decoder):
            self.ops = choose_fused_ops(config.fused_ops, model.embed_tokens.weight)
            self.model = for_inference(model, self.ops)
        self.cache = cache
        self.backend = backend
        self.device = next(iter(model.parameters())).device
        self._build_batch = build_batch
        self.graphs = None if config.enforce_eager else self._record(model.config, config)

    def _record(
        self, model_config: ModelConfig, config: EngineConfig
    ) -> "DecodeGraphs | RecordedPasses | None":
        """Passes that run as one, decode steps on a GPU or all on a CPU; None where neither can be."""
        # A class of the reader's own may do anything in its `forward`.
        if type(self.model) is Decoder and self.device.type == "cpu":
            return record_passes(
                self.model,
                self.cache,
                self.backend,
                self.ops,
                config.max_num_seqs,
                config.max_num_batched_tokens,
            )
        longest = min(config.max_model_len or math.inf, model_config.max_position_embeddings)
        return make_decode_graphs(
            self._pass,
            model_config,
            self.backend,
            max_num_seqs=config.max_num_seqs,
            max_blocks=min(math.ceil(longest / self.cache.block_size), self.cache.num_blocks),
            device=self.device,
        )

    def build(self, rows: Sequence[BatchRow]) -> RaggedBatch:
        """Lay the rows' tokens end to end, on the model's device."""
        return self._build_batch(rows, self.cache.block_size, self.device)

    @torch.inference_mode()
    def forward(self, batch: RaggedBatch, block_ops: Sequence[BlockOp] = ()) -> Tensor:
        """Carry out the block copies, then one pass that also writes the batch's keys and values.

        Returns `[num_logits, vocab_size]`, the rows' logits in their order, to be read before the next pass.
        """
        self.cache.apply(block_ops)
        if self.graphs is not None and self.graphs.accepts(batch):
            return self.graphs(batch)
        return self._pass(batch)

    def _pass(self, batch: RaggedBatch) -> Tensor:
        return self.model(batch, PagedAttention(self.cache, batch, self.backend))


def choose_backend(name: str, parts: Parts, device: torch.device) -> AttentionBackend:
    """Return the backend of this name, with a reader's own kernels in the place of its own.

    An own kernel reads a pool in NHD, or says in an attribute `layout` which other one it reads. Both kernels
    read one pool: beside an own one, "auto" is the torch backend if the fastest has another layout.

    Raises:
        ValueError: an unknown name, or kernels that read different layouts.
    """
    backend = get_backend(name, device)
    own = [one for one in ("paged_decode", "paged_prefill") if getattr(parts, one) is not None]
    layouts = {getattr(getattr(parts, one), "layout", KVLayout.NHD) for one in own}
    if name == "auto" and layouts and layouts != {backend.layout}:
        backend = get_backend("torch", device)
    decode, prefill = parts.paged_decode or backend.decode, parts.paged_prefill or backend.prefill
    decode_layout, layout = (
        backend.layout if one is its else getattr(one, "layout", KVLayout.NHD)
        for one, its in ((decode, backend.decode), (prefill, backend.prefill))
    )
    if decode_layout is not layout:
        raise ValueError(
            f"paged_decode reads a pool in {decode_layout.value} and paged_prefill in {layout.value}: one "
            "pool cannot be both, replace both or neither"
        )
    name = f"{backend.name} with own {' and '.join(own)}" if own else backend.name
    return AttentionBackend(
        name,
        layout,
        decode,
        prefill,
        backend.plan_decode if decode is backend.decode else None,
        backend.write if layout is backend.layout else None,
    )


def make_cache(model: LanguageModel, config: EngineConfig, layout: KVLayout) -> PagedKVCache:
    """Make the pool that a model and a config ask for; where no number of blocks is given, memory decides.

    Raises:
        ValueError: `config.dtype` is not what the model computes in, or too little memory is free.
    """
    weight = next(iter(model.parameters()))
    computed_in = str(weight.dtype).removeprefix("torch.")
    if config.dtype not in ("auto", computed_in):
        raise ValueError(f"dtype={config.dtype!r}, but the model has been loaded in {computed_in}")
    stored_in = cast(StorageDtype, computed_in if config.kv_cache_dtype == "auto" else config.kv_cache_dtype)
    specs = model.config.attention_specs
    return PagedKVCache(
        specs,
        pool_size(
            config,
            bytes_per_block(specs, config.block_size, stored_in),
            model.config.max_position_embeddings,
            free_memory_bytes(weight.device),
        ),
        config.block_size,
        layout=layout,
        dtype=stored_in,
        device=weight.device,
        num_host_blocks=config.num_host_blocks,
    )
