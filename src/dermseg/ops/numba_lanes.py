"""Vectors of `WIDTH` numbers as single values inside compiled kernels.

A kernel that reads `h = exp2(load(step, j) * a) * h + b * load(drive, j)` becomes these operations on whole
vector registers, whatever the machine has: two for a vector with AVX2, one with AVX-512, four on ARM. Left to
find vectors in loops over numbers, the compiler kept state and constants in memory, and the scan took twice
the time.

A number beside lanes in `+`, `-`, `*` and `/` stands for lanes that are all equal. The float32 functions are
plain arithmetic; the float64 ones call the mathematics library for every lane: they are for proofs, not for
speed.
"""

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from dermseg.ops import numba_math
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


def _binary(rule: Function) -> Function:
    def typed(_typing: Value, x: Value, y: Value) -> Value:
        return x(x, y), lambda _context, builder, _signature, given: rule(builder, *given)

    return cast(Function, _intrinsic(typed))


def _integers(builder: Value, lanes: Value) -> Value:
    return builder.bitcast(lanes, ir.VectorType(_INDEX, WIDTH))


# x 2^k for x from 0.7 to 1.5 and `_ROUND + k`, whose lowest mantissa bits are k.
def _scale_rule(builder: Value, x: Value, rounded: Value) -> Value:
    shift = ir.Constant(ir.VectorType(_INDEX, WIDTH), [23] * WIDTH)
    exponent = builder.shl(_integers(builder, rounded), shift)
    return builder.bitcast(builder.add(_integers(builder, x), exponent), x.type)


def _magnitude_rule(builder: Value, x: Value) -> Value:
    return builder.bitcast(
        builder.and_(_integers(builder, x), ir.Constant(ir.VectorType(_INDEX, WIDTH), [0x7FFFFFFF] * WIDTH)),
        x.type,
    )


_add = _binary(lambda builder, x, y: builder.fadd(x, y, flags=_FUSE))
_subtract = _binary(lambda builder, x, y: builder.fsub(x, y, flags=_FUSE))
_multiply = _binary(lambda builder, x, y: builder.fmul(x, y, flags=_FUSE))
_divide = _binary(lambda builder, x, y: builder.fdiv(x, y))
larger = _binary(_larger_rule)
"""`larger(x, y)`: lane by lane; y where one is NaN."""
_smaller = _binary(lambda builder, x, y: builder.select(builder.fcmp_ordered("<", x, y), x, y))
_scale = _binary(_scale_rule)
_magnitude = _unary(_magnitude_rule)


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


_ROUND = np.float32(1.5 * 2**23)  # adding it rounds to an integer
HIGHEST = 126
"""Exponents up to this size, of either sign, make normal numbers in float32."""
_LOWEST, _HIGHEST = np.float32(-HIGHEST), np.float32(HIGHEST + 1)
# 2^f on [-1/2, 1/2] as 1 + c1 f + ... + c6 f^6 of least maximal relative error (2e-9).
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(c) for c in numba_math.EXP2_COEFFICIENTS)
EXP2_CONSTANTS = np.repeat(np.array([1.5 * 2**23, 1, *numba_math.EXP2_COEFFICIENTS], np.float32), WIDTH)
"""What `exp2_within` computes with, each number as lanes."""
_LOG2_E = np.float32(np.log2(np.e))
# ln 2 in two parts, the first so short that its product with an exponent is exact.
_LN2_HIGH = np.float32(0.693145751953125)
_LN2_LOW = np.float32(np.log(2) - 0.693145751953125)
_T3, _T5, _T7, _T9, _T11, _T13 = (np.float32(1 / n) for n in (3, 5, 7, 9, 11, 13))
_ZERO, _ONE, _TWO = (np.float32(value) for value in (0, 1, 2))
_LOWEST_EXP, _HIGHEST_EXP = np.float32(-126 * np.log(2)), np.float32(127 * np.log(2))


@exact
def _exp2_polynomial(f: Value) -> Value:
    return _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))


@exact
def _exp2_float32(x: Value) -> Value:
    x = _smaller(fill(_HIGHEST), larger(fill(_LOWEST), x))
    rounded = x + _ROUND
    return _scale(_exp2_polynomial(x - (rounded - _ROUND)), rounded)


