"""Sizes of a checkpoint as its files have them, read from their headers. Free of torch.

A safetensors file begins with the length of its header (8 bytes, little-endian), then the header: JSON that
gives each tensor's dtype, shape and place (https://huggingface.co/docs/safetensors). The numbers themselves
are not read.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cblab.memory.parameters import ParameterCounts

# First match wins: Qwen3's norms of queries and keys have "self_attn" in their names too.
_PARTS = (
    ("embedding", r"embed_tokens\.|\bwte\."),
    ("positions", r"\bwpe\."),
    ("lm_head", r"^lm_head\."),
    ("norms", r"norm\.|\bln_\w+\."),
    ("attention", r"\b(self_)?attn\."),
    ("mlp", r"\b(mlp|block_sparse_moe)\."),
)
# Masks and rotary frequencies, which older checkpoints store although they are no parameters.
_BUFFERS = re.compile(r"\.attn\.(bias|masked_bias)$|rotary_emb\.inv_freq$")
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_MAX_HEADER = 100 * 2**20  # the format's own limit


@dataclass(frozen=True)
class CheckpointSizes:
    """What a checkpoint's files hold.

    parameters: counts by part, `parameters.total` in all.
    bytes_by_part: bytes of those parameters, by the names of `ParameterCounts`.
    dtypes: in which dtypes they are stored, by torch's names, the most frequent first.
    file_bytes: size of the weight files, with headers and with what they hold besides parameters.
    """

    parameters: ParameterCounts
    bytes_by_part: dict[str, int]
    dtypes: tuple[str, ...]
    file_bytes: int


def checkpoint_sizes(folder: Path | str, *, tied: bool = False) -> CheckpointSizes:
    """Read the sizes of the checkpoint in `folder`, one safetensors file or several with an index.

    With `tied`, an output layer that is stored beside the embedding it is tied to is not counted.

    Raises FileNotFoundError where there are no weights or one of the indexed files is missing, and ValueError
    for a file that is not safetensors or a tensor that belongs to no known part.
    """
    files = _weight_files(Path(folder))
    counts: Counter[str] = Counter()
    num_bytes: Counter[str] = Counter()
    dtypes: Counter[str] = Counter()
    for file in files:
        for name, tensor in _read_header(file).items():
            if _BUFFERS.search(name) or (tied and name == "lm_head.weight"):
                continue
            part, count = _part_of(name, file), math.prod(tensor["shape"])
            counts[part] += count
            num_bytes[part] += tensor["data_offsets"][1] - tensor["data_offsets"][0]
            dtypes[_DTYPES.get(tensor["dtype"], tensor["dtype"])] += count
    parameters = ParameterCounts(**counts)
    return CheckpointSizes(
        parameters=parameters,
        bytes_by_part={part: num_bytes[part] for part in parameters.by_part()},
        dtypes=tuple(dtype for dtype, _ in dtypes.most_common()),
        file_bytes=sum(file.stat().st_size for file in files),
    )


def _weight_files(folder: Path) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = sorted(folder / name for name in names)
    else:
        files = [single]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} has no {missing[0]}")
    return files


def _read_header(file: Path) -> dict[str, dict[str, Any]]:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, file.stat().st_size - 8):
            raise ValueError(f"{file} is not a safetensors file: its header would be {length} bytes long")
        try:
            header = json.loads(stream.read(length))
        except ValueError as error:
            raise ValueError(f"{file} is not a safetensors file: its header is not JSON") from error
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def _part_of(name: str, file: Path) -> str:
    for part, pattern in _PARTS:
        if re.search(pattern, name):
            return part
    raise ValueError(f"{file.name} holds the tensor {name!r}, which belongs to no part that is known here")
