"""Computed sizes beside stored ones, part by part."""

from dataclasses import dataclass

from cblab.memory.dtypes import bytes_per_element
from cblab.memory.files import CheckpointSizes
from cblab.memory.parameters import count_parameters
from cblab.model.config import ModelConfig


@dataclass(frozen=True)
class PartSizes:
    """One part of a model, by the name it has in `ParameterCounts`, or "total": its parameters and bytes.

    What is computed from the config comes first, then what the files hold; None where there are no files.
    """

    part: str
    parameters: int
    num_bytes: int
    stored_parameters: int | None = None
    stored_bytes: int | None = None

    @property
    def differs(self) -> bool:
        """Whether the files hold something else than the config says."""
        stored = (self.stored_parameters, self.stored_bytes)
        return stored not in ((self.parameters, self.num_bytes), (None, None))


def compare_sizes(config: ModelConfig, dtype: str, stored: CheckpointSizes | None) -> list[PartSizes]:
    """Return the sizes of each part that the config or the files have, the total last.

    Computed bytes are those of `dtype`; stored is what `checkpoint_sizes` read, or None without files.
    """
    computed = count_parameters(config)
    per_element = bytes_per_element(dtype)
    if stored is None:
        rows = [
            PartSizes(part, count, count * per_element) for part, count in computed.by_part().items() if count
        ]
        return [*rows, PartSizes("total", computed.total, computed.total * per_element)]
    counts, num_bytes = stored.parameters.by_part(), stored.bytes_by_part
    rows = [
        PartSizes(part, count, count * per_element, counts[part], num_bytes[part])
        for part, count in computed.by_part().items()
        if count or counts[part]
    ]
    total = PartSizes(
        "total",
        computed.total,
        computed.total * per_element,
        stored.parameters.total,
        sum(num_bytes.values()),
    )
    return [*rows, total]
