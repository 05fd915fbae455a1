"""Vectors of `WIDTH` numbers as single values inside compiled kernels.

A kernel that reads `h = exp2_clamped(load(step, j) * a) * h + b * load(drive, j)` becomes these operations on
whole vector registers, whatever the machine has: two for a vector with AVX2, one with AVX-512, four on ARM.
Left to find vectors in loops over numbers, the compiler kept state and constants in memory, and the scan took
twice the time.

A number beside lanes in `+`, `-`, `*` and `/` stands for lanes that are all equal.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from dermseg.ops.numba_math import exact

# Values of a type that the compiler settles, and the compiler's own objects, which it does not type.
Value: TypeAlias = Any
Function = Callable[..., Value]
_intrinsic: Value = intrinsic

WIDTH = 16

_FUSE = ("contract",)  # products may fuse with sums; nothing else is left to the compiler
_INDEX = ir.IntType(32)


class Lanes(types.Type):
    """Type of `WIDTH` numbers of one type."""

    def __init__(self, dtype: Value) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Value, lanes: Lanes) -> None:
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, WIDTH))  # type: ignore[no-untyped-call]


def _address(builder: Value, place: Value, target: Value) -> Value:
    """Address of an element, as that of a value of another type which begins there."""
    start, index = place
    return builder.bitcast(builder.gep(start, [index]), target.as_pointer())


def _load_rule(_typing: Value, source: Value, index: Value) -> Value:
    lanes = Lanes(source.dtype)

    def generate(context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        vector = context.get_value_type(lanes)
        loaded = builder.load(_address(builder, arguments, vector))
        loaded.align = source.dtype.bitwidth // 8
        return loaded

    return lanes(source, index), generate


def _store_rule(_typing: Value, lanes: Value, target: Value, index: Value) -> Value:
    def generate(context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        value, *place = arguments
        stored = builder.store(value, _address(builder, place, value.type))
        stored.align = target.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(lanes, target, index), generate


def _prefetch_rule(_typing: Value, source: Value, index: Value) -> Value:
    def generate(context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        byte = ir.IntType(8)
        signature = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), _INDEX, _INDEX, _INDEX])
        function: Value = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, signature, "llvm.prefetch.p0"
        )
        read, keep_close, data = (ir.Constant(_INDEX, value) for value in (0, 3, 1))
        builder.call(function, [_address(builder, arguments, byte), read, keep_close, data])
        return context.get_dummy_value()

    return types.void(source, index), generate


def _fill_rule(_typing: Value, number: Value) -> Value:
    lanes = Lanes(number)

    def generate(context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        nothing = ir.Constant(context.get_value_type(lanes), ir.Undefined)
        first = builder.insert_element(nothing, arguments[0], ir.Constant(_INDEX, 0))
        return builder.shuffle_vector(first, nothing, _indices([0] * WIDTH))

    return lanes(number), generate


def _folding(combine: Function) -> Function:
    """Combine all lanes to one number, half of them with the other half again and again."""

    def rule(_typing: Value, lanes: Value) -> Value:
        def generate(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
            value, width = arguments[0], WIDTH
            while width > 1:
                width //= 2
                halves = _indices(range(width)), _indices(range(width, 2 * width))
                value = combine(builder, *(builder.shuffle_vector(value, value, half) for half in halves))
            return builder.extract_element(value, ir.Constant(_INDEX, 0))

        return lanes.dtype(lanes), generate

    return rule


def _larger_rule(builder: Value, x: Value, y: Value) -> Value:
    # A single machine instruction.
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _indices(values: Iterable[int]) -> ir.Constant:
    numbers = list(values)
    return ir.Constant(ir.VectorType(_INDEX, len(numbers)), numbers)


def _lane_rule(_typing: Value, lanes: Value, index: Value) -> Value:
    def generate(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        return builder.extract_element(*arguments)

    return lanes.dtype(lanes, index), generate


def _with_lane_rule(_typing: Value, lanes: Value, index: Value, number: Value) -> Value:
    def generate(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        value, place, element = arguments
        return builder.insert_element(value, element, place)

    return lanes(lanes, index, number), generate


load: Function = _intrinsic(_load_rule)
"""`load(source, index)`: lanes that begin at an element behind a `pointer`, or of `stack` memory."""
store: Function = _intrinsic(_store_rule)
"""`store(lanes, target, index)`: write them there."""
prefetch: Function = _intrinsic(_prefetch_rule)
"""`prefetch(source, index)`: have the cache line of an element fetched while other work goes on."""
fill: Function = _intrinsic(_fill_rule)
"""`fill(number)`: lanes all equal to a number."""
total: Function = _intrinsic(_folding(lambda builder, x, y: builder.fadd(x, y)))
"""`total(lanes)`: their sum, always added in the same order."""
largest: Function = _intrinsic(_folding(_larger_rule))
"""`largest(lanes)`: the largest of them."""
_lane: Function = _intrinsic(_lane_rule)
_with_lane: Function = _intrinsic(_with_lane_rule)


def _unary(rule: Function) -> Function:
    """Function of lanes to lanes of their type, from how the compiler's builder makes its result."""

    def typed(_typing: Value, x: Value) -> Value:
        return x(x), lambda _context, builder, _signature, given: rule(builder, *given)

    return cast(Function, _intrinsic(typed))


