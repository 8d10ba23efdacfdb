"""Logarithm and exponential that compilers turn into vector instructions, for sums over pairs of events.

The functions of the C library are called one number at a time; these are a few multiplications and
additions on the bits of the number, good to 2e-15 (log) and 3e-14 (exp), so that four or eight pairs of
events take the time of one.
"""

from __future__ import annotations

from math import factorial
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

LN2 = 0.6931471805599453
_LOG2_E = 1.4426950408889634
_ROUND = 6755399441055744.0
"""1.5 times 2 to the 52nd: what is added to it is rounded to an integer, which stands in its lowest bits."""
_SQRT_HALF = 0x3FE6A09E667F3BCD
"""Bits of the square root of a half."""
_SERIES = tuple(1 / factorial(k) for k in range(14, 0, -1))


def _bitcast(to: Any, of: Any) -> Any:
    def typed(context: Any, x: Any) -> Any:  # numba calls it with the type of x
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(to))

        return to(of), codegen

    return intrinsic(typed)


_bits = _bitcast(types.int64, types.float64)
_float = _bitcast(types.float64, types.int64)


# Without reassociation: it would undo the rounding below. Callers may have it.
@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def split(x: float) -> tuple[float, float]:
    """Return exponent and mantissa of a positive normal number, the mantissa from sqrt(1/2) to sqrt(2)."""
    exponent = (_bits(x) - _SQRT_HALF) >> 52
    return float(exponent), _float(_bits(x) - (exponent << 52))


@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def log_ratio(s: float) -> float:
    """Return log((1 + s) / (1 - s)) for ``abs(s)`` below 0.172 (the mantissas of `split`)."""
    z = s * s
    z2 = z * z
    low = 2.0 + (2.0 / 3) * z + z2 * (2.0 / 5 + (2.0 / 7) * z)
    high = 2.0 / 9 + (2.0 / 11) * z + z2 * (2.0 / 13 + (2.0 / 15) * z + z2 * (2.0 / 17))
    return s * (low + z2 * z2 * high)


@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def log(x: float) -> float:
    """Return the natural logarithm of a positive normal number."""
    exponent, mantissa = split(x)
    return exponent * LN2 + log_ratio((mantissa - 1.0) / (mantissa + 1.0))


@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def log1p(x: float) -> float:
    """Return log(1 + x) for x not below 0, all of its digits also where x is small."""
    return log_ratio(x / (2.0 + x)) if x < 0.4 else log(1.0 + x)


@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def exp(x: float) -> float:
    """Return e to the x; below -700 it stays at 1e-304, above 709 the result is wrong."""
    x = max(x, -700.0)
    rounded = x * _LOG2_E + _ROUND
    n = rounded - _ROUND
    r = x - n * LN2
    p = 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return _float(_bits(p) + (_bits(rounded) << 52))  # type: ignore[no-any-return]


@njit(fastmath={"contract"}, error_model="numpy", cache=True)
def one_minus_exp(x: float) -> float:
    """Return 1 - exp(-x) for x not below 0, all of its digits also where x is small."""
    if x > 0.5:
        return 1.0 - exp(-x)
    series = _SERIES[0]
    for k in range(1, len(_SERIES)):
        series = _SERIES[k] - x * series
    return x * series
