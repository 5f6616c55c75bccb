"""logistic and tanh of 16-bit fixed-point numbers, as the integer kernels of the LSTMs compute their gates.

Qm: an int16 that stands for raw * 2**(m - 15), so in [-2**m, 2**m). Formulas and constants are those of gemmlowp's
fixedpoint.h, here with 16-bit steps. There are only 65536 inputs: each function is a table, made once.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from minitfl.kernels.fixedmath import raw as raw32
from minitfl.kernels.fixedpoint import high_mul_int16, rounding_shift, saturate_int16, wrap_int16

ONE = 32767  # the largest Q0, which stands for 1
ALL = np.arange(-32768, 32768, dtype=np.int64)


def logistic(x):
    """1 / (1 + exp(-x)) in Q0 for x in Q3."""
    return _logistic_table()[np.asarray(x, np.int64) + 32768]


def tanh(x, integer_bits):
    """tanh(x) in Q0 for x in Q integer_bits, 0 to 6."""
    return _tanh_table(integer_bits)[np.asarray(x, np.int64) + 32768]


@cache
def _logistic_table():
    """Of the 65536 inputs in rising order, int64."""
    power = _exp_negative(-np.abs(ALL), 3)
    positive = saturate_int16(_newton(power) << 1)  # Q2 to Q1 halves the value, then to Q0
    result = np.where(ALL > 0, positive, ONE - positive)
    return np.where(ALL == 0, 1 << 14, result)


@cache
def _tanh_table(integer_bits):
    """Of the 65536 inputs in rising order, int64."""
    power = _exp_negative(wrap_int16(-np.abs(ALL)), integer_bits + 1)
    size = saturate_int16(wrap_int16(_newton(power) - (1 << 13)) << 2)  # (1 - e) / (1 + e) = 2 / (1 + e) - 1, Q2 to Q0
    return np.where(ALL == 0, 0, np.where(ALL < 0, -size, size))


def _newton(x):
    """2 / (1 + x) in Q2 for x (Q0) in [0, 1]: three Newton-Raphson steps from 48/17 - 32/17 * d, d = (1 + x) / 2."""
    d = (x + ONE + 1) // 2
    y = _constant(48 / 17, 2) + high_mul_int16(d, _constant(-32 / 17, 2))
    for _ in range(3):
        error = wrap_int16((1 << 13) - high_mul_int16(d, y))
        y = wrap_int16(y + saturate_int16(high_mul_int16(y, error) << 2))
    return y


def _exp_negative(x, integer_bits):
    """exp(x) in Q0 for x (Q integer_bits) <= 0: a polynomial around -1/8, then a factor for each bit of the rest."""
    quarter = 1 << (13 - integer_bits)
    rest = (x & (quarter - 1)) - quarter
    a = saturate_int16(rest << integer_bits) + (1 << 12)
    a2 = high_mul_int16(a, a)
    a3 = high_mul_int16(a2, a)
    a4 = high_mul_int16(a2, a2)
    tail = rounding_shift(high_mul_int16(rounding_shift(a4, 2) + a3, _constant(1 / 3)) + a2, 1)
    base = _constant(np.exp(-1 / 8))
    result = wrap_int16(base + high_mul_int16(base, a + tail))
    k = rest - x
    for power in range(-2, integer_bits):
        bit = 15 - integer_bits + power
        factor = _constant(np.exp(-(2.0**power)))
        result = np.where((k >> bit) & 1, high_mul_int16(result, factor), result)
    if integer_bits > 5:
        result = np.where(x < -(1 << (20 - integer_bits)), 0, result)  # below -32
    return np.where(x == 0, ONE, result)


def _constant(real, integer_bits=0):
    """A real number as an int16, by way of the int32 that gemmlowp writes down."""
    return int(rounding_shift(raw32(real, integer_bits), 16))
