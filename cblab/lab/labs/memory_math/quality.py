"""How well an engine predicts text that its model has not been trained on."""

import itertools
import math

from cblab.core import SamplingParams
from cblab.serving.llm import LLM, TextScore
from cblab.training.corpus import iter_labelled_documents


def held_out_stories(count: int) -> list[str]:
    """Stories that are in no training text of the bundled model."""
    texts = (text for kind, text in iter_labelled_documents(2, held_out=True) if kind == "story")
    return list(itertools.islice(texts, count))


def perplexity(engine: LLM, texts: list[str]) -> float:
    """Perplexity over all tokens of the texts together; 1.0: a model that is always sure and right."""
    asked = SamplingParams(max_tokens=0, prompt_logprobs=0)
    scores = []
    for one in engine.generate(texts, asked, use_tqdm=False):
        if one.prompt_logprobs is None:
            raise ValueError(f"the engine could not score {one.prompt!r}")
        scores.append(TextScore(one.prompt_token_ids, list(one.prompt_logprobs)))
    num_scored = sum(len(score.token_ids) - 1 for score in scores)
    return math.exp(-sum(score.total_logprob for score in scores) / num_scored)
