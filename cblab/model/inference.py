"""A Decoder as the engine runs it: its weights laid out for this processor, with kernels between them."""

import copy

import torch
from torch import Tensor, nn

from cblab.model.decoder import Decoder
from cblab.model.fused import FusedOps, get_fused_ops

_FASTEST_ON = {"cpu": "numba", "cuda": "triton"}


def choose_fused_ops(name: str, weight: Tensor) -> FusedOps:
    """Return a table by name for a model with such weights; "auto" is the fastest that computes with them.

    Raises:
        ValueError: an unknown name, or a table that does not compute with such weights.
        ImportError: its library is not installed.
    """
    device = weight.device.type
    is_known = name in _FASTEST_ON.values()
    computes = _FASTEST_ON.get(device) == "triton" or (device == "cpu" and weight.dtype == torch.float32)
    if name == "auto":
        return get_fused_ops(_FASTEST_ON[device] if computes else "torch")
    if is_known and not (computes and _FASTEST_ON[device] == name):
        raise ValueError(
            f"fused_ops={name!r} does not compute in {weight.dtype} on {device!r}: numba computes in float32 "
            'on a CPU, triton on CUDA; "auto" chooses what does'
        )
    return get_fused_ops(name)


def for_inference(model: Decoder, ops: FusedOps) -> Decoder:
    """Return a Decoder over the same weights that computes with `ops`; the model itself stays as it was.

    It computes at positions below the config's `max_position_embeddings`: their rotations are tabulated.
    On a CPU the weights of matrix products are copied once, into the layout that the product reads; all else
    is shared. Later changes of the copied weights are not seen, and gradients do not flow.
    """
    ready = copy.deepcopy(model, {id(one): one for one in (*model.parameters(), *model.buffers())}).eval()
    for module in ready.modules():
        if hasattr(module, "ops"):
            setattr(module, "ops", ops)  # noqa: B010 (of which kind of module, mypy cannot know)
    weight = model.embed_tokens.weight
    if ready.rope is not None:
        ready.rope.tabulate(model.config.max_position_embeddings, weight.device)
    if weight.device.type == "cpu":
        packed = _packed_linear(weight.dtype, ops)
        if packed is not None:
            _pack(ready, packed)
    return ready


def _packed_linear(dtype: torch.dtype, ops: FusedOps) -> "type[PackedLinear | OneDNNLinear] | None":
    """The product to use on a CPU, or None for torch's own."""
    if ops.name == "numba":
        return PackedLinear
    has_bf16_units = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return OneDNNLinear if dtype == torch.bfloat16 and has_bf16_units else None


def _pack(model: Decoder, packed: "type[PackedLinear | OneDNNLinear]") -> None:
    if model.lm_head is None:  # tied: the embedding keeps its own copy, for looking up rows
        embedding = model.embed_tokens.weight
        model.lm_head = nn.Linear(embedding.shape[1], embedding.shape[0], bias=False, device="meta")
        model.lm_head.weight = embedding
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, packed(child.weight.detach(), child.bias))


class PackedLinear(nn.Module):
    """`nn.Linear` in float32 on a CPU, over weights in the layout of `cblab.model.numba_gemm`."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        from cblab.model.numba_gemm import multiply, pack

        self._multiply = multiply
        self.num_columns = weight.shape[0]
        self.panels = pack(weight)
        self.bias = torch.zeros(self.panels.shape[0] * self.panels.shape[2])
        if bias is not None:
            self.bias[: self.num_columns] = bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """`[num_rows, in_features]` to `[num_rows, out_features]`."""
        out: Tensor = self._multiply(x, self.panels, self.bias)
        return out if self.num_columns == out.shape[1] else out[:, : self.num_columns]


class OneDNNLinear(nn.Module):
    """`nn.Linear` in bfloat16 on a CPU that has units for it, over weights in oneDNN's own layout."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else bias.detach()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)

    def forward(self, x: Tensor) -> Tensor:
        """`[num_rows, in_features]` to `[num_rows, out_features]`."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return out
