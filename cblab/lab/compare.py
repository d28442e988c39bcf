"""Comparing a decoded result with what was expected, and saying where they differ.

Results have come through the codec, so that both sides are exact built-in, numpy or torch values. Types
count, as a reader of the docstring would count them: a list is not a tuple and True is not 1, but
``np.int64(3)`` will do for 3 and 3 for 3.0.
"""

import math
import reprlib
import sys
from typing import Any

_SHOWN = 160


def same(got: Any, want: Any) -> bool:
    """Whether `got` equals `want`, with NaN equal to NaN."""
    return difference(got, want) is None


def difference(got: Any, want: Any, rel: float = 0.0, abs_: float = 0.0) -> str | None:
    """The first difference in words, or None where there is none.

    Numbers may differ by `abs_`, or by `rel` times the expected one.
    """
    if _is_array(want):
        return _array_difference(got, want, rel, abs_)
    if isinstance(want, bool) or want is None or isinstance(want, str | bytes):
        return _leaf_difference(got, want, _plain(got) if isinstance(want, bool) else got)
    if isinstance(want, int | float | complex) or _is_scalar(want):
        return _number_difference(got, want, rel, abs_)
    if type(got) is not type(want):
        return f"{kind_of(got)}: {kind_of(want)} was expected"
    if isinstance(want, list | tuple):
        return _sequence_difference(got, want, rel, abs_)
    if isinstance(want, dict):
        return _dict_difference(got, want, rel, abs_)
    return None if got == want else f"expected {shown(want)}, got {shown(got)}"


def kind_of(value: Any) -> str:
    """The type of a value in words: "a list", "a tensor", "None"."""
    if value is None:
        return "None"
    name = {"Tensor": "tensor", "ndarray": "numpy array"}.get(type(value).__name__, type(value).__name__)
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def shown(value: Any, limit: int = _SHOWN) -> str:
    """A repr cut to about `limit` characters, the middle left out."""
    short = reprlib.Repr()
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = 12
    short.maxstring = short.maxother = short.maxlong = limit
    text = short.repr(value)
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]} … {text[-limit // 4 :]}"


def _leaf_difference(got: Any, want: Any, plain: Any) -> str | None:
    if type(plain) is not type(want):
        return f"{kind_of(got)}: {kind_of(want)} was expected"
    return None if plain == want else f"expected {shown(want)}, got {shown(got)}"


def _number_difference(got: Any, want: Any, rel: float, abs_: float) -> str | None:
    plain, wanted = _plain(got), _plain(want)
    allowed = {int: (int,), float: (int, float), complex: (int, float, complex), bool: (bool,)}[type(wanted)]
    if type(plain) not in allowed:
        if type(wanted) is int and type(plain) is float and rel == 0:
            return f"{shown(plain)} is a float: an int was expected"
        return f"{kind_of(got)}: {kind_of(wanted)} was expected"
    if plain == wanted or (plain != plain and wanted != wanted):
        return None
    tolerance = max(abs_, rel * abs(wanted)) if rel or abs_ else 0.0
    if tolerance and math.isfinite(abs(wanted)) and abs(plain - wanted) <= tolerance:
        return None
    return f"expected {shown(wanted)}, got {shown(plain)}"


def _sequence_difference(got: Any, want: Any, rel: float, abs_: float) -> str | None:
    for index, (one, other) in enumerate(zip(got, want, strict=False)):
        inner = difference(one, other, rel, abs_)
        if inner is not None:
            whole = f"expected {shown(want)}, got {shown(got)}"
            return whole if len(whole) < 100 else f"at position {index}: {inner}"
    if len(got) != len(want):
        whole = f"expected {shown(want)}, got {shown(got)}"
        return whole if len(whole) < 100 else f"{len(got)} elements: {len(want)} were expected"
    return None


def _dict_difference(got: dict[Any, Any], want: dict[Any, Any], rel: float, abs_: float) -> str | None:
    missing, extra = [key for key in want if key not in got], [key for key in got if key not in want]
    if missing:
        return f"the key {shown(missing[0])} is missing ({len(missing)} of {len(want)})"
    if extra:
        return f"the key {shown(extra[0])} should not be there"
    for key, value in want.items():
        inner = difference(got[key], value, rel, abs_)
        if inner is not None:
            return f"at key {shown(key)}: {inner}"
    return None


def _array_difference(got: Any, want: Any, rel: float, abs_: float) -> str | None:
    if type(got) is not type(want):
        return f"{kind_of(got)}: {kind_of(want)} was expected"
    if tuple(got.shape) != tuple(want.shape):
        return f"shape {list(got.shape)}: {list(want.shape)} was expected"
    if got.dtype != want.dtype:
        return f"dtype {got.dtype}: {want.dtype} was expected"
    import numpy

    one, other = (_as_numpy(array).reshape(-1) for array in (got, want))
    with numpy.errstate(all="ignore"):
        equal = (one == other) | ((one != one) & (other != other))
        if rel or abs_:
            near = numpy.abs(one - other) <= numpy.maximum(abs_, rel * numpy.abs(other))
            equal |= near & numpy.isfinite(other)
    if bool(equal.all()):
        return None
    wrong = int(numpy.flatnonzero(~equal)[0])
    position = [int(index) for index in numpy.unravel_index(wrong, tuple(want.shape))]
    differ = f"{int((~equal).sum())} of {one.size} differ"
    return f"at {position}: expected {other[wrong]:.6g}, got {one[wrong]:.6g} ({differ})"


def _as_numpy(array: Any) -> Any:
    if type(array).__name__ == "Tensor":
        array = array.float() if str(array.dtype) in ("torch.bfloat16", "torch.float16") else array
        array = array.numpy()
    return array.astype("int64") if array.dtype.kind in "bu" else array


def _is_array(value: Any) -> bool:
    return type(value).__name__ in ("Tensor", "ndarray")


def _is_scalar(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _plain(value: Any) -> Any:
    """A numpy scalar as the built-in number it holds."""
    return value.item() if _is_scalar(value) else value
