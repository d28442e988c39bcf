import pytest

from cblab.memory import format_bytes


@pytest.mark.parametrize(
    ("num_bytes", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.00 kB", "1000 B"),
        (1024, "1.02 kB", "1.00 KiB"),
        (327_680, "328 kB", "320 KiB"),
        (50_000 * 12_288 * 2, "1.23 GB", "1.14 GiB"),
        (42_949_672_960, "42.9 GB", "40.0 GiB"),
        (999_999, "1.00 MB", "977 KiB"),
        (1_048_500, "1.05 MB", "1.00 MiB"),
        (999_960_000_000_000, "1000 TB", "909 TiB"),
    ],
)
def test_gb_is_a_power_of_ten_and_gib_of_two(num_bytes: int, decimal: str, binary: str) -> None:
    assert format_bytes(num_bytes) == decimal
    assert format_bytes(num_bytes, binary=True) == binary