def binary(rule: Function) -> Function:
    """The same for a function of two lanes of one type."""

    def typed(_typing: Value, x: Value, y: Value) -> Value:
        return x(x, y), lambda _context, builder, _signature, given: rule(builder, *given)

    return cast(Function, _intrinsic(typed))


def integers(builder: Value, lanes: Value) -> Value:
    """The bits of float32 lanes, for a rule to compute with."""
    return builder.bitcast(lanes, ir.VectorType(_INDEX, WIDTH))


def _magnitude_rule(builder: Value, x: Value) -> Value:
    return builder.bitcast(
        builder.and_(integers(builder, x), ir.Constant(ir.VectorType(_INDEX, WIDTH), [0x7FFFFFFF] * WIDTH)),
        x.type,
    )


_add = binary(lambda builder, x, y: builder.fadd(x, y, flags=_FUSE))
_subtract = binary(lambda builder, x, y: builder.fsub(x, y, flags=_FUSE))
_multiply = binary(lambda builder, x, y: builder.fmul(x, y, flags=_FUSE))
_divide = binary(lambda builder, x, y: builder.fdiv(x, y))
larger = binary(_larger_rule)
"""`larger(x, y)`: lane by lane; y where one is NaN."""
smaller = binary(lambda builder, x, y: builder.select(builder.fcmp_ordered("<", x, y), x, y))
"""`smaller(x, y)`: lane by lane; y where one is NaN."""
magnitude = _unary(_magnitude_rule)
"""`magnitude(x)`: float32 lanes without their signs."""


def _arithmetic(symbol: Function, function: Function) -> None:
    def choose(x: Value, y: Value) -> Function | None:
        if isinstance(x, Lanes) and isinstance(y, Lanes):
            return lambda x, y: function(x, y)
        if isinstance(x, Lanes):
            return lambda x, y: function(x, fill(y))
        if isinstance(y, Lanes):
            return lambda x, y: function(fill(x), y)
        return None

    overload(symbol, strict=False, jit_options={"forceinline": True})(choose)


_arithmetic(operator.add, _add)
_arithmetic(operator.sub, _subtract)
_arithmetic(operator.mul, _multiply)
_arithmetic(operator.truediv, _divide)


def each(function: Function) -> Function:
    """Apply a function of one number to every lane."""

    def apply(x: Value) -> Value:
        for i in range(WIDTH):
            x = _with_lane(x, i, function(_lane(x, i)))
        return x

    return exact(apply)
