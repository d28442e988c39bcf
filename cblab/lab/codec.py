"""Plain data on its way between a check and a student's code.

Both executors send every argument and every result through this codec, so that what a check compares is
always an exact built-in, numpy or torch value: never a student's object with an ``__eq__`` of its own, and
never a pickle. Subclasses of the built-in types (``Counter``, ``IntEnum``, a named tuple) are reduced to the
built-in, by the built-in's own methods.

On the wire a value is JSON. Lists, strings, booleans, ``None``, finite floats and small ints stand for
themselves; everything else is an object with one key, its tag::

    {"t": [...]} tuple          {"d": [[key, value], ...]} dict    {"np": [dtype, shape, base64]} numpy array
    {"s": [...]} set            {"b": base64} bytes                {"ns": [dtype, base64]}        numpy scalar
    {"fs": [...]} frozenset     {"i": hex} int beyond 53 bits      {"pt": [dtype, shape, base64]} torch tensor
    {"f": "nan"} non-finite     {"c": [real, imag]} complex        {"h": number}                  Handle

numpy and torch are never imported for a value that has neither.
"""

import base64
import binascii
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_NODES = 500_000
MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
_EXACT_INT = 2**53
_NUMPY_KINDS = "biufc"
_TORCH_DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@dataclass(frozen=True)
class Handle:
    """A student's object that stays where it is: the check holds only this number."""

    number: int


class UnsupportedValue(Exception):  # noqa: N818  (a verdict on a value, shown to students)
    """A value that cannot travel: of a foreign type, too large, or too deep."""


class CodecError(Exception):
    """Bytes that no encoder made."""


def encode(value: Any) -> Any:
    """The JSON form of `value`; raises UnsupportedValue, naming its type, for what is not plain data."""
    return _Encoder().encode(value, 0)


def decode(data: Any, handles: Mapping[int, Any] | None = None) -> Any:
    """The value that `data` stands for, of exact built-in, numpy or torch types.

    A handle becomes the object of that number in `handles`, or stays a Handle where `handles` is None.
    Raises CodecError on anything that `encode` cannot have made.
    """
    try:
        return _decode(data, handles)
    except CodecError:
        raise
    except (
        TypeError,
        ValueError,
        KeyError,
        IndexError,
        OverflowError,
        RecursionError,
        RuntimeError,
    ) as error:
        raise CodecError(f"malformed value: {type(error).__name__}") from error


