"""From settings to a trained model: the parts of a run put together.

A run folder holds everything of one run: `settings.json`, `tokenizer/`, `tokens/` (the cached streams),
`checkpoints/`, `log.jsonl` and `loss.png`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cblab.model import Decoder, ModelConfig, RopeConfig
from cblab.tokenization import BPETokenizer
from cblab.training.callbacks import standard_callbacks
from cblab.training.corpus import held_out_corpus, make_corpus
from cblab.training.data import TextDataModule, TokenStream
from cblab.training.plain import save_settings
from cblab.training.plot import plot_loss
from cblab.training.signals import stop_on_signal
from cblab.training.tasks import tasks
from cblab.training.trainer import Trainer, TrainResult

if TYPE_CHECKING:
    from cblab.training.settings import DataSettings, ModelSettings, TrainingSettings


def train_tokenizer(data: "DataSettings", vocab_size: int, folder: Path) -> BPETokenizer:
    """Train the byte-level BPE on the first `tokenizer_documents` training documents and save it in `folder`.

    Raises `ValueError` if the documents have too little variety for a vocabulary of that size.
    """
    documents = make_corpus(data.corpus_seed, data.tokenizer_documents)
    tokenizer = BPETokenizer.train(documents, vocab_size)
    if tokenizer.vocab_size != vocab_size:
        raise ValueError(
            f"{len(documents)} documents give only {tokenizer.vocab_size} tokens, not "
            f"vocab_size={vocab_size}: raise data.tokenizer_documents or lower model.vocab_size"
        )
    tokenizer.save(folder)
    return tokenizer


def model_config(model: "ModelSettings", tokenizer: BPETokenizer) -> ModelConfig:
    """The Llama that the settings describe, for that tokenizer; `ValueError` if their vocabularies differ."""
    if tokenizer.vocab_size != model.vocab_size:
        raise ValueError(
            f"model.vocab_size={model.vocab_size}, but the tokenizer has {tokenizer.vocab_size} tokens"
        )
    shape = dict(vars(model))
    rope = RopeConfig(theta=shape.pop("rope_theta"))
    eos = tokenizer.eos_token_id
    return ModelConfig(
        **shape,
        rope=rope,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_ids=() if eos is None else (eos,),
        pad_token_id=tokenizer.pad_token_id,
    )


def prepare_data(settings: "TrainingSettings", tokenizer: BPETokenizer, run_folder: Path) -> TextDataModule:
    """The corpus as token streams, generated and tokenised once and then read from `run_folder/tokens`."""
    data, task = settings.data, tasks[settings.run.task]()

    def stream(name: str, make: Callable[[], list[str]]) -> TokenStream:
        path = run_folder / "tokens" / f"{name}.npz"
        return TokenStream.cached(path, lambda: TokenStream.from_documents(make(), tokenizer, task))

    return TextDataModule(
        stream(
            f"train-{settings.run.task}-{data.corpus_seed}-{data.num_documents}",
            lambda: make_corpus(data.corpus_seed, data.num_documents),
        ),
        stream(
            f"held-out-{settings.run.task}-{data.held_out_documents}",
            lambda: held_out_corpus(data.held_out_documents),
        ),
        block_length=data.long_window_length,
        seed=data.shuffle_seed,
    )


def make_trainer(settings: "TrainingSettings", run_folder: Path) -> Trainer:
    """The trainer of the run in `run_folder`, with the tokenizer from there; not yet resumed."""
    if settings.run.num_threads is not None:
        torch.set_num_threads(settings.run.num_threads)
    tokenizer = BPETokenizer.load(run_folder / "tokenizer")
    data = prepare_data(settings, tokenizer, run_folder)
    torch.manual_seed(settings.run.seed)
    model = Decoder(model_config(settings.model, tokenizer))
    callbacks = standard_callbacks(settings.run, run_folder)
    return Trainer(settings, model, data, tasks[settings.run.task](), run_folder, callbacks)


def train(settings: "TrainingSettings", run_folder: Path, tokenizer_folder: Path) -> TrainResult:
    """Train in `run_folder`, from its newest checkpoint if it has one; SIGINT and SIGTERM save and stop.

    A new run takes its tokenizer from `tokenizer_folder`; from then on its own copy counts.
    """
    if not (run_folder / "tokenizer" / "tokenizer.json").exists():
        shutil.copytree(tokenizer_folder, run_folder / "tokenizer", dirs_exist_ok=True)
    trainer = make_trainer(settings, run_folder)
    trainer.resume()
    save_settings(settings, run_folder / "settings.json")
    with stop_on_signal(trainer.request_stop):
        result = trainer.run()
    plot_loss(run_folder / "log.jsonl", run_folder / "loss.png")
    return result
