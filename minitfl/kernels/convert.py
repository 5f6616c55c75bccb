"""CAST, QUANTIZE, DEQUANTIZE: the same numbers in another type.

CAST        y = x in y's type; floats to integers are cut off, and saturate
QUANTIZE    y = zero + round(x / scale) for floats; between stored integers of other scales, rescaled
DEQUANTIZE  y = scale * (x - zero); float16 as it is

x                        y                    kernel
float32                  int4 int8 uint8 int16   quantize (per tensor or per channel)
int8 uint8 int16 int32   int8 uint8 int16 int32  requantize; 8-bit inputs by a table
int2 int4 int8 uint8 int16  float32              dequantize (per tensor or per channel)
float16                  float32              convert
"""

from dataclasses import replace

import numpy as np

from minitfl.graph import BITS
from minitfl.kernels.broadcast import blocks, refused, workspace
from minitfl.kernels.fixedpoint import (
    bfloat16_to_float32,
    float32_to_bfloat16,
    quantize_multiplier,
    rescale_wrapped,
    round_away,
    stored_range,
    wrap_int32,
)
from minitfl.kernels.tables import lookup
from minitfl.op import Call, Kernel, op

CAST_TYPES = frozenset(
    "int64 int32 uint32 uint16 int16 uint8 int8 float16 bfloat16 float32 float64 bool complex64 int4 int2 uint4".split()
)
REQUANTIZED = {
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
    "int8": ("uint8", "int8", "int16"),
    "uint8": ("uint8", "int8", "int16"),
}


@Kernel
def convert(x, y):
    """y = x, by NumPy's conversion: integers wrap, floats round to nearest."""
    y[...] = x


@Kernel
def convert_to_bool(x, y):
    """y = whether x is not 0."""
    y[...] = x != 0


@Kernel
def convert_real_part(x, y):
    """y = the real part of complex x, cut off to y's range if y is of integers."""
    cut_off.numpy(x.real, y) if y.dtype.kind in "iu" else convert.numpy(x.real, y)


@Kernel
def cut_off(x, y):
    """y = x without its fraction, within y's range; NaN becomes the largest number."""
    limits = np.iinfo(y.dtype)
    clamp_off.numpy(x, limits.min, limits.max, y)


@Kernel
def clamp_off(x, low, high, y):
    """y = x without its fraction, within low..high; NaN becomes high."""
    for y, x in blocks(y, x):
        whole = np.trunc(x.astype(np.float64))
        inside = (whole > low) & (whole < high)
        y[...] = np.where(inside, np.where(inside, whole, 0).astype(y.dtype), np.where(whole <= low, low, high))


@Kernel
def from_bfloat16(x, y):
    """y = bfloat16 x as float32."""
    y[...] = bfloat16_to_float32(x)


@Kernel
def to_bfloat16(x, y):
    """y = x as bfloat16, by way of float32."""
    y[...] = float32_to_bfloat16(x.astype(np.float32))


@Kernel
def quantize(x, scale, zero, low, high, y):
    """y = clip(zero + round(x / scale)), divided in float32, halves away from zero. scale, zero broadcast over x.

    What int32 can't hold becomes its lowest number, as in C++, before zero is added.
    """
    for y, x, scale, zero in blocks(y, x, np.broadcast_to(scale, x.shape), np.broadcast_to(zero, x.shape)):
        quotient = round_away(np.divide(x, scale))
        with np.errstate(invalid="ignore"):
            fits = (quotient >= -(2.0**31)) & (quotient < 2.0**31)
        whole = np.where(fits, quotient, -(2.0**31)).astype(np.int64)
        y[...] = np.clip(wrap_int32(whole + zero), low, high)


@Kernel
def requantize(x, x_zero, multiplier, shift, y_zero, low, high, y):
    """y = clip(rescale_wrapped(x - x_zero) + y_zero)"""
    for y, x in blocks(y, x):
        y[...] = np.clip(rescale_wrapped(x.astype(np.int64) - x_zero, multiplier, shift) + y_zero, low, high)


@Kernel
def dequantize(x, scale, zero, y):
    """y = scale * (x - zero), in float32. scale, zero broadcast over x."""
    np.subtract(x, zero, out=y, dtype=np.float32, casting="unsafe")
    np.multiply(y, scale, out=y)


