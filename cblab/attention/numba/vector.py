"""A vector of 16 float32 numbers as a type of Numba's, so that a kernel's inner loop is what it looks like.

Numba leaves it to LLVM to find vectors in loops over numbers. For attention's innermost loops it does not
find the good ones: it would have to see that four rows of sums may stay in registers. These few operations
say so; LLVM cuts 16 numbers into what the machine has (one AVX-512 register, two of AVX2, four of NEON).
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 16

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)


class VectorType(types.Type):
    """Numba's name for 16 float32 numbers."""

    def __init__(self) -> None:
        super().__init__("float32x16")


vector = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: VectorType) -> None:
        super().__init__(manager, numba_type, _FLOATS)


def _integers(value: int) -> ir.Constant:
    return ir.Constant(_INTS, [value] * LANES)


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    """Call one of LLVM's own operations (https://llvm.org/docs/LangRef.html#intrinsic-functions)."""
    function_type = ir.FunctionType(result, [one.type for one in args])
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, function_type, name)
    return builder.call(function, args)


def _address(
    context: Any, builder: ir.IRBuilder, memory_type: types.Type, memory: Any, index: Any
) -> ir.Value:
    """Where `memory[index]` is, of an array or a pointer."""
    if isinstance(memory_type, types.Array):
        memory = context.make_array(memory_type)(context, builder, memory).data
    return builder.gep(memory, [index])


def _as_float(
    builder: ir.IRBuilder, stored: ir.Value, dtype: types.Type, floats: ir.Type, integers: ir.Type
) -> ir.Value:
    """One number or 16: float32, int8, or bfloat16 as uint16, whose bits are a float32's upper half."""
    if dtype == types.float32:
        return stored
    if dtype == types.int8:
        return builder.sitofp(stored, floats)
    shift = ir.Constant(_INT, 16) if integers is _INT else _integers(16)
    return builder.bitcast(builder.shl(builder.zext(stored, integers), shift), floats)


def _repeated(builder: ir.IRBuilder, number: ir.Value) -> ir.Value:
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, undefined, _integers(0))


@intrinsic
def pointer(typing_context, address, dtype):
    """An address as a pointer to numbers of a dtype.

    A pointer is not counted. Numba counts who holds an array, with an atomic addition wherever one is handed
    on, and two threads that count the same array wait for each other's cache lines.
    """

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(dtype.dtype)(types.int64, dtype), codegen


