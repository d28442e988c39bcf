"""A model that knows what comes next: the token after each one, from a table. And an engine around it."""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.outputs import RequestOutput
from cblab.model import ModelConfig
from cblab.tokenization import BPETokenizer

# 256 bytes and three special tokens: ids below 128 are ASCII characters.
TOKENIZER = BPETokenizer([])


class TableModel(torch.nn.Module):
    """Greedy, it says `following[token]` after each token, 0 where there is none.

    `on_forward` is called with each batch, before anything is computed; `batches` keeps them.
    """

    def __init__(
        self,
        following: Mapping[int, int],
        *,
        vocab_size: int = TOKENIZER.vocab_size,
        eos_token_ids: tuple[int, ...] = (),
        max_position_embeddings: int = 64,
        on_forward: Callable[[RaggedBatch], None] | None = None,
    ) -> None:
        super().__init__()
        self.config = ModelConfig(
            vocab_size=vocab_size,
            hidden_size=4,
            intermediate_size=0,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=2,
            max_position_embeddings=max_position_embeddings,
            eos_token_ids=eos_token_ids,
        )
        self.following = following
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.on_forward = on_forward
        self.batches: list[RaggedBatch] = []

    def forward(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        self.batches.append(batch)
        if self.on_forward is not None:
            self.on_forward(batch)
        for layer, spec in enumerate(self.config.attention_specs):
            kv = torch.zeros(batch.num_tokens, spec.num_kv_heads, spec.head_dim)
            attend(layer, torch.zeros(batch.num_tokens, spec.num_heads, spec.head_dim), kv, kv)
        assert batch.logits_indices is not None
        tokens = batch.input_ids[batch.logits_indices].tolist()
        logits = torch.zeros(len(tokens), self.config.vocab_size)
        for row, token in enumerate(tokens):
            logits[row, self.following.get(token, 0)] = 10.0
        return logits


def chain(text: str) -> dict[int, int]:
    """The table that spells a text: each character is followed by the next. No character may come twice."""
    codes = text.encode()
    assert len(set(codes)) == len(codes)
    return dict(pairwise(codes))


def table_engine(following: Mapping[int, int] | str, **settings: Any) -> Engine:
    """An engine over a table, or over a text that is spelled; settings are the model's and the config's."""
    model_names = ("vocab_size", "eos_token_ids", "max_position_embeddings", "on_forward")
    engine_names = ("parts", "clock", "trace")
    model = {name: settings.pop(name) for name in model_names if name in settings}
    engine = {name: settings.pop(name) for name in engine_names if name in settings}
    table = chain(following) if isinstance(following, str) else following
    config = EngineConfig(
        **{"num_blocks": 32, "block_size": 4, "max_num_seqs": 8, "watermark": 0.0, **settings}
    )
    return Engine(TableModel(table, **model), TOKENIZER, config, **engine)


def run(engine: Engine) -> dict[str, RequestOutput]:
    """Step until nothing is left, holding all invariants after each step; the last output of each request."""
    outputs: dict[str, RequestOutput] = {}
    while engine.has_unfinished:
        outputs |= _by_id(engine.step())
        engine.check_integrity()
    return outputs


def _by_id(outputs: Iterable[RequestOutput]) -> dict[str, RequestOutput]:
    return {output.request_id: output for output in outputs}
