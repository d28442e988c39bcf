"""How many bytes one number takes."""

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}


def bytes_per_element(dtype: str) -> int:
    """Return the bytes of one element of `dtype`, by torch's name for it; ValueError for an unknown one."""
    if dtype not in DTYPE_BYTES:
        raise ValueError(f"unknown dtype {dtype!r}; known are {', '.join(DTYPE_BYTES)}")
    return DTYPE_BYTES[dtype]
