"""Division and powers of two operands, element by element; shapes broadcast.

    x1, x2                         kernel                               op
    float32 / int32                divide / divide_whole                DIV
    int8 uint8 int16, quantized    divide_int                           DIV
    float32 / int8 int16 int32     floor_divide / floor_divide_whole    FLOOR_DIV
    float32 / int8 .. int64        modulo / modulo_whole                FLOOR_MOD
    float32 / int32                power / power_whole                  POW
    the same, x2 of one element    power_of_one / power_of_one_whole    POW

A zero divisor is an error at the node's turn, but not in FLOOR_MOD of floats, nor in DIV of floats, where the largest
finite number stands for infinity.
"""

from __future__ import annotations

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.broadcast import blocks, refused, workspace
from minitfl.kernels.elementwise import plain_range, quantized_range, scale_ratio, two_operands
from minitfl.kernels.fixedmath import leading_zeros, scaled_reciprocal
from minitfl.kernels.fixedpoint import INT32_MIN, high_mul, rescale_twice
from minitfl.op import Call, Kernel, Site, op

# ---- kernels


@Kernel
def divide(x1, x2, low, high, y):
    """y = x1 / x2"""
    np.divide(x1, x2, out=y)
    np.clip(y, low, high, out=y)


@Kernel
def divide_whole(x1, x2, low, high, y):
    """y = x1 / x2 on integers, the fraction cut off."""
    _check_divisor(x2, 0)
    for y, x1, x2 in blocks(y, x1, x2):
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
    for y, x1, x2 in blocks(y, x1, x2):
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
    _multiply_chain(x1, int(whole), y, lambda a, b: np.clip(np.multiply(a, b, out=y), -limit, limit, out=y))


@Kernel
def power_of_one_whole(x1, x2, y):
    """y = x1 ** x2 for a single exponent x2 on int32; products wrap."""
    _check_exponent(x2)
    exponent = int(x2.reshape(-1)[0])
    if exponent < 1:
        power_whole.numpy(x1, x2, y)
    else:
        _multiply_chain(x1, exponent, y, lambda a, b: np.multiply(a, b, out=y))


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


@op("DIV", max_version=2)
def div(site: Site) -> Call:
    x1, x2, y = two_operands(site)
    if x1.type not in ("float32", "int32", "int8", "uint8", "int16"):
        return refused(y, f"DIV of type {x1.type}")
    if x1.type == "float32":
        return Call(divide, (x1, x2, *plain_range(site, y), y), (y,))
    if x1.type == "int32":
        return Call(divide_whole, (x1, x2, *plain_range(site, y), y), (y,), workspace=workspace(y))
    low, high = quantized_range(site, y)
    multiplier, shift = scale_ratio((x1.scale,), (x2.scale, y.scale))
    args = (x1, x2, x1.zero, x2.zero, multiplier, shift, y.zero, low, high, y)
    return Call(divide_int, args, (y,), workspace=workspace(y, arrays=16))


def _plain_only(site: Site, real: Kernel, whole: Kernel, types: str) -> Call:
    """An op without quantization or fused activation: one kernel for floats, one for integers."""
    x1, x2, y = two_operands(site)
    if x1.type not in types.split():
        site.unsupported(f"type {x1.type}")
    return Call(real if x1.type == "float32" else whole, (x1, x2, y), (y,), workspace=workspace(y))


@op("FLOOR_DIV", max_version=3)
def floor_div(site: Site) -> Call:
    return _plain_only(site, floor_divide, floor_divide_whole, "float32 int32 int16 int8")


@op("FLOOR_MOD", max_version=2)
def floor_mod(site: Site) -> Call:
    return _plain_only(site, modulo, modulo_whole, "float32 int64 int32 int16 int8")


@op("POW", max_version=1)
def pow_(site: Site) -> Call:
    x1, x2 = site.input(0), site.input(1)
    if x2.size == 1 and x1.shape != x2.shape:
        return _plain_only(site, power_of_one, power_of_one_whole, "float32 int32")
    return _plain_only(site, power, power_whole, "float32 int32")
