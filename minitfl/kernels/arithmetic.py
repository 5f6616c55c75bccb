"""Arithmetic on two operands, element by element; shapes broadcast.

    x1, x2                       y                kernel                op
    float32 float16 int32 int64  same             add subtract          ADD SUB (float16 in ADD alone)
    float32 float16 int32 int64  same             multiply              MUL (complex64 and uint32 too)
    float32 int32                same             divide divide_whole   DIV
    int16, not quantized         int16            add multiply          ADD MUL
    int8 uint8 int16             same             add_int               ADD SUB
    int16, powers of two         int16            add_shifted           ADD SUB with pot_scale_int16
    int8 uint8 int16             same             multiply_int          MUL
    int16                        int8 uint8       multiply_half         MUL
    int8 uint8 int16             same             divide_int            DIV
    float32 int8 int16 int32     same             floor_divide*         FLOOR_DIV
    ... and int64                same             modulo*               FLOOR_MOD
    float32 int32                same             power*                POW
    float32 int32 / int8         same             squared_difference*   SQUARED_DIFFERENCE
    any real number              same             maximum minimum       MAXIMUM MINIMUM
    floats                       same             arctan2               ATAN2

A result is clamped to low..high, the range of the fused activation within what the type can hold: a float sum that
overflows gives the largest finite number. Integers that are not quantized wrap.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import bfloat16_form, blocks, broadcast_shape, refused, workspace
from minitfl.kernels.fixedmath import leading_zeros, scaled_reciprocal
from minitfl.kernels.fixedpoint import (
    INT32_MIN,
    activation_range,
    float_activation_range,
    high_mul,
    high_mul_int16,
    power_of_two,
    quantize_multiplier,
    rescale_twice,
    rounding_shift,
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
def divide(x1, x2, low, high, y):
    """y = x1 / x2"""
    np.divide(x1, x2, out=y)
    np.clip(y, low, high, out=y)


@Kernel
def divide_whole(x1, x2, low, high, y):
    """y = x1 / x2 on integers, the fraction cut off."""
    _check_divisor(x2, 0)
    quotient = np.floor_divide(x1, x2)
    # C++ division truncates; NumPy's goes down
    quotient += (quotient < 0) & (np.multiply(quotient, x2) != x1)
    np.clip(quotient, low, high, out=y)


@Kernel
def floor_divide(x1, x2, y):
    """y = floor(x1 / x2) in float64; a zero divisor is an error for floats too."""
    _check_divisor(x2, 0)
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.floor(x1.astype(np.float64) / x2.astype(np.float64))


@Kernel
def floor_divide_whole(x1, x2, y):
    """y = floor(x1 / x2)"""
    _check_divisor(x2, 0)
    np.floor_divide(x1, x2, out=y)


@Kernel
def modulo(x1, x2, y):
    """y = x1 - floor(x1 / x2) * x2, with the sign of x2; NaN where x2 is 0."""
    np.fmod(x1, x2, out=y)
    np.add(y, x2, out=y, where=(y != 0) & ((x2 < 0) != (y < 0)))


@Kernel
def modulo_whole(x1, x2, y):
    """y = x1 - floor(x1 / x2) * x2, with the sign of x2."""
    _check_divisor(x2, 0)
    np.mod(x1, x2, out=y)


@Kernel
def power(x1, x2, y):
    """y = x1 ** x2"""
    np.power(x1, x2, out=y)


@Kernel
def power_whole(x1, x2, y):
    """y = x1 ** x2 through float64; what int32 can't hold becomes its lowest number."""
    _check_exponent(x2)
    for y, x1, x2 in blocks(y, x1, x2):
        real = np.power(x1.astype(np.float64), x2.astype(np.float64))
        y[...] = np.where(np.abs(real) < 2.0**31, real, INT32_MIN)


@Kernel
def power_of_one(x1, x2, y):
    """y = x1 ** x2 for a single exponent x2; a whole one from 1 up is a chain of products, clamped as MUL clamps."""
    exponent = float(x2.reshape(-1)[0])
    whole = np.rint(exponent) if abs(exponent) < 2.0**31 else 0.0
    if whole < 1 or abs(np.float32(exponent) - np.float32(whole)) >= np.float32(1e-5):
        power.numpy(x1, x2, y)
        return
    limit = np.finfo(y.dtype).max
    _multiply_chain(x1, int(whole), y, lambda a, b: multiply.numpy(a, b, -limit, limit, y))


