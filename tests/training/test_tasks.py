import pytest
import torch

from cblab.tokenization import BPETokenizer
from cblab.training.corpus import make_corpus
from cblab.training.data import TokenStream
from cblab.training.tasks import tasks

PAIRS = "Question: What is 2 + 2?\nAnswer: 4.\nQuestion: Who says woof?\nAnswer: The dog."


def test_tasks_are_chosen_by_name() -> None:
    assert tasks.names() == ["lm", "sft"]
    with pytest.raises(ValueError, match="unknown task 'rlhf'"):
        tasks["rlhf"]


def test_sft_counts_answers_and_eos_only(tokenizer: BPETokenizer) -> None:
    encoded = tasks["sft"]().encode(tokenizer, PAIRS)
    assert encoded is not None
    counted = [token for token, counts in zip(*encoded, strict=True) if counts]
    assert tokenizer.decode(counted, skip_special_tokens=False) == " 4. The dog.<|eos|>"


def test_sft_pieces_give_the_ids_of_the_whole(tokenizer: BPETokenizer) -> None:
    documents = [document for document in make_corpus(3, 300) if "\nAnswer:" in document]
    assert len(documents) > 10
    for document in documents:
        encoded = tasks["sft"]().encode(tokenizer, document)
        assert encoded is not None
        assert encoded.ids == [*tokenizer.encode(document), tokenizer.eos_token_id]


def test_sft_leaves_out_what_answers_nothing(tokenizer: BPETokenizer) -> None:
    assert tasks["sft"]().encode(tokenizer, "Once upon a time.") is None
    with pytest.raises(ValueError, match="none of the 1 documents is one for SupervisedFineTuning"):
        TokenStream.from_documents(["Once upon a time."], tokenizer, tasks["sft"]())


def test_the_loss_is_a_sum_over_what_counts() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    targets, counted = torch.tensor([0, 3, 6, 2, 2]), torch.tensor([True, False, True, True, False])
    expected = -sum(logits[row].log_softmax(-1)[targets[row]] for row in (0, 2, 3))
    assert tasks["lm"]().loss_sum(logits, targets, counted).item() == pytest.approx(float(expected))
