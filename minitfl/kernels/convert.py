"""CAST, QUANTIZE, DEQUANTIZE: the same numbers in another type.

    CAST          y = x in y's type: floats lose their fraction and saturate, complex numbers their imaginary part
    QUANTIZE      y = zero + round(x / scale) for floats; stored integers are rescaled
    DEQUANTIZE    y = scale * (x - zero); float16 as it is

                  x                             y                            kernel
    CAST          floats, bfloat16, complex     integers                     cut_off
                  any                           bool                         convert_to_bool
                  any                           float16, bfloat16            to_float16, to_bfloat16
                  all others                    all others                   convert
                  float32                       int4 int2 uint4              cut_off
    QUANTIZE      float32                       int4 uint4 int8 uint8 int16  quantize
                  int8 uint8                    int8 uint8                   lookup, in a table made by _requantized
                  int8 uint8                    int16                        requantize
                  int16                         int8 int16 int32             requantize
                  int32                         int8 int16                   requantize
    DEQUANTIZE    int2 int4 uint4 int8 uint8    float32                      dequantize
                  int16                         float32                      dequantize
                  float16                       float32                      convert

4- and 2-bit integers are cast from and to float32 alone. Scales are per tensor or per channel; per tensor alone where
integers are rescaled, where int16 is dequantized, and where the output is int4 or uint4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import BITS, Tensor
from minitfl.kernels.broadcast import blocks, refused, workspace
from minitfl.kernels.fixedpoint import (
    RANGES,
    bfloat16_to_float32,
    float32_to_bfloat16,
    quantize_multiplier,
    rescale_wrapped,
    round_away,
    round_away_finite,
    stored_range,
    wrap_int32,
)
from minitfl.kernels.tables import by_table, stored_values
from minitfl.op import Call, Kernel, Site, op

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
def cut_off(x, low, high, y):
    """y = x without its fraction, within low..high; NaN becomes high."""
    for y, x in blocks(y, x):
        if x.size and float(x.min()) > low - 1 and float(x.max()) < high + 1:
            np.copyto(y, x, casting="unsafe")
            continue
        whole = np.trunc(x.astype(np.float64))
        inside = (whole > low) & (whole < high)
        y[...] = np.where(inside, np.where(inside, whole, 0).astype(y.dtype), np.where(whole <= low, low, high))


@Kernel
def to_bfloat16(x, y):
    """y = x as bfloat16, by way of float32."""
    for y, x in blocks(y, x):
        y[...] = float32_to_bfloat16(x.astype(np.float32))


@Kernel
def to_float16(x, y):
    """y = x as float16, by way of float32."""
    for y, x in blocks(y, x):
        y[...] = x.astype(np.float32)


@cache
def reading(read: Callable[..., Any], kernel: Kernel) -> Kernel:
    """The kernel on read(x): x's numbers as NumPy can convert them."""

    def computed_after_reading(x, *args):
        for y, x in blocks(args[-1], x):
            kernel.numpy(read(x), *args[:-1], y)

    computed_after_reading.__name__ = f"{kernel.__name__}_of_{read.__name__}"
    return Kernel(computed_after_reading)


@Kernel
def quantize(x, scale, zero, low, high, y):
    """y = clip(zero + round(x / scale)), divided in float32, halves away from zero. scale, zero broadcast over x.

    zero: float32. What int32 can't hold becomes its lowest number, as in C++, before zero is added.
    """
    for y, x, scale, zero in blocks(y, x, np.broadcast_to(scale, x.shape), np.broadcast_to(zero, x.shape)):
        quotient = np.divide(x, scale)
        if x.size and float(quotient.min()) > -(2.0**30) and float(quotient.max()) < 2.0**30:  # with zero it fits too
            whole = round_away_finite(quotient)
            whole += zero  # exact below 2**24, and beyond the clip where it is not
        else:
            quotient = round_away(quotient)
            fits = (quotient >= -(2.0**31)) & (quotient < 2.0**31)
            whole = wrap_int32(np.where(fits, quotient, -(2.0**31)).astype(np.int64) + zero.astype(np.int64))
        np.copyto(y, np.clip(whole, low, high, out=whole), casting="unsafe")


@Kernel
def requantize(x, x_zero, multiplier, shift, y_zero, low, high, y):
    """y = clip(rescale_wrapped(x - x_zero) + y_zero)"""
    for y, x in blocks(y, x):
        y[...] = _requantized(x, x_zero, multiplier, shift, y_zero, low, high)


