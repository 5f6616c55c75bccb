"""Sums, products and choices of two operands, element by element; shapes broadcast.

    x1, x2                       y            kernel                op
    float32 float16 int32 int64  same         add subtract          ADD SUB (float16 in ADD alone)
    float32 float16 int32 int64  same         multiply              MUL (complex64 and uint32 too)
    int16, not quantized         int16        add multiply          ADD MUL
    int8 uint8 int16             same         add_int               ADD SUB
    int16, powers of two         int16        add_shifted           ADD SUB with pot_scale_int16
    int8 uint8 int16             same         multiply_int          MUL
    int16                        int8 uint8   multiply_half         MUL
    float32 int32 / int8         same         squared_difference*   SQUARED_DIFFERENCE
    float32 float16 bfloat16     same         maximum minimum       MAXIMUM MINIMUM
    uint8 int8 int16 int32 int64 same         maximum minimum       MAXIMUM MINIMUM
    float16 to float64, bfloat16 same         arctan2               ATAN2

A result is clamped to low..high, the range of the fused activation within what the type can hold: a float sum that
overflows gives the largest finite number. Integers that are not quantized wrap.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import bfloat16_form, blocks, refused, refused_early, workspace
from minitfl.kernels.checks import check_types
from minitfl.kernels.elementwise import (
    check_int16,
    fused_activation,
    plain_range,
    quantized_range,
    scale_ratio,
    two_operands,
)
from minitfl.kernels.fixedpoint import (
    high_mul_int16,
    power_of_two,
    quantize_multiplier,
    rescale_twice,
    rounding_shift,
    rounding_shift_int16,
    stored_range,
)
from minitfl.op import Call, Kernel, Site, op

# ---- kernels: real numbers, and integers that stand for themselves


@Kernel
def add(x1, x2, low, high, y):
    """y = x1 + x2"""
    np.add(x1, x2, out=y)
    np.clip(y, low, high, out=y)


@Kernel
def subtract(x1, x2, low, high, y):
    """y = x1 - x2"""
    np.subtract(x1, x2, out=y)
    np.clip(y, low, high, out=y)


@Kernel
def multiply(x1, x2, low, high, y):
    """y = x1 * x2"""
    np.multiply(x1, x2, out=y)
    np.clip(y, low, high, out=y)


@Kernel
def multiply_complex(x1, x2, y):
    """y = x1 * x2"""
    np.multiply(x1, x2, out=y)


@Kernel
def squared_difference(x1, x2, y):
    """y = (x1 - x2)**2"""
    np.subtract(x1, x2, out=y)
    np.multiply(y, y, out=y)


@Kernel
def maximum(x1, x2, y):
    """y = x1 if x1 > x2 else x2: x2 where either is NaN."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.fmax(x1, x2, out=y)
        np.copyto(y, x2, where=x2 != x2)


