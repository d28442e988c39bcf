"""A corpus, a tokenizer and settings small enough to train in a second."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cblab.tokenization import BPETokenizer
from cblab.training.corpus import make_corpus
from cblab.training.settings import TrainingSettings, make_settings

TINY: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_layers": 2,
    "num_heads": 3,
    "num_kv_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "num_documents": 20,
    "held_out_documents": 5,
    "tokenizer_documents": 50,
    "window_length": 16,
    "long_window_length": 32,
    "long_window_fraction": 0.25,
    "tokens_per_step": 512,
    "accumulation_steps": 2,
    "max_steps": 12,
    "warmup_steps": 3,
    "log_every": 2,
    "validate_every": 4,
    "validation_windows": 8,
    "checkpoint_every": 5,
    "num_threads": 1,
    "precision": "float32",
}

MakeSettings = Callable[..., TrainingSettings]


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> MakeSettings:
    """Settings of a tiny run; keyword arguments change single ones."""

    def make(**changes: Any) -> TrainingSettings:
        return make_settings(None, {}, TINY | changes)

    return make


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    BPETokenizer.train(make_corpus(0, 50), TINY["vocab_size"]).save(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> BPETokenizer:
    return BPETokenizer.load(tokenizer_folder)
