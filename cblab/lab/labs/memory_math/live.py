"""How much memory a computation holds while it runs, counted exactly and alike on every machine."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made within it and still alive.

    ```
    with LiveMemory() as memory:
        ...
    memory.now, memory.peak, memory.history      bytes; history has an entry for each operation
    ```

    Every operation of torch passes through here. What it returns is counted by its storage, once, until
    nothing refers to it any more. Scratch memory inside a single operation is not seen, and neither is what
    existed before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self.history: list[int] = []
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation, and count the storages that it made."""
        given = {storage_key(one) for one in tree_iter((args, kwargs or {})) if isinstance(one, Tensor)}
        result = func(*args, **(kwargs or {}))
        for one in tree_iter(result):
            if isinstance(one, Tensor) and storage_key(one) not in given | self._known:
                self._count(one)
        self.history.append(self.now)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), storage_key(tensor)
        num_bytes = storage.nbytes()
        self._known.add(key)
        self.now += num_bytes
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, num_bytes)

    def _forget(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self.now -= num_bytes


def storage_key(tensor: Tensor) -> int:
    """What identifies a tensor's storage, which views share, while it lives."""
    return tensor.untyped_storage()._cdata


def kept_for_backward(run: Callable[[], object], parameters: Iterable[Tensor]) -> int:
    """Bytes that autograd keeps when `run` is called, besides the parameters, each storage counted once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[storage_key(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        # The result holds the graph, and the graph the tensors, so that no storage's key is used twice.
        result = run()
    own = {storage_key(parameter) for parameter in parameters}
    del result
    return sum(num_bytes for key, num_bytes in kept.items() if key not in own)