@intrinsic
def behind(typing_context, memory, count):
    """The pointer `count` numbers further on."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return memory(memory, types.intp), codegen


@intrinsic
def splat(typing_context, number):
    """The same number 16 times."""

    def codegen(context, builder, signature, args):
        return _repeated(builder, context.cast(builder, args[0], signature.args[0], types.float32))

    return vector(number), codegen


@intrinsic
def repeat(typing_context, memory, index):
    """`memory[index]` 16 times, of float32."""

    def codegen(context, builder, signature, args):
        number = builder.load(_address(context, builder, signature.args[0], *args))
        return _repeated(builder, number)

    return vector(memory, types.intp), codegen


@intrinsic
def number(typing_context, memory, index):
    """`memory[index]` as float32, whatever it is stored as; see `load`."""

    def codegen(context, builder, signature, args):
        stored = builder.load(_address(context, builder, signature.args[0], *args))
        return _as_float(builder, stored, signature.args[0].dtype, _FLOAT, _INT)

    return types.float32(memory, types.intp), codegen


@intrinsic
def load(typing_context, memory, index):
    """`memory[index : index + 16]` as float32; stored as float32, int8, or bfloat16 in a uint16."""

    def codegen(context, builder, signature, args):
        memory_type = signature.args[0]
        element = context.get_data_type(memory_type.dtype)
        address = _address(context, builder, memory_type, *args)
        pointer = builder.bitcast(address, ir.VectorType(element, LANES).as_pointer())
        stored = builder.load(pointer, align=memory_type.dtype.bitwidth // 8)
        return _as_float(builder, stored, memory_type.dtype, _FLOATS, _INTS)

    return vector(memory, types.intp), codegen


@intrinsic
def put(typing_context, memory, index, x):
    """`memory[index] = x`, rounded to nearest, ties to even, into what `memory` stores; see `number`."""

    def codegen(context, builder, signature, args):
        dtype = signature.args[0].dtype
        builder.store(
            _as_stored(builder, args[2], dtype), _address(context, builder, signature.args[0], *args[:2])
        )
        return context.get_dummy_value()

    return types.none(memory, types.intp, types.float32), codegen


def _as_stored(builder: ir.IRBuilder, x: ir.Value, dtype: types.Type) -> ir.Value:
    if dtype == types.float32:
        return x
    if dtype == types.int8:
        return builder.fptosi(_call(builder, "llvm.rint.f32", _FLOAT, x), ir.IntType(8))
    bits = builder.bitcast(x, _INT)
    is_odd = builder.and_(builder.lshr(bits, ir.Constant(_INT, 16)), ir.Constant(_INT, 1))
    rounded = builder.add(bits, builder.add(is_odd, ir.Constant(_INT, 0x7FFF)))
    # Rounding up the bits of a NaN might make a number of it.
    bits = builder.select(builder.fcmp_unordered("uno", x, x), ir.Constant(_INT, 0x7FC00000), rounded)
    return builder.trunc(builder.lshr(bits, ir.Constant(_INT, 16)), ir.IntType(16))


@intrinsic
def store(typing_context, memory, index, x):
    """`memory[index : index + 16] = x`, of float32."""

    def codegen(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(address, _FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(memory, types.intp, vector), codegen


@intrinsic
def take(typing_context, counter):
    """`counter[0]`, an int64, and then one more: each number goes to one thread alone."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", args[0], ir.Constant(ir.IntType(64), 1), "acq_rel")

    return types.int64(counter), codegen


@intrinsic
def prefetch(typing_context, memory, index):
    """Ask for the cache line of `memory[index]`, which need not exist."""

    def codegen(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], *args)
        read, keep_everywhere, data = (ir.Constant(_INT, value) for value in (0, 3, 1))
        byte = builder.bitcast(address, ir.IntType(8).as_pointer())
        _call(builder, "llvm.prefetch.p0i8", ir.VoidType(), byte, read, keep_everywhere, data)
        return context.get_dummy_value()

    return types.none(memory, types.intp), codegen


@intrinsic
def fma(typing_context, a, b, c):
    """`a * b + c`, rounded once."""

    def codegen(context, builder, signature, args):
        return _call(builder, "llvm.fma.v16f32", _FLOATS, *args)

    return vector(vector, vector, vector), codegen


@intrinsic(prefer_literal=True)
def repeat_row(typing_context, row, num_rows):
    """The same 16 numbers `num_rows` times, a constant."""
    rows = types.UniTuple(vector, num_rows.literal_value)

    def codegen(context, builder, signature, args):
        return context.make_tuple(builder, rows, [args[0]] * rows.count)

    return rows(vector, num_rows), codegen


@intrinsic(prefer_literal=True)
def load_rows(typing_context, memory, stride, num_rows):
    """`memory[r * stride : r * stride + 16]` of `num_rows` rows r, of float32; a constant."""
    rows = types.UniTuple(vector, num_rows.literal_value)

    def codegen(context, builder, signature, args):
        memory, step, _ = args
        loaded = [builder.load(_row_at(builder, memory, step, row), align=4) for row in range(rows.count)]
        return context.make_tuple(builder, rows, loaded)

    return rows(memory, types.intp, num_rows), codegen


@intrinsic
def store_rows(typing_context, memory, stride, rows):
    """The opposite of `load_rows`."""

    def codegen(context, builder, signature, args):
        memory, step, stored = args
        for row in range(rows.count):
            builder.store(builder.extract_value(stored, row), _row_at(builder, memory, step, row), align=4)
        return context.get_dummy_value()

    return types.none(memory, types.intp, rows), codegen


