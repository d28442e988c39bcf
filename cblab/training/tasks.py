"""Tasks: how a document becomes tokens, and which of its tokens the model is trained to predict.

A task is chosen by name (`run.task`). A new one is a class with the decorator `@tasks.register("its name")`.
"""

import re
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F

from cblab.model.registry import Registry
from cblab.tokenization.protocol import Tokenizer

_ANSWER = re.compile(r"(?<=\nAnswer:)([^\n]*)")


class EncodedDocument(NamedTuple):
    """Token ids of one document, and for each whether predicting it counts in the loss."""

    ids: list[int]
    counted: list[bool]


class Task(Protocol):
    """What the data module and the trainer ask of a task."""

    def encode(self, tokenizer: Tokenizer, document: str) -> EncodedDocument | None:
        """Tokens of one document, with what marks its beginning and its end; None leaves the document out."""
        ...

    def loss_sum(self, logits: torch.Tensor, targets: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """The loss summed over the counted targets.

        `logits`: `[num_tokens, vocab_size]`; `targets`: `[num_tokens]`; `counted`: `[num_tokens]`, bool.
        A sum, not a mean: the trainer divides by what the whole step counted, so that accumulation changes
        nothing.
        """
        ...


tasks: Registry[type[Task]] = Registry("task")


def _end_of_document(tokenizer: Tokenizer) -> int:
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "training needs a tokenizer with an end-of-sequence token, which ends every document"
        )
    return tokenizer.eos_token_id


@tasks.register("lm")
class LanguageModelling:
    """Predict every token from those before it: `<bos> text <eos>`."""

    def encode(self, tokenizer: Tokenizer, document: str) -> EncodedDocument | None:
        """The whole document counts; `<bos>`, which follows another document's `<eos>`, does not."""
        ids = [*tokenizer.encode(document), _end_of_document(tokenizer)]
        return EncodedDocument(ids, [token != tokenizer.bos_token_id for token in ids])

    def loss_sum(self, logits: torch.Tensor, targets: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats, summed over the counted targets."""
        losses = F.cross_entropy(logits.float(), targets, reduction="none")
        return (losses * counted).sum()


@tasks.register("sft")
class SupervisedFineTuning(LanguageModelling):
    """Predict only the answers in documents of `Question: …\\nAnswer: …` pairs; questions are context."""

    def encode(self, tokenizer: Tokenizer, document: str) -> EncodedDocument | None:
        """What follows each `Answer:` on its line counts, and the `<eos>`; None if nothing is answered.

        The pre-tokenizer parts text behind a colon and behind a newline: the pieces give the whole's ids.
        """
        ids, counted = tokenizer.encode(""), [False] * len(tokenizer.encode(""))
        # An odd piece is an answer: the pattern's group is kept by split.
        for number, piece in enumerate(_ANSWER.split(document)):
            piece_ids = tokenizer.encode(piece, add_special_tokens=False)
            ids += piece_ids
            counted += [number % 2 == 1] * len(piece_ids)
        return (
            EncodedDocument([*ids, _end_of_document(tokenizer)], [*counted, True]) if any(counted) else None
        )
