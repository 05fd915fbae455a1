"""Exponentials of lanes: what `numba_math` is for single numbers.

The float32 functions are plain arithmetic; the float64 ones call the mathematics library for every lane: they
are for proofs, not for speed.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload

from dermseg.ops.numba_lanes import (
    WIDTH,
    Function,
    Value,
    binary,
    each,
    fill,
    integers,
    larger,
    load,
    magnitude,
    smaller,
)
from dermseg.ops.numba_math import EXP2_COEFFICIENTS, ROUND, exact, exp2_polynomial

HIGHEST = 126
"""Exponents up to this size, of either sign, make normal numbers in float32."""
_LOWEST, _HIGHEST = np.float32(-HIGHEST), np.float32(HIGHEST + 1)
EXP2_CONSTANTS = np.repeat(np.array([ROUND, 1, *EXP2_COEFFICIENTS], np.float32), WIDTH)
"""What `exp2_within` computes with, each number as lanes."""
_LOG2_E = np.float32(np.log2(np.e))
# ln 2 in two parts, the first so short that its product with an exponent is exact.
_LN2_HIGH = np.float32(0.693145751953125)
_LN2_LOW = np.float32(np.log(2) - 0.693145751953125)
_T3, _T5, _T7, _T9, _T11, _T13 = (np.float32(1 / n) for n in (3, 5, 7, 9, 11, 13))
_ZERO, _ONE, _TWO = (np.float32(value) for value in (0, 1, 2))
_LOWEST_EXP, _HIGHEST_EXP = np.float32(-126 * np.log(2)), np.float32(127 * np.log(2))


# x 2^k for x from 0.7 to 1.5 and `ROUND + k`, whose lowest mantissa bits are k.
def _scale_rule(builder: Value, x: Value, rounded: Value) -> Value:
    shift = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [23] * WIDTH)
    exponent = builder.shl(integers(builder, rounded), shift)
    return builder.bitcast(builder.add(integers(builder, x), exponent), x.type)


_scale = binary(_scale_rule)


@exact
def _exp2_clamped_float32(x: Value) -> Value:
    x = smaller(fill(_HIGHEST), larger(fill(_LOWEST), x))
    rounded = x + ROUND
    return _scale(exp2_polynomial(x - (rounded - ROUND)), rounded)


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
    x = smaller(fill(_HIGHEST_EXP), larger(fill(_LOWEST_EXP), x))
    rounded = x * _LOG2_E + ROUND
    k = rounded - ROUND
    return _scale(exp2_polynomial(((x - k * _LN2_HIGH) - k * _LN2_LOW) * _LOG2_E), rounded)


@exact
def _log1p_float32(x: Value) -> Value:
    # For 0 <= x <= 1, log(1 + x) = 2 artanh(s) with s <= 1/3: seven terms of the series reach float32.
    s = x / (x + _TWO)
    z = s * s
    return _TWO * s * (_ONE + z * (_T3 + z * (_T5 + z * (_T7 + z * (_T9 + z * (_T11 + z * _T13))))))


@exact
def _softplus_float32(x: Value) -> Value:
    # From 17 on, the second term is less than the last place of the first.
    return larger(fill(_ZERO), x) + _log1p_float32(_exp_float32(_ZERO - magnitude(x)))


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


def exp2_clamped(x: Value) -> Value:
    """2^x of lanes, to 2 units in the last place; in float32 at least 2^-126 and at most 2^127.

    It adds to the bits of an exponent, which must stay that of a normal number, where `numba_math.exp2`
    multiplies and ends at 0 and infinity.
    """
    raise NotImplementedError("exp2_clamped exists inside compiled kernels only")


def exp2_within(x: Value, _constants: Value) -> Value:
    """2^x of lanes none of which is larger than `HIGHEST` in size, in a fourth less time.

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


_exp2_float64 = each(exact(lambda x: np.exp2(x)))
_by_type(exp2_clamped, _exp2_clamped_float32, _exp2_float64)


def _exp2_within(x: Value, _constants: Value) -> Function:
    if x.dtype == types.float32:
        return lambda x, _constants: _exp2_within_float32(x, _constants)
    return lambda x, _constants: _exp2_float64(x)


overload(exp2_within, strict=False, jit_options={"forceinline": True})(_exp2_within)
_by_type(softplus, _softplus_float32, each(_softplus_float64))
_by_type(logistic, _logistic_float32, each(_logistic_float64))
