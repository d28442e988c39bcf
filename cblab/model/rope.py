"""Rotary position embeddings (Su et al., 2021) and the ways to stretch them past the trained length.

Each pair of dimensions (i, i + head_dim/2) of a query or key is a point in the plane, turned by an angle of
position times `frequency[i]`. A dot product of two turned vectors depends on the distance of their positions
alone. The scalings change the frequencies; some also scale the result (`attention_factor`).
"""

import math

import torch
from torch import Tensor

from cblab.attention.batch import RaggedBatch
from cblab.model.config import RopeConfig


class RotaryEmbedding:
    """Cosines and sines for the tokens of a batch; no parameters, and always float32 inside.

    "dynamic" and "longrope" frequencies depend on how long the sequence is. Here each sequence's own
    `context_len` in the running forward pass decides, so that no sequence touches another in the batch. Keys
    in a cache stay as they were turned when they were computed: a sequence that grows past the trained
    length holds keys turned by older frequencies, as in transformers, and recomputing it whole, or computing
    its prompt in other chunks, gives other numbers. No other type has this trait.
    """

    def __init__(self, rope: RopeConfig, head_dim: int) -> None:
        self.rope = rope
        self.head_dim = head_dim
        self.attention_factor = attention_factor(rope)
        # Held outside the module's buffers: `model.to(torch.bfloat16)` would round the frequencies.
        self._frequencies = inverse_frequencies(rope, head_dim)
        self._table: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def tabulate(self, num_positions: int, device: torch.device) -> None:
        """Compute the cosines and sines of positions below `num_positions` now, to be looked up later.

        Where they depend on a sequence's length there is nothing to be looked up, and nothing happens.
        """
        if not self._depends_on_length:
            positions = torch.arange(num_positions, device=device)
            self._table = self._turns(positions, self._frequencies.to(device))

    def __call__(self, batch: RaggedBatch, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines of a batch's positions, each `[num_tokens, 1, head_dim / 2]` in `dtype`."""
        if self._table is None:
            cos, sin = self._turns(batch.positions, self._frequencies_of(batch))
        else:
            cos, sin = (one.index_select(0, batch.positions) for one in self._table)
        return cos.to(dtype)[:, None], sin.to(dtype)[:, None]

    @property
    def _depends_on_length(self) -> bool:
        return self.rope.rope_type in ("dynamic", "longrope")

    def _turns(self, positions: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
        angles = positions[:, None].float() * frequencies
        return angles.cos() * self.attention_factor, angles.sin() * self.attention_factor

    def _frequencies_of(self, batch: RaggedBatch) -> Tensor:
        """`[head_dim / 2]` for all tokens, or `[num_tokens, head_dim / 2]` where each length decides."""
        if self._depends_on_length:
            lengths = batch.context_lens.tolist()
            rows = torch.stack([inverse_frequencies(self.rope, self.head_dim, length) for length in lengths])
            return rows.to(batch.positions.device).repeat_interleave(batch.cu_seqlens_q.diff(), dim=0)
        if self._frequencies.device != batch.positions.device:
            self._frequencies = self._frequencies.to(batch.positions.device)
        return self._frequencies


def inverse_frequencies(rope: RopeConfig, head_dim: int, context_len: int = 0) -> Tensor:
    """Radians per position of each pair of dimensions: `[head_dim / 2]`, float32, on the CPU.

    On the CPU whatever the default device is: that is "meta" while a checkpoint loads. `context_len` matters
    to "dynamic" and "longrope" only; 0 stands for a sequence within the trained length.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device="cpu") / head_dim
    match rope.rope_type:
        case "default":
            return 1.0 / rope.theta**exponents
        case "linear":
            return 1.0 / rope.theta**exponents / rope.factor
        case "dynamic":
            return 1.0 / _ntk_base(rope, head_dim, context_len) ** exponents
        case "longrope":
            long = context_len > rope.original_max_position_embeddings
            stretch = torch.tensor(rope.long_factor if long else rope.short_factor, device="cpu")
            return 1.0 / (stretch * rope.theta**exponents)
        case "yarn":
            return _yarn(rope, head_dim, rope.theta**exponents)
        case "llama3":
            return _llama3(rope, 1.0 / rope.theta**exponents)
    raise ValueError(f"unknown rope_type {rope.rope_type!r}")


def attention_factor(rope: RopeConfig) -> float:
    """What cosines and sines are multiplied with; other than 1 for "yarn" and "longrope" only."""
    if rope.attention_factor is not None:
        return rope.attention_factor
    if rope.rope_type == "longrope" and rope.factor > 1:
        return math.sqrt(1 + math.log(rope.factor) / math.log(rope.original_max_position_embeddings))
    if rope.rope_type == "yarn" and rope.factor > 1:
        if rope.mscale and rope.mscale_all_dim:
            return _yarn_mscale(rope.factor, rope.mscale) / _yarn_mscale(rope.factor, rope.mscale_all_dim)
        return _yarn_mscale(rope.factor, 1.0)
    return 1.0


def _ntk_base(rope: RopeConfig, head_dim: int, context_len: int) -> float:
    """The base of NTK-aware interpolation (bloc97, emozilla, 2023): larger, the longer the sequence is."""
    trained = rope.original_max_position_embeddings
    length = max(context_len, trained)
    growth = rope.factor * length / trained - (rope.factor - 1)
    return rope.theta * growth ** (head_dim / (head_dim - 2))


def _yarn_mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0


def _yarn(rope: RopeConfig, head_dim: int, wavelengths: Tensor) -> Tensor:
    """YaRN (Peng et al., 2023): fast dimensions stay, slow ones are interpolated, a ramp between the two."""

    def dimension_of(rotations: float) -> float:
        """The dimension that turns `rotations` times within the trained length."""
        turned = math.log(rope.original_max_position_embeddings / (rotations * 2 * math.pi))
        return head_dim * turned / (2 * math.log(rope.theta))

    low, high = dimension_of(rope.beta_fast), dimension_of(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    width = high - low if high != low else 0.001
    ramp = ((torch.arange(head_dim // 2, dtype=torch.float32, device="cpu") - low) / width).clamp(0, 1)
    return 1.0 / (rope.factor * wavelengths) * ramp + 1.0 / wavelengths * (1 - ramp)


def _llama3(rope: RopeConfig, frequencies: Tensor) -> Tensor:
    """Llama 3.1's: wavelengths beyond the trained context are stretched, short ones stay, a ramp between."""
    turns = rope.original_max_position_embeddings * frequencies / (2 * math.pi)
    smooth = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    smooth = smooth.clamp(0, 1)
    return (1 - smooth) * frequencies / rope.factor + smooth * frequencies
