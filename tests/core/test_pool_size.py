"""How many blocks a memory budget holds."""

import logging
from pathlib import Path

import psutil
import pytest

from cblab.core import pool_size as module
from cblab.core.config import EngineConfig
from cblab.core.pool_size import free_memory_bytes, pool_size

KIB = 1024


def config(**fields: int) -> EngineConfig:
    return EngineConfig(block_size=16, max_num_seqs=4, **fields)  # type: ignore[arg-type]


def test_a_number_of_blocks_is_taken_as_it_is() -> None:
    assert pool_size(config(num_blocks=7), KIB, 64, free_bytes=1 << 30) == 7


def test_a_budget_holds_whole_blocks() -> None:
    for budget, blocks in ((10 * KIB, 10), (10 * KIB + 1, 10), (11 * KIB - 1, 10), (KIB, 1)):
        assert pool_size(config(kv_cache_memory_bytes=budget), KIB, 64, free_bytes=1 << 30) == blocks


def test_without_either_it_is_what_all_sequences_need() -> None:
    # 65 tokens are 5 blocks of 16, and 4 sequences run at once.
    assert pool_size(config(), KIB, 65, free_bytes=1 << 30) == 4 * 5
    assert pool_size(config(max_model_len=32), KIB, 65, free_bytes=1 << 30) == 4 * 2


def test_but_at_most_half_of_the_free_memory() -> None:
    assert pool_size(config(), KIB, 64, free_bytes=2 * 15 * KIB) == 15
    assert pool_size(config(), KIB, 64, free_bytes=2 * 16 * KIB) == 16
    assert pool_size(config(), KIB, 64, free_bytes=2 * 17 * KIB) == 16


def test_memory_for_less_than_one_block_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"kv_cache_memory_bytes is 1,023 bytes, and one block .* 1,024"):
        pool_size(config(kv_cache_memory_bytes=KIB - 1), KIB, 64, free_bytes=1 << 30)
    with pytest.raises(ValueError, match=r"half of the free memory is 500 bytes, and one block .* 1,024"):
        pool_size(config(), KIB, 64, free_bytes=1000)


@pytest.mark.parametrize("asked", [{"num_blocks": 1025}, {"kv_cache_memory_bytes": 1025 * KIB}])
def test_more_memory_than_is_free_is_refused_with_what_there_is(asked: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"1,025 blocks needs 0\.0 GiB, .* at most 1,024 blocks"):
        pool_size(config(**asked), KIB, 64, free_bytes=1 << 20)


def test_a_pool_for_less_than_one_full_context_is_allowed_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="cblab"):
        assert pool_size(config(num_blocks=4), KIB, 64, free_bytes=1 << 30) == 4
        assert not caplog.records
        assert pool_size(config(num_blocks=4), KIB, 65, free_bytes=1 << 30) == 4
        assert pool_size(config(kv_cache_memory_bytes=3 * KIB), KIB, 64, free_bytes=1 << 30) == 3
    first, second = (record.getMessage() for record in caplog.records)
    assert "holds 64 tokens (4 blocks of 16), fewer than one context of max_model_len=65" in first
    assert "holds 48 tokens (3 blocks of 16), fewer than one context of max_model_len=64" in second


def container(folder: Path, limit: str, usage: int, inactive_file: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive_file}\nactive_file 9\n")
    return folder


@pytest.mark.parametrize(
    ("limit", "usage", "inactive_file", "free"),
    [("5000", 4500, 300, 800), ("5000", 5100, 0, 0), ("max", 4500, 300, None)],
)
def test_a_container_counts_by_its_own_limit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    usage: int,
    inactive_file: int,
    free: int | None,
) -> None:
    monkeypatch.setattr(module, "_CGROUP", container(tmp_path, limit, usage, inactive_file))
    if free is None:
        assert 2**20 < free_memory_bytes("cpu") <= psutil.virtual_memory().total
    else:
        assert free_memory_bytes("cpu") == free


def test_without_a_container_it_is_the_memory_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CGROUP", tmp_path / "none")
    assert 2**20 < free_memory_bytes("cpu") <= psutil.virtual_memory().total
