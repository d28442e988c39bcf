"""Between host and device without waiting: numbers on their way to a GPU, and back.

A plain copy makes the host wait for all that the GPU has been given so far. One between pinned memory and the
GPU takes its place in the queue.
"""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on `device`; from pinned memory where that is a GPU, so nobody waits."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor if device.type == "cpu" else tensor.to(device)


class HostCopy:
    """What a tensor holds now, to be read later.

    From a GPU the copy runs behind the work that was launched before it. Reading waits for it alone, not for
    what has been launched since: that is what lets the next step begin meanwhile.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._event = None
        self._host = tensor
        if tensor.device.type == "cuda":
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def tolist(self) -> list:
        """Wait for the copy, and return its values."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.tolist()
