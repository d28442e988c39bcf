"""Documents to windows: tokenise once, lay end to end, cut into blocks, shuffle resumably.

```
document 0        document 1              document 2 ...         <bos> text <eos> each, concatenated
├───── block 0 ─────┤───── block 1 ─────┤───── block 2 ...       block_length tokens
├─window┤─window┤...                                             a divisor of block_length
```
A step takes whole blocks in shuffled order and views them as windows, so that long and short windows share
one order and one position. A window's targets are its tokens shifted by one, the last one borrowed from what
follows.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cblab.tokenization.protocol import Tokenizer
from cblab.training.tasks import Task


class Windows(NamedTuple):
    """Training windows, each `[num_windows, window_length]`: int64 inputs and targets, bool counted."""

    inputs: torch.Tensor
    targets: torch.Tensor
    counted: torch.Tensor

    def to(self, device: torch.device) -> "Windows":
        """The same windows on a device."""
        return Windows(*(tensor.to(device, non_blocking=True) for tensor in self))


@dataclass(frozen=True)
class TokenStream:
    """Documents end to end: `ids` `[num_tokens]`, and whether each token counts as a target."""

    ids: NDArray[np.uint16] | NDArray[np.int32]
    counted: NDArray[np.bool_]

    @classmethod
    def from_documents(cls, documents: Sequence[str], tokenizer: Tokenizer, task: Task) -> "TokenStream":
        """Tokenise the documents as the task says and concatenate them."""
        dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32
        encoded = [e for document in documents if (e := task.encode(tokenizer, document)) is not None]
        if not encoded:
            raise ValueError(f"none of the {len(documents)} documents is one for {type(task).__name__}")
        ids = np.concatenate([np.asarray(document.ids, dtype=dtype) for document in encoded])
        return cls(
            ids, np.concatenate([np.asarray(document.counted, dtype=np.bool_) for document in encoded])
        )

    @classmethod
    def cached(cls, path: Path, make: Callable[[], "TokenStream"]) -> "TokenStream":
        """The stream stored at `path`; made and stored there (whole or not at all) when it is not."""
        if not path.exists():
            stream = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, ids=stream.ids, counted=stream.counted)
            partial.replace(path)
        with np.load(path) as arrays:
            return cls(arrays["ids"], arrays["counted"])

    def __len__(self) -> int:
        return len(self.ids)

    def fingerprint(self) -> str:
        """SHA-256 of the ids and of what counts: a run refuses to resume on other data."""
        return hashlib.sha256(self.ids.tobytes() + self.counted.tobytes()).hexdigest()

    def windows(self, starts: NDArray[np.int64], length: int, window_length: int) -> Windows:
        """The stretches `[start, start + length)`, viewed as windows of `window_length` tokens."""
        index = starts[:, None] + np.arange(length + 1)[None, :]
        ids = torch.from_numpy(self.ids[index].astype(np.int64))
        counted = torch.from_numpy(self.counted[index])
        shape = (-1, window_length)
        return Windows(ids[:, :-1].reshape(shape), ids[:, 1:].reshape(shape), counted[:, 1:].reshape(shape))


@dataclass
class DataPosition:
    """Where the training data stands: how many blocks of which epoch have been taken."""

    epoch: int = 0
    position: int = 0


class BlockSampler:
    """Block numbers in shuffled order; the order of each epoch depends on (seed, epoch) alone."""

    def __init__(self, num_blocks: int, seed: int) -> None:
        self.num_blocks = num_blocks
        self.seed = seed
        self.at = DataPosition()
        self._order = self._shuffle(0)

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(self.num_blocks)

    def take(self, count: int) -> NDArray[np.int64]:
        """The next `count` blocks `[count]`; runs on into the next epoch when this one is used up."""
        taken: list[NDArray[np.int64]] = []
        while count:
            if self.at.position == self.num_blocks:
                self.seek(DataPosition(self.at.epoch + 1, 0))
            part = self._order[self.at.position : self.at.position + count]
            self.at.position += len(part)
            count -= len(part)
            taken.append(part)
        return np.concatenate(taken)

    def seek(self, at: DataPosition) -> None:
        """Go on from that position."""
        if not 0 <= at.position <= self.num_blocks:
            raise ValueError(f"position {at.position} is outside an epoch of {self.num_blocks} blocks")
        self._order = self._shuffle(at.epoch)
        self.at = DataPosition(at.epoch, at.position)


class TextDataModule:
    """Training blocks in a resumable order, and held-out windows in a fixed one."""

    def __init__(self, train: TokenStream, held_out: TokenStream, *, block_length: int, seed: int) -> None:
        num_blocks = (len(train) - 1) // block_length
        if num_blocks < 1:
            raise ValueError(
                f"{len(train)} training tokens do not fill one block of {block_length}, and its last target"
            )
        self.train = train
        self.held_out = held_out
        self.block_length = block_length
        self.sampler = BlockSampler(num_blocks, seed)

    def next_windows(self, num_blocks: int, window_length: int) -> Windows:
        """The next `num_blocks` training blocks as windows of `window_length` tokens."""
        starts = self.sampler.take(num_blocks) * self.block_length
        return self.train.windows(starts, self.block_length, window_length)

    def held_out_windows(self, window_length: int, at_most: int | None = None) -> Windows:
        """The first held-out windows, in the order of the text (all of them without `at_most`)."""
        available = (len(self.held_out) - 1) // window_length
        count = available if at_most is None else min(available, at_most)
        if count < 1:
            raise ValueError(
                f"{len(self.held_out)} held-out tokens do not fill one window of {window_length}, "
                "and its last target"
            )
        return self.held_out.windows(np.arange(count) * window_length, window_length, window_length)
