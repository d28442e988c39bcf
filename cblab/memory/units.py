"""Writing sizes down: GB is 10^9 bytes, GiB is 2^30, and the two are never mixed up."""

_DECIMAL = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_BINARY = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def format_bytes(num_bytes: int, *, binary: bool = False) -> str:
    """Write a number of bytes with three digits: "1.23 GB", or "1.14 GiB" with `binary`.

    >>> format_bytes(50_000 * 12_288 * 2), format_bytes(50_000 * 12_288 * 2, binary=True)
    ('1.23 GB', '1.14 GiB')
    """
    for name, size in _BINARY if binary else _DECIMAL:
        ratio = float(f"{num_bytes / size:.3g}")  # rounded first: 999,999 is 1.00 MB, not 1000 kB
        if ratio >= 1:
            return f"{ratio:.{max(0, 3 - len(str(int(ratio))))}f} {name}"
    return f"{num_bytes} B"
