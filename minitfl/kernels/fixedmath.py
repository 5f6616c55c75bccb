"""exp, log, 1 / x and 1 / sqrt(x) in 32-bit fixed point, as the reference kernels compute them.

Qm: an int32 that stands for raw * 2**(m - 31), so in [-2**m, 2**m). All functions take and give int64 arrays of raw
values. Constants and formulas are those of gemmlowp's fixedpoint.h and of internal/common.h of the TFLite tree.
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.fixedpoint import INT32_MAX, INT32_MIN, high_mul, rounding_shift, wrap_int32

ONE = INT32_MAX  # the largest Q0, which stands for 1


def raw(real: float, integer_bits: int = 0) -> int:
    """The fixed-point number next to a real one."""
    return min(int(np.floor(real * 2.0 ** (31 - integer_bits) + 0.5)), INT32_MAX)


def widen(x, bits):
    """x * 2**bits, saturated; bits >= 0."""
    return np.clip(np.asarray(x, np.int64) << bits, INT32_MIN, INT32_MAX)


def reciprocal(x):
    """1 / (1 + x) in Q0 for x (Q0) in [0, 1): three Newton-Raphson steps from 48/17 - 32/17 * d, d = (1 + x) / 2."""
    d = (np.asarray(x, np.int64) + ONE + 1) // 2
    y = wrap_int32(raw(48 / 17, 2) + high_mul(d, raw(-32 / 17, 2)))  # Q2
    for _ in range(3):
        error = wrap_int32(raw(1, 2) - high_mul(d, y))
        y = wrap_int32(y + widen(high_mul(y, error), 2))
    return widen(y, 1)


def scaled_reciprocal(x, integer_bits):
    """1 / x for x (Q integer_bits) > 0 as (mantissa, shift): mantissa (Q0) in (1/2, 1] times 2**-shift."""
    x = np.asarray(x, np.int64)
    leading = leading_zeros(x)
    return reciprocal((x << leading) - (1 << 31)), integer_bits - leading


def leading_zeros(x):
    """Zero bits above the highest set bit of a 32-bit number >= 0."""
    _, bits = np.frexp(np.asarray(x, np.float64))
    return 32 - bits.astype(np.int64)


def exp_negative(x, integer_bits):
    """exp(x) in Q0 for x (Q integer_bits, at most 5) <= 0.

    x = r - 1/4 - k/4 with r in [0, 1/4): a Taylor polynomial around -1/8 for r - 1/4, then a factor for each bit of k.
    """
    x = np.asarray(x, np.int64)
    quarter = 1 << (29 - integer_bits)
    rest = (x & (quarter - 1)) - quarter
    a = widen(rest, integer_bits) + (1 << 28)
    a2 = high_mul(a, a)
    a3 = high_mul(a2, a)
    a4 = high_mul(a2, a2)
    tail = rounding_shift(high_mul(rounding_shift(a4, 2) + a3, raw(1 / 3)) + a2, 1)
    base = raw(np.exp(-1 / 8))
    result = base + high_mul(base, a + tail)
    k = rest - x
    for power in range(-2, integer_bits):
        factor = raw(np.exp(-(2.0**power)))
        result = np.where(k & (1 << (31 - integer_bits + power)), high_mul(result, factor), result)
    return np.where(x == 0, ONE, result)


def log(x, input_bits, output_bits):
    """log(x) in Q output_bits for x (Q input_bits) >= 1: powers of two, and a Pade approximant around 2**-1/4."""
    x = np.asarray(x, np.int64)
    root = 2.0**0.25
    bits = output_bits + 1  # one more while it is put together
    quarter = rounding_shift(raw(1 / 4), bits)
    leading = leading_zeros(x)
    ratio_a = widen(high_mul(widen(x, leading - 1), raw(0.5**0.5)), 1)
    power_a = np.minimum(widen(input_bits - leading, 31 - bits) + quarter, INT32_MAX)
    headroom = leading_zeros(high_mul(x, raw(0.5**0.5))) - 1
    ratio_b = widen(x, headroom)
    power_b = np.maximum(widen(input_bits - headroom, 31 - bits) - quarter, INT32_MIN)
    ratio = np.minimum(ratio_a, ratio_b)
    power = np.maximum(power_a, power_b)

    centre = raw(0.5**0.25)
    total = ratio + centre
    mean = (total + 1) // 2
    q = 2 * (ratio - centre)
    square = high_mul(q, q)
    numerator = high_mul(q, ratio) + high_mul(high_mul(q, square), raw(11 / 240 * root))
    inner = raw(2 / root - root) + q + high_mul(raw(root / 20), square)
    denominator = high_mul(mean, inner) + high_mul(raw(root / 4), q)
    part = high_mul(rounding_shift(numerator, bits), reciprocal(denominator))
    return widen(high_mul(power, raw(np.log(2))) + part, 1)


def inverse_square_root(x: int) -> tuple[int, int]:
    """1 / sqrt(x) for a whole number x > 0 as (multiplier, shift), see fixedpoint."""
    multiplier, shift = inverse_square_roots(x)
    return int(multiplier), int(shift)


def inverse_square_roots(x):
    """1 / sqrt(x) for whole numbers 0 <= x < 2**31 as (multipliers, shifts); 0 counts as 1. Newton-Raphson."""
    x = np.maximum(np.asarray(x, np.int64), 1)
    large = x >= 1 << 29
    x = np.where(large, x // 4, x)
    pairs = (leading_zeros(x) - 1) // 2 - 1  # of bits: x becomes a Q3 number in [1/4, 1)
    half = rounding_shift((x << (2 * pairs)) >> 1, 1)
    y = raw(1, 3)
    for _ in range(5):
        cube = widen(high_mul(high_mul(y, y), y), 6)
        y = widen(high_mul(raw(1.5, 3), y) - high_mul(half, cube), 3)
    right = 11 - pairs + large
    multiplier = high_mul(y, raw(0.5**0.5)) << np.maximum(-right, 0)
    return np.where(x == 1, INT32_MAX, multiplier), np.where(x == 1, 0, np.minimum(-right, 0))
