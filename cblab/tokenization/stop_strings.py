"""Stop strings in text that arrives piece by piece.

A stop string may lie across the borders of tokens, so the end of the text so far may be its beginning. Such
an end is held back until the next characters decide. With the stop string "\\n\\nUser:":

```
pushed    "Hello.\\n"      "\\nUs"        "ers"
shown     "Hello."         ""            "\\n\\nUsers"     it was none: all of it is shown
held      "\\n"            "\\n\\nUs"      ""
```

The search is Aho and Corasick's: a tree of the stop strings in which each node also knows the longest end of
its own text that is another node. Every character costs a constant number of steps on average, however many
stop strings there are and however the text was cut into pieces.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Node:
    """A beginning of one or more stop strings.

    `shorter` is the node of the longest end of this text that is a beginning too; None at the root. `match`
    is the longest stop string that this text ends with. `num_open` is how long the longest end of this text
    is that more characters may make a stop string.
    """

    children: dict[str, "_Node"] = field(default_factory=dict)
    shorter: "_Node | None" = None
    match: str | None = None
    num_open: int = 0

    def after(self, char: str) -> "_Node":
        """Return the longest end of this text and `char` that is a node."""
        node = self
        while char not in node.children and node.shorter is not None:
            node = node.shorter
        return node.children.get(char, node)


class StopStringMatcher:
    """Find the first stop string: `push` returns what can be shown by now, `flush` the rest.

    The stop string that is *completed* first wins, whichever began first; of two that end with the same
    character, the longer one. What was pushed in which pieces makes no difference. From a match on,
    everything is dropped, and `matched` says which stop string it was.

    Args:
        stop: the stop strings; none may be empty.
        include_stop_str: whether the text ends behind the stop string and not in front of it.
    """

    def __init__(self, stop: Sequence[str], *, include_stop_str: bool = False) -> None:
        if isinstance(stop, str):
            raise ValueError(f"stop strings must be a sequence of strings, got the string {stop!r}")
        if "" in stop:
            raise ValueError("a stop string cannot be empty: it would be found before the first character")
        self.matched: str | None = None
        self._include_stop_str = include_stop_str
        self._root = self._node = _tree(stop)
        self._held = ""

    def push(self, text: str, *, is_watched: bool = True) -> str:
        """Take the next piece of the text; return what is safe to show.

        A stop string that is completed while `is_watched` is False is text like any other; one that only
        begins there is found when it is completed later.
        """
        if self.matched is not None:
            return ""
        node = self._node
        for index, char in enumerate(text):
            node = node.after(char)
            if node.match is not None and is_watched:
                return self._stop(self._held + text[: index + 1], node.match)
        self._node = node
        known = self._held + text
        safe = len(known) - node.num_open
        self._held = known[safe:]
        return known[:safe]

    def _stop(self, text: str, match: str) -> str:
        self.matched, self._held = match, ""
        return text if self._include_stop_str else text.removesuffix(match)

    def flush(self) -> str:
        """Return what was held back: the text ends here."""
        text, self._held, self._node = self._held, "", self._root
        return text


def _tree(stop: Iterable[str]) -> _Node:
    root = _Node()
    for string in stop:
        node = root
        for char in string:
            node = node.children.setdefault(char, _Node())
        node.match = string
    level, depth = [root], 0
    while level:  # level by level: what a node's `shorter` is follows from those nearer to the root
        for node in level:
            node.num_open = depth if node.children or node.shorter is None else node.shorter.num_open
            for char, child in node.children.items():
                child.shorter = root if node.shorter is None else node.shorter.after(char)
                child.match = child.match or child.shorter.match
        level, depth = [child for node in level for child in node.children.values()], depth + 1
    return root
