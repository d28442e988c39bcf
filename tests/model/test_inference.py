"""A Decoder made ready for the engine: the same logits, the same weights, and the model as it was."""

import dataclasses

import pytest
import torch
from torch import Tensor

from cblab.attention import RaggedBatch, RaggedCausalAttention
from cblab.model import Decoder, ModelConfig
from cblab.model.fused import TORCH_OPS, get_fused_ops
from cblab.model.inference import OneDNNLinear, PackedLinear, choose_fused_ops, for_inference

CONFIG = ModelConfig(
    vocab_size=29,
    hidden_size=24,
    intermediate_size=40,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=6,
    max_position_embeddings=32,
    initializer_range=0.3,
)
PROMPTS = [[1, 2, 3, 4, 5], [6], [7, 8, 9]]


@torch.inference_mode()
def run(model: Decoder) -> Tensor:
    batch = RaggedBatch.prefill(PROMPTS, all_logits=True)
    return model(batch, RaggedCausalAttention(model.attention_specs, batch.cu_seqlens_q))


def made(**changes: object) -> Decoder:
    torch.manual_seed(0)
    return Decoder(dataclasses.replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True},
        {"qkv_bias": True, "o_bias": True, "mlp_bias": True},
        {"qk_norm": True},
        {"mlp_impl": "gelu", "norm_impl": "layer_norm", "rope": None, "activation": "gelu"},
        {"activation": "relu"},
        {"norm_position": "post"},
        {"mlp_impl": "moe", "num_experts": 3, "num_experts_per_token": 2},
    ],
    ids=str,
)
def test_the_logits_are_the_models(changes: dict[str, object]) -> None:
    model = made(**changes)
    ready = for_inference(model, get_fused_ops("numba"))
    torch.testing.assert_close(run(ready), run(model), rtol=1e-4, atol=1e-4)


def test_the_model_itself_stays_as_it_was_and_shares_what_is_not_packed() -> None:
    model = made(tie_word_embeddings=True)
    before = run(model)
    ready = for_inference(model, get_fused_ops("numba"))
    run(ready)
    assert torch.equal(run(model), before)
    assert model.lm_head is None
    assert not any(isinstance(one, PackedLinear) for one in model.modules())
    assert {getattr(one, "ops", TORCH_OPS).name for one in model.modules()} == {"torch"}
    assert ready.embed_tokens.weight is model.embed_tokens.weight
    # Of the layers' products and the output layer, all of them.
    assert sum(isinstance(one, PackedLinear) for one in ready.modules()) == 2 * 4 + 1


def test_torchs_own_operations_pack_nothing() -> None:
    ready = for_inference(made(), TORCH_OPS)
    assert not any(isinstance(one, PackedLinear | OneDNNLinear) for one in ready.modules())


def test_a_rows_logits_have_the_same_bits_whatever_the_batch() -> None:
    """The products, norms and activations; attention is looked at where its kernels are."""
    ready = for_inference(made(hidden_size=48), get_fused_ops("numba"))
    together = run(ready)[5:6]
    batch = RaggedBatch.prefill([PROMPTS[1]], all_logits=True)
    with torch.inference_mode():
        alone = ready(batch, RaggedCausalAttention(ready.attention_specs, batch.cu_seqlens_q))
    assert torch.equal(alone, together)


@pytest.mark.parametrize(("dtype", "name"), [(torch.float32, "numba"), (torch.bfloat16, "torch")])
def test_auto_is_what_computes_with_the_weights(dtype: torch.dtype, name: str) -> None:
    assert choose_fused_ops("auto", torch.empty(1, dtype=dtype)).name == name


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("numba", torch.bfloat16, "fused_ops='numba' does not compute in torch.bfloat16 on 'cpu'"),
        ("triton", torch.float32, "fused_ops='triton' does not compute in torch.float32 on 'cpu'"),
        ("mine", torch.float32, "unknown fused operations 'mine'; there are: torch, numba, triton"),
    ],
)
def test_what_does_not_compute_is_refused(name: str, dtype: torch.dtype, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_fused_ops(name, torch.empty(1, dtype=dtype))


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU has no units for bfloat16"
)
def test_bfloat16_runs_on_the_units_that_are_there_for_it() -> None:
    model = made().to(torch.bfloat16)
    ready = for_inference(model, TORCH_OPS)
    assert sum(isinstance(one, OneDNNLinear) for one in ready.modules()) == 2 * 4 + 1
    torch.testing.assert_close(run(ready), run(model), rtol=0.05, atol=0.05)
