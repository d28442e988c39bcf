"""Showing a kernel's source where the kernel itself may not run: as text, without importing it."""

import ast
from importlib.util import find_spec
from pathlib import Path


def source_of(module: str, function: str) -> str:
    """The source of a module's function, decorators included. The module is found, and not imported."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module!r} with a source file")
    text = Path(spec.origin).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"{module} has no function {function!r}")
