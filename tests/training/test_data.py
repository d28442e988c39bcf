from pathlib import Path

import numpy as np
import pytest
import torch

from cblab.tokenization import BPETokenizer
from cblab.training.data import BlockSampler, DataPosition, TextDataModule, TokenStream
from cblab.training.tasks import tasks


def counting_stream(num_tokens: int) -> TokenStream:
    """Token i is i, and every seventh does not count."""
    ids = np.arange(num_tokens, dtype=np.uint16)
    return TokenStream(ids, ids % 7 != 0)


def test_documents_end_to_end(tokenizer: BPETokenizer) -> None:
    stream = TokenStream.from_documents(["One.", "A cat and a dog."], tokenizer, tasks["lm"]())
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    first = tokenizer.encode("One.", add_special_tokens=False)
    second = tokenizer.encode("A cat and a dog.", add_special_tokens=False)
    assert stream.ids.tolist() == [bos, *first, eos, bos, *second, eos]
    assert stream.ids.dtype == np.uint16
    # Everything is a target but the two <bos>.
    assert np.flatnonzero(~stream.counted).tolist() == [0, len(first) + 2]


def test_windows_are_shifted_by_one_and_borrow_the_last_target() -> None:
    windows = counting_stream(13).windows(np.array([4, 0]), length=4, window_length=2)
    assert windows.inputs.tolist() == [[4, 5], [6, 7], [0, 1], [2, 3]]
    assert windows.targets.tolist() == [[5, 6], [7, 8], [1, 2], [3, 4]]
    assert windows.counted.tolist() == [[True, True], [False, True], [True, True], [True, True]]
    assert windows.inputs.dtype == windows.targets.dtype == torch.int64


@pytest.mark.parametrize(("num_tokens", "num_blocks"), [(9, 2), (10, 2), (12, 2), (13, 3)])
def test_every_block_has_its_last_target(num_tokens: int, num_blocks: int) -> None:
    stream = counting_stream(num_tokens)
    data = TextDataModule(stream, stream, block_length=4, seed=0)
    assert data.sampler.num_blocks == num_blocks
    windows = data.next_windows(num_blocks, 4)
    assert sorted(windows.inputs[:, 0].tolist()) == [4 * block for block in range(num_blocks)]
    assert data.held_out_windows(4).inputs.tolist() == [
        list(range(4 * block, 4 * block + 4)) for block in range(num_blocks)
    ]
    assert len(data.held_out_windows(4, at_most=1).inputs) == 1


def test_too_little_text_is_refused() -> None:
    with pytest.raises(ValueError, match="8 training tokens do not fill one block of 8"):
        TextDataModule(counting_stream(8), counting_stream(9), block_length=8, seed=0)
    data = TextDataModule(counting_stream(9), counting_stream(4), block_length=8, seed=0)
    with pytest.raises(ValueError, match="4 held-out tokens do not fill one window of 4"):
        data.held_out_windows(4)


def test_each_epoch_is_a_permutation_of_its_own() -> None:
    sampler = BlockSampler(11, seed=3)
    taken = np.concatenate([sampler.take(4) for _ in range(11)])
    epochs = taken.reshape(4, 11)
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4
    assert sampler.at == DataPosition(3, 11)
    assert np.array_equal(epochs[0], np.random.default_rng([3, 0]).permutation(11))


@pytest.mark.parametrize("steps", range(9))
def test_the_order_goes_on_from_any_position(steps: int) -> None:
    whole, interrupted, resumed = (BlockSampler(7, seed=1) for _ in range(3))
    expected = [whole.take(5).tolist() for _ in range(9)]
    got = [interrupted.take(5).tolist() for _ in range(steps)]
    resumed.seek(interrupted.at)
    got += [resumed.take(5).tolist() for _ in range(9 - steps)]
    assert got == expected


def test_a_position_outside_the_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="position 8 is outside an epoch of 7 blocks"):
        BlockSampler(7, seed=0).seek(DataPosition(0, 8))


def test_the_stream_is_made_once_and_then_read(tmp_path: Path) -> None:
    made: list[TokenStream] = []

    def make() -> TokenStream:
        made.append(counting_stream(20))
        return made[-1]

    path = tmp_path / "tokens" / "train.npz"
    first, second = TokenStream.cached(path, make), TokenStream.cached(path, make)
    assert len(made) == 1
    assert first.fingerprint() == second.fingerprint() == made[0].fingerprint()
    assert [file.name for file in path.parent.iterdir()] == ["train.npz"]


def test_the_fingerprint_knows_tokens_and_what_counts() -> None:
    stream = counting_stream(20)
    others = [
        counting_stream(21),
        TokenStream(stream.ids, ~stream.counted),
        TokenStream(stream.ids + 1, stream.counted),
    ]
    assert len({stream.fingerprint(), *(other.fingerprint() for other in others)}) == 4
