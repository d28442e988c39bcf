"""Dense, contiguous and paged: the same requests in three KV caches, and what each wastes.

Twelve requests of mixed lengths are answered by the bundled model. A dense cache grows with its sequence and
copies as it grows. A contiguous one is allocated once, and each sequence must reserve its longest possible
run. The paged one takes a block when it needs one. The tokens are the same; the memory is not.
"""

from collections.abc import Sequence

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from cblab import LLM, SamplingParams
from cblab.attention.batch import RaggedBatch
from cblab.core.contiguous_cache import ContiguousKVCache
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache, SequenceKVCache
from cblab.core.kv_storage import bytes_per_block
from cblab.core.model_runner import LanguageModel
from cblab.demos.command import run_demo
from cblab.memory import format_bytes

_OPENINGS = ("Once upon a time", "The capital of France is", "In a small house near the sea, there lived")
_MAX_LEN = 160  # what a service would allow a request: prompt and output together
_NEW_TOKENS = (8, 60, 20, 110, 12, 35)
_BLOCK_SIZE = 16


def run(console: Console) -> None:
    """Answer the same prompts over three caches; compare tokens and memory."""
    llm = LLM("story-4m", block_size=_BLOCK_SIZE, num_blocks=256, enable_prefix_caching=False)
    assert llm.tokenizer is not None
    prompts = [llm.tokenizer.encode(_OPENINGS[i % 3]) for i in range(12)]
    limits = [_NEW_TOKENS[i % 6] for i in range(12)]
    model = llm.engine.runner.model
    specs = model.config.attention_specs

    dense = [DenseKVCache(specs) for _ in prompts]
    tokens_dense = _decode(model, prompts, limits, dense)
    arena = ContiguousKVCache(specs, num_rows=12 * _MAX_LEN)
    runs = [run for run in (arena.reserve(_MAX_LEN) for _ in prompts) if run is not None]
    tokens_contiguous = _decode(model, prompts, limits, runs)
    params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in limits]
    tokens_paged = [one.outputs[0].token_ids for one in llm.generate(prompts, params, use_tqdm=False)]

    stats = arena.stats()
    row_bytes = bytes_per_block(specs, 1, "float32")
    held = [len(prompt) + limit - 1 for prompt, limit in zip(prompts, limits, strict=True)]
    num_blocks = sum(-(-length // _BLOCK_SIZE) for length in held)
    table = Table("cache", "tokens held", "tokens' room", "bytes", "wasted", box=box.SIMPLE_HEAD)
    for name, room in (
        ("dense: doubles", sum(cache.capacity for cache in dense)),
        (f"contiguous: {_MAX_LEN} each", stats.num_reserved),
        (f"paged: blocks of {_BLOCK_SIZE}", num_blocks * _BLOCK_SIZE),
    ):
        wasted = 1 - sum(held) / room
        table.add_row(name, f"{sum(held)}", f"{room}", format_bytes(room * row_bytes), f"{wasted:.0%}")
    console.print("Each request counted with its last token, the dense and contiguous ones as measured:")
    console.print(table)
    same = tokens_dense == tokens_contiguous == tokens_paged
    console.print(f"The tokens of all three are {'the same' if same else 'DIFFERENT'}.")
    room = 12 * _MAX_LEN
    console.print(
        f"Memory for {room} tokens serves 12 such requests when each reserves {_MAX_LEN} tokens, and "
        f"{12 * room // (num_blocks * _BLOCK_SIZE)} when each takes blocks as it grows."
    )


@torch.inference_mode()
def _decode(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    caches: Sequence[SequenceKVCache],
) -> list[list[int]]:
    """Greedy decoding of all prompts together; a request that has its tokens leaves the batch."""
    new: list[list[int]] = [[] for _ in prompts]
    while running := [i for i, tokens in enumerate(new) if len(tokens) < limits[i]]:
        known = [[*prompts[i], *new[i]] for i in running]
        computed = [caches[i].length for i in running]
        batch = RaggedBatch.build([ids[n:] for ids, n in zip(known, computed, strict=True)], computed)
        attend = DenseCacheAttention([caches[i] for i in running], batch)
        best = model(batch, attend).argmax(-1).tolist()
        attend.advance()
        for i, token in zip(running, best, strict=True):
            new[i].append(token)
    return new


if __name__ == "__main__":
    run_demo(run, "dense_and_paged", __doc__)
