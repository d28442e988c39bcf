"""The door between the lab's block manager and the engine, and what happens to values that make no sense."""

from collections.abc import Callable
from typing import Any

import pytest

from cblab import LLM, SamplingParams
from cblab.core.block_manager import BlockAllocation
from cblab.core.errors import IntegrityError
from cblab.core.parts import Parts
from cblab.core.plan import BlockOp
from cblab.lab.labs.paging.managing import check_books
from cblab.lab.labs.paging.plug import PluggedBlockManager, plugged
from cblab.lab.labs.paging.serving import check_in_the_engine
from cblab.lab.labs.paging.tables import BlockManager
from cblab.lab.local import LocalExecutor
from cblab.lab.trial import CheckFailed, Trial


def answering(**answers: Any) -> Callable[..., Any]:
    """A manager whose methods give what is listed, and otherwise what the reference gives."""

    class Answers(BlockManager):
        pass

    for name, answer in answers.items():
        setattr(Answers, name, lambda self, *args, answer=answer: answer)
    return Answers


def made(**answers: Any) -> PluggedBlockManager:
    return plugged(answering(**answers))(6, 4)


def test_the_reference_answers_as_the_engines_own() -> None:
    """Shared prefixes, samples, a pool that is too small: the same tokens, hits, copies and preemptions."""
    prompts = ["Once upon a time, there was a little fox" + tail for tail in (" who", ".", "", " and")] * 2
    params = SamplingParams(temperature=0.8, seed=3, n=2, max_tokens=20, ignore_eos=True)
    seen = []
    for parts in (Parts(), Parts(block_manager=plugged(BlockManager))):
        llm = LLM(
            "story-draft",
            parts=parts,
            num_blocks=26,
            block_size=4,
            watermark=0.0,
            max_num_seqs=8,
            attention_backend="torch",
            fused_ops="torch",
        )
        outputs = llm.generate(prompts, params, use_tqdm=False)
        llm.engine.check_integrity()
        stats = llm.engine.stats()
        tokens = [sample.token_ids for one in outputs for sample in one.outputs]
        counts = stats.blocks.hits, stats.blocks.copies, stats.num_preemptions, stats.blocks.used
        seen.append((tokens, counts))
    assert seen[0] == seen[1]
    assert all(seen[0][1][:3])


def test_calls_become_the_parts_own_types() -> None:
    manager = made()
    tokens = list(range(9))
    assert manager.allocate_slots("a", 9) == BlockAllocation((0, 1, 2), ())
    manager.cache_blocks("a", tokens, 9)
    manager.fork("a", "b")
    assert manager.allocate_slots("b", 10) == BlockAllocation((), (BlockOp("copy", 2, 3),))
    assert manager.block_table("b") == [0, 1, 3]
    stats = manager.stats()
    assert (stats.used, stats.free, stats.cached, stats.copies, stats.wasted_slots) == (4, 2, 0, 1, 5)
    manager.free("a")
    manager.free("b")
    assert manager.get_computed_blocks(tokens) == [0, 1]
    assert manager.allocate_slots("c", 9, [0, 1]) == BlockAllocation((4,), ())
    assert manager.stats().hits == 2
    manager.check_integrity()


def test_without_prefix_caching_the_manager_is_not_asked() -> None:
    manager = plugged(BlockManager)(6, 4, enable_prefix_caching=False)
    manager.allocate_slots("a", 8)
    manager.cache_blocks("a", list(range(8)), 8)
    manager.free("a")
    assert manager.get_computed_blocks(list(range(9))) == []
    assert manager.stats().cached == 0


def test_what_it_does_not_know_is_refused_by_name() -> None:
    manager = made()
    with pytest.raises(ValueError, match="watermark=0"):
        manager.allocate_slots("a", 4, keep_free=1)
    with pytest.raises(ValueError, match="no cache salt, got 'mine'"):
        manager.get_computed_blocks([1, 2], "mine")
    with pytest.raises(ValueError, match="does not swap"):
        plugged(BlockManager)(6, 4, num_host_blocks=2)
    assert manager.swap_out("a") is None
    with pytest.raises(ValueError, match="is not swapped out"):
        manager.swap_in("a")


@pytest.mark.parametrize(
    ("answers", "call", "says"),
    [
        ({"block_table": (0, 1)}, lambda one: one.block_table("a"), "`block_table` gave"),
        ({"block_table": [0, 6]}, lambda one: one.block_table("a"), "blocks from 0 to 5 was expected"),
        ({"allocate_slots": True}, lambda one: one.allocate_slots("a", 4), "None or a list of pairs"),
        ({"allocate_slots": [(0, 9)]}, lambda one: one.allocate_slots("a", 4), "`allocate_slots` gave"),
        ({"counts": {"used": 1}}, lambda one: one.stats(), "a dict of used, free, cached, evictions"),
        ({"get_computed_blocks": None}, lambda one: one.get_computed_blocks([1]), "`get_computed_blocks`"),
    ],
)
def test_nonsense_is_refused_with_what_came(
    answers: dict[str, Any], call: Callable[[PluggedBlockManager], Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        call(made(**answers))


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((1, 4, 0), "1 blocks have a reference count above 0, but the tables hold 2"),
        ((2, 3, 0), "do not add up"),
    ],
)
def test_books_that_do_not_balance_are_told(counts: tuple[int, int, int], says: str) -> None:
    used, free, cached = counts
    manager = made(counts={"used": used, "free": free, "cached": cached, "evictions": 0})
    manager.allocate_slots("a", 8)
    with pytest.raises(IntegrityError, match=says):
        manager.check_integrity()


def verdict(manager: type, script: Callable[[Trial], None]) -> str:
    try:
        script(Trial(LocalExecutor({"BlockManager": manager}, {}), "immediate", "seed"))
    except CheckFailed as failure:
        return str(failure)
    return ""


class Impatient(BlockManager):
    """Right in its books, but what it finds it does not hand on."""

    def get_computed_blocks(self, token_ids: Any) -> list[int]:
        return []


class Stingy(BlockManager):
    """Refuses whoever wants to grow beyond 25 tokens."""

    def allocate_slots(self, request_id: str, num_tokens: int, computed_blocks: Any) -> Any:
        if num_tokens > 25 and request_id in self.tables:
            return None
        return super().allocate_slots(request_id, num_tokens, computed_blocks)


class Leaking(BlockManager):
    """Gives back nothing."""

    def free(self, request_id: str) -> None:
        self.tables.pop(request_id, None)
        self.num_tokens.pop(request_id, None)


def test_the_engine_check_names_what_it_sees() -> None:
    assert verdict(BlockManager, check_in_the_engine) == ""
    assert "tokens found in the prefix cache where" in verdict(Impatient, check_in_the_engine)
    assert "answers ended too early" in verdict(Stingy, check_in_the_engine)
    assert "a reference count above 0, but the tables hold" in verdict(Leaking, check_in_the_engine)
    assert verdict(BlockManager, check_books) == ""
