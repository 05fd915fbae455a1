"""Exponentials that LLVM can vectorise, and other small tools of the compiled CPU kernels.

LLVM turns a loop over `math.exp` into one library call per element unless a vector mathematics library is
installed. The float32 versions here are plain arithmetic, so the loop becomes vector instructions on any
machine. The float64 versions call the library: they are for proofs, not for speed.

Numba's disk cache notices a change to a kernel's own file only. After changing this file, touch the files
that use it.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from dermseg.ops.compilation import announced

F = TypeVar("F", bound=Callable[..., Any])
# Numbers of a type that the compiler settles, and the compiler's own objects, which it does not type.
Value: TypeAlias = Any
Scalar = Callable[[Value], Value]
_intrinsic: Value = intrinsic

# Products may fuse with sums, and sums may be reordered so that reductions vectorise. NaN and infinity keep
# their meaning.
FAST = frozenset({"contract", "reassoc", "nsz"})


def compiled(function: F) -> F:
    """Compile a kernel on its first call and keep the machine code on disk.

    It runs without the interpreter lock. Where no folder can be written, not even the user's cache, every
    process compiles anew.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": set(FAST), "error_model": "numpy"}
    try:
        kernel: Value = njit(cache=True, **options)(function)
    except RuntimeError:  # "no locator available"
        kernel = njit(**options)(function)
    return cast(F, announced(kernel))


def inlined(function: F) -> F:
    """Compile a function into every kernel that calls it."""
    kernel: Value = njit(forceinline=True, fastmath=set(FAST), error_model="numpy")(function)
    return cast(F, kernel)


def _stack_rule(_typing: Value, size: Value, dtype: Value) -> Value:
    def generate(context: Value, builder: Value, _signature: Value, _arguments: Value) -> Value:
        element = context.get_data_type(dtype.dtype)
        return cgutils.alloca_once(builder, element, size=size.literal_value)  # type: ignore[no-untyped-call]

    return types.CPointer(dtype.dtype)(size, dtype), generate  # type: ignore[no-untyped-call]


# `stack(size, dtype)`: pointer to uninitialised stack memory of constant size. Unlike memory from
# `np.empty`, the compiler knows that nothing else points there, so it keeps values in registers; and unlike
# arrays, pointers have no negative indices, whose handling would keep loops from becoming vector code.
stack: Callable[[int, Value], Value] = _intrinsic(prefer_literal=True)(_stack_rule)


def _power_of_two_rule(_typing: Value, _rounded: Value) -> Value:
    def generate(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        integer = ir.IntType(32)
        exponent = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, 23))
        bits = builder.add(exponent, ir.Constant(integer, 127 << 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), generate


# 2^k from `_ROUND + k`, whose lowest mantissa bits are k; exactly 0 for k = -127 and infinity for k = 128.
_power_of_two: Scalar = _intrinsic(_power_of_two_rule)

_ROUND = np.float32(1.5 * 2**23)  # adding it rounds to an integer
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)
# 2^f on [-1/2, 1/2] as 1 + c1 f + ... + c6 f^6 of least maximal relative error (2e-9).
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(c)
    for c in (
        0.6931472028,
        0.2402264791,
        0.0555033244,
        0.0096184376,
        0.0013398883,
        0.0001535329,
    )
)
_LOG2_E = np.float32(np.log2(np.e))
# ln 2 in two parts, the first so short that its product with an exponent is exact.
_LN2_HIGH = np.float32(0.693145751953125)
_LN2_LOW = np.float32(np.log(2) - 0.693145751953125)
_T3, _T5, _T7, _T9, _T11, _T13 = (np.float32(1 / n) for n in (3, 5, 7, 9, 11, 13))
_ZERO, _ONE, _TWO, _LINEAR = (np.float32(value) for value in (0, 1, 2, 20))
_LOWEST_EXP = np.float32(-88)


def _exact(function: F) -> F:
    """Compile a function into its caller, its operations in the order they are written."""
    kernel: Value = njit(forceinline=True, fastmath={"contract"}, error_model="numpy")(function)
    return cast(F, kernel)


@_exact
def _exp2_polynomial(f: Value) -> Value:
    return _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))


@_exact
def _exp2_float32(x: Value) -> Value:
    x = _LOWEST if x < _LOWEST else x  # a NaN passes both comparisons unchanged
    x = _HIGHEST if x > _HIGHEST else x
    rounded = x + _ROUND
    return _exp2_polynomial(x - (rounded - _ROUND)) * _power_of_two(rounded)


@_exact
def _exp_negative_float32(x: Value) -> Value:
    x = _LOWEST_EXP if x < _LOWEST_EXP else x
    rounded = x * _LOG2_E + _ROUND
    k = rounded - _ROUND
    return _exp2_polynomial(((x - k * _LN2_HIGH) - k * _LN2_LOW) * _LOG2_E) * _power_of_two(rounded)


@_exact
def _log1p_float32(x: Value) -> Value:
    # For 0 <= x <= 1, log(1 + x) = 2 artanh(s) with s <= 1/3: seven terms of the series reach float32.
    s = x / (x + _TWO)
    z = s * s
    return _TWO * s * (_ONE + z * (_T3 + z * (_T5 + z * (_T7 + z * (_T9 + z * (_T11 + z * _T13))))))


@_exact
def _softplus_float32(x: Value) -> Value:
    tail = _log1p_float32(_exp_negative_float32(-abs(x)))
    return x if x > _LINEAR else (x if x > _ZERO else _ZERO) + tail


@_exact
def _softplus_slope_float32(x: Value) -> Value:
    e = _exp_negative_float32(-abs(x))
    slope = (_ONE if x > _ZERO else e) / (_ONE + e)
    return _ONE if x > _LINEAR else slope


@_exact
def _softplus_float64(x: Value) -> Value:
    return x if x > 20.0 else max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@_exact
def _softplus_slope_float64(x: Value) -> Value:
    e = math.exp(-abs(x))
    slope = (1.0 if x > 0.0 else e) / (1.0 + e)
    return 1.0 if x > 20.0 else slope


def exp2(x: Value) -> Value:
    """2^x inside a kernel, to 2 units in the last place; float32 results below 2^-126 are 0."""
    raise NotImplementedError("exp2 exists inside compiled kernels only")


def softplus(x: Value) -> Value:
    """log(1 + e^x) inside a kernel; x itself above 20, as `torch.nn.functional.softplus` does."""
    raise NotImplementedError("softplus exists inside compiled kernels only")


def softplus_slope(x: Value) -> Value:
    """Derivative of `softplus` inside a kernel."""
    raise NotImplementedError("softplus_slope exists inside compiled kernels only")


def _by_type(public: Scalar, float32: Scalar, float64: Scalar) -> None:
    def choose(x: Value) -> Scalar:
        if x == types.float32:
            return lambda x: float32(x)
        return lambda x: float64(x)

    overload(public, strict=False, jit_options={"forceinline": True})(choose)


_by_type(exp2, _exp2_float32, _exact(lambda x: np.exp2(x)))
_by_type(softplus, _softplus_float32, _softplus_float64)
_by_type(softplus_slope, _softplus_slope_float32, _softplus_slope_float64)
