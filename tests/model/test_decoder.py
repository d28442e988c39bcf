"""The Decoder's own choices: registries, norm positions, dropout, fresh weights, rows of logits, TinyLLM."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cblab.attention import RaggedBatch, RaggedCausalAttention, UniformCausalAttention
from cblab.model import Decoder, ModelConfig, TinyLLM, attn_impl, mlp_impl, norm_impl, save_model
from cblab.model.registry import Registry
from tests.model.dense_cache import DenseCache

CONFIG = ModelConfig(
    vocab_size=13,
    hidden_size=16,
    intermediate_size=24,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=6,
    max_position_embeddings=32,
)
PROMPTS = [[1, 2, 3, 4, 5], [6], [7, 8, 9]]


def run(model: Decoder | TinyLLM, *, all_logits: bool = True) -> Tensor:
    batch = RaggedBatch.prefill(PROMPTS, all_logits=all_logits)
    return model(batch, RaggedCausalAttention(model.attention_specs, batch.cu_seqlens_q))


def train(model: Decoder | TinyLLM, steps: int = 60) -> tuple[float, float]:
    """Teach the model one sentence; the loss before and after."""
    windows = torch.tensor([[1, 5, 2, 8, 3, 9, 4, 7], [7, 4, 9, 3, 8, 2, 5, 1]])
    batch, targets = RaggedBatch.uniform(windows[:, :-1]), windows[:, 1:].reshape(-1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(batch, UniformCausalAttention(model.attention_specs, 2)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def squared_relu() -> Iterator[str]:
    """A reader's own MLP, registered as the documentation says."""

    @mlp_impl.register("squared_relu")
    class SquaredReLU(nn.Module):
        def __init__(self, config: ModelConfig) -> None:
            super().__init__()
            self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
            self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

        def forward(self, x: Tensor) -> Tensor:
            return self.down_proj(F.relu(self.up_proj(x)).square())

    yield "squared_relu"
    del mlp_impl._entries["squared_relu"]


def test_a_readers_own_mlp_trains_and_runs(squared_relu: str) -> None:
    model = Decoder(dataclasses.replace(CONFIG, mlp_impl=squared_relu))
    assert type(model.layers[0].mlp).__name__ == "SquaredReLU"
    before, after = train(model)
    assert before > 2.0
    assert after < 0.5
    assert run(model).shape == (9, 13)


def test_a_readers_own_mlp_has_no_checkpoint_format(squared_relu: str, tmp_path: object) -> None:
    with pytest.raises(ValueError, match="family 'llama' cannot say: mlp_impl='squared_relu'"):
        save_model(Decoder(dataclasses.replace(CONFIG, mlp_impl=squared_relu)), str(tmp_path))


@pytest.mark.parametrize("kind", ["attn_impl", "mlp_impl", "norm_impl"])
def test_an_unknown_name_is_refused_with_those_known(kind: str) -> None:
    changes: dict[str, Any] = {kind: "mine"}
    with pytest.raises(ValueError, match=f"unknown {kind} 'mine'; registered: "):
        Decoder(dataclasses.replace(CONFIG, **changes))


def test_what_is_registered() -> None:
    assert attn_impl.names() == ["gqa"]
    assert mlp_impl.names() == ["gelu", "moe", "swiglu"]
    assert norm_impl.names() == ["layer_norm", "rms_norm"]


def test_a_name_is_given_once_but_a_cell_may_run_twice() -> None:
    registry: Registry[type] = Registry("part")
    make = lambda name: registry.register("mine")(type(name, (), {"__module__": "notebook"}))  # noqa: E731
    make("First")
    second_run = make("First")
    assert registry["mine"] is second_run
    with pytest.raises(ValueError, match=r"part 'mine' is taken by notebook\.First; choose another name"):
        make("Other")


@pytest.mark.parametrize("norm", ["rms_norm", "layer_norm"])
@pytest.mark.parametrize("position", ["pre", "post"])
@pytest.mark.parametrize("mlp", ["swiglu", "gelu", "moe"])
def test_every_combination_trains(norm: str, position: str, mlp: str) -> None:
    config = dataclasses.replace(
        CONFIG, norm_impl=norm, norm_position=position, mlp_impl=mlp, num_experts=3, num_experts_per_token=2
    )
    before, after = train(Decoder(config))
    assert before > 2.0
    assert after < 0.5


def test_post_norm_is_the_original_transformers() -> None:
    model = Decoder(dataclasses.replace(CONFIG, norm_position="post", num_layers=1, rope=None))
    layer: Any = model.layers[0]
    x = torch.randn(5, 16)
    attend = RaggedCausalAttention(model.attention_specs, torch.tensor([0, 5]))
    middle = layer.attn_norm(x + layer.attn(0, x, None, attend))
    after, delta = layer(x, None, None, attend)
    torch.testing.assert_close(after, layer.mlp_norm(middle + layer.mlp(middle)))
    assert delta is None
    assert isinstance(model.norm, nn.Identity)


def test_only_the_wanted_rows_of_logits() -> None:
    model = Decoder(CONFIG)
    torch.testing.assert_close(run(model, all_logits=False), run(model)[[4, 5, 8]])


def test_dropout_acts_in_training_alone() -> None:
    model = Decoder(dataclasses.replace(CONFIG, dropout=0.5))
    assert not torch.equal(run(model), run(model))
    model.eval()
    torch.testing.assert_close(run(model), run(model))


def test_fresh_weights_are_narrower_where_they_add_to_the_stream() -> None:
    model = Decoder(dataclasses.replace(CONFIG, hidden_size=256, num_layers=8, qkv_bias=True))
    layer: Any = model.layers[0]
    attn = layer.attn
    assert attn.qkv_proj.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert attn.o_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert layer.mlp.down_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert attn.qkv_proj.bias.abs().max() == 0
    assert torch.equal(dict(model.named_parameters())["norm.weight"], torch.ones(256))


def test_tied_embeddings_are_one_parameter() -> None:
    tied, untied = (Decoder(dataclasses.replace(CONFIG, tie_word_embeddings=tie)) for tie in (True, False))
    assert "lm_head.weight" not in tied.state_dict()
    assert "lm_head.weight" in untied.state_dict()
    assert tied.lm_head is None


def test_autocast_computes_in_half_precision_close_to_full() -> None:
    model = Decoder(CONFIG)
    expected = run(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run(model)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, atol=0.02, rtol=0)


def test_tiny_llm_has_one_layer_and_one_head() -> None:
    model = TinyLLM(vocab_size=13)
    (spec,) = model.attention_specs
    assert (spec.num_heads, spec.num_kv_heads, spec.head_dim) == (1, 1, 16)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {
        *("embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "lm_head")
    }


def test_tiny_llm_learns_and_its_cache_gives_what_recomputation_gives() -> None:
    model = TinyLLM(vocab_size=13)
    before, after = train(model, steps=150)
    assert after < before / 2
    whole = run(model)
    cache = DenseCache(model.attention_specs, 1)
    for position, token in enumerate(PROMPTS[0]):
        cache.batch = RaggedBatch.decode([token], [position])
        torch.testing.assert_close(model(cache.batch, cache.attend)[0], whole[position], atol=1e-5, rtol=1e-5)


def test_positions_matter_to_tiny_llm() -> None:
    model = TinyLLM(vocab_size=13)
    attend = RaggedCausalAttention(model.attention_specs, torch.tensor([0, 3]))
    near, far = ([1, 2, 3], [2, 1, 3])
    last = [model(RaggedBatch.prefill([ids]), attend) for ids in (near, far)]
    assert (last[0] - last[1]).abs().max() > 1e-4