def _requantized(x, x_zero, multiplier, shift, y_zero, low, high):
    return np.clip(rescale_wrapped(x.astype(np.int64) - x_zero, multiplier, shift) + y_zero, low, high)


@Kernel
def dequantize(x, scale, zero, y):
    """y = scale * (x - zero), in float32. scale, zero broadcast over x."""
    np.subtract(x, zero, out=y, dtype=np.float32, casting="unsafe")
    np.multiply(y, scale, out=y)


# ---- preparations


@op("CAST", max_version=9)
def cast(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0).reshaped(site.input(0).known_shape)
    narrow = (x.type in BITS and y.type != "float32") or (y.type in BITS and x.type != "float32")
    if narrow or not CAST_TYPES.issuperset((x.type, y.type)):
        return refused(y, f"a cast of {x.type} to {y.type}")
    if x.type == y.type:
        return Call(convert, (x, y), (y,))
    floating = x.dtype.kind in "fc" or x.type == "bfloat16"
    limits = ()
    if y.type == "bool":
        kernel = convert_to_bool
    elif floating and y.type in RANGES:
        kernel, limits = cut_off, stored_range(y.type)
    else:
        kernel = {"bfloat16": to_bfloat16, "float16": to_float16}.get(y.type, convert)
    if x.type == "bfloat16":
        kernel = reading(bfloat16_to_float32, kernel)
    elif x.type == "complex64":
        kernel = reading(np.real, kernel)
    return Call(kernel, (x, *limits, y), (y,), workspace=workspace(y))


@op("QUANTIZE", max_version=6)
def quantize_(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(y.quantization is not None, f"the output '{y.name}' has no quantization parameters")
    y = y.reshaped(x.known_shape)
    if x.type == "float32":
        site.expect(y.type in ("uint8", "int8", "int16", "int4", "uint4"), f"the output of type {y.type}")
        scale, zero = along_axis(site, y)
        if scale.size > 1 and y.type in BITS:
            return refused(y, f"an output of type {y.type} with a scale for each channel")
        site.expect((scale != 0).all(), f"scale 0 of '{y.name}'")
        args = (x, scale, zero.astype(np.float32), *stored_range(y.type), y)
        return Call(quantize, args, (y,), workspace=workspace(y))
    site.expect(y.type in REQUANTIZED.get(x.type, ()), f"{x.type} can't be brought to {y.type}")
    if (x.type, y.type) == ("int16", "int16"):
        site.expect(x.zero == 0 and y.zero == 0, f"int16 with zero points {x.zero} and {y.zero}")
    site.expect(y.scale > 0, f"scale {y.scale} of '{y.name}'")
    multiplier, shift = quantize_multiplier(x.scale / y.scale)
    numbers = (x.zero, multiplier, shift, y.zero, *stored_range(y.type))
    if x.dtype.itemsize == 1 and y.dtype.itemsize == 1:
        return by_table(x, _requantized(stored_values(x.type), *numbers), y)
    return Call(requantize, (x, *numbers, y), (y,), workspace=workspace(y))


@op("DEQUANTIZE", max_version=9)
def dequantize_(site: Site) -> Call:
    site.arity(1, 1)
    x = site.input(0)
    y = replace(site.output(0), type="float32").reshaped(x.known_shape)
    if x.type in ("float16", "int16") and x.quantization is not None and not x.quantization.per_tensor:
        return refused(y, f"an input of type {x.type} with a scale for each channel")
    if x.type == "float16":
        return Call(convert, (x, y), (y,))
    if x.type not in ("int2", "int4", "uint4", "uint8", "int8", "int16"):
        site.unsupported(f"type {x.type}")
    scale, zero = along_axis(site, x)
    site.expect(x.type != "int16" or zero.item() == 0, f"int16 with zero points {zero.ravel().tolist()}")
    return Call(dequantize, (x, scale, zero, y), (y,))


def along_axis(site: Site, t: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scales (float32) and zero points (int64) that broadcast over the tensor."""
    quantization = t.quantization
    if quantization is None:
        raise ModelError(f"'{t.name}' has no quantization parameters")
    if quantization.block_size:
        site.unsupported(f"blockwise quantization of '{t.name}'")
    shape = [1] * t.rank
    if t.scales.size > 1:
        axis = quantization.axis
        along = t.known_shape[axis] if 0 <= axis < t.rank else -1
        site.expect(along == t.scales.size, f"{t.scales.size} scales along axis {axis} of {t.shape}")
        shape[axis] = along
    return t.scales.reshape(shape), t.zeros.reshape(shape)
