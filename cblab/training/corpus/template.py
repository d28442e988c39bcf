"""A tiny template language: text with choices and slots, parsed once and rendered many times.

`{a|b|c}` picks one alternative (nesting allowed, an empty alternative is fine). `[name]` inserts the value
of a slot, `[Name]` the same with a capital first letter, `[a name]` and `[A name]` put the right article
before it.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_TOKEN = re.compile(r"[{}|]|\[[^\]]*\]|[^{}|\[\]]+")
_VOWEL_SOUND = frozenset("aeiou")


def article(noun: str) -> str:
    """Put `a` or `an` before a noun phrase, by its first letter: the word lists hold no exceptions."""
    return f"an {noun}" if noun[0].lower() in _VOWEL_SOUND else f"a {noun}"


def capitalise(text: str) -> str:
    """Return the text with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class Slot:
    """A place where a value goes: its name, and whether it gets an article or a capital."""

    name: str
    with_article: bool
    capital: bool

    def render(self, slots: dict[str, str]) -> str:
        """Return the value of the slot as it is written here."""
        value = slots[self.name]
        if self.with_article:
            value = article(value)
        return capitalise(value) if self.capital else value


@dataclass(frozen=True)
class Choice:
    """Alternatives, of which one is rendered."""

    options: tuple[tuple["Node", ...], ...]


Node = str | Slot | Choice


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """Pick one option: one call of `rng.random()`, which is the same on every platform and Python version."""
    return options[int(rng.random() * len(options))]


class Template:
    """A parsed template; ValueError for unbalanced braces when made, KeyError for an unknown slot."""

    def __init__(self, source: str) -> None:
        """Parse the source."""
        self.source = source
        tokens = _TOKEN.findall(source)
        if "".join(tokens) != source:
            raise ValueError(f"unbalanced square brackets in template {source!r}")
        self._nodes, end = _parse(tokens, 0, source, inside=False)
        if end != len(tokens):
            raise ValueError(f"unbalanced braces in template {source!r}")

    def render(self, rng: random.Random, slots: dict[str, str]) -> str:
        """Return one text of the template; the slots are read, never changed."""
        parts: list[str] = []
        _render(self._nodes, rng, slots, parts)
        return "".join(parts)


def _slot(token: str) -> Slot:
    name = token[1:-1]
    with_article = name.startswith(("a ", "A "))
    capital = name[0].isupper()
    name = name[2:] if with_article else name
    return Slot(name.lower(), with_article, capital)


def _parse(tokens: list[str], start: int, source: str, inside: bool) -> tuple[tuple[Node, ...], int]:
    """Parse up to a `|` or `}` (inside a choice) or the end; return the nodes and where it stopped."""
    nodes: list[Node] = []
    at = start
    while at < len(tokens):
        token = tokens[at]
        if token in "|}" and inside:
            return tuple(nodes), at
        if token in "|}":
            raise ValueError(f"{token!r} outside of a choice in template {source!r}")
        if token == "{":
            choice, at = _parse_choice(tokens, at + 1, source)
            nodes.append(choice)
        else:
            nodes.append(_slot(token) if token[0] == "[" else token)
        at += 1
    if inside:
        raise ValueError(f"a choice is not closed in template {source!r}")
    return tuple(nodes), at


def _parse_choice(tokens: list[str], start: int, source: str) -> tuple[Choice, int]:
    options: list[tuple[Node, ...]] = []
    at = start
    while True:
        option, at = _parse(tokens, at, source, inside=True)
        options.append(option)
        if tokens[at] == "}":
            return Choice(tuple(options)), at
        at += 1


def _render(nodes: tuple[Node, ...], rng: random.Random, slots: dict[str, str], parts: list[str]) -> None:
    for node in nodes:
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, Slot):
            parts.append(node.render(slots))
        else:
            _render(pick(rng, node.options), rng, slots, parts)
