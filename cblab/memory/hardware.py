"""What machines can do, by their makers' data sheets."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hardware:
    """One accelerator, or a machine that was measured.

    Attributes:
        name: as its maker writes it.
        memory_bytes: of its memory, by the data sheet's GB taken as 10^9; a device may report more.
        bytes_per_s: read from that memory.
        flop_per_s: of dense matrix products in 16-bit numbers (no sparsity).
        source: where the numbers are from.
    """

    name: str
    memory_bytes: int
    bytes_per_s: float
    flop_per_s: float
    source: str = ""

    def __post_init__(self) -> None:
        for field in ("memory_bytes", "bytes_per_s", "flop_per_s"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} of {self.name} must be above 0, got {getattr(self, field)!r}")

    @property
    def ridge(self) -> float:
        """FLOP per byte from which on arithmetic, and not memory, limits the speed."""
        return self.flop_per_s / self.bytes_per_s


HARDWARE: tuple[Hardware, ...] = (
    Hardware(
        "V100 SXM2 32GB",
        32 * 10**9,
        900e9,
        125e12,
        "https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf",
    ),
    Hardware(
        "A100 SXM 80GB",
        80 * 10**9,
        2_039e9,
        312e12,
        "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/"
        "nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf",
    ),
    Hardware(
        "H100 SXM 80GB",
        80 * 10**9,
        3_350e9,
        989e12,
        "https://www.nvidia.com/en-us/data-center/h100/ (which lists 1,979 TFLOP/s with sparsity)",
    ),
    Hardware(
        "L4 24GB",
        24 * 10**9,
        300e9,
        121e12,
        "https://www.nvidia.com/en-us/data-center/l4/ (which lists 242 TFLOP/s with sparsity)",
    ),
)


def hardware(name: str) -> Hardware:
    """The accelerator of that name; ValueError, with the known names, for another."""
    for one in HARDWARE:
        if one.name == name:
            return one
    raise ValueError(f"no accelerator {name!r} is known; known are {', '.join(one.name for one in HARDWARE)}")