class _Encoder:
    """One walk over a value, with what it may still spend."""

    def __init__(self) -> None:
        self.nodes = MAX_NODES
        self.bytes = MAX_BYTES

    def encode(self, value: Any, depth: int) -> Any:
        self.nodes -= 1
        if self.nodes < 0:
            raise UnsupportedValue(f"a value of more than {MAX_NODES:,} elements")
        if depth > MAX_DEPTH:
            raise UnsupportedValue(f"a value nested more than {MAX_DEPTH} deep (does a list contain itself?)")
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is Handle:
            return {"h": value.number}
        array = self._array(value, kind)
        if array is not None:
            return array
        if issubclass(kind, int | float | complex):
            return _encode_number(value, kind, self._spend)
        if issubclass(kind, str):
            text = str.__str__(value)
            self._spend(len(text))
            return text
        if issubclass(kind, bytes | bytearray):
            raw = (
                bytes.__getitem__(value, slice(None)) if issubclass(kind, bytes) else bytes(memoryview(value))
            )
            return {"b": self._base64(raw)}
        return self._container(value, kind, depth + 1)

    def _container(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, list):
            return self._items(list.__iter__(value), depth)
        if issubclass(kind, tuple):
            return {"t": self._items(tuple.__iter__(value), depth)}
        if issubclass(kind, dict):
            return {"d": [[self.encode(k, depth), self.encode(v, depth)] for k, v in dict.items(value)]}
        if issubclass(kind, set):
            return {"s": self._items(set.__iter__(value), depth)}
        if issubclass(kind, frozenset):
            return {"fs": self._items(frozenset.__iter__(value), depth)}
        raise UnsupportedValue(_with_article(kind.__name__))

    def _items(self, items: Iterable[Any], depth: int) -> list[Any]:
        return [self.encode(item, depth) for item in items]

    def _array(self, value: Any, kind: type) -> Any:
        """The form of a numpy or torch value; None for anything else."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.generic):
            plain = numpy.asarray(value)
            return {"ns": [self._numpy_dtype(plain), self._base64(plain.tobytes())]}
        if numpy is not None and issubclass(kind, numpy.ndarray):
            plain = numpy.asarray(numpy.ndarray.view(value, numpy.ndarray), order="C")
            return {"np": [self._numpy_dtype(plain), list(plain.shape), self._base64(plain.tobytes())]}
        torch = sys.modules.get("torch")
        if torch is not None and issubclass(kind, getattr(torch, "Tensor", ())):
            return {"pt": self._tensor(value, torch)}
        return None

    def _numpy_dtype(self, array: Any) -> str:
        if array.dtype.kind not in _NUMPY_KINDS:
            raise UnsupportedValue(f"a numpy array of dtype {array.dtype}")
        self._spend(array.nbytes)
        return str(array.dtype.str)

    def _tensor(self, tensor: Any, torch: Any) -> list[Any]:
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype not in _TORCH_DTYPES or tensor.layout is not torch.strided or tensor.is_meta:
            raise UnsupportedValue(f"a tensor of dtype {dtype} on {tensor.device}, {tensor.layout}")
        self._spend(tensor.numel() * tensor.element_size())
        plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        raw = bytes(plain.view(torch.uint8).numpy()) if plain.numel() else b""
        return [dtype, list(tensor.shape), base64.b64encode(raw).decode("ascii")]

    def _base64(self, raw: bytes) -> str:
        self._spend(len(raw))
        return base64.b64encode(raw).decode("ascii")

    def _spend(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise UnsupportedValue(f"a value of more than {MAX_BYTES // 2**20} MiB")


def _encode_number(value: Any, kind: type, spend: Callable[[int], None]) -> Any:
    if issubclass(kind, int):
        number = int.__pos__(value)
        if -_EXACT_INT <= number <= _EXACT_INT:
            return number
        spend(number.bit_length() // 4)
        return {"i": format(number, "x")}
    if issubclass(kind, float):
        real = float.__pos__(value)
        return real if math.isfinite(real) else {"f": repr(real)}
    plain = complex.__pos__(value)
    return {"c": [_encode_number(plain.real, float, spend), _encode_number(plain.imag, float, spend)]}


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} `{noun}`"


def _decode(data: Any, handles: Mapping[int, Any] | None) -> Any:
    if data is None or type(data) in (bool, int, float, str):
        return data
    if type(data) is list:
        return [_decode(item, handles) for item in data]
    if type(data) is not dict or len(data) != 1:
        raise CodecError("malformed value")
    ((tag, body),) = data.items()
    if tag == "h":
        return Handle(int(body)) if handles is None else handles[body]
    if tag in _BUILDERS:
        return _BUILDERS[tag](_decode(item, handles) for item in body)
    if tag == "d":
        return {_decode(key, handles): _decode(value, handles) for key, value in body}
    return _decode_leaf(tag, body)


_BUILDERS: Mapping[str, Callable[[Iterable[Any]], Any]] = {"t": tuple, "s": set, "fs": frozenset}


def _decode_leaf(tag: str, body: Any) -> Any:
    if tag == "b":
        return _raw(body)
    if tag == "i":
        return int(body, 16)
    if tag == "f":
        return float(body)
    if tag == "c":
        real, imag = (_decode(part, None) for part in body)
        return complex(real, imag)
    if tag == "ns":
        return _numpy_array(body[0], (), body[1])[()]
    if tag == "np":
        return _numpy_array(body[0], tuple(body[1]), body[2])
    if tag == "pt":
        return _torch_tensor(body[0], tuple(body[1]), body[2])
    raise CodecError(f"unknown tag {tag!r}")


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise CodecError("malformed bytes") from error


def _numpy_array(dtype: str, shape: tuple[int, ...], text: str) -> Any:
    import numpy

    kind = numpy.dtype(dtype)
    if kind.kind not in _NUMPY_KINDS:
        raise CodecError(f"dtype {dtype!r}")
    return numpy.frombuffer(_raw(text), dtype=kind).reshape(shape).copy()


def _torch_tensor(dtype: str, shape: tuple[int, ...], text: str) -> Any:
    import torch

    if dtype not in _TORCH_DTYPES:
        raise CodecError(f"dtype {dtype!r}")
    kind, raw = getattr(torch, dtype), bytearray(_raw(text))
    flat = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
    return flat.reshape(shape)
