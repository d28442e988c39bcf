"""What keys and values are stored as, and the bytes that this takes. Torch-free."""

from collections.abc import Sequence
from typing import Literal, get_args

from cblab.attention.spec import AttentionSpec
from cblab.memory import bytes_per_element

StorageDtype = Literal["float32", "bfloat16", "float16", "int8"]

STORAGE_DTYPES: tuple[StorageDtype, ...] = get_args(StorageDtype)
_SCALE_BYTES = bytes_per_element("float32")


def bytes_per_block(specs: Sequence[AttentionSpec], block_size: int, dtype: StorageDtype) -> int:
    """Return the bytes of one block over all layers.

    In each layer `block_size` tokens have a key and a value for each KV head; int8 ones bring a float32
    scale each.

    Raises:
        ValueError: a dtype that keys and values cannot be stored as.
    """
    if dtype not in STORAGE_DTYPES:
        raise ValueError(f"a KV cache stores {', '.join(STORAGE_DTYPES)}, not {dtype!r}")
    scale = _SCALE_BYTES if dtype == "int8" else 0
    row_bytes = [spec.num_kv_heads * (spec.head_dim * bytes_per_element(dtype) + scale) for spec in specs]
    return 2 * block_size * sum(row_bytes)
