"""Generation over a cache: the reference for exercise 3.7, and the model that a check hands to a student."""

from collections.abc import Sequence
from typing import Protocol


class Runner(Protocol):
    """Runs a model over new tokens and remembers their keys and values."""

    def forward(self, token_ids: list[int], positions: list[int]) -> int:
        """Run the model over new tokens; the likeliest id after the last of them."""


def generate(runner: Runner, prompt_ids: Sequence[int], num_new_tokens: int) -> list[int]:
    """Greedy decoding: the prompt in one pass, then each new token but the last in one of its own."""
    new: list[int] = []
    ids, num_cached = list(prompt_ids), 0
    while len(new) < num_new_tokens:
        positions = list(range(num_cached, num_cached + len(ids)))
        new.append(runner.forward(ids, positions))
        num_cached += len(ids)
        ids = [new[-1]]
    return new


class RecordingRunner:
    """Stands in for a model: writes down what it is asked, and answers by a rule.

    The answer depends on the last token, its position and how much has been fed before, so that feeding
    anything else changes the reply too.
    """

    def __init__(self) -> None:
        self._log: list[tuple[list[int], list[int]]] = []

    def forward(self, token_ids: list[int], positions: list[int]) -> int:
        """The next id of the rule, 0 to 96."""
        ids, places = list(token_ids), list(positions)
        if not ids or len(ids) != len(places):
            raise ValueError(f"{len(ids)} token ids with {len(places)} positions")
        if len(self._log) >= 200:
            raise RuntimeError("200 passes of the model, and still no end")
        self._log.append((ids, places))
        return (7 * int(ids[-1]) + 3 * int(places[-1]) + sum(len(fed) for fed, _ in self._log)) % 97

    def log(self) -> list[tuple[list[int], list[int]]]:
        """The token ids and positions of each pass so far."""
        return self._log
