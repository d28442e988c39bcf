from pathlib import Path

import pytest
import torch

from cblab.model import load_model
from cblab.training.checkpoint import list_checkpoints, read_checkpoint
from cblab.training.export import export_run
from cblab.training.recipe import train

from .conftest import MakeSettings


def test_transformers_loads_what_was_trained(
    tiny: MakeSettings, tmp_path: Path, tokenizer_folder: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run, folder = tmp_path / "run", tmp_path / "story-tiny"
    train(tiny(max_steps=4, warmup_steps=1), run, tokenizer_folder)
    size = export_run(run, folder)
    assert size == sum(file.stat().st_size for file in folder.iterdir())
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]

    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert theirs.dtype == torch.bfloat16
    trained = read_checkpoint(list_checkpoints(run / "checkpoints")[-1])["model"]["embed_tokens.weight"]
    assert torch.equal(theirs.model.embed_tokens.weight, trained.bfloat16())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
    assert ids[0, 0] == tokenizer.bos_token_id == theirs.config.bos_token_id
    assert theirs.generation_config.eos_token_id == tokenizer.eos_token_id
    assert theirs(ids).logits.shape == (1, ids.shape[1], tokenizer.vocab_size)

    ours = load_model(folder)
    assert ours.config.max_position_embeddings == 64
    check_card(folder, parameters=sum(p.numel() for p in ours.parameters()))


def check_card(folder: Path, parameters: int) -> None:
    """The card's numbers are the run's, and its perplexities what they are exponentials of."""
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert f"A Llama of {parameters:,} parameters" in card
    assert "4 × 512 = 2,048" in card
    assert "16 tokens, the last 1 steps 32 tokens" in card
    rows = [line.split("|")[1:-1] for line in card.splitlines() if line.startswith(("| 16 |", "| 32 |"))]
    assert len(rows) == 2
    for row in rows:
        loss, perplexity = float(row[2]), float(row[3])
        assert perplexity == pytest.approx(torch.tensor(loss).exp().item(), rel=1e-3)


def test_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint: train there first"):
        export_run(tmp_path / "run", tmp_path / "out")
