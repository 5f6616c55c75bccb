"""Rounding, clamping and rescaling: every rule of integer arithmetic that the kernels use, by name.

A stored integer s stands for the real number scale * (s - zero). Going from one scale to another multiplies by a real
factor; the kernels do so in integers, with the factor written as multiplier * 2**(shift - 31), where
2**30 <= multiplier < 2**31 (Jacob et al., arXiv:1712.05877, section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.op import scalar

INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)
FLOAT32_MAX = float(np.finfo(np.float32).max)
RANGES = {
    "int2": (-2, 1),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (INT32_MIN, INT32_MAX),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}


# ---- numbers of a preparation


def quantize_multiplier(real: float) -> tuple[int, int]:
    """real as (multiplier, shift): real ~ multiplier * 2**(shift - 31).

    Below 2**-32 it becomes 0, above 2**30 it saturates. It must be finite and not negative.
    """
    if not (math.isfinite(real) and real >= 0):
        raise ModelError(f"a rescaling factor is {real}")
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return multiplier, shift


def quantize_multipliers(reals) -> tuple[np.ndarray, np.ndarray]:
    """quantize_multiplier for each factor: int64 arrays (n,), (n,)."""
    pairs = [quantize_multiplier(float(real)) for real in np.ravel(reals)]
    return np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)


def stored_range(type: str) -> tuple[int, int]:
    """The lowest and highest stored value of an integer type."""
    return RANGES[type]


def float_activation_range(activation: str) -> tuple[float, float]:
    """The real range that a fused activation clamps to. TANH and SIGN_BIT are not clamps: kernels ignore them."""
    ranges = {"RELU": (0.0, math.inf), "RELU_N1_TO_1": (-1.0, 1.0), "RELU6": (0.0, 6.0)}
    return ranges.get(activation, (-math.inf, math.inf))


def finite_range(type: str) -> tuple[float, float]:
    """The lowest and highest number of an integer type, or of float32 but for the infinities."""
    return (-FLOAT32_MAX, FLOAT32_MAX) if type == "float32" else stored_range(type)


def finite_activation_range(activation: str) -> tuple[float, float]:
    """float_activation_range within the finite numbers, where infinities are clamped too."""
    low, high = float_activation_range(activation)
    return max(low, -FLOAT32_MAX), min(high, FLOAT32_MAX)


def activation_range(activation: str, type: str, scale: float, zero: int) -> tuple[int, int]:
    """The stored range that a fused activation clamps to, within the type's own range."""
    low, high = stored_range(type)
    real_low, real_high = float_activation_range(activation)
    if real_low != -math.inf:
        low = max(low, quantize_one(real_low, scale, zero))
    if real_high != math.inf:
        high = min(high, quantize_one(real_high, scale, zero))
    return low, high


def quantize_one(real: float, scale: float, zero: int) -> int:
    """zero + real / scale, divided in float32 and rounded half away from zero."""
    quotient = float(np.float32(real) / np.float32(scale))
    if not math.isfinite(quotient):
        raise ModelError(f"{real} can't be stored with scale {scale}")
    return int(zero) + math.floor(abs(quotient) + 0.5) * (-1 if quotient < 0 else 1)


def power_of_two(scale: float) -> int | None:
    """n where scale is 2**n, give or take 0.07 %; None elsewhere."""
    if not scale > 0:
        return None
    power = np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2)))
    return int(np.rint(power)) if abs(power - np.rint(power)) < 1e-3 else None


# ---- rules for arrays of integers

# who is told of each rescaling while it is set: observer(name of the rule, total, the rule's other arguments)
OBSERVER: ContextVar[Callable[[str, Any, tuple[Any, ...]], None] | None] = ContextVar("OBSERVER", default=None)


def observed(rule):
    """A rule whose uses the observer of the moment is told of, but not those of the rules inside it."""

    @wraps(rule)
    def told(total, *numbers):
        observer = OBSERVER.get()
        if observer is None:
            return rule(total, *numbers)
        token = OBSERVER.set(None)
        try:
            observer(rule.__name__, total, numbers)
            return rule(total, *numbers)
        finally:
            OBSERVER.reset(token)

    return told


@observed
def rescale(total, multiplier, shift):
    """total * multiplier * 2**(shift - 31), rounded once, half up. int64 in, int64 out; |total| < 2**31.

    One product, one rounding constant, one shift. multiplier and shift broadcast.
    """
    right = 31 - np.asarray(shift, np.int64)
    half = np.left_shift(np.int64(1), right - 1)
    return np.right_shift(np.asarray(total, np.int64) * multiplier + half, right)


@observed
def rescale_wide(total, multiplier, shift):
    """rescale for 48-bit totals (int16 activations with int64 sums): the multiplier is first cut to 15 bits."""
    multiplier = np.asarray(multiplier, np.int64)
    right = 15 - np.asarray(shift, np.int64)
    half = np.left_shift(np.int64(1), right - 1)
    return np.right_shift(np.asarray(total, np.int64) * narrow(multiplier) + half, right)


def high_mul(a, b):
    """The high half of 2 * a * b for int32 numbers, rounded half up; -2**31 times itself saturates.

    gemmlowp's SaturatingRoundingDoublingHighMul: its nudge and truncating division come to the same.
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    product += 1 << 30
    product >>= 31
    return np.minimum(product, INT32_MAX)


def high_mul_int16(a, b):
    """high_mul for int16 numbers: a * b / 2**15, rounded half up; -2**15 times itself saturates."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum(shift_half_up(product, 15), 32767)