@Kernel
def power_of_one_whole(x1, x2, y):
    """power_of_one on int32; products wrap."""
    _check_exponent(x2)
    exponent = int(x2.reshape(-1)[0])
    if exponent < 1:
        power_whole.numpy(x1, x2, y)
    else:
        _multiply_chain(x1, exponent, y, lambda a, b: np.multiply(a, b, out=y))


@Kernel
def squared_difference(x1, x2, y):
    """y = (x1 - x2)**2"""
    np.subtract(x1, x2, out=y)
    np.multiply(y, y, out=y)


@Kernel
def maximum(x1, x2, y):
    """y = x1 if x1 > x2 else x2: x2 where either is NaN."""
    y[...] = x2
    np.copyto(y, x1, where=x1 > x2)


@Kernel
def minimum(x1, x2, y):
    """y = x1 if x1 < x2 else x2: x2 where either is NaN."""
    y[...] = x2
    np.copyto(y, x1, where=x1 < x2)


@Kernel
def arctan2(x1, x2, y):
    """The angle of the point (x2, x1)."""
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
    """y = x1 / 2**right1 + sign * x2 / 2**right2 on stored numbers with zero 0, each rounded first."""
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.clip(rounding_shift(x1, right1) + sign * rounding_shift(x2, right2), low, high)


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
def divide_int(x1, x2, zero1, zero2, multiplier, shift, y_zero, low, high, y):
    """y = x1 / x2 on stored numbers, as x1 times a 31-bit reciprocal of x2.

    multiplier, shift: scale1 / (scale2 * y_scale). x1 is first shifted left as far as 32 bits allow.
    """
    _check_divisor(x2, zero2)
    for y, x1, x2 in blocks(y, x1, x2):
        divisor = x2.astype(np.int64) - zero2
        dividend = (x1.astype(np.int64) - zero1) * np.sign(divisor)
        inverse, down = scaled_reciprocal(np.abs(divisor), 31)
        headroom = leading_zeros(np.where(dividend < 0, ~dividend, dividend)) - 1
        quotient = high_mul(dividend << headroom, inverse)
        right = np.minimum(down + headroom - shift, 62)
        y[...] = np.clip(rescale_twice(quotient, multiplier, -right) + y_zero, low, high)


@Kernel
def squared_difference_int(x1, x2, zero1, zero2, left, factor1, factor2, factor_y, y_zero, low, high, y):
    """y = (x1 - x2)**2 on stored numbers; see add_int."""
    for y, x1, x2 in blocks(y, x1, x2):
        total = rescale_twice((x1.astype(np.int64) - zero1) << left, *factor1)
        total -= rescale_twice((x2.astype(np.int64) - zero2) << left, *factor2)
        y[...] = np.clip(rescale_twice(total * total, *factor_y) + y_zero, low, high)


def _check_divisor(x, zero):
    if x.size and (x == zero).any():
        raise ModelError("Division by 0")


def _check_exponent(x):
    if x.size and x.min() < 0:
        raise ModelError(f"POW does not support negative value for int32, got the exponent {x.min()}")


def _multiply_chain(x, exponent, y, multiply):
    """y = x ** exponent by squaring, the exponent's bits from the highest down; multiply(a, b) writes a * b to y."""
    y[...] = x
    for bit in bin(exponent)[3:]:
        multiply(y, y)
        if bit == "1":
            multiply(x, y)


# ---- preparations

RETYPED = frozenset(
    {"ADD", "SUB", "DIV", "SQUARED_DIFFERENCE"}
)  # the result has the operands' type, whatever the file says


def _operands(site: Site) -> tuple[Tensor, Tensor, Tensor]:
    """The two operands, of one type, and the result with the shape they make."""
    site.arity(2, 1)
    x1, x2 = site.input(0), site.input(1)
    site.expect(x1.type == x2.type, f"operands of types {x1.type} and {x2.type}")
    y = site.output(0).reshaped(broadcast_shape(x1, x2))
    return x1, x2, replace(y, type=x2.type) if site.op in RETYPED else y


