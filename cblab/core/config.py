"""`EngineConfig`: the settings of an engine, by vLLM's names. Torch-free."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

SchedulingPolicy = Literal["fcfs", "priority"]
PreemptionMode = Literal["recompute", "swap"]
KVCacheDtype = Literal["auto", "float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True)
class EngineConfig:
    """Settings of one engine; a value that makes no sense, alone or beside another, is a `ValueError`.

    Attributes:
        block_size: tokens in one block of the KV cache.
        num_blocks: blocks in the pool; None sizes the pool from `kv_cache_memory_bytes`.
        kv_cache_memory_bytes: bytes that the pool may take where `num_blocks` is None; None as well means
            what `max_num_seqs` full contexts need, but at most half of the memory that is free.
        kv_cache_dtype: what keys and values are stored as; "auto" is what the model computes in.
        num_host_blocks: blocks in host memory that `preemption_mode="swap"` moves a request's blocks to.
        max_num_seqs: sequences running at once.
        max_num_batched_tokens: the token budget of a step, decodes and prompt chunks together.
        prefill_chunk_size: tokens of one prompt in one step at most; None means as many as the budget has.
        max_model_len: longest context of a request, prompt and output; None is the model's own limit.
        enable_prefix_caching: full blocks stay after their request has ended, for prompts that begin alike.
        scheduling_policy: "fcfs" is first come, first served; "priority" is by `priority`, which ages.
        priority_aging_s: under "priority", how many seconds of waiting make up for one unit of priority.
        preemption_mode: whether a preempted request's keys and values are computed again or swapped out.
        watermark: share of the pool that admitting a request leaves free, so that those which run can grow.
        attention_backend: "auto", or the name of a backend in `cblab.attention.backends`.
        fused_ops: "auto", or the name of a table in `cblab.model.fused` for a `Decoder` to compute with.
        dtype: what the model computes in. "auto" takes a loaded model as it is; one that `LLM` loads is
            float32 on a CPU, where that is several times faster, and the checkpoint's own elsewhere.
        enforce_eager: run each forward pass as its modules are written, one kernel at a time, so that hooks
            and debuggers see it. Else they are recorded where they can be: CUDA graphs of decode steps on a
            GPU, `RecordedPasses` on a CPU.
        async_scheduling: whether a step is planned and launched while the tokens of the one before are still
            on the device. `step` then returns what the step before has brought. None: where the model is on a
            GPU, unless there is a trace or an own scheduler or sampler, which need each step for itself.
        seed: requests without a seed of their own draw theirs from this one; None draws fresh ones.
    """

    block_size: int = 16
    num_blocks: int | None = None
    kv_cache_memory_bytes: int | None = None
    kv_cache_dtype: KVCacheDtype = "auto"
    num_host_blocks: int = 0
    max_num_seqs: int = 64
    max_num_batched_tokens: int = 512
    prefill_chunk_size: int | None = None
    max_model_len: int | None = None
    enable_prefix_caching: bool = True
    scheduling_policy: SchedulingPolicy = "fcfs"
    priority_aging_s: float = 10.0
    preemption_mode: PreemptionMode = "recompute"
    watermark: float = 0.01
    attention_backend: str = "auto"
    fused_ops: str = "auto"
    dtype: str = "auto"
    enforce_eager: bool = False
    async_scheduling: bool | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("block_size", 1),
            ("num_blocks", 1),
            ("kv_cache_memory_bytes", 1),
            ("num_host_blocks", 0),
            ("max_num_seqs", 1),
            ("max_num_batched_tokens", 1),
            ("prefill_chunk_size", 1),
            ("max_model_len", 2),  # a token of the prompt and one that is new
        ):
            self._check_count(name, least)
        for name, choices in (
            ("kv_cache_dtype", get_args(KVCacheDtype)),
            ("scheduling_policy", get_args(SchedulingPolicy)),
            ("preemption_mode", get_args(PreemptionMode)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not isinstance(self.enforce_eager, bool):
            raise ValueError(f"enforce_eager must be True or False, got {self.enforce_eager!r}")
        if self.async_scheduling is not None and not isinstance(self.async_scheduling, bool):
            raise ValueError(f"async_scheduling must be True, False or None, got {self.async_scheduling!r}")
        if not 0 < self.priority_aging_s < math.inf:
            raise ValueError(f"priority_aging_s must be positive and finite, got {self.priority_aging_s!r}")
        if not 0 <= self.watermark < 1:
            raise ValueError(f"watermark is a share of the pool in [0, 1), got {self.watermark!r}")
        if self.max_num_seqs > self.max_num_batched_tokens:
            raise ValueError(
                f"max_num_seqs ({self.max_num_seqs}) exceeds max_num_batched_tokens "
                f"({self.max_num_batched_tokens}): a step could not give each running sequence its one token"
            )
        if self.num_blocks is not None and self.kv_cache_memory_bytes is not None:
            raise ValueError(
                "num_blocks and kv_cache_memory_bytes both size the pool: give one of them, got "
                f"{self.num_blocks} and {self.kv_cache_memory_bytes}"
            )
        if self.preemption_mode == "swap" and self.num_host_blocks == 0:
            raise ValueError("preemption_mode='swap' needs num_host_blocks: there is no room to swap to")
        if self.preemption_mode == "recompute" and self.num_host_blocks:
            raise ValueError(
                f"num_host_blocks={self.num_host_blocks} would never be used: set preemption_mode='swap'"
            )

    def _check_count(self, name: str, least: int) -> None:
        value = getattr(self, name)
        optional = type(self).__dataclass_fields__[name].default is None
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
