"""The text of the bundled models: small stories, small facts, counting and small sums, written from a seed.

Everything comes from `random.Random(seed)` and tuples, so the same seed gives the same text on every
platform. The held-out documents come from another seed, and their stories tell pairs of hero and plot that
training never sees.
"""

import random
from collections.abc import Callable, Iterator
from itertools import islice

from cblab.training.corpus.arithmetic import write_arithmetic
from cblab.training.corpus.facts import write_facts
from cblab.training.corpus.stories import write_story

__all__ = [
    "HELD_OUT_SEED",
    "KINDS",
    "held_out_corpus",
    "iter_documents",
    "iter_labelled_documents",
    "make_corpus",
    "shares_by_kind",
    "split_corpus",
]

KINDS = ("story", "facts", "arithmetic")
HELD_OUT_SEED = 1_000_003

# Documents of each kind are drawn in these proportions. Stories are longer, and sums take more tokens a
# character, so this comes to about 64 % of the tokens for stories, 21 % for facts and 15 % for numbers.
_DOCUMENT_WEIGHTS = (37, 35, 28)


def _kind_of(rng: random.Random) -> str:
    at = rng.random() * sum(_DOCUMENT_WEIGHTS)
    for kind, weight in zip(KINDS, _DOCUMENT_WEIGHTS, strict=True):
        if at < weight:
            return kind
        at -= weight
    return KINDS[-1]


def iter_labelled_documents(seed: int, held_out: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (kind, document) without end; kind is one of `KINDS`."""
    rng = random.Random(seed)
    writers: dict[str, Callable[[random.Random], str]] = {
        "story": lambda source: write_story(source, held_out),
        "facts": write_facts,
        "arithmetic": write_arithmetic,
    }
    while True:
        kind = _kind_of(rng)
        yield kind, writers[kind](rng)


def iter_documents(seed: int) -> Iterator[str]:
    """Yield training documents without end, plain text without special tokens."""
    for _, document in iter_labelled_documents(seed):
        yield document


def make_corpus(seed: int, num_documents: int) -> list[str]:
    """Return the first `num_documents` training documents of the seed; raise ValueError if negative."""
    if num_documents < 0:
        raise ValueError(f"num_documents must not be negative, got {num_documents}")
    return list(islice(iter_documents(seed), num_documents))


def held_out_corpus(num_documents: int, seed: int = HELD_OUT_SEED) -> list[str]:
    """Return documents for validation: no story among them is told in any training corpus, whatever its seed.

    Facts and sums are small worlds, so single sentences of those do occur in training.
    """
    if num_documents < 0:
        raise ValueError(f"num_documents must not be negative, got {num_documents}")
    return [document for _, document in islice(iter_labelled_documents(seed, held_out=True), num_documents)]


def split_corpus(seed: int, num_train: int, num_held_out: int) -> tuple[list[str], list[str]]:
    """Return (training documents, held-out documents)."""
    return make_corpus(seed, num_train), held_out_corpus(num_held_out)


def shares_by_kind(seed: int, num_documents: int, size: Callable[[str], int] = len) -> dict[str, float]:
    """Return the share of each kind in a corpus, measured by `size`: characters, or a tokenizer's count."""
    totals = dict.fromkeys(KINDS, 0)
    for kind, document in islice(iter_labelled_documents(seed), num_documents):
        totals[kind] += size(document)
    whole = sum(totals.values())
    return {kind: total / whole if whole else 0.0 for kind, total in totals.items()}