def _same_type(site: Site, x: Tensor, y: Tensor) -> None:
    site.expect(y.type == x.type, f"output of type {y.type} for operands of type {x.type}")


def _activation(site: Site) -> str:
    return site.enum("fused_activation_function", "ActivationFunctionType")


def _plain_range(site: Site, y: Tensor) -> tuple[float, float]:
    """The fused activation's range for numbers that stand for themselves, within the finite ones of their type."""
    kind, limits = (float, np.finfo(y.dtype)) if y.dtype.kind == "f" else (int, np.iinfo(y.dtype))
    low, high = float_activation_range(_activation(site))
    if y.dtype.kind == "u" and -math.inf < low < 0:
        low += limits.max + 1  # C++ converts -1 to the largest number
    return kind(max(low, limits.min)), kind(min(high, limits.max))


def _quantized_range(site: Site, y: Tensor) -> tuple[int, int]:
    return activation_range(_activation(site), y.type, y.scale, y.zero)


def _plain(site: Site, kernel: Kernel, x1: Tensor, x2: Tensor, y: Tensor) -> Call:
    return Call(kernel, (x1, x2, *_plain_range(site, y), y), (y,))


def _to_common_scale(x1: Tensor, x2: Tensor) -> tuple[float, tuple[int, int], tuple[int, int]]:
    """Twice the larger scale, and the factors that bring each operand there."""
    twice = 2.0 * max(x1.scale, x2.scale)
    if twice == 0:
        raise ModelError("the operands have scale 0")
    return twice, quantize_multiplier(x1.scale / twice), quantize_multiplier(x2.scale / twice)


def _sum(site: Site, kernel: Kernel, sign: int, plain: tuple[str, ...]) -> Call:
    x1, x2, y = _operands(site)
    if x1.type in plain or (sign > 0 and x1.type == "int16" and x1.quantization is None):
        _same_type(site, x1, y)
        return _plain(site, kernel, x1, x2, y)
    if x1.type not in ("int8", "uint8", "int16"):
        return refused(y, f"{site.op} of type {x1.type}")
    _same_type(site, x1, y)
    low, high = _quantized_range(site, y)
    if x1.type == "int16":
        for t in (x1, x2, y):
            site.expect(t.zero == 0, f"zero point {t.zero} of an int16 tensor, 0 is expected")
        powers = [power_of_two(t.scale) for t in (x1, x2, y)]
        if site.options.pot_scale_int16 and None not in powers:
            right1, right2 = (powers[2] - power for power in powers[:2])
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
def add_op(site: Site) -> Call:
    return _sum(site, add, 1, ("float32", "float16", "int32", "int64"))


@op("SUB", max_version=5)
def sub(site: Site) -> Call:
    return _sum(site, subtract, -1, ("float32", "int32", "int64"))


@op("MUL", max_version=8)
def mul(site: Site) -> Call:
    x1, x2, y = _operands(site)
    quantized = x1.type in ("int8", "uint8") or (x1.type == "int16" and y.quantization is not None)
    if x1.type == "complex64":
        site.expect(_activation(site) == "NONE", "Activation is not allowed for COMPLEX64 input.")
        _same_type(site, x1, y)
        return Call(multiply_complex, (x1, x2, y), (y,))
    if not quantized:
        if x1.type not in ("float32", "float16", "int16", "int32", "int64", "uint32"):
            return refused(y, f"MUL of type {x1.type}")
        _same_type(site, x1, y)
        return _plain(site, multiply, x1, x2, y)
    low, high = _quantized_range(site, y) if y.type in ("int8", "uint8", "int16") else (0, 0)
    if x1.type == "int16" and y.type in ("int8", "uint8"):
        return Call(multiply_half, (x1, x2, y.zero, low, high, y), (y,), workspace=workspace(y))
    if y.type != x1.type:
        return refused(y, f"MUL of type {x1.type} to {y.type}")
    if y.type == "int16" and (x1.zero or x2.zero or y.zero):
        return refused(y, f"MUL of int16 with zero points {x1.zero}, {x2.zero} -> {y.zero}")
    with np.errstate(all="ignore"):
        factor = quantize_multiplier(float(np.float32(x1.scale) * np.float32(x2.scale) / np.float32(y.scale)))
    return Call(multiply_int, (x1, x2, x1.zero, x2.zero, factor, y.zero, low, high, y), (y,), workspace=workspace(y))


