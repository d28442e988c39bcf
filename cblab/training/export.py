"""A finished run as a folder in the usual Hugging Face layout, with a model card filled in from the run."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cblab.model import save_model
from cblab.training.checkpoint import list_checkpoints, read_checkpoint
from cblab.training.plain import load_settings
from cblab.training.recipe import make_trainer
from cblab.training.trainer import Trainer

if TYPE_CHECKING:
    from cblab.training.settings import TrainingSettings

_CARD = """\
---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
---

# {name}

A Llama of {parameters:,} parameters that tells small stories and knows small facts. It was made with `cblab`
to teach how inference engines work: small enough for a laptop, real enough to be worth running.

Hidden size {hidden_size}, {num_layers} layers, {num_heads} query heads and {num_kv_heads} KV heads of \
{head_dim}, MLP {intermediate_size}, vocabulary {vocab_size}, {tied} embeddings, RoPE base {rope_theta:g}, \
context {max_position_embeddings}. Weights in bfloat16.

## Data

English text written by the seeded generator in `cblab.training.corpus`: short stories, small facts, counting
and sums. {num_documents:,} documents, {train_tokens:,} tokens, each `<|bos|> text <|eos|>`; no text of anyone
else is in it. The tokenizer is a byte-level BPE trained on {tokenizer_documents:,} documents of the same
generator.

## Recipe

| | |
|---|---|
| steps × tokens a step | {steps:,} × {tokens_per_step:,} = {seen_tokens:,} |
| times through the data | {epochs:.2f} |
| windows | {windows} |
| optimizer | AdamW, betas {beta1} and {beta2}, weight decay {weight_decay} on matrices |
| gradient norm clipped at | {max_grad_norm} |
| learning rate | {lr:g}, {warmup_steps} steps of warm-up, {schedule} |
| dropout | {dropout:g} |
| precision | {precision} |
| seed | {seed} |

`python -m cblab.training make-all` makes it again from nothing.

## Held-out perplexity

Of the weights in this folder, computed in float32, on {held_out_documents:,} documents not trained on:

| window | tokens | loss (nats a token) | perplexity |
|---|---|---|---|
{perplexities}

The held-out text comes from the same generator, so these figures say how well the generator was learnt, and
nothing about English at large.

## Limits

It knows the words, the plots and the facts of its corpus and nothing else, and gets some of those wrong. It
follows no instructions, holds no conversation, and should inform no decision. It was trained on windows of at
most {longest_window} tokens; beyond, up to its context of {max_position_embeddings}, its text decays.
"""


def export_run(run_folder: Path, folder: Path) -> int:
    """Write the model of the newest checkpoint in `run_folder` to `folder`; returns the bytes written.

    The held-out perplexity in the card is that of the exported weights, which are rounded to bfloat16. Raises
    `FileNotFoundError` if the run folder holds no checkpoint.
    """
    checkpoints = list_checkpoints(run_folder / "checkpoints")
    if not checkpoints:
        raise FileNotFoundError(f"{run_folder} holds no checkpoint: train there first")
    settings = load_settings(run_folder / "settings.json")
    state = read_checkpoint(checkpoints[-1])
    rounded = {name: tensor.bfloat16() for name, tensor in state["model"].items()}
    trainer = _float32_trainer(run_folder)
    trainer.step = state["step"]
    trainer.model.load_state_dict(rounded)
    card = _model_card(folder.name, trainer, settings)
    save_model(trainer.model.to(torch.bfloat16), folder)
    shutil.copytree(run_folder / "tokenizer", folder, dirs_exist_ok=True)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return sum(file.stat().st_size for file in folder.iterdir())


def _float32_trainer(run_folder: Path) -> Trainer:
    """A trainer to measure with: on the CPU, in float32, whatever the run used."""
    measured = load_settings(run_folder / "settings.json")
    vars(measured.run).update(device="cpu", precision="float32", compile=False)
    return make_trainer(measured, run_folder)


def _model_card(name: str, trainer: Trainer, settings: "TrainingSettings") -> str:
    """The card: every number from the run's settings or measured now."""
    data, run = settings.data, settings.run
    short, long = data.window_length, data.long_window_length
    steps_long = (
        sum(trainer.window_length(step) == long for step in range(trainer.step)) if long > short else 0
    )
    windows = f"{short} tokens" + (f", the last {steps_long:,} steps {long} tokens" if steps_long else "")
    seen = trainer.step * run.tokens_per_step
    lengths = dict.fromkeys([short, long] if steps_long else [short])
    rows = []
    for length in lengths:
        report = trainer.validate(window_length=length)
        rows.append(f"| {length} | {report.num_tokens:,} | {report.loss:.4f} | {report.perplexity:.3f} |")
    values = {**vars(settings.model), **vars(data), **vars(settings.optimizer), **vars(run)}
    schedule = f"{settings.optimizer.schedule}"
    if schedule == "cosine":
        schedule += f" to {settings.optimizer.final_lr_ratio:.0%} of it"
    return _CARD.format(
        **{
            **values,
            "name": name,
            "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
            "tied": "tied" if settings.model.tie_word_embeddings else "untied",
            "train_tokens": len(trainer.data.train),
            "steps": trainer.step,
            "seen_tokens": seen,
            "epochs": seen / len(trainer.data.train),
            "windows": windows,
            "schedule": schedule,
            "perplexities": "\n".join(rows),
            "longest_window": max(lengths),
        }
    )
