"""The doors of lab 7: what they let through, and what they refuse by name."""

import pytest
import torch

from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.paged import paged_prefill_torch
from cblab.attention.spec import AttentionSpec
from cblab.core.block_manager import BlockManager
from cblab.core.config import EngineConfig
from cblab.core.errors import ForwardPassError
from cblab.lab.labs.capstone.bench import ScriptedBench
from cblab.lab.labs.capstone.plug import plugged_blocks, plugged_prefill, read_merges, with_prefixes
from cblab.lab.labs.capstone.prefilling import chunk_case
from cblab.lab.labs.capstone.reference import prefill
from cblab.lab.labs.capstone.report import report, whose
from cblab.lab.labs.capstone.workload import OWL, Run, serve, stored_merges
from cblab.lab.labs.continuous_batching.scheduler import Scheduler
from cblab.lab.labs.paging.tables import BlockManager as LabBlockManager
from cblab.lab.labs.tokenization.reference import ByteLevelTokenizer


def test_prefill_through_its_door_is_torchs() -> None:
    q, keys, values, tables, borders, lengths = chunk_case(3, [4, 6, 2], [0, 5, 9])
    spec = AttentionSpec(num_heads=4, num_kv_heads=2, head_dim=6, scale=6**-0.5)
    pool = LayerKV(keys, values, layout=KVLayout.NHD)
    given = (pool, torch.tensor(tables), torch.tensor(borders), torch.tensor(lengths), spec)
    new = keys.new_zeros(len(q), 2, 6)
    got = plugged_prefill(prefill)(q, new, new, *given)
    # The chunk without cached tokens would be read from `new` by torch's: it is left out.
    want = paged_prefill_torch(q, new, new, *given)
    assert torch.allclose(got[4:], want[4:], atol=1e-5)


def test_prefill_refuses_a_window() -> None:
    q, keys, values, tables, borders, lengths = chunk_case(1, [3], [2])
    spec = AttentionSpec(num_heads=4, num_kv_heads=2, head_dim=6, scale=6**-0.5, sliding_window=4)
    pool = LayerKV(keys, values, layout=KVLayout.NHD)
    given = (pool, torch.tensor(tables), torch.tensor(borders), torch.tensor(lengths), spec)
    with pytest.raises(ValueError, match="no sliding window, got 4"):
        plugged_prefill(prefill)(q, q, q, *given)


def test_a_cached_prefix_is_taken_and_a_chunk_without_tokens_refused() -> None:
    requests = {"a": (OWL, 4), "b": (f"{OWL}The cow says", 4)}
    seats = {"max_num_seqs": 1}  # the second one begins when the first has ended
    want = serve({}, 40, requests, enable_prefix_caching=False, **seats)
    got = serve({"scheduler": with_prefixes(Scheduler)}, 40, requests, **seats)
    assert got.tokens == want.tokens
    assert got.stats is not None
    assert got.stats.num_prefix_hit_tokens == (len(got.prompts["a"]) // 8) * 8
    greedy = with_prefixes(Scheduler, first_chunk=lambda new, found, size: (found, -3))
    with pytest.raises(ForwardPassError, match="0 blocks of 8 and -3 tokens"):
        serve({"scheduler": greedy}, 40, requests, **seats)


def test_what_the_labs_scheduler_does_not_know_is_refused() -> None:
    config = EngineConfig(watermark=0.1)
    with pytest.raises(ValueError, match="neither swaps nor keeps blocks free"):
        with_prefixes(Scheduler)(config, BlockManager(4, 16), 4)


def test_the_block_manager_tells_which_blocks_come_and_go() -> None:
    requests = {name: (f"{OWL}{text}", 4) for name, text in {"a": "", "b": "The cow says"}.items()}
    run = serve({"block manager": plugged_blocks(LabBlockManager)}, 40, requests, max_num_seqs=1)
    held: dict[int, int] = {}
    for record in run.records:
        for event in record.block_events:
            change = -held.get(event.block_id, 0) if event.kind == "free" else 1
            held[event.block_id] = held.get(event.block_id, 0) + change
        assert record.num_used_blocks == sum(count > 0 for count in held.values())
    hits = [event for record in run.records for event in record.block_events if event.kind == "hit"]
    assert [event.request_id for event in hits] == ["b"] * (len(run.prompts["a"]) // 8)


def test_the_page_says_whose_each_part_is() -> None:
    own = type("BlockManager", (), {"__module__": "04_paging"})
    assert whose({"BlockManager": own}) == "mine"
    assert whose({"prefill": prefill}) == "the course's"
    assert whose({"BlockManager": own, "prefill": prefill}) == "mine, but for prefill"
    other = Run({}, {}, {}, {}, {}, 1.0)
    with pytest.raises(ValueError, match="put your own engine first"):
        report({"prefill": {"prefill (7.1)": prefill}}, {"transformers": [other]}, {})


def test_the_merges_of_the_file_make_the_models_tokenizer() -> None:
    assert read_merges(["h e", ["Ġ", "he"]]) == [(104, 101), (32, 256)]
    tokenizer = ByteLevelTokenizer(read_merges(stored_merges()))
    assert tokenizer.decode(tokenizer.encode("Once upon a time")) == "Once upon a time"


def test_a_bench_names_what_it_is_asked_wrongly() -> None:
    bench = ScriptedBench(["decode", "prefill"], ["decode"])
    with pytest.raises(ValueError, match="write \\['decode'\\]"):
        bench.agrees("decode")
    with pytest.raises(ValueError, match="no part 'sampler'; there are decode, prefill"):
        bench.agrees(["sampler"])
    assert bench.num_runs() == 0
