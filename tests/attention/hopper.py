"""Compiles every Triton kernel for an H100, on a machine that need not have a GPU; run as a module.

The kernels' own host code runs, over CPU tensors and a driver that compiles, keeps the machine code, and
launches nothing. What the interpreter forgives, the compiler does not.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import cblab.attention.triton.decode
import cblab.attention.triton.prefill
import cblab.attention.triton.write
from cblab.attention import AttentionSpec, KVLayout, LayerKV
from cblab.attention.triton import TRITON, write_kv_triton
from cblab.model.triton_ops import TRITON_OPS

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
SHARED_BYTES = 232448  # that one program may use on an H100


class CompilingDriver:
    """What Triton asks of a driver, for a GPU of compute capability 9.0 that is not there."""

    def __init__(self) -> None:
        self.utils = self
        self.launcher_cls = lambda *_: lambda *_: None
        self.kernels: list[tuple[str, bytes, int]] = []

    def load_binary(self, name: str, code: bytes, shared: int, *_: Any) -> tuple[int, ...]:
        self.kernels.append((name, code, shared))
        return 0, 0, 0, 0, 1024  # module, function, registers, spills, most threads

    def get_device_properties(self, _: int) -> dict[str, int]:
        return {"max_shared_mem": SHARED_BYTES}

    def unload_module(self, _: int) -> None:
        pass

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)


def attend_once(
    computed_in: torch.dtype,
    stored_in: torch.dtype,
    head_dim: int,
    window: int | None,
    num_decodes: int = 4,
    num_chunks: int = 4,
    num_columns: int = 64,
) -> None:
    """Decode, prefill and write one batch, over a pool of blocks of 16."""
    spec = AttentionSpec(8, 2, head_dim, scale=1.0, sliding_window=window)
    kv = LayerKV.allocate(2, 16, 2, head_dim, layout=KVLayout.HND, dtype=stored_in)
    num_seqs, n = num_decodes + num_chunks, num_decodes
    q, k, v = torch.zeros(num_seqs, 12, head_dim, dtype=computed_in).split((8, 2, 2), dim=1)
    tables, lengths = torch.zeros(num_seqs, num_columns, dtype=torch.int32), torch.ones(num_seqs).int()
    borders = torch.arange(num_seqs + 1, dtype=torch.int32)[n:]
    write_kv_triton(kv, torch.arange(num_seqs), k, v)
    TRITON.decode(q[:n], kv, tables[:n], lengths[:n], spec)
    TRITON.prefill(q[n:], k[n:], v[n:], kv, tables[n:], borders, lengths[n:], spec)


def operate_once(dtype: torch.dtype) -> None:
    """The fused operations on a hidden size of 1024."""
    x = torch.zeros(4, 1024, dtype=dtype)
    TRITON_OPS.add_rms_norm(x, x, x[0], 1e-6)
    TRITON_OPS.add_rms_norm(x, None, x[0], 1e-6)
    qk = x.view(4, 8, 128)
    TRITON_OPS.apply_rope(qk, qk[:, :1, :64], qk[:, :1, :64])
    TRITON_OPS.silu_and_mul(x)


def stack_bytes(code: bytes) -> int:
    """Bytes of a thread's stack: what did not stay in registers."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        command = [str(TOOLS / "cuobjdump"), "-res-usage", file.name]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(printed.split("STACK:")[1].split()[0])


def main() -> None:
    """Print, as JSON, each kernel's name, bytes of shared memory, and bytes of stack.

    And how many had to be compiled again for batches of other shapes.
    """
    compiling = CompilingDriver()
    driver.set_active(compiling)
    for module in ("decode", "prefill", "write"):
        setattr(getattr(cblab.attention.triton, module), "require_gpu", lambda _: None)  # noqa: B010
    attend_once(torch.bfloat16, torch.bfloat16, 128, None)
    attend_once(torch.bfloat16, torch.int8, 64, 100)
    operate_once(torch.bfloat16)
    compiled = list(compiling.kernels)
    for shape in ((1, 1, 65), (3, 2, 33), (16, 5, 256), (7, 1, 80)):
        attend_once(torch.bfloat16, torch.bfloat16, 128, None, *shape)
    kernels = [(name, shared, stack_bytes(code)) for name, code, shared in compiled]
    print(json.dumps({"kernels": kernels, "num_again": len(compiling.kernels) - len(compiled)}))


if __name__ == "__main__":
    main()
