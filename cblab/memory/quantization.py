"""Bytes of weights that are stored in a few bits each."""

from cblab.memory.parameters import count_parameters
from cblab.model.config import ModelConfig

SCALE_BYTES = 2  # a float16 scale for each group


def quantized_bytes(num_rows: int, row_length: int, bits: int, group_size: int) -> int:
    """Return the bytes of a matrix whose numbers are stored in `bits` bits, with a scale for each group.

    Each row is packed on its own into whole bytes, and cut into groups of `group_size` numbers (the last may
    be shorter) that share one float16 scale.

    Raises:
        ValueError: bits outside 1 to 16, or a group without numbers.
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"bits must be from 1 to 16, got {bits}")
    if group_size < 1:
        raise ValueError(f"group_size must be at least 1, got {group_size}")
    codes = -(-row_length * bits // 8)
    scales = SCALE_BYTES * -(-row_length // group_size)
    return num_rows * (codes + scales)


def quantized_weights_bytes(config: ModelConfig, bits: int, group_size: int = 128) -> int:
    """Return the bytes of a model whose layers' matrices are quantized, and all else is in 16 bits.

    The token table, the output layer, norms and biases stay as they are, as is common.
    """
    counts = count_parameters(config)
    inside = counts.attention + counts.mlp
    rest = counts.total - inside
    # Rows of real models are multiples of the group, so that all matrices together are as one.
    return quantized_bytes(1, inside, bits, group_size) + 2 * rest
