"""What checkpoints call the Decoder's weights: one table a layout, read in both directions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from cblab.model.decoder import Decoder


@dataclass(frozen=True)
class Layout:
    """How one family's checkpoints name and cut the Decoder's parameters.

    Attributes:
        names: the Decoder's module (without `layers.N.` and without `.weight` or `.bias`) -> the checkpoint's
            tensors that, one below the other, make up its parameter. `{kind}` is "weight" or "bias".
        transposed: modules whose matrices are stored `[in, out]` (GPT-2's Conv1D) and not `[out, in]`.
        prefix: what some checkpoints leave out at the front of each name but the output layer's.
        harmless: tensors that old checkpoints hold and no model needs.
    """

    names: Mapping[str, tuple[str, ...]]
    transposed: frozenset[str] = frozenset()
    prefix: str = ""
    harmless: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))


_LLAMA_NAMES = {
    "embed_tokens": ("model.embed_tokens.{kind}",),
    "norm": ("model.norm.{kind}",),
    "lm_head": ("lm_head.{kind}",),
    "attn_norm": ("model.layers.{layer}.input_layernorm.{kind}",),
    "attn.qkv_proj": tuple(f"model.layers.{{layer}}.self_attn.{each}_proj.{{kind}}" for each in "qkv"),
    "attn.o_proj": ("model.layers.{layer}.self_attn.o_proj.{kind}",),
    "attn.q_norm": ("model.layers.{layer}.self_attn.q_norm.{kind}",),
    "attn.k_norm": ("model.layers.{layer}.self_attn.k_norm.{kind}",),
    "mlp_norm": ("model.layers.{layer}.post_attention_layernorm.{kind}",),
    "mlp.gate_up_proj": (
        "model.layers.{layer}.mlp.gate_proj.{kind}",
        "model.layers.{layer}.mlp.up_proj.{kind}",
    ),
    "mlp.down_proj": ("model.layers.{layer}.mlp.down_proj.{kind}",),
}
_MIXTRAL_NAMES = _LLAMA_NAMES | {
    "mlp.router": ("model.layers.{layer}.block_sparse_moe.gate.{kind}",),
    "mlp.gate_up_proj": (
        "model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight",
        "model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight",
    ),
    "mlp.down_proj": ("model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight",),
}
_MIXTRAL_FUSED_NAMES = _LLAMA_NAMES | {
    "mlp.router": ("model.layers.{layer}.mlp.gate.{kind}",),
    "mlp.gate_up_proj": ("model.layers.{layer}.mlp.experts.gate_up_proj",),
    "mlp.down_proj": ("model.layers.{layer}.mlp.experts.down_proj",),
}
_GPT2_NAMES = {
    "embed_tokens": ("transformer.wte.{kind}",),
    "embed_positions": ("transformer.wpe.{kind}",),
    "norm": ("transformer.ln_f.{kind}",),
    "lm_head": ("lm_head.{kind}",),
    "attn_norm": ("transformer.h.{layer}.ln_1.{kind}",),
    "attn.qkv_proj": ("transformer.h.{layer}.attn.c_attn.{kind}",),
    "attn.o_proj": ("transformer.h.{layer}.attn.c_proj.{kind}",),
    "mlp_norm": ("transformer.h.{layer}.ln_2.{kind}",),
    "mlp.up_proj": ("transformer.h.{layer}.mlp.c_fc.{kind}",),
    "mlp.down_proj": ("transformer.h.{layer}.mlp.c_proj.{kind}",),
}

_ROTARY_BUFFERS = re.compile(r".*\.rotary_emb\.inv_freq")
_MASK_BUFFERS = re.compile(r".*\.attn\.(masked_)?bias")

LAYOUTS: Mapping[str, Layout] = {
    "llama": Layout(_LLAMA_NAMES, harmless=_ROTARY_BUFFERS),
    "mixtral": Layout(_MIXTRAL_NAMES, harmless=_ROTARY_BUFFERS),
    "mixtral_fused": Layout(_MIXTRAL_FUSED_NAMES, harmless=_ROTARY_BUFFERS),
    "gpt2": Layout(
        _GPT2_NAMES,
        transposed=frozenset({"attn.qkv_proj", "attn.o_proj", "mlp.up_proj", "mlp.down_proj"}),
        prefix="transformer.",
        harmless=_MASK_BUFFERS,
    ),
}


def checkpoint_views(model: Decoder, layout: Layout) -> dict[str, Tensor]:
    """The checkpoint's tensors as views into the model's parameters: copy in to load, read to save.

    Raises:
        ValueError: the model has a parameter that the layout has no name for.
    """
    views: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        layer, module, kind = _split(name)
        if module not in layout.names:
            raise ValueError(
                f"the layout of family {model.config.family!r} has no name for the parameter {name!r}"
            )
        names = list(_expand(layout.names[module], layer, kind, model.config.num_experts))
        for each, view in zip(names, _cut(parameter.detach(), module, len(names), model), strict=True):
            views[each] = view.T if kind == "weight" and module in layout.transposed else view
    return views


def _split(name: str) -> tuple[str, str, str]:
    """`layers.3.attn.o_proj.bias` into its layer, module and kind: "3", "attn.o_proj", "bias"."""
    match = re.fullmatch(r"(?:layers\.(\d+)\.)?(.+?)(?:\.(weight|bias))?", name)
    if match is None:
        raise ValueError(f"a parameter cannot be named {name!r}")
    layer, module, kind = match.groups()
    return layer or "", module, kind or ""


def _expand(templates: tuple[str, ...], layer: str, kind: str, num_experts: int) -> Iterator[str]:
    per_expert = any("{expert}" in template for template in templates)
    for expert in range(num_experts if per_expert else 1):
        for template in templates:
            yield template.format(layer=layer, kind=kind, expert=expert)


def _cut(parameter: Tensor, module: str, pieces: int, model: Decoder) -> tuple[Tensor, ...]:
    """The parameter's rows, cut into as many pieces as the checkpoint stores."""
    if pieces == 1:
        return (parameter,)
    if module == "attn.qkv_proj":
        config = model.config
        kv_rows = config.num_kv_heads * config.head_dim
        return parameter.split((config.num_heads * config.head_dim, kv_rows, kv_rows))
    rows = parameter.flatten(0, 1) if parameter.dim() == 3 else parameter
    return rows.chunk(pieces)
