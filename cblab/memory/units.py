"""Writing sizes down: GB is 10^9 bytes, GiB is 2^30, and the two are never mixed up."""

_DECIMAL = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_BINARY = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_COUNTS = (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3))


def format_bytes(num_bytes: int, *, binary: bool = False) -> str:
    """Write a number of bytes with three digits: "1.23 GB", or "1.14 GiB" with `binary`.

    >>> format_bytes(50_000 * 12_288 * 2), format_bytes(50_000 * 12_288 * 2, binary=True)
    ('1.23 GB', '1.14 GiB')
    """
    return _scaled(num_bytes, _BINARY if binary else _DECIMAL, " ") or f"{num_bytes} B"


def format_count(count: int) -> str:
    """Write a count with three digits: "124M" for 124,439,808, "8.03B" for 8,030,261,248."""
    return _scaled(count, _COUNTS, "") or str(count)


def _scaled(value: int, units: tuple[tuple[str, int], ...], space: str) -> str | None:
    for name, size in units:
        ratio = float(f"{value / size:.3g}")  # rounded first: 999,999 is 1.00M, not 1000k
        if ratio >= 1:
            return f"{ratio:.{max(0, 3 - len(str(int(ratio))))}f}{space}{name}"
    return None