@intrinsic(prefer_literal=True)
def rows_at(typing_context, memory, stride, num_rows):
    """Pointers to rows that are `stride` numbers apart, a constant number of them.

    How far apart is hidden from LLVM, which would compute each row's address from that of the row before, in
    every turn of a loop, rather than keep them all in registers.
    """
    pointers = types.UniTuple(memory, num_rows.literal_value)

    def codegen(context, builder, signature, args):
        first, step, _ = args
        hidden = ir.FunctionType(first.type, [first.type])
        starts = []
        for row in range(pointers.count):
            start = builder.gep(first, [builder.mul(step, ir.Constant(step.type, row))])
            starts.append(builder.asm(hidden, "", "=r,0", [start], side_effect=False))
        return context.make_tuple(builder, pointers, starts)

    return pointers(memory, types.intp, num_rows), codegen


@intrinsic
def fma_rows(typing_context, rows, factors, index, x):
    """`rows[r] + factors[r][index] * x` for all rows r."""

    def codegen(context, builder, signature, args):
        sums, pointers, at, by = args
        summed = []
        for row in range(rows.count):
            place = builder.gep(builder.extract_value(pointers, row), [at])
            factor = _repeated(builder, builder.load(place))
            before = builder.extract_value(sums, row)
            summed.append(_call(builder, "llvm.fma.v16f32", _FLOATS, factor, by, before))
        return context.make_tuple(builder, rows, summed)

    return rows(rows, factors, types.intp, vector), codegen


def _row_at(builder: ir.IRBuilder, memory: ir.Value, stride: ir.Value, row: int) -> ir.Value:
    place = builder.mul(stride, ir.Constant(stride.type, row))
    return builder.bitcast(builder.gep(memory, [place]), _FLOATS.as_pointer())


@intrinsic
def multiply(typing_context, a, b):
    """`a * b`."""

    def codegen(context, builder, signature, args):
        return builder.fmul(*args)

    return vector(vector, vector), codegen


@intrinsic
def add(typing_context, a, b):
    """`a + b`."""

    def codegen(context, builder, signature, args):
        return builder.fadd(*args)

    return vector(vector, vector), codegen


@intrinsic
def divide(typing_context, a, b):
    """`a / b`."""

    def codegen(context, builder, signature, args):
        return builder.fdiv(*args)

    return vector(vector, vector), codegen


@intrinsic
def maximum(typing_context, a, b):
    """The larger of each pair."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return vector(vector, vector), codegen


@intrinsic
def nearest(typing_context, x):
    """The nearest whole number."""

    def codegen(context, builder, signature, args):
        return _call(builder, "llvm.rint.v16f32", _FLOATS, *args)

    return vector(vector), codegen


@intrinsic
def power_of_two(typing_context, n):
    """2 to the power of whole numbers from -127 (then it is 0) to 127: they become the exponent's bits."""

    def codegen(context, builder, signature, args):
        exponent = builder.add(builder.fptosi(args[0], _INTS), _integers(127))
        return builder.bitcast(builder.shl(exponent, _integers(23)), _FLOATS)

    return vector(vector), codegen


def _fold(builder: ir.IRBuilder, x: ir.Value, combine: Any) -> ir.Value:
    """Halve a vector onto itself until one number is left: always in the same order."""
    width = LANES
    while width > 1:
        width //= 2
        undefined = ir.Constant(x.type, ir.Undefined)
        low, high = (
            builder.shuffle_vector(
                x, undefined, ir.Constant(ir.VectorType(_INT, width), list(range(start, start + width)))
            )
            for start in (0, width)
        )
        x = combine(low, high)
    return builder.extract_element(x, ir.Constant(_INT, 0))


@intrinsic
def sum_of(typing_context, x):
    """The sum of the 16 numbers."""

    def codegen(context, builder, signature, args):
        return _fold(builder, args[0], builder.fadd)

    return types.float32(vector), codegen


@intrinsic
def max_of(typing_context, x):
    """The largest of the 16 numbers."""

    def codegen(context, builder, signature, args):
        return _fold(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return types.float32(vector), codegen
