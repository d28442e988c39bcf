"""How many blocks the KV cache gets. Torch-free unless the device is a GPU."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from cblab.core.config import EngineConfig

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("cblab.core.pool_size")

_CGROUP = Path("/sys/fs/cgroup")


def pool_size(config: EngineConfig, bytes_per_block: int, model_max_len: int, free_bytes: int) -> int:
    """Return the number of blocks in the pool.

    That is `config.num_blocks` where it is given, else as many as `config.kv_cache_memory_bytes` holds; where
    neither is given, as many as `max_num_seqs` contexts of full length need, but at most half of
    `free_bytes`. A pool that cannot hold one context of full length is allowed, and logged as a warning:
    longer requests end when it is full.

    Args:
        config: of the engine.
        bytes_per_block: keys and values of one block, over all layers.
        model_max_len: longest context of the model, where `config.max_model_len` sets no other.
        free_bytes: memory of the device that nobody uses yet.

    Raises:
        ValueError: the memory does not hold one block, or not the pool that was asked for.
    """
    max_len = config.max_model_len or model_max_len
    blocks_per_context = -(-max_len // config.block_size)
    if config.num_blocks is not None:
        num_blocks = config.num_blocks
    elif config.kv_cache_memory_bytes is not None:
        num_blocks = _blocks_in(config.kv_cache_memory_bytes, bytes_per_block, "kv_cache_memory_bytes")
    else:
        most = _blocks_in(free_bytes // 2, bytes_per_block, "half of the free memory")
        num_blocks = min(most, config.max_num_seqs * blocks_per_context)
    if num_blocks * bytes_per_block > free_bytes:
        raise ValueError(
            f"a KV cache of {num_blocks:,} blocks needs {num_blocks * bytes_per_block / 2**30:,.1f} GiB, and "
            f"{free_bytes / 2**30:,.1f} GiB are free: ask for at most {free_bytes // bytes_per_block:,} "
            "blocks (num_blocks or kv_cache_memory_bytes), or for smaller ones (kv_cache_dtype)"
        )
    if num_blocks < blocks_per_context:
        logger.warning(
            "the KV cache holds %d tokens (%d blocks of %d), fewer than one context of max_model_len=%d: "
            "raise num_blocks or kv_cache_memory_bytes, or lower max_model_len",
            num_blocks * config.block_size,
            num_blocks,
            config.block_size,
            max_len,
        )
    return num_blocks


def _blocks_in(budget: int, bytes_per_block: int, what: str) -> int:
    if budget < bytes_per_block:
        raise ValueError(
            f"{what} is {budget:,} bytes, and one block of the KV cache takes {bytes_per_block:,}: "
            "give it more memory, or make block_size smaller"
        )
    return budget // bytes_per_block


def free_memory_bytes(device: torch.device | str) -> int:
    """Return the bytes of a device's memory that are free.

    For a CUDA device that is the driver's count, else what the system can hand out without swapping. Where a
    container is allowed less, that is what counts.
    """
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    available = psutil.virtual_memory().available
    in_container = _container_bytes(_CGROUP)
    return available if in_container is None else min(available, in_container)


def _container_bytes(cgroup: Path) -> int | None:
    """What the container may still take, by Linux's control groups (version 2); None where nothing limits it.

    Files that were read count as used, and those not read lately are given up when memory is asked for.
    """
    try:
        limit, used = (int((cgroup / name).read_text()) for name in ("memory.max", "memory.current"))
        counts = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # not Linux, another version, or a limit of "max"
        return None
    return max(0, limit - used + int(counts["inactive_file"]))