@exact
def _exp2_within_float32(x: Value, constants: Value) -> Value:
    rounded = x + load(constants, 0)
    f = x - (rounded - load(constants, 0))
    power = load(constants, 6 * WIDTH) + f * load(constants, 7 * WIDTH)
    power = load(constants, 5 * WIDTH) + f * power
    power = load(constants, 4 * WIDTH) + f * power
    power = load(constants, 3 * WIDTH) + f * power
    power = load(constants, 2 * WIDTH) + f * power
    return _scale(load(constants, WIDTH) + f * power, rounded)


@exact
def _exp_float32(x: Value) -> Value:
    x = _smaller(fill(_HIGHEST_EXP), larger(fill(_LOWEST_EXP), x))
    rounded = x * _LOG2_E + _ROUND
    k = rounded - _ROUND
    return _scale(_exp2_polynomial(((x - k * _LN2_HIGH) - k * _LN2_LOW) * _LOG2_E), rounded)


@exact
def _log1p_float32(x: Value) -> Value:
    # For 0 <= x <= 1, log(1 + x) = 2 artanh(s) with s <= 1/3: seven terms of the series reach float32.
    s = x / (x + _TWO)
    z = s * s
    return _TWO * s * (_ONE + z * (_T3 + z * (_T5 + z * (_T7 + z * (_T9 + z * (_T11 + z * _T13))))))


@exact
def _softplus_float32(x: Value) -> Value:
    # From 17 on, the second term is less than the last place of the first.
    return larger(fill(_ZERO), x) + _log1p_float32(_exp_float32(_ZERO - _magnitude(x)))


@exact
def _logistic_float32(x: Value) -> Value:
    return _ONE / (_ONE + _exp_float32(_ZERO - x))


@exact
def _softplus_float64(x: Value) -> Value:
    return x if x > 20.0 else max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@exact
def _logistic_float64(x: Value) -> Value:
    e = math.exp(-abs(x))
    return (1.0 if x > 0.0 else e) / (1.0 + e)


def _each(function: Function) -> Function:
    """Apply a function of one number to every lane."""

    def apply(x: Value) -> Value:
        for i in range(WIDTH):
            x = _with_lane(x, i, function(_lane(x, i)))
        return x

    return exact(apply)


def exp2(x: Value) -> Value:
    """2^x of lanes, to 2 units in the last place; in float32 at least 2^-126 and at most 2^127."""
    raise NotImplementedError("exp2 exists inside compiled kernels only")


def exp2_within(x: Value, _constants: Value) -> Value:
    """`exp2` of lanes none of which is larger than `HIGHEST` in size, in a fourth less time.

    Besides the limits, it saves the compiler's loads of single constants, which take an instruction each to
    spread over the lanes: `_constants` is a pointer to `EXP2_CONSTANTS`, which arithmetic reads directly.
    """
    raise NotImplementedError("exp2_within exists inside compiled kernels only")


def softplus(x: Value) -> Value:
    """log(1 + e^x) of lanes."""
    raise NotImplementedError("softplus exists inside compiled kernels only")


def logistic(x: Value) -> Value:
    """1 / (1 + e^-x) of lanes: the derivative of `softplus`, and the factor of SiLU."""
    raise NotImplementedError("logistic exists inside compiled kernels only")


def _by_type(public: Function, float32: Function, float64: Function) -> None:
    def choose(x: Value) -> Function:
        if x.dtype == types.float32:
            return lambda x: float32(x)
        return lambda x: float64(x)

    overload(public, strict=False, jit_options={"forceinline": True})(choose)


_exp2_float64 = _each(exact(lambda x: np.exp2(x)))
_by_type(exp2, _exp2_float32, _exp2_float64)


def _exp2_within(x: Value, _constants: Value) -> Function:
    if x.dtype == types.float32:
        return lambda x, _constants: _exp2_within_float32(x, _constants)
    return lambda x, _constants: _exp2_float64(x)


overload(exp2_within, strict=False, jit_options={"forceinline": True})(_exp2_within)
_by_type(softplus, _softplus_float32, _each(_softplus_float64))
_by_type(logistic, _logistic_float32, _each(_logistic_float64))
