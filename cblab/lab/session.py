"""What one kernel remembers of a student's work; it lives in the notebook's namespace and ends with it."""

from dataclasses import dataclass, field
from typing import Any

_NAME = "__cblab_session__"


@dataclass
class Session:
    """passed: by exercise id, the objects that passed its check. hints: how many were given."""

    passed: dict[str, dict[str, Any]] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)


def session_in(namespace: dict[str, Any]) -> Session:
    """The session of a notebook, begun at the first call."""
    session = namespace.setdefault(_NAME, Session())
    if not isinstance(session, Session):
        session = namespace[_NAME] = Session()
    return session
