"""Parameters and weight bytes of a model, part by part, from its config."""

from dataclasses import asdict, dataclass

from cblab.memory.dtypes import bytes_per_element
from cblab.model.config import ModelConfig


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters by part, over all layers; they add up to `total`.

    embedding: the token table, `vocab_size x hidden_size`.
    positions: the table of learned positions (GPT-2); 0 with rotary ones, which have no parameters.
    attention: query, key, value and output projections, with their biases.
    mlp: all experts of a mixture, and the router that chooses among them.
    norms: the layers' norms, those of queries and keys where the family has them, and the last norm.
    lm_head: the output layer; 0 where it is tied to the embedding, whose numbers are not counted twice.
    """

    embedding: int = 0
    positions: int = 0
    attention: int = 0
    mlp: int = 0
    norms: int = 0
    lm_head: int = 0

    @property
    def total(self) -> int:
        """All parameters of the model."""
        return sum(self.by_part().values())

    def by_part(self) -> dict[str, int]:
        """Return the counts by the part's name, in the order of the forward pass."""
        return asdict(self)


def count_parameters(config: ModelConfig) -> ParameterCounts:
    """Count a model's parameters exactly; ValueError for a registered part whose shape is not known here."""
    if config.attn_impl != "gqa":
        raise ValueError(f"no count is known for attn_impl={config.attn_impl!r}, only for 'gqa'")
    table = config.vocab_size * config.hidden_size
    return ParameterCounts(
        embedding=table,
        positions=config.max_position_embeddings * config.hidden_size if config.rope is None else 0,
        attention=config.num_layers * _attention_of_one_layer(config),
        mlp=config.num_layers * _mlp_of_one_layer(config),
        norms=_norms(config),
        lm_head=0 if config.tie_word_embeddings else table,
    )


def weights_bytes(config: ModelConfig, dtype: str) -> int:
    """Return the bytes of all weights stored as `dtype` ("float32", "bfloat16", ...)."""
    return count_parameters(config).total * bytes_per_element(dtype)


def embedding_bytes(config: ModelConfig, dtype: str) -> int:
    """Return the bytes of the token table alone: `vocab_size x hidden_size` numbers."""
    return count_parameters(config).embedding * bytes_per_element(dtype)


def _attention_of_one_layer(config: ModelConfig) -> int:
    q_size = config.num_heads * config.head_dim
    kv_size = config.num_kv_heads * config.head_dim
    weights = config.hidden_size * (q_size + 2 * kv_size) + q_size * config.hidden_size
    biases = config.qkv_bias * (q_size + 2 * kv_size) + config.o_bias * config.hidden_size
    return weights + biases


def _mlp_of_one_layer(config: ModelConfig) -> int:
    hidden, inner = config.hidden_size, config.intermediate_size
    if config.mlp_impl == "gelu":  # up, down
        return 2 * hidden * inner + config.mlp_bias * (inner + hidden)
    if config.mlp_impl == "swiglu":  # gate, up, down
        return 3 * hidden * inner + config.mlp_bias * (2 * inner + hidden)
    if config.mlp_impl == "moe":
        return config.num_experts * 3 * hidden * inner + config.num_experts * hidden
    raise ValueError(
        f"no count is known for mlp_impl={config.mlp_impl!r}, only for 'swiglu', 'gelu' and 'moe'"
    )


def _norms(config: ModelConfig) -> int:
    per_channel = {"rms_norm": 1, "layer_norm": 2}.get(config.norm_impl)  # a weight, and for LayerNorm a bias
    if per_channel is None:
        raise ValueError(
            f"no count is known for norm_impl={config.norm_impl!r}, only for 'rms_norm' and 'layer_norm'"
        )
    channels_of_one_layer = 2 * config.hidden_size + config.qk_norm * 2 * config.head_dim
    # A post-norm layer ends in its own norm, so that the model needs no last one.
    last = config.hidden_size if config.norm_position == "pre" else 0
    return per_channel * (config.num_layers * channels_of_one_layer + last)
