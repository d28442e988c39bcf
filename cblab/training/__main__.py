"""The command line of the trainer: `python -m cblab.training make-all | tokenizer | train | export`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cblab.assets import BUNDLED_MODEL, DRAFT_MODEL
from cblab.training.settings import PRESETS, SettingsError, TrainingSettings, make_settings

app = typer.Typer(
    help="Make the bundled models again from nothing: corpus, tokenizer, training, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Runs = Annotated[Path, typer.Option(help="Where the run folders are.")]
Preset = Annotated[str, typer.Option(help=f"Which model: {', '.join(PRESETS)}.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any setting, as name=value or section.name=value; may be given several times."
    ),
]


def _settings(
    preset: str, assignments: list[str] | None, options: dict[str, Any] | None = None
) -> TrainingSettings:
    """The preset, then the environment, then `--set`, then the named options; a mistake ends the program."""
    overrides: dict[str, Any] = {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"{assignment!r} is not of the form name=value", param_hint="--set")
        overrides[name] = value
    overrides.update({name: value for name, value in (options or {}).items() if value is not None})
    try:
        return make_settings(preset, os.environ, overrides)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


def _train(settings: TrainingSettings, run_folder: Path, tokenizer_folder: Path) -> None:
    """Train; a stopped run ends the program with status 130, a failed one with one line and status 1."""
    from cblab.training.recipe import train
    from cblab.training.trainer import TrainingDivergedError

    try:
        result = train(settings, run_folder, tokenizer_folder)
    except (ValueError, FileNotFoundError, TrainingDivergedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if result.reason in ("SIGINT", "SIGTERM"):
        typer.echo(f"saved in {run_folder}; the same command goes on from here")
        raise typer.Exit(130)


@app.command()
def tokenizer(
    runs: Runs = Path("runs"),
    preset: Preset = BUNDLED_MODEL,
    assignments: Settings = None,
) -> None:
    """Train the tokenizer and save it in RUNS/tokenizer."""
    from cblab.training.recipe import train_tokenizer

    settings = _settings(preset, assignments)
    folder = runs / "tokenizer"
    made = train_tokenizer(settings.data, settings.model.vocab_size, folder)
    typer.echo(f"{made.vocab_size} tokens in {folder}")


@app.command()
def train(
    preset: Preset = BUNDLED_MODEL,
    runs: Runs = Path("runs"),
    run_dir: Annotated[Path | None, typer.Option(help="The run folder; RUNS/PRESET if not given.")] = None,
    tokenizer_dir: Annotated[Path | None, typer.Option(help="RUNS/tokenizer if not given.")] = None,
    task: Annotated[str | None, typer.Option(help="What to learn: lm, sft.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Steps of the whole run.")] = None,
    stop_at_step: Annotated[int | None, typer.Option(help="Save and stop there; the schedule stays.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    tokens_per_step: Annotated[int | None, typer.Option(help="Tokens a step.")] = None,
    accumulation_steps: Annotated[int | None, typer.Option(help="Parts that a step is computed in.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16 (CUDA).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    num_threads: Annotated[int | None, typer.Option(help="CPU threads; torch's choice if not given.")] = None,
    compile_model: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="torch.compile.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout while training.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the first weights and of dropout.")] = None,
    assignments: Settings = None,
) -> None:
    """Train a model, or go on with its training: a run folder with a checkpoint is resumed exactly.

    Settings also come from the environment: CBLAB_TRAIN__LR=1e-3 or CBLAB_TRAIN__OPTIMIZER__LR=1e-3.
    """
    options = {
        "run.task": task,
        "run.max_steps": max_steps,
        "run.stop_at_step": stop_at_step,
        "optimizer.lr": lr,
        "run.tokens_per_step": tokens_per_step,
        "run.accumulation_steps": accumulation_steps,
        "run.precision": precision,
        "run.device": device,
        "run.num_threads": num_threads,
        "run.compile": compile_model,
        "model.dropout": dropout,
        "run.seed": seed,
    }
    settings = _settings(preset, assignments, options)
    _train(settings, run_dir or runs / preset, tokenizer_dir or runs / "tokenizer")


@app.command()
def export(
    run_dir: Annotated[Path, typer.Argument(help="The run folder.")],
    folder: Annotated[Path, typer.Argument(help="Where the model goes, in the usual Hugging Face layout.")],
) -> None:
    """Write the model of a run's newest checkpoint, its tokenizer and its model card into FOLDER."""
    from cblab.training.export import export_run

    try:
        size = export_run(run_dir, folder)
    except (ValueError, FileNotFoundError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{folder}: {size / 1e6:.1f} MB")


@app.command()
def make_all(
    runs: Runs = Path("runs"),
    assets: Annotated[
        Path | None, typer.Option(help="Where the models go; cblab/assets if not given.")
    ] = None,
    assignments: Settings = None,
) -> None:
    """Tokenizer, model and draft from nothing; interrupted, the same command goes on where it was."""
    from cblab import assets as bundled

    folder = assets or Path(bundled.__file__).parent
    if not (runs / "tokenizer" / "tokenizer.json").exists():
        tokenizer(runs, BUNDLED_MODEL, assignments)
    for preset in (BUNDLED_MODEL, DRAFT_MODEL):
        _train(_settings(preset, assignments), runs / preset, runs / "tokenizer")
        export(runs / preset, folder / preset)


if __name__ == "__main__":
    app()
