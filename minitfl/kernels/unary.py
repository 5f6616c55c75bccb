"""Functions of one number, element by element; y has the shape and type of x.

          real numbers                     8 bits            quantized int16
ABS       float32 int16 int32              int8: table       absolute_int
NEG       float32 float16 bfloat16 int32   int8, int16: what is stored is negated
          int64
SQRT      float32                          int8: table       square_root_int
RSQRT     float32                          int8: table       513-entry table
SQUARE    float32
EXP LOG   float32                          int8: table       513-entry table
SIN COS   float32 float16
CEIL      float32
FLOOR     float32 float16 bfloat16
ROUND     float32 float16 bfloat16
SIGN      float32 float64 int32
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.broadcast import bfloat16_form, blocks, refused, workspace
from minitfl.kernels.elementwise import check_int16, one_operand, scale_ratio
from minitfl.kernels.fixedmath import inverse_square_root
from minitfl.kernels.fixedpoint import quantize_multiplier, rescale_twice, stored_range
from minitfl.kernels.tables import (
    by_table,
    check_least,
    interpolate_from,
    lookup_from,
    rounded,
    stored_values,
    table16,
    table_of,
    tabulated,
)
from minitfl.op import Call, Kernel, Site, op

NOT_NEGATIVE = "Sqrt is only defined for non-negative values"

# ---- kernels


@Kernel
def absolute(x, y):
    """y = |x|"""
    np.abs(x, out=y)


@Kernel
def absolute_int(x, zero, factor, y_zero, low, high, y):
    """y = |x| on stored numbers; factor: (multiplier, shift) of x_scale / y_scale, None where they are equal."""
    for y, x in blocks(y, x):
        y[...] = _absolute(x, zero, factor, y_zero, low, high)


def _absolute(x, zero, factor, y_zero, low, high):
    size = np.abs(x.astype(np.int64) - zero)
    return np.clip((size if factor is None else rescale_twice(size, *factor)) + y_zero, low, high)


@Kernel
def negative(x, y):
    """y = -x"""
    np.negative(x, out=y)


@Kernel
def flip_sign(x, y):
    """y = -x for the bits of bfloat16."""
    np.bitwise_xor(x, np.uint16(0x8000), out=y)


@Kernel
def square_root(x, y):
    """y = sqrt(x)"""
    np.sqrt(x, out=y)


@Kernel
def square_root_int(x, zero, scale, y_zero, y_scale, low, high, y):
    """y = sqrt(x) on stored numbers, computed in float32 and cut off to a whole number."""
    check_least(x, zero, NOT_NEGATIVE)
    for y, x in blocks(y, x):
        y[...] = _square_root(x, zero, scale, y_zero, y_scale, low, high)


def _square_root(x, zero, scale, y_zero, y_scale, low, high):
    real = np.sqrt(np.float32(scale) * (x.astype(np.int32) - zero).astype(np.float32))
    return np.clip(np.trunc(real / np.float32(y_scale)).astype(np.float64) + y_zero, low, high)


@Kernel
def inverse_root(x, y):
    """y = 1 / sqrt(x)"""
    np.sqrt(x, out=y)
    np.divide(y.dtype.type(1), y, out=y)


@Kernel
def square(x, y):
    """y = x * x"""
    np.multiply(x, x, out=y)


@Kernel
def exponential(x, y):
    """y = exp(x)"""
    np.exp(x, out=y)


@Kernel
def logarithm(x, y):
    """y = log(x)"""
    np.log(x, out=y)


@Kernel
def sine(x, y):
    """y = sin(x)"""
    np.sin(x, out=y)


@Kernel
def cosine(x, y):
    """y = cos(x)"""
    np.cos(x, out=y)


@Kernel
def ceiling(x, y):
    """y = the lowest whole number >= x"""
    np.ceil(x, out=y)


@Kernel
def floor(x, y):
    """y = the highest whole number <= x"""
    np.floor(x, out=y)


@Kernel
def round_even(x, y):
    """y = the whole number next to x; from the middle, the even one."""
    np.rint(x, out=y)


@Kernel
def sign(x, y):
    """y = -1, 0 or 1, as x is negative, 0 or positive; NaN stays."""
    np.sign(x, out=y)


# ---- preparations


def _float_only(site: Site, kernel: Kernel, types: str = "float32") -> Call:
    x, y = one_operand(site)
    if x.type not in types.split():
        site.unsupported(f"type {x.type}")
    if x.type == "bfloat16":
        return Call(bfloat16_form(kernel), (x, y), (y,), workspace=workspace(y))
    return Call(kernel, (x, y), (y,))


@op("ABS", max_version=5)
def abs_(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type in ("float32", "int32") or (x.type == "int16" and x.quantization is None):
        return Call(absolute, (x, y), (y,))
    if x.type not in ("int8", "int16"):
        site.unsupported(f"type {x.type}")
    check_int16(site, x, y)
    factor = None if x.scale == y.scale else scale_ratio((x.scale,), (y.scale,))
    numbers = (x.zero, factor, y.zero, *stored_range(y.type))
    if x.type == "int8":
        return by_table(x, _absolute(stored_values(x.type), *numbers), y)
    return Call(absolute_int, (x, *numbers, y), (y,), workspace=workspace(y))


@op("NEG", max_version=1)
def neg(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "bfloat16":
        return Call(flip_sign, (x, y), (y,))
    if x.type not in ("float32", "float16", "int8", "int16", "int32", "int64"):
        return refused(y, f"NEG of type {x.type}")
    return Call(negative, (x, y), (y,))


@op("SQRT", max_version=2)
def sqrt(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(square_root, (x, y), (y,))
    if x.type not in ("int8", "int16"):
        site.unsupported(f"type {x.type}")
    check_int16(site, x, y)
    numbers = (x.zero, x.scale, y.zero, y.scale, *stored_range(y.type))
    if x.type == "int8":
        table = table_of(_square_root(np.maximum(stored_values(x.type), x.zero), *numbers), y.type)
        return Call(lookup_from, (x, x.zero, NOT_NEGATIVE, table, y), (y,))
    return Call(square_root_int, (x, *numbers, y), (y,), workspace=workspace(y))


@op("RSQRT", max_version=3)
def rsqrt(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(inverse_root, (x, y), (y,))
    if x.type not in ("int8", "int16"):
        site.unsupported(f"type {x.type}")
    check_int16(site, x, y)
    message = "Rsqrt is only defined for positive values"
    if x.type == "int16":
        most = np.float32(32767) * np.float32(y.scale)
        table = table16(lambda v: np.where(v > 0, np.float32(1) / np.sqrt(v), most), x.scale, 0, y.scale, 0)
        return Call(interpolate_from, (x, 0, message, table, y), (y,), workspace=workspace(y))
    real = float(np.sqrt(np.float32(x.scale)) * np.float32(y.scale))
    site.expect(real > 0, f"scales {x.scale} -> {y.scale}")
    multiplier, shift = quantize_multiplier(1 / real)
    distances = stored_values(x.type) - x.zero
    values = np.full(256, 127)
    for place in np.flatnonzero(distances > 0):
        values[place] = _inverse_root_int(int(distances[place]), multiplier, shift) + y.zero
    return Call(lookup_from, (x, x.zero, message, table_of(values, y.type), y), (y,))


def _inverse_root_int(x: int, multiplier: int, shift: int) -> int:
    """multiplier * 2**(shift - 31) / sqrt(x), by way of 1 / sqrt(x) with 20 fractional bits."""
    bits = 20
    mantissa, exponent = inverse_square_root(x)
    root = int(rescale_twice(1, mantissa, exponent + bits))
    return int(rescale_twice(root, multiplier, shift - bits))


@op("SQUARE", max_version=1)
def square_(site: Site) -> Call:
    return _float_only(site, square)


@op("EXP", max_version=2)
def exp(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(exponential, (x, y), (y,))
    if x.type not in ("int8", "int16"):
        return refused(y, f"EXP of type {x.type}")
    check_int16(site, x, y)
    return tabulated(rounded(np.exp), x, y)


@op("LOG", max_version=2)
def log(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(logarithm, (x, y), (y,))
    if x.type not in ("int8", "int16"):
        site.unsupported(f"type {x.type}")
    check_int16(site, x, y)
    least = np.float32(stored_range(y.type)[0] - y.zero) * np.float32(y.scale)
    return tabulated(lambda v: np.where(v > 0, rounded(np.log)(v), least), x, y)


@op("SIN", max_version=2)
def sin(site: Site) -> Call:
    return _float_only(site, sine, "float32 float16")


@op("COS", max_version=2)
def cos(site: Site) -> Call:
    return _float_only(site, cosine, "float32 float16")


@op("CEIL", max_version=1)
def ceil(site: Site) -> Call:
    return _float_only(site, ceiling)


@op("FLOOR", max_version=1)
def floor_(site: Site) -> Call:
    return _float_only(site, floor, "float32 float16 bfloat16")


@op("ROUND", max_version=1)
def round_(site: Site) -> Call:
    return _float_only(site, round_even, "float32 float16 bfloat16")


@op("SIGN", max_version=2)
def sign_(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type not in ("float32", "float64", "int32"):
        return refused(y, f"SIGN of type {x.type}")
    return Call(sign, (x, y), (y,))
