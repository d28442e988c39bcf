"""What the benchmarks serve: many requests at once on models of known sizes with random weights."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cblab import assets
from cblab.model.config import ModelConfig
from cblab.tokenization import load_tokenizer
from cblab.training.corpus import iter_documents
from tests.benchmarks.sides.protocol import Job

THREADS = 2  # of every side
BACKENDS = ("numba", "torch")  # of cblab, each in a row of its own


@dataclass(frozen=True)
class Workload:
    """A checkpoint, and the jobs that are submitted to it at once.

    Attributes:
        name: for tables.
        checkpoint: a folder in Hugging Face's format.
        jobs: all of them greedy, none ended by an end-of-sequence token.
    """

    name: str
    checkpoint: Path
    jobs: Sequence[Job]

    @property
    def config(self) -> ModelConfig:
        """The model's sizes."""
        return ModelConfig.from_pretrained(self.checkpoint)

    @property
    def num_new_tokens(self) -> int:
        """Tokens of all outputs together."""
        return sum(job.num_new_tokens for job in self.jobs)

    def describe(self) -> str:
        """Sizes of the model and of the jobs, in a line."""
        config = self.config
        prompts, news = [len(job.prompt) for job in self.jobs], [job.num_new_tokens for job in self.jobs]
        return (
            f"{self.name}: {config.num_layers} layers of {config.hidden_size}, "
            f"{config.num_heads}/{config.num_kv_heads} heads, MLP {config.intermediate_size:,}, "
            f"vocabulary {config.vocab_size:,}; {len(self.jobs)} greedy requests at once, prompts of "
            f"{min(prompts)}-{max(prompts)} tokens ({sum(prompts):,}), outputs of {min(news)}-{max(news)} "
            f"({sum(news):,})"
        )


@dataclass(frozen=True)
class Shape:
    """A Llama with random weights, and how many jobs of which lengths it is to serve."""

    name: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    intermediate_size: int
    vocab_size: int
    num_jobs: int
    prompt_tokens: tuple[int, int]
    new_tokens: tuple[int, int]


S = Shape("S", 256, 6, 8, 4, 688, 4096, num_jobs=64, prompt_tokens=(16, 512), new_tokens=(16, 256))
M = Shape("M", 768, 12, 12, 4, 2048, 32_000, num_jobs=24, prompt_tokens=(16, 256), new_tokens=(16, 128))


def random_workload(shape: Shape, folder: Path, seed: int = 7) -> Workload:
    """Write the checkpoint into `folder`, and draw prompts of random tokens; the same for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        intermediate_size=shape.intermediate_size,
        vocab_size=shape.vocab_size,
        max_position_embeddings=1024,
    )
    checkpoint = folder / shape.name
    LlamaForCausalLM(config).save_pretrained(checkpoint)
    rng = random.Random(seed)
    jobs = [
        Job(rng.choices(range(3, shape.vocab_size), k=length), num_new)  # Llama's first three are special
        for length, num_new in _draw_lengths(rng, shape.num_jobs, shape.prompt_tokens, shape.new_tokens)
    ]
    return Workload(shape.name, checkpoint, jobs)


def bundled_workload(folder: Path, seed: int = 7) -> Workload:
    """The bundled model, written to `folder` in float32; prompts are beginnings of documents."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    checkpoint = folder / "story-4m"
    AutoModelForCausalLM.from_pretrained(assets.path(), dtype="float32").save_pretrained(checkpoint)
    tokenizer, rng = load_tokenizer(assets.path()), random.Random(seed)
    longest = 256
    encoded = (tokenizer.encode(document) for document in iter_documents(seed))
    long_enough = (ids for ids in encoded if len(ids) >= longest)
    lengths = _draw_lengths(rng, 64, (8, longest), (16, 256))
    jobs = [Job(next(long_enough)[:length], num_new) for length, num_new in lengths]
    return Workload("story-4m", checkpoint, jobs)


def _draw_lengths(
    rng: random.Random, count: int, prompt_tokens: tuple[int, int], new_tokens: tuple[int, int]
) -> list[tuple[int, int]]:
    """Prompts' and outputs' lengths, both log-uniform: many short ones, few long ones."""

    def draw(least: int, most: int) -> int:
        return round(math.exp(rng.uniform(math.log(least), math.log(most))))

    return [(draw(*prompt_tokens), draw(*new_tokens)) for _ in range(count)]


WORKLOADS: dict[str, Callable[[Path], Workload]] = {
    "S": partial(random_workload, S),
    "M": partial(random_workload, M),
    "story-4m": bundled_workload,
}
