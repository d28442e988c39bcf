"""The bundled model's graphs: a training step, layers in segments, generation with autograd or without."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import UniformCausalAttention
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache
from cblab.model.decoder import Decoder


def training_loss(model: Decoder, windows: Tensor) -> Tensor:
    """The loss of predicting each next token; windows: ids `[num_seqs, length + 1]`."""
    logits = inference_logits(model, windows[:, :-1])
    return torch.nn.functional.cross_entropy(logits, windows[:, 1:].reshape(-1))


def inference_logits(model: Decoder, windows: Tensor) -> Tensor:
    """Logits of every token, `[num_seqs * length, vocab_size]`; windows: ids `[num_seqs, length]`."""
    attend = UniformCausalAttention(model.config.attention_specs, len(windows))
    return model(RaggedBatch.uniform(windows), attend)


def layers_in_segments(
    model: Decoder, windows: Tensor, num_layers: int, segment: int | None = None
) -> Tensor:
    """The sum of the hidden states after `num_layers` layers.

    segment: of so many layers only the input is kept for the backward pass, which computes the rest again;
    None keeps everything.
    """
    batch = RaggedBatch.uniform(windows)
    attend = UniformCausalAttention(model.config.attention_specs, len(windows))
    x, delta = model.embed(batch), None
    rope = None if model.rope is None else model.rope(batch, x.dtype)

    def run(first: int, end: int, x: Tensor, delta: Tensor | None) -> tuple[Tensor, Tensor | None]:
        for layer in model.layers[first:end]:
            x, delta = layer(x, delta, rope, attend)
        return x, delta

    for first in range(0, num_layers, segment or num_layers):
        end = min(first + (segment or num_layers), num_layers)
        if segment is None:
            x, delta = run(first, end, x, delta)
        else:
            x, delta = checkpoint(run, first, end, x, delta, use_reentrant=False)
    return (x if delta is None else x + delta).sum()


def greedy_tokens(model: Decoder, prompt: list[int], num_tokens: int) -> Iterator[int]:
    """Generate over a dense cache, token by token, with or without autograd as the caller has it."""
    cache = DenseKVCache(model.config.attention_specs)
    new = list(prompt)
    for _ in range(num_tokens):
        batch = RaggedBatch.build([new], [cache.length])
        attend = DenseCacheAttention([cache], batch)
        logits = model(batch, attend)
        attend.advance()
        new = [int(logits[-1].argmax())]
        yield new[0]
