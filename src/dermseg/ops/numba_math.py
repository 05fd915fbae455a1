"""Exponentials that LLVM can vectorise, and other small tools of the compiled CPU kernels.

LLVM turns a loop over `math.exp` into one library call per element unless a vector mathematics library is
installed. The float32 versions here are plain arithmetic, so the loop becomes vector instructions on any
machine. The float64 versions call the library: they are for proofs, not for speed.

Numba's disk cache notices a change to a kernel's own file only. After changing this file, touch the files
that use it.
"""

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

CACHE_LINE = 64  # bytes

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
        memory = cgutils.alloca_once(builder, element, size=size.literal_value)  # type: ignore[no-untyped-call]
        memory.align = CACHE_LINE  # a vector across two lines would be two accesses
        return memory

    return types.CPointer(dtype.dtype)(size, dtype), generate  # type: ignore[no-untyped-call]


# `stack(size, dtype)`: pointer to uninitialised stack memory of constant size. Unlike memory from
# `np.empty`, the compiler knows that nothing else points there, so it keeps values in registers; and unlike
# arrays, pointers have no negative indices, whose handling would keep loops from becoming vector code.
stack: Callable[[int, Value], Value] = _intrinsic(prefer_literal=True)(_stack_rule)


def _pointer_rule(_typing: Value, array: Value) -> Value:
    def generate(context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate  # type: ignore[no-untyped-call]


# `pointer(array)`: to its first element. To hand an array to a function, or to slice one, costs two atomic
# operations on its reference count, more than the arithmetic between them; a pointer costs nothing. It must
# not outlive the array, so take it of arguments only, which the caller keeps.
pointer: Callable[[Any], Value] = _intrinsic(_pointer_rule)


def _power_of_two_rule(_typing: Value, _rounded: Value) -> Value:
    def generate(_context: Value, builder: Value, _signature: Value, arguments: Value) -> Value:
        integer = ir.IntType(32)
        exponent = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, 23))
        bits = builder.add(exponent, ir.Constant(integer, 127 << 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), generate


# 2^k from `ROUND + k`, whose lowest mantissa bits are k; exactly 0 for k = -127 and infinity for k = 128.
_power_of_two: Scalar = _intrinsic(_power_of_two_rule)

ROUND = np.float32(1.5 * 2**23)
"""Adding it rounds to an integer, which the lowest mantissa bits of the sum are."""
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)
EXP2_COEFFICIENTS = (0.6931472028, 0.2402264791, 0.0555033244, 0.0096184376, 0.0013398883, 0.0001535329)
"""c1, ..., c6 for 2^f = 1 + c1 f + ... + c6 f^6 on [-1/2, 1/2], of least maximal relative error (2e-9)."""
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(c) for c in EXP2_COEFFICIENTS)
_ONE = np.float32(1)


def exact(function: F) -> F:
    """Compile a function into its caller, its operations in the order they are written."""
    kernel: Value = njit(forceinline=True, fastmath={"contract"}, error_model="numpy")(function)
    return cast(F, kernel)


@exact
def exp2_polynomial(f: Value) -> Value:
    """2^f of a float32 number from -1/2 to 1/2, or of lanes of them, inside a kernel."""
    return _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))


@exact
def _exp2_float32(x: Value) -> Value:
    x = _LOWEST if x < _LOWEST else x  # a NaN passes both comparisons unchanged
    x = _HIGHEST if x > _HIGHEST else x
    rounded = x + ROUND
    return exp2_polynomial(x - (rounded - ROUND)) * _power_of_two(rounded)


def exp2(x: Value) -> Value:
    """2^x inside a kernel, to 2 units in the last place; float32 results below 2^-126 are 0."""
    raise NotImplementedError("exp2 exists inside compiled kernels only")


def _exp2_of_type(x: Value) -> Scalar:
    if x == types.float32:
        return lambda x: _exp2_float32(x)
    return lambda x: np.exp2(x)


overload(exp2, strict=False, jit_options={"forceinline": True})(_exp2_of_type)
