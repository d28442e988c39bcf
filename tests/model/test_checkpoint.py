"""Checkpoints in all their layouts, whole and damaged; what we write, transformers reads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from cblab.attention import RaggedBatch, RaggedCausalAttention
from cblab.model import Decoder, ModelConfig, load_model, save_model
from cblab.model.checkpoint import CheckpointError
from tests.model.checkpoints import CASES, FAMILIES, make_checkpoint

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


@torch.no_grad()
def logits(model: Decoder) -> Tensor:
    batch = RaggedBatch.prefill([IDS], all_logits=True)
    return model(batch, RaggedCausalAttention(model.attention_specs, batch.cu_seqlens_q))


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    make_checkpoint("llama", tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", sorted(CASES))
def test_what_we_save_transformers_loads(case: str, tmp_path: Path) -> None:
    make_checkpoint(case, tmp_path / "theirs")
    model = load_model(tmp_path / "theirs")
    save_model(model, tmp_path / "ours")
    options = {"experts_implementation": "eager"} if case.startswith("mixtral") else {}
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True, **options
    )
    reference, report = loaded
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        expected = reference(torch.tensor([IDS])).logits[0]
    torch.testing.assert_close(logits(model), expected, atol=1e-4, rtol=0)
    theirs = load_file(tmp_path / "theirs" / "model.safetensors")
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_shards(family: str, tmp_path: Path) -> None:
    make_checkpoint(family, tmp_path / "whole")
    make_checkpoint(family, tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    torch.testing.assert_close(
        logits(load_model(tmp_path / "shards")), logits(load_model(tmp_path / "whole"))
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(family: str, dtype: str, tmp_path: Path) -> None:
    reference = make_checkpoint(family, tmp_path / "full")
    reference.to(getattr(torch, dtype)).save_pretrained(tmp_path / "half")
    model = load_model(tmp_path / "half")
    assert {str(parameter.dtype) for parameter in model.parameters()} == {f"torch.{dtype}"}
    assert model.config.dtype == dtype
    with torch.no_grad():
        half = reference(torch.tensor([IDS])).logits[0].float()
        upcast = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype=torch.float32)
        full = upcast(torch.tensor([IDS])).logits[0]
    # A token near the border between two experts may take the other one, so only the mean is held in half.
    assert (logits(model).float() - half).abs().mean() < (0.1 if dtype == "bfloat16" else 0.02)
    torch.testing.assert_close(
        logits(load_model(tmp_path / "half", dtype="float32")), full, atol=1e-4, rtol=0
    )


def test_dtype_can_be_chosen(llama: Path) -> None:
    assert load_model(llama, dtype="bfloat16").embed_tokens.weight.dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"dtype must be 'auto' or one of .*, got 'int8'"):
        load_model(llama, dtype="int8")


def test_rope_frequencies_stay_float32_in_a_half_precision_model(llama: Path) -> None:
    model = load_model(llama, dtype="bfloat16")
    assert model.rope is not None
    cos, _ = model.rope(RaggedBatch.prefill([IDS]), torch.float32)
    expected = (torch.arange(len(IDS))[:, None] * 10000.0 ** -(torch.arange(0, 8, 2) / 8)).cos()
    torch.testing.assert_close(cos[:, 0], expected)


def test_a_loaded_model_is_in_evaluation_mode(llama: Path) -> None:
    assert not load_model(llama).training


def test_experts_stored_fused(tmp_path: Path) -> None:
    """The names and shapes that transformers 5 holds in memory."""
    reference = make_checkpoint("mixtral", tmp_path)
    expected = logits(load_model(tmp_path))
    save_file(
        {name: tensor.contiguous() for name, tensor in reference.state_dict().items()},
        tmp_path / "model.safetensors",
    )
    torch.testing.assert_close(logits(load_model(tmp_path)), expected)


def test_gpt2_as_first_published(tmp_path: Path) -> None:
    """Names without their prefix, and the causal mask stored in each layer."""
    make_checkpoint("gpt2", tmp_path)
    expected = logits(load_model(tmp_path))

    def publish(tensors: dict[str, Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        for layer in range(3):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 96, 96)

    edit(tmp_path, publish)
    torch.testing.assert_close(logits(load_model(tmp_path)), expected)


def test_old_rotary_buffers_are_no_weights(llama: Path) -> None:
    edit(
        llama, lambda tensors: tensors.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    )
    load_model(llama)


def test_a_missing_tensor_is_named(llama: Path) -> None:
    edit(llama, lambda tensors: tensors.pop("model.layers.1.self_attn.k_proj.weight"))
    with pytest.raises(CheckpointError, match=r"1 missing: model\.layers\.1\.self_attn\.k_proj\.weight$"):
        load_model(llama)


def test_a_tensor_left_over_is_named(llama: Path) -> None:
    edit(llama, lambda tensors: tensors.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(48)}))
    with pytest.raises(CheckpointError, match=r"1 left over: model\.layers\.0\.self_attn\.q_proj\.bias$"):
        load_model(llama)


def test_a_tensor_of_the_wrong_shape_is_named(llama: Path) -> None:
    edit(llama, lambda tensors: tensors.update({"model.layers.0.mlp.up_proj.weight": torch.ones(41, 24)}))
    message = r"wrong shape: model\.layers\.0\.mlp\.up_proj\.weight \(is \[41, 24\], should be \[40, 24\]\)"
    with pytest.raises(CheckpointError, match=message):
        load_model(llama)


def test_a_quantized_tensor_is_named(llama: Path) -> None:
    edit(llama, lambda tensors: tensors.update({"model.norm.weight": torch.ones(24, dtype=torch.int8)}))
    with pytest.raises(CheckpointError, match=r"type that is not supported: model\.norm\.weight \(I8\)"):
        load_model(llama)


def test_all_faults_are_told_at_once(llama: Path) -> None:
    edit_config(llama, num_hidden_layers=4, vocab_size=68)
    with pytest.raises(
        CheckpointError, match=r"9 missing: .* and 1 more; 2 of the wrong shape: lm_head\.weight"
    ):
        load_model(llama)


def test_a_tied_model_may_store_its_output_layer_if_it_is_the_embedding(tmp_path: Path) -> None:
    make_checkpoint("llama-tied", tmp_path)
    edit(tmp_path, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    load_model(tmp_path)
    edit(tmp_path, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"] + 1}))
    with pytest.raises(CheckpointError, match=r"lm_head\.weight differs from the embedding"):
        load_model(tmp_path)


def test_an_unknown_activation_is_named(llama: Path) -> None:
    edit_config(llama, hidden_act="quick_gelu")
    with pytest.raises(ValueError, match="unknown activation 'quick_gelu'"):
        load_model(llama)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        load_model(tmp_path)
    make_checkpoint("llama", tmp_path, max_shard_size="20KB")
    next(iter(sorted(tmp_path.glob("*.safetensors")))).unlink()
    with pytest.raises(FileNotFoundError, match=r"model-00001-of-.*is missing; the index"):
        load_model(tmp_path)
    for path in [*tmp_path.glob("*.safetensors"), *tmp_path.glob("*.index.json")]:
        path.unlink()
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin is a pickle, which is not read"):
        load_model(tmp_path)


def test_a_damaged_file_is_named(llama: Path) -> None:
    whole = (llama / "model.safetensors").read_bytes()
    (llama / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_model(llama)


def test_an_index_that_promises_too_much(tmp_path: Path) -> None:
    make_checkpoint("llama", tmp_path, max_shard_size="20KB")
    index = tmp_path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.surprise"] = content["weight_map"]["model.norm.weight"]
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"lacks what the index promises: model\.surprise"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["no/such/folder/here", "./nosuch", "../up", "spaces are no id"])
def test_what_is_neither_folder_nor_hub_id(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="neither an existing folder nor a hub id"):
        load_model(name)


def test_a_hub_id_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="could not be fetched from the Hugging Face hub"):
        ModelConfig.from_pretrained("some-owner/some-model")


def test_a_hub_id_is_downloaded_and_read(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot_download(hub_id: str, *, allow_patterns: list[str]) -> str:
        asked[hub_id] = allow_patterns
        return str(llama)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    torch.testing.assert_close(logits(load_model("some-owner/some-model")), logits(load_model(llama)))
    assert "model*.safetensors" in asked["some-owner/some-model"]
    ModelConfig.from_pretrained("other-owner/config-only")
    assert asked["other-owner/config-only"] == ["config.json", "generation_config.json"]


def test_saving_over_a_folder_that_is_loaded(llama: Path) -> None:
    model = load_model(llama)
    expected = logits(model)
    save_model(model, llama)
    shutil.copytree(llama, llama / "copy")
    torch.testing.assert_close(logits(load_model(llama / "copy")), expected)