@op("DIV", max_version=2)
def div(site: Site) -> Call:
    x1, x2, y = _operands(site)
    if x1.type not in ("float32", "int32", "int8", "uint8", "int16"):
        return refused(y, f"DIV of type {x1.type}")
    _same_type(site, x1, y)
    if x1.type == "float32":
        return _plain(site, divide, x1, x2, y)
    if x1.type == "int32":
        return _plain(site, divide_whole, x1, x2, y)
    low, high = _quantized_range(site, y)
    with np.errstate(all="ignore"):
        real = np.float32(x1.scale) / (np.float32(x2.scale) * np.float32(y.scale))
    multiplier, shift = quantize_multiplier(float(real))
    args = (x1, x2, x1.zero, x2.zero, multiplier, shift, y.zero, low, high, y)
    return Call(divide_int, args, (y,), workspace=workspace(y, arrays=12))


def _plain_only(site: Site, real: Kernel, whole: Kernel, types: str) -> Call:
    """An op without quantization or fused activation: one kernel for floats, one for integers."""
    x1, x2, y = _operands(site)
    if x1.type not in types.split():
        site.unsupported(f"type {x1.type}")
    _same_type(site, x1, y)
    return Call(real if x1.type == "float32" else whole, (x1, x2, y), (y,), workspace=workspace(y))


@op("FLOOR_DIV", max_version=3)
def floor_div(site: Site) -> Call:
    return _plain_only(site, floor_divide, floor_divide_whole, "float32 int32 int16 int8")


@op("FLOOR_MOD", max_version=2)
def floor_mod(site: Site) -> Call:
    return _plain_only(site, modulo, modulo_whole, "float32 int64 int32 int16 int8")


@op("POW", max_version=1)
def pow_op(site: Site) -> Call:
    x1, x2 = site.input(0), site.input(1)
    if x2.size == 1 and x1.shape != x2.shape:
        return _plain_only(site, power_of_one, power_of_one_whole, "float32 int32")
    return _plain_only(site, power, power_whole, "float32 int32")


@op("SQUARED_DIFFERENCE", max_version=2)
def squared_difference_op(site: Site) -> Call:
    x1, x2, y = _operands(site)
    if x1.type not in ("float32", "int32", "int8"):
        return refused(y, f"SQUARED_DIFFERENCE of type {x1.type}")
    _same_type(site, x1, y)
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
    x1, x2, y = _operands(site)
    _same_type(site, x1, y)
    if x1.type == "bfloat16":
        return Call(bfloat16_form(kernel), (x1, x2, y), (y,))
    if x1.type not in ("float32", "float16", "uint8", "int8", "int16", "int32", "int64") and x1.size and x2.size:
        return refused(y, f"{site.op} of type {x1.type}")
    return Call(kernel, (x1, x2, y), (y,))


@op("MAXIMUM", max_version=4)
def maximum_op(site: Site) -> Call:
    return _choice(site, maximum)


@op("MINIMUM", max_version=4)
def minimum_op(site: Site) -> Call:
    return _choice(site, minimum)


@op("ATAN2", max_version=1)
def atan2(site: Site) -> Call:
    x1, x2, y = _operands(site)
    site.expect(x1.shape == x2.shape, f"operands of shapes {x1.shape} and {x2.shape}")
    _same_type(site, x1, y)
    if x1.type == "bfloat16":
        return Call(bfloat16_form(arctan2), (x1, x2, y), (y,))
    if x1.type not in ("float32", "float64", "float16"):
        site.unsupported(f"type {x1.type}")
    return Call(arctan2, (x1, x2, y), (y,))


def _quotient(a: float, b: float) -> float:
    return a / b if b else math.inf
