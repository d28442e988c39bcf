"""What one layer asks of whoever computes its attention."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionSpec:
    """The shape and the rules of one layer's attention; free of torch, so that sizes are computed without it.

    `scale` multiplies the scores before the softmax. With `sliding_window` w, the query at position i sees
    the keys at positions i-w+1 ... i, itself included; None means all keys up to i.
    """

    num_heads: int
    num_kv_heads: int
    head_dim: int
    scale: float
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_heads", "num_kv_heads", "head_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads ({self.num_heads}) must be a multiple of num_kv_heads ({self.num_kv_heads}): "
                "each KV head serves the same number of query heads"
            )
        if self.sliding_window is not None and self.sliding_window < 1:
            raise ValueError(f"sliding_window must be at least 1 or None, got {self.sliding_window}")
