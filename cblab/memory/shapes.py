"""The shapes of a model's parameters, one by one, from its config."""

from cblab.model.config import ModelConfig


def parameter_shapes(config: ModelConfig) -> list[tuple[int, ...]]:
    """Return the shape of every parameter of a model of Llama's kind, in the order of the forward pass.

    Matrices are `(rows, columns)`, outputs first, as torch stores them; norms are `(length,)`. A tied output
    layer has no parameter of its own.

    Raises:
        ValueError: another kind of attention, MLP or norm, biases, or learned positions.
    """
    kind = (config.attn_impl, config.mlp_impl, config.norm_impl)
    if kind != ("gqa", "swiglu", "rms_norm") or config.rope is None or config.qk_norm:
        raise ValueError(
            f"shapes are known for models of Llama's kind alone, not for family {config.family!r}"
        )
    if config.qkv_bias or config.o_bias or config.mlp_bias:
        raise ValueError("shapes are known for models without biases alone")
    hidden, inner = config.hidden_size, config.intermediate_size
    q_size, kv_size = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    attention = [(hidden,), (q_size, hidden), (kv_size, hidden), (kv_size, hidden), (hidden, q_size)]
    mlp = [(hidden,), (inner, hidden), (inner, hidden), (hidden, inner)]
    table = (config.vocab_size, hidden)
    shapes: list[tuple[int, ...]] = [table, *(attention + mlp) * config.num_layers, (hidden,)]
    return shapes if config.tie_word_embeddings else [*shapes, table]
