"""The `cblab` command. Each subcommand imports what it needs when it runs; `cblab --help` needs no torch.

What a user can get wrong ends with one line on stderr and exit code 2; a traceback means a defect of cblab.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

if TYPE_CHECKING:
    from rich.table import Table

    from cblab.memory import PartSizes
    from cblab.model.config import ModelConfig

app = typer.Typer(
    name="cblab",
    help="An LLM inference engine, and the course that builds it.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

EXIT_USAGE = 2

Model = Annotated[
    str | None,
    typer.Option(help="Checkpoint folder, hub id or bundled model; without it, the larger bundled one."),
]
Notebook = Annotated[Path, typer.Argument(metavar="FILE", help="The notebook.")]


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="The text to continue; - reads it from standard input.")],
    model: Model = None,
    max_tokens: Annotated[int, typer.Option(help="New tokens at most.", min=1)] = 200,
    temperature: Annotated[
        float | None,
        typer.Option(help="0 is greedy. Default: 0, or 1 where --top-k, --top-p or --seed is given."),
    ] = None,
    top_k: Annotated[int, typer.Option(help="Sample from the k likeliest tokens; 0: from all.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Sample from the likeliest tokens that reach p together.")
    ] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Makes sampling reproducible.")] = None,
) -> None:
    """Continue PROMPT and print the text as it grows."""
    if temperature is None:
        temperature = 0.0 if (top_k, top_p, seed) == (0, 1.0, None) else 1.0
    with _bad_argument():
        text = _read_stdin() if prompt == "-" else prompt
        if not text:
            raise ValueError("the prompt is empty: there is nothing to continue")
        from cblab.core.sampling_params import SamplingParams

        params = SamplingParams(
            max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
        )
        from cblab.serving import LLM

        events = LLM(_checkpoint(model), max_num_seqs=1).stream(text, params)
    for event in events:
        sys.stdout.write(event.text)
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()


@app.command()
def info(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Checkpoint folder, hub id or bundled model; without it, the larger bundled one."
        ),
    ] = None,
) -> None:
    """Print a model's sizes, as computed and as its files have them; exit code 1 if they differ.

    Of a hub id only the config is fetched, so that nothing is compared.
    """
    from rich.console import Console

    from cblab.memory import checkpoint_sizes, compare_sizes
    from cblab.model.config import ModelConfig
    from cblab.model.hub import checkpoint_folder

    with _bad_argument():
        source = _checkpoint(model)
        folder = checkpoint_folder(source, config_only=True)
        config = ModelConfig.from_pretrained(folder)
        has_files = Path(source).is_dir() or any(folder.glob("*.safetensors"))
        stored = checkpoint_sizes(folder, tied=config.tie_word_embeddings) if has_files else None
        dtype = stored.dtypes[0] if stored else config.dtype
        rows = compare_sizes(config, dtype, stored)
    console = Console(highlight=False)
    console.print(_shape_of_model(Path(source).name, config, dtype))
    console.print(_size_table(rows))
    console.print(_kv_cache_note(config, dtype))
    if stored:
        console.print(f"The weight files take {_both_units(stored.file_bytes)} on disk, headers included.")
    raise typer.Exit(1 if any(row.differs for row in rows) else 0)


def _shape_of_model(name: str, config: "ModelConfig", dtype: str) -> str:
    shared = "" if config.num_kv_heads == config.num_heads else f" on {config.num_kv_heads} KV heads"
    return (
        f"[bold]{name}[/]: {config.family}, {config.num_layers} layers, hidden size {config.hidden_size}, "
        f"{config.num_heads} heads{shared} of {config.head_dim}, vocabulary {config.vocab_size:,}, "
        f"context {config.max_position_embeddings:,}, weights in {dtype}"
    )


def _size_table(rows: "list[PartSizes]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("part")
    for heading in ("parameters", "in the files", "bytes", "in the files"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        numbers = (row.parameters, row.stored_parameters, row.num_bytes, row.stored_bytes)
        verdict = (
            "" if row.stored_bytes is None else "[bold red]MISMATCH[/]" if row.differs else "[green]match[/]"
        )
        if row.part == "total":
            table.add_section()
        table.add_row(row.part, *("-" if number is None else f"{number:,}" for number in numbers), verdict)
    return table


def _kv_cache_note(config: "ModelConfig", dtype: str) -> str:
    from cblab.memory import kv_bytes, kv_bytes_per_token

    context = config.max_position_embeddings
    return (
        f"KV cache as {dtype}: {kv_bytes_per_token(config, dtype):,} B a token ({config.num_layers} layers x "
        f"K and V x {config.num_kv_heads} KV heads x {config.head_dim}), "
        f"{_both_units(kv_bytes(config, dtype, context))} at {context:,} tokens."
    )


def _both_units(num_bytes: int) -> str:
    from cblab.memory import format_bytes

    return f"{format_bytes(num_bytes)} ({format_bytes(num_bytes, binary=True)})"


@app.command()
def check(
    file: Notebook,
    exercise: Annotated[str | None, typer.Option(help='Only this exercise, such as "1.3".')] = None,
) -> None:
    """Say what the grader will say about FILE, but for its hidden cases; exit code 1 if points are lost."""
    from cblab.lab import commands

    with _bad_argument():
        full_marks = commands.check(file, exercise)
    raise typer.Exit(0 if full_marks else 1)


@app.command()
def reset(
    file: Notebook,
    exercise: Annotated[str, typer.Argument(metavar="ID", help='The exercise, such as "1.3".')],
) -> None:
    """Give one exercise of FILE its blank back; the old answer is kept in a backup."""
    from cblab.lab import commands

    with _bad_argument():
        commands.reset(file, exercise)


@app.command()
def progress(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the labs are.")] = Path(),
) -> None:
    """Say which exercises are done, lab by lab, from the notebooks in FOLDER."""
    from cblab.lab.progress import show_progress

    with _bad_argument():
        show_progress(folder)


def main() -> None:
    """Run the process's own command line and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character shows "?"
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run one command line and return its exit code; every foreseen error is told in one line.

    Typer sees to the rest: Ctrl-C is exit code 130, a reader that closes the pipe ends the program quietly.
    """
    try:
        return app(args=args or ["--help"], prog_name="cblab", standalone_mode=False) or 0
    except TyperException as error:
        sys.stderr.write(f"cblab: {' '.join(error.format_message().split())}\n")
        return EXIT_USAGE


@contextmanager
def _bad_argument() -> Iterator[None]:
    """Turn what loading and validating raise about the user's input into an error of one line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        raise TyperException(str(error)) from error


def _read_stdin() -> str:
    return sys.stdin.read().removesuffix("\n")


def _checkpoint(model: str | None) -> str:
    """The folder of a bundled model, named or not, or whatever else was given."""
    from cblab import assets
    from cblab.serving.loading import checkpoint_source

    return str(checkpoint_source(model or assets.BUNDLED_MODEL))