# ---- preparations


@op("CAST", max_version=9)
def cast(site):
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    for t in (x, y):
        if t.type not in CAST_TYPES:
            site.unsupported(f"a cast of {x.type} to {y.type}")
    y = y.reshaped(x.shape)
    if y.type == "bool":
        return Call(convert_to_bool, (x, y), (y,))
    if x.type == "bfloat16" or y.type == "bfloat16":
        return _cast_bfloat16(site, x, y)
    if y.type in BITS:
        if x.type != "float32":
            site.unsupported(f"a cast of {x.type} to {y.type}")
        return Call(clamp_off, (x, *stored_range(y.type), y), (y,), workspace=workspace(y))
    if x.dtype.kind == "c" and y.dtype.kind != "c":
        return Call(convert_real_part, (x, y), (y,))
    if x.dtype.kind == "f" and y.dtype.kind in "iu":
        return Call(cut_off, (x, y), (y,), workspace=workspace(y))
    return Call(convert, (x, y), (y,))


def _cast_bfloat16(site, x, y):
    if x.type == y.type:
        return Call(convert, (x, y), (y,))
    if x.type == "bfloat16" and y.type == "float32":
        return Call(from_bfloat16, (x, y), (y,))
    if y.type == "bfloat16" and x.dtype.kind in "fiub":
        return Call(to_bfloat16, (x, y), (y,))
    return site.unsupported(f"a cast of {x.type} to {y.type}")


@op("QUANTIZE", max_version=6)
def quantize_(site):
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(y.quantization is not None, f"the output '{y.name}' has no quantization parameters")
    y = y.reshaped(x.shape)
    if x.type == "float32":
        site.expect(y.type in ("uint8", "int8", "int16", "int4", "uint4"), f"the output of type {y.type}")
        scale, zero = _along_axis(site, y)
        site.expect((scale != 0).all(), f"scale 0 of '{y.name}'")
        return Call(quantize, (x, scale, zero, *stored_range(y.type), y), (y,), workspace=workspace(y))
    site.expect(y.type in REQUANTIZED.get(x.type, ()), f"{x.type} can't be brought to {y.type}")
    if (x.type, y.type) == ("int16", "int16"):
        site.expect(x.zero == 0 and y.zero == 0, f"int16 with zero points {x.zero} and {y.zero}")
    site.expect(y.scale > 0, f"scale {y.scale} of '{y.name}'")
    multiplier, shift = quantize_multiplier(x.scale / y.scale)
    numbers = (x.zero, multiplier, shift, y.zero, *stored_range(y.type))
    if x.dtype.itemsize == 1 and y.dtype.itemsize == 1:
        table = np.empty(256, y.dtype)
        requantize.numpy(np.arange(256, dtype=np.uint8).view(x.dtype), *numbers, table)
        return Call(lookup, (x, table, y), (y,))
    return Call(requantize, (x, *numbers, y), (y,), workspace=workspace(y))


@op("DEQUANTIZE", max_version=9)
def dequantize_(site):
    site.arity(1, 1)
    x = site.input(0)
    y = replace(site.output(0), type="float32").reshaped(x.shape)
    if x.type == "float16":
        return Call(convert, (x, y), (y,))
    if x.type not in ("int2", "int4", "uint4", "uint8", "int8", "int16"):
        site.unsupported(f"type {x.type}")
    scale, zero = _along_axis(site, x)
    if x.type == "int16":
        site.expect((zero == 0).all(), f"int16 with zero point {int(zero.ravel()[0])}")
        if scale.size > 1:
            return refused(y, "Type int16 not supported for per-channel")
    return Call(dequantize, (x, scale, zero, y), (y,))


def _along_axis(site, t):
    """Scales (float32) and zero points (int64) that broadcast over the tensor."""
    if t.quantization is None:
        site.expect(False, f"'{t.name}' has no quantization parameters")
    if t.quantization.block_size:
        site.unsupported(f"blockwise quantization of '{t.name}'")
    shape = [1] * t.rank
    if t.scales.size > 1:
        shape[t.quantization.axis] = t.scales.size
    return t.scales.reshape(shape), t.zeros.reshape(shape)
