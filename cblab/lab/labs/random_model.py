"""A model that says something, for checks that run the engine: one layer with random weights."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cblab.model.tiny import TinyLLM


def random_model(vocab_size: int, seed: int) -> "TinyLLM":
    """A `TinyLLM` of 256 positions whose weights depend on the seed alone: the same in every process."""
    import torch

    from cblab.model.tiny import TinyLLM

    generator = torch.Generator().manual_seed(seed)
    model = TinyLLM(vocab_size, hidden_size=16, max_position_embeddings=256)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
    return model
