"""What every demo is as a command: its options, and errors that are a line and no traceback."""

import argparse
import sys
from collections.abc import Callable

from rich.console import Console


def run_demo(run: Callable[[Console], object], name: str, description: str | None) -> None:
    """Run a demo from the command line; `python -m cblab.demos.<name> --help` says what it shows."""
    parser = argparse.ArgumentParser(
        prog=f"python -m cblab.demos.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        run(Console(highlight=False, markup=False))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
