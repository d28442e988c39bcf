"""Who may know whom, and what may be loaded by an import."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cblab

PACKAGE = Path(cblab.__file__).parent

# What each room may import of cblab, besides itself. An entry allows the module and everything below it.
MAY_KNOW: dict[str, tuple[str, ...]] = {
    "": ("core.config", "core.sampling_params", "model", "serving", "tokenization"),
    "__main__": ("cli",),
    "assets": (),
    "attention": (),
    "cli": ("assets", "core", "lab", "memory", "model", "serving", "tokenization"),
    "core": ("attention", "memory", "model", "tokenization"),
    "demos": (
        "LLM",
        "SamplingParams",
        "assets",
        "attention",
        "core",
        "memory",
        "model",
        "serving",
        "tokenization",
        "viz",
    ),
    "grading": ("lab", "tokenization"),
    "lab": ("assets", "attention", "core", "memory", "model", "serving", "tokenization", "training", "viz"),
    "memory": ("model.config",),
    "model": ("attention",),
    "serving": ("assets", "attention", "core", "memory", "model", "tokenization"),
    "tokenization": (),
    "training": ("assets", "attention", "core", "memory", "model", "tokenization"),
    "viz": ("attention", "core", "memory", "model", "tokenization"),
}
TORCH_FREE = (
    "cblab",
    "cblab.assets",
    "cblab.attention.spec",
    "cblab.cli",
    "cblab.core.block_manager",
    "cblab.core.clock",
    "cblab.core.config",
    "cblab.core.output_text",
    "cblab.core.parts",
    "cblab.core.plan",
    "cblab.core.pool_size",
    "cblab.core.prefix_cache",
    "cblab.core.request",
    "cblab.core.sampling_params",
    "cblab.core.scheduler",
    "cblab.core.stats",
    "cblab.core.trace",
    "cblab.memory",
    "cblab.model.config",
    "cblab.serving",
    "cblab.tokenization",
)
HEAVY = ("torch", "transformers", "numpy", "matplotlib", "pydantic", "IPython", "huggingface_hub")


def modules() -> dict[str, Path]:
    """Every module of cblab by its name without "cblab."; the package itself is ""."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path) -> Iterator[tuple[str, int]]:
    """Everything that a module imports, anywhere in it, with the line; relative imports are spelled out."""
    package = ["cblab", *name.split(".")] if name else ["cblab"]
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from cblab import lab` names a module, `from cblab.lab import check` a name in one.
            yield from ((f"{source}.{alias.name}", node.lineno) for alias in node.names)


def is_within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_the_rooms_that_its_room_may_know(name: str) -> None:
    room = name.split(".")[0]
    assert room in MAY_KNOW, f"cblab/{room} is a new room: say in MAY_KNOW what it may import"
    allowed = (room, *MAY_KNOW[room]) if room else MAY_KNOW[room]
    strangers = [
        f"{modules()[name]}:{line} imports {module}"
        for module, line in imports(name, modules()[name])
        if is_within(module, "cblab") and module != "cblab"
        if not any(is_within(module.removeprefix("cblab."), one) for one in allowed)
    ]
    assert not strangers


def test_only_the_settings_of_training_know_pydantic() -> None:
    """Training and kernels run on machines that have torch and little else."""
    users = {
        name
        for name, path in modules().items()
        for module, _ in imports(name, path)
        if module.split(".")[0] in ("pydantic", "pydantic_settings")
    }
    assert users <= {"training.settings"}


def test_no_function_writes_to_module_level_names() -> None:
    writers = [
        f"{path}:{node.lineno}"
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Global)
    ]
    assert not writers


def is_a_module(name: str) -> bool:
    return name.removeprefix("cblab").removeprefix(".") in modules()


def loaded_by(statement: str) -> set[str]:
    """The top-level names of all modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_cblab_loads_nothing_but_itself_and_a_little_of_the_standard_library() -> None:
    extra = loaded_by("import cblab") - loaded_by("import importlib, typing")
    assert extra == {"cblab"}


def test_a_model_is_loaded_and_runs_without_what_torch_imports_late() -> None:
    """Its compiler and SymPy take longer to import than a model to load: notebooks would wait."""
    running = 'from cblab import LLM; llm = LLM("story-4m"); llm.engine.warmup(); llm.generate("Once")'
    names = "print(*({'torch._dynamo', 'sympy', 'torch._inductor'} & {*sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {running}; {names}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"


@pytest.mark.parametrize("module", [name for name in TORCH_FREE if is_a_module(name)])
def test_what_is_said_to_be_free_of_torch_is(module: str) -> None:
    assert not loaded_by(f"import {module}") & set(HEAVY)


@pytest.mark.parametrize(
    "package", ["cblab", "cblab.attention", "cblab.core", "cblab.model", "cblab.serving"]
)
def test_every_lazy_name_is_found_and_no_other(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if getattr(module, name) is None] == []
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name