@Kernel
def minimum(x1, x2, y):
    """y = x1 if x1 < x2 else x2: x2 where either is NaN."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.fmin(x1, x2, out=y)
        np.copyto(y, x2, where=x2 != x2)


@Kernel
def arctan2(x1, x2, y):
    """y = the angle of the point (x2, x1)"""
    np.arctan2(x1, x2, out=y)


# ---- kernels: quantized


@Kernel
def add_int(x1, x2, zero1, zero2, left, sign, factor1, factor2, factor_y, y_zero, low, high, y):
    """y = x1 + sign * x2 on stored numbers.

    factor1, factor2: (multiplier, shift) from each operand's scale to twice the larger of them, `left` bits finer;
    factor_y: from there to the scale of y.
    """
    for y, x1, x2 in blocks(y, x1, x2):
        total = rescale_twice((x1.astype(np.int64) - zero1) << left, *factor1)
        total += sign * rescale_twice((x2.astype(np.int64) - zero2) << left, *factor2)
        y[...] = np.clip(rescale_twice(total, *factor_y) + y_zero, low, high)


@Kernel
def add_shifted(x1, x2, sign, right1, right2, low, high, y):
    """y = x1 / 2**right1 + sign * x2 / 2**right2 on stored int16 numbers with zero 0, each rounded first."""
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.clip(rounding_shift_int16(x1, right1) + sign * rounding_shift_int16(x2, right2), low, high)


@Kernel
def multiply_int(x1, x2, zero1, zero2, factor, y_zero, low, high, y):
    """y = x1 * x2 on stored numbers; factor: (multiplier, shift) of scale1 * scale2 / y_scale."""
    for y, x1, x2 in blocks(y, x1, x2):
        total = (x1.astype(np.int64) - zero1) * (x2.astype(np.int64) - zero2)
        y[...] = np.clip(rescale_twice(total, *factor) + y_zero, low, high)


@Kernel
def multiply_half(x1, x2, y_zero, low, high, y):
    """y = x1 * x2 for int16 numbers of scale 2**-15 and y of scale 2**-7."""
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.clip(rounding_shift(high_mul_int16(x1, x2), 8) + y_zero, low, high)


@Kernel
def squared_difference_int(x1, x2, zero1, zero2, left, factor1, factor2, factor_y, y_zero, low, high, y):
    """y = (x1 - x2)**2 on stored numbers; see add_int."""
    for y, x1, x2 in blocks(y, x1, x2):
        total = rescale_twice((x1.astype(np.int64) - zero1) << left, *factor1)
        total -= rescale_twice((x2.astype(np.int64) - zero2) << left, *factor2)
        y[...] = np.clip(rescale_twice(total * total, *factor_y) + y_zero, low, high)


# ---- preparations


def _plain(site: Site, kernel: Kernel, x1: Tensor, x2: Tensor, y: Tensor) -> Call:
    return Call(kernel, (x1, x2, *plain_range(site, y), y), (y,))


def _to_common_scale(x1: Tensor, x2: Tensor) -> tuple[float, tuple[int, int], tuple[int, int]]:
    """Twice the larger scale, and the factors that bring each operand there."""
    twice = 2.0 * max(x1.scale, x2.scale)
    if twice == 0:
        raise ModelError("the operands have scale 0")
    return twice, quantize_multiplier(x1.scale / twice), quantize_multiplier(x2.scale / twice)


def _sum(site: Site, kernel: Kernel, sign: int, plain: tuple[str, ...]) -> Call:
    x1, x2, y = two_operands(site)
    if x1.type in plain or (sign > 0 and x1.type == "int16" and x1.quantization is None):
        return _plain(site, kernel, x1, x2, y)
    if x1.type not in ("int8", "uint8", "int16"):
        return refused(y, f"{site.op} of type {x1.type}")
    low, high = quantized_range(site, y)
    if x1.type == "int16":
        check_int16(site, x1, x2, y)
        power1, power2, power = (power_of_two(t.scale) for t in (x1, x2, y))
        if site.options.pot_scale_int16 and power1 is not None and power2 is not None and power is not None:
            right1, right2 = power - power1, power - power2
            site.expect(
                min(right1, right2) == 0,
                f"scales {x1.scale}, {x2.scale} -> {y.scale}: the finer operand must have the scale of the result",
            )
            return Call(add_shifted, (x1, x2, sign, right1, right2, low, high, y), (y,), workspace=workspace(y))
    elif sign < 0:
        for t in (x1, x2, y):
            least, most = stored_range(t.type)
            site.expect(least <= t.zero <= most, f"zero point {t.zero} of an {t.type} tensor")
    left = 15 if x1.type == "int16" else 20
    twice, factor1, factor2 = _to_common_scale(x1, x2)
    factor_y = quantize_multiplier(_quotient(twice, 2.0**left * y.scale))
    args = (x1, x2, x1.zero, x2.zero, left, sign, factor1, factor2, factor_y, y.zero, low, high, y)
    return Call(add_int, args, (y,), workspace=workspace(y))


@op("ADD", max_version=6)
def add_(site: Site) -> Call:
    return _sum(site, add, 1, ("float32", "float16", "int32", "int64"))


@op("SUB", max_version=5)
def sub(site: Site) -> Call:
    return _sum(site, subtract, -1, ("float32", "int32", "int64"))


@op("MUL", max_version=8)
def mul(site: Site) -> Call:
    x1, x2, y = two_operands(site)
    if y.type == "complex64":
        site.expect(fused_activation(site) == "NONE", "Activation is not allowed for COMPLEX64 input.")
    what = f"MUL of type {x1.type} to {y.type}"
    quantized = y.type in ("int8", "uint8") or (y.type == "int16" and y.quantization is not None)
    if not quantized:
        if y.type not in ("float32", "float16", "int16", "int32", "int64", "uint32", "complex64"):
            return refused_early(site, y, what, x1, x2)
        check_types(site, x1, y)
        if y.type == "complex64":
            return Call(multiply_complex, (x1, x2, y), (y,))
        return _plain(site, multiply, x1, x2, y)
    if x1.type not in ("int8", "uint8", "int16") or (y.type != x1.type and (x1.type != "int16" or y.type == "int16")):
        return refused_early(site, y, what, x1, x2)
    low, high = quantized_range(site, y)
    if x1.type == "int16" and y.type in ("int8", "uint8"):
        return Call(multiply_half, (x1, x2, y.zero, low, high, y), (y,), workspace=workspace(y))
    if y.type == "int16" and (x1.zero or x2.zero or y.zero):
        return refused(y, f"MUL of int16 with zero points {x1.zero}, {x2.zero} -> {y.zero}")
    factor = scale_ratio((x1.scale, x2.scale), (y.scale,))
    return Call(multiply_int, (x1, x2, x1.zero, x2.zero, factor, y.zero, low, high, y), (y,), workspace=workspace(y))


@op("SQUARED_DIFFERENCE", max_version=2)
def squared_difference_(site: Site) -> Call:
    x1, x2, y = two_operands(site)
    if x1.type not in ("float32", "int32", "int8"):
        return refused(y, f"SQUARED_DIFFERENCE of type {x1.type}")
    if x1.type != "int8":
        return Call(squared_difference, (x1, x2, y), (y,))
    for t in (x1, x2, y):
        site.expect(-128 <= t.zero <= 127, f"zero point {t.zero} of an int8 tensor")
    left = 7
    twice, factor1, factor2 = _to_common_scale(x1, x2)
    factor_y = quantize_multiplier(_quotient(twice * twice, 2.0 ** (2 * left) * y.scale))
    args = (x1, x2, x1.zero, x2.zero, left, factor1, factor2, factor_y, y.zero, *stored_range(y.type), y)
    return Call(squared_difference_int, args, (y,), workspace=workspace(y))


def _choice(site: Site, kernel: Kernel) -> Call:
    """MAXIMUM and MINIMUM compare what is stored: operands and result are taken to have one scale."""
    x1, x2, y = two_operands(site)
    if x1.type == "bfloat16":
        return Call(bfloat16_form(kernel), (x1, x2, y), (y,), workspace=workspace(y))
    if x1.type not in ("float32", "float16", "uint8", "int8", "int16", "int32", "int64") and x1.size and x2.size:
        return refused(y, f"{site.op} of type {x1.type}")
    return Call(kernel, (x1, x2, y), (y,))


@op("MAXIMUM", max_version=4)
def maximum_(site: Site) -> Call:
    return _choice(site, maximum)


@op("MINIMUM", max_version=4)
def minimum_(site: Site) -> Call:
    return _choice(site, minimum)


@op("ATAN2", max_version=1)
def atan2(site: Site) -> Call:
    x1, x2, y = two_operands(site)
    site.expect(x1.shape == x2.shape, f"operands of shapes {x1.shape} and {x2.shape}")
    check_types(site, x1, y)
    if x1.type == "bfloat16":
        return Call(bfloat16_form(arctan2), (x1, x2, y), (y,), workspace=workspace(y))
    if x1.type not in ("float32", "float64", "float16"):
        site.unsupported(f"type {x1.type}")
    return Call(arctan2, (x1, x2, y), (y,))


def _quotient(a: float, b: float) -> float:
    return a / b if b else math.inf
