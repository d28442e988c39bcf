import collections
import enum
import json
import math
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.lab.codec import MAX_NODES, CodecError, Handle, UnsupportedValue, decode, encode
from cblab.lab.compare import same

keys = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
scalars = keys | st.floats() | st.complex_numbers(allow_nan=False) | st.builds(Handle, st.integers(0, 9))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys | st.tuples(keys, keys), inner, max_size=4)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
    ),
    max_leaves=20,
)


def through_the_wire(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@given(values)
@settings(max_examples=300, deadline=None)
def test_round_trip_gives_the_same_value_of_the_same_type(value: Any) -> None:
    assert repr(through_the_wire(value)) == repr(value) or same(through_the_wire(value), value)
    assert type(through_the_wire(value)) is type(value)


@pytest.mark.parametrize("text", ["", "\ud800", "\x00", "é\U0001f600", '"\\\n'])
def test_any_string_travels(text: str) -> None:
    assert through_the_wire(text) == text


def test_signed_zero_and_huge_numbers_travel() -> None:
    assert math.copysign(1, through_the_wire(-0.0)) == -1
    assert through_the_wire(-(7**9000)) == -(7**9000)
    assert math.isnan(through_the_wire(math.nan))


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", ">f8", "complex64"]
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_numpy_arrays_travel(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    got = through_the_wire(array)
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert type(through_the_wire(np.float32(1.5))) is np.float32


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.bfloat16, torch.float32, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_travel(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    got = through_the_wire(tensor)
    assert got.dtype == dtype
    assert torch.equal(got, tensor)


def test_views_and_parameters_become_plain_tensors() -> None:
    weight = torch.nn.Parameter(torch.randn(3, 4))
    got = through_the_wire(weight.T)
    assert type(got) is torch.Tensor
    assert not got.requires_grad
    assert torch.equal(got, weight.detach().T)
    assert np.array_equal(
        through_the_wire(np.arange(12).reshape(3, 4)[:, ::2]), np.arange(12).reshape(3, 4)[:, ::2]
    )


class Always(int):
    """Says that it equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __int__(self) -> int:
        return 42

    __hash__ = int.__hash__


class Point(NamedTuple):
    x: int
    y: int


class Liar(list):
    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter([1, 2, 3])

    def __len__(self) -> int:
        return 3


class Colour(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Always(7), 7),
        (Point(1, 2), (1, 2)),
        (Liar([9]), [9]),
        (Colour.RED, 3),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (bytearray(b"ab"), b"ab"),
    ],
)
def test_subclasses_become_what_they_are_made_of(value: Any, plain: Any) -> None:
    got = through_the_wire(value)
    assert type(got) is type(plain)
    assert got == plain


def test_what_is_no_plain_data_is_refused_by_name() -> None:
    class Thing:
        pass

    for value, name in [
        (Thing(), "a `Thing`"),
        ([1, (x for x in "ab")], "a `generator`"),
        (len, "a `builtin_function_or_method`"),
        (np.array([Thing()]), "a numpy array of dtype object"),
        (torch.zeros(2).to_sparse(), "sparse"),
        (torch.zeros(2, device="meta"), "meta"),
    ]:
        with pytest.raises(UnsupportedValue, match=name):
            encode(value)


def test_what_is_too_large_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnsupportedValue, match="contain itself"):
        encode(endless)
    with pytest.raises(UnsupportedValue, match="MiB"):
        encode([b"x" * 40_000_000, b"y" * 40_000_000])
    with pytest.raises(UnsupportedValue, match="elements"):
        encode([0] * (MAX_NODES + 1))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"t": [1], "l": [2]},
        {"zz": 1},
        {"t": 3},
        {"b": "no base64!"},
        {"np": ["O", [1], "AAAAAAAAAAA="]},
        {"np": ["<f8", [2], "AAAA"]},
        {"np": ["<f8", [10**12], ""]},
        {"pt": ["__class__", [1], "AAAA"]},
        {"s": [[]]},
        {"h": "one"},
        {"d": [[1]]},
        {"i": "-"},
    ],
)
def test_malformed_data_is_an_error_and_nothing_else(data: Any) -> None:
    with pytest.raises(CodecError):
        decode(data)


def test_numpy_and_torch_are_not_imported_for_plain_data() -> None:
    code = (
        "import sys; import cblab.lab; from cblab.lab.codec import decode, encode;"
        "decode(encode([1, {'a': (b'x',)}]));"
        "assert not {'numpy', 'torch', 'nbformat', 'nbgrader', 'IPython'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
