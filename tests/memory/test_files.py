import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cblab.memory import checkpoint_sizes, compare_sizes, count_parameters
from cblab.model.config import ModelConfig
from tests.model.checkpoints import FAMILIES, make_checkpoint, make_reference

CASES = (*FAMILIES, "llama-tied", "llama-biases", "qwen3-window", "gpt2-options", "mistral-no-window")


def load(folder: Path) -> ModelConfig:
    return ModelConfig.from_pretrained(folder)


@pytest.mark.parametrize("case", CASES)
def test_files_of_every_family_hold_what_is_computed_part_by_part(case: str, tmp_path: Path) -> None:
    make_checkpoint(case, tmp_path)
    config = load(tmp_path)
    stored = checkpoint_sizes(tmp_path, tied=config.tie_word_embeddings)
    assert stored.parameters == count_parameters(config)
    assert stored.dtypes == ("float32",)
    assert stored.file_bytes == (tmp_path / "model.safetensors").stat().st_size
    rows = compare_sizes(config, "float32", stored)
    assert not any(row.differs for row in rows)
    assert rows[-1].part == "total"
    assert rows[-1].stored_bytes == 4 * rows[-1].parameters


def test_a_half_precision_checkpoint(tmp_path: Path) -> None:
    make_reference("qwen2").bfloat16().save_pretrained(tmp_path)
    stored = checkpoint_sizes(tmp_path)
    assert stored.dtypes == ("bfloat16",)
    assert sum(stored.bytes_by_part.values()) == 2 * stored.parameters.total
    config = load(tmp_path)
    assert not any(row.differs for row in compare_sizes(config, "bfloat16", stored))
    assert all(row.differs for row in compare_sizes(config, "float32", stored))


def test_shards_count_as_one_checkpoint(tmp_path: Path) -> None:
    make_checkpoint("llama", tmp_path / "whole")
    make_checkpoint("llama", tmp_path / "sharded", max_shard_size="20KB")
    files = sorted((tmp_path / "sharded").glob("*.safetensors"))
    assert len(files) > 1
    whole, sharded = checkpoint_sizes(tmp_path / "whole"), checkpoint_sizes(tmp_path / "sharded")
    assert sharded.parameters == whole.parameters
    assert sharded.file_bytes == sum(file.stat().st_size for file in files)
    files[-1].unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {files[-1].name}"):
        checkpoint_sizes(tmp_path / "sharded")


def test_a_missing_layer_shows_in_its_parts(tmp_path: Path) -> None:
    make_checkpoint("llama", tmp_path)
    config = dataclasses.replace(load(tmp_path), num_layers=4)
    rows = compare_sizes(config, "float32", checkpoint_sizes(tmp_path))
    assert {row.part for row in rows if row.differs} == {"attention", "mlp", "norms", "total"}


def test_without_files_the_computed_sizes_stand_alone(tmp_path: Path) -> None:
    make_checkpoint("gpt2", tmp_path)
    config = load(tmp_path)
    rows = compare_sizes(config, "float16", None)
    assert [row.part for row in rows] == ["embedding", "positions", "attention", "mlp", "norms", "total"]
    assert rows[-1].num_bytes == 2 * count_parameters(config).total
    assert not any(row.differs for row in rows)
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        checkpoint_sizes(tmp_path / "nowhere")


def test_buffers_and_a_stored_copy_of_a_tied_layer_are_no_parameters(tmp_path: Path) -> None:
    tensors = {
        "wte.weight": torch.zeros(5, 3),
        "h.0.attn.bias": torch.zeros(1, 1, 4, 4),
        "h.0.attn.masked_bias": torch.zeros(()),
        "h.0.attn.c_attn.bias": torch.zeros(9),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(2),
        "lm_head.weight": torch.zeros(5, 3),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    tied = checkpoint_sizes(tmp_path, tied=True).parameters.by_part()
    assert {part: count for part, count in tied.items() if count} == {"embedding": 15, "attention": 9}
    assert checkpoint_sizes(tmp_path, tied=False).parameters.lm_head == 15


def test_an_unknown_tensor_is_named(tmp_path: Path) -> None:
    save_file({"vision.patch.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds the tensor 'vision\.patch\.weight'"):
        checkpoint_sizes(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\xff" * 20, (3).to_bytes(8, "little") + b"{{{", json.dumps({}).encode() * 9]
)
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        checkpoint_sizes(tmp_path)
