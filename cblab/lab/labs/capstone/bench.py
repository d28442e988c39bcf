"""Parts under suspicion: the real ones in the engine, and scripted ones for the check of exercise 7.5."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cblab.lab.labs.capstone.workload import NAMES, serve


class Bench:
    """Runs some of the given parts beside cblab's own for all the others.

    Args:
        make_parts: gives them, by `workload.NAMES`; called for each run, so that none remembers the last one.
        want: {request id: the right tokens}.
        num_blocks: in the pool.

    names: the parts' names. runs: for each run so far, whose parts were in it and whether it was right.
    """

    def __init__(
        self, make_parts: Callable[[], Mapping[str, Any]], want: Mapping[str, list[int]], num_blocks: int
    ) -> None:
        parts = make_parts()
        self.names = [name for name in NAMES if name in parts]
        self.runs: list[tuple[list[str], bool]] = []
        self._make_parts, self._want, self._num_blocks = make_parts, want, num_blocks

    def agrees(self, own: Sequence[str]) -> bool:
        """Whether a run with these parts, and cblab's own for the others, gives the right tokens."""
        _look_at(own, self.names)
        parts = self._make_parts()
        run = serve({name: parts[name] for name in own}, self._num_blocks)
        self.runs.append((list(own), run.tokens == self._want))
        return self.runs[-1][1]


class ScriptedBench:
    """A bench whose guilty parts are known; each argument is a list of names.

    guilty: wrong in any company. together: wrong only where all of these run; [] for no such fault.
    """

    def __init__(self, names: Sequence[str], guilty: Sequence[str], together: Sequence[str] = ()) -> None:
        self.names = list(names)
        self._guilty, self._together = set(guilty), set(together)
        self._num_runs = 0

    def agrees(self, own: Sequence[str]) -> bool:
        """Whether none of `own` is guilty, nor all of those that are wrong together are among them."""
        _look_at(own, self.names)
        self._num_runs += 1
        meet = bool(self._together) and self._together <= set(own)
        return not meet and not self._guilty & set(own)

    def num_runs(self) -> int:
        """How many runs there were."""
        return self._num_runs


def _look_at(own: Sequence[str], names: Sequence[str]) -> None:
    if isinstance(own, str):
        raise ValueError(f"`agrees` wants a list of names, got the name {own!r}: write [{own!r}]")
    for name in own:
        if name not in names:
            raise ValueError(f"`agrees` knows no part {name!r}; there are {', '.join(names)}")
