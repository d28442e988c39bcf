"""Registries: how a reader's own module takes the place of one of the Decoder's."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Callable[..., object])


class Registry(Generic[T]):
    """Names for the interchangeable modules of one kind; `ModelConfig` says by name which one to use.

    ```
    @mlp_impl.register("squared_relu")
    class SquaredReLU(nn.Module): ...

    Decoder(dataclasses.replace(config, mlp_impl="squared_relu"))
    ```
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a class under `name`.

        Filing the same class again (a notebook cell run twice) replaces it.

        Raises:
            ValueError: another class already has this name.
        """

        def file(entry: T) -> T:
            known = self._entries.get(name)
            if known is not None and _qualified_name(known) != _qualified_name(entry):
                raise ValueError(
                    f"{self.kind} {name!r} is taken by {_qualified_name(known)}; choose another name"
                )
            self._entries[name] = entry
            return entry

        return file

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise ValueError(f"unknown {self.kind} {name!r}; registered: {', '.join(self.names())}")
        return self._entries[name]

    def names(self) -> list[str]:
        """The registered names, sorted."""
        return sorted(self._entries)


def _qualified_name(entry: object) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', '?')}"