def rounding_shift(x, exponent):
    """x / 2**exponent, rounded half away from zero; 0 <= exponent < 63. gemmlowp's RoundingDivideByPOT."""
    x = np.asarray(x, np.int64)
    half = np.left_shift(np.int64(1), np.asarray(exponent, np.int64)) >> 1
    if not half.any():
        return x
    down = x >> 63 if half.all() else (x >> 63) * (half > 0)  # a shift by 0 rounds nothing
    return np.right_shift(x + (half + down), exponent)


def rounding_shift_int16(x, exponent):
    """rounding_shift in 16-bit variables; exponent >= 0.

    From 16 on the mask of the bits that are lost, 2**exponent - 1, reads as -1, and so does half of it: all remainders
    but negative ones are above. What is negative becomes -1 and the rest 1, however small.
    """
    if exponent < 16:
        return rounding_shift(x, exponent)
    return np.where(np.asarray(x) < 0, np.int64(-1), np.int64(1))


def shift_half_up(x, exponent):
    """x / 2**exponent, rounded half up; exponent >= 0."""
    return (x + ((1 << exponent) >> 1)) >> exponent


def narrow(multiplier):
    """A multiplier of 31 bits as one of 15: its upper half, rounded half up."""
    return np.minimum(shift_half_up(multiplier, 16), 0x7FFF)


@observed
def rescale_twice(total, multiplier, shift):
    """total * multiplier * 2**(shift - 31), rounded twice: a high_mul, then a rounding_shift. multiplier >= 0.

    The rule of the element-wise reference kernels and of the convolutions.
    """
    shift = np.asarray(shift, np.int64)
    total = np.asarray(total, np.int64)
    left = np.maximum(shift, 0)
    if left.any():  # what 32 bits can't hold saturates
        most = np.right_shift(np.int64(INT32_MAX), left)
        total = np.left_shift(np.clip(total, -most, most), left)
    product = total * multiplier
    product += 1 << 30
    product >>= 31
    return rounding_shift(product, np.maximum(-shift, 0))


@observed
def rescale_wrapped(total, multiplier, shift):
    """rescale_twice in 32-bit variables: what a shift to the left pushes out of them is lost.

    QUANTIZE of integers, SOFTMAX of int16.
    """
    shifted = wrap_int32(np.left_shift(np.asarray(total, np.int64), max(shift, 0)))
    return rescale_twice(shifted, multiplier, min(shift, 0))


@observed
def rescale_up(total, multiplier, shift):
    """rescale_twice with both roundings half up: the rule of the optimised matrix products."""
    shift = np.asarray(shift, np.int64)
    product = np.left_shift(np.asarray(total, np.int64), np.maximum(shift, 0)) * multiplier
    product = (product + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    return np.right_shift(product + (np.left_shift(np.int64(1), right) >> 1), right)


def wrap_int32(x):
    """x modulo 2**32 as a signed number: what an int32 variable of C++ holds."""
    return np.asarray(x, np.int64).astype(np.int32).astype(np.int64)


def wrap_int16(x):
    """wrap_int32 for int16 variables."""
    return np.asarray(x, np.int64).astype(np.int16).astype(np.int64)


def saturate_int16(x):
    """x, or the nearest int16; the type stays."""
    return np.clip(x, -32768, 32767)


def truncated_quotient(a, b):
    """a / b with the fraction cut off, as C++ divides whole numbers; b > 0."""
    quotient, rest = np.divmod(a, b)
    return quotient + ((rest != 0) & (a < 0))


def round_away(x, out=None):
    """Reals rounded to whole numbers, half away from zero; the type stays. C's round()."""
    x = np.asarray(x)
    # adding 0.5 itself would take the number just below 0.5 up to 1
    half = np.nextafter(x.dtype.type(0.5), x.dtype.type(0))
    return np.trunc(np.add(x, np.copysign(half, x), out=out), out=out)


def round_away_finite(x):
    """round_away for arrays without infinities, in half the time."""
    whole = np.trunc(x)
    part = np.subtract(x, whole)  # exact, and so is its double
    part += part
    whole += np.trunc(part, out=part)
    return whole


@observed
def rescale_real(total, factor):
    """total * factor rounded to a whole number, half away from zero; computed in float64, as float64.

    The rule of the reference FULLY_CONNECTED. |total| < 2**53.
    """
    return round_away(np.multiply(total, factor, dtype=np.float64))


def bfloat16_to_float32(bits):
    """The float32 numbers of bfloat16 bits (uint16), exactly."""
    return (np.asarray(bits, np.uint32) << np.uint32(16)).view(np.float32)


def float32_to_bfloat16(x):
    """float32 numbers as bfloat16 bits (uint16), rounded to nearest, ties to even; NaN stays NaN."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(x), (bits >> np.uint32(16)) | np.uint32(0x40), rounded).astype(np.uint16)


# ---- the same rules for one number, for loops forms


@scalar
def rescale_twice_one(total, multiplier, shift):
    """rescale_twice for one whole number."""
    if shift > 0:
        most = INT32_MAX >> shift
        total = min(max(total, -most), most) << shift
        shift = 0
    high = (total * multiplier + (1 << 30)) >> 31
    if shift == 0:
        return high
    half = 1 << (-shift - 1)
    return (high + half - (1 if high < 0 else 0)) >> -shift


@scalar
def rescale_wide_one(total, multiplier, shift):
    """rescale_wide for one whole number."""
    narrowed = min((multiplier + (1 << 15)) >> 16, 0x7FFF)
    return (total * narrowed + (1 << (14 - shift))) >> (15 - shift)


@scalar
def rescale_real_one(total, factor):
    """rescale_real for one number, as a whole number."""
    product = total * factor
    whole = math.trunc(product)
    if abs(product - whole) >= 0.5:
        whole += 1 if product > 0 else -1
    return whole


@scalar
def wrap_int32_one(x):
    """wrap_int32 for one whole number."""
    return ((x + 2**31) & 0xFFFFFFFF) - 2**31
