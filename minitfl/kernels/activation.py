"""Activations made of straight pieces, and ELU, element by element; y has the shape of x and its own scale.

                float32       int8, uint8            int16
RELU RELU6      clamp         table of clamp_int     clamp_int
RELU_N1_TO_1    clamp         table of clamp_int
RELU_0_TO_1     clamp         table of clamp_int
LEAKY_RELU      leaky         table of leaky_int     leaky_int
PRELU           prelu         prelu_int              prelu_int (slope int8)
ELU             elu           table (int8)
HARD_SWISH      hard_swish    table
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.kernels.broadcast import blocks, broadcast_shape, refused, workspace
from minitfl.kernels.elementwise import check_int16, one_operand, scale_ratio
from minitfl.kernels.fixedpoint import (
    high_mul_int16,
    narrow,
    quantize_multiplier,
    quantize_one,
    rescale_twice,
    rounding_shift_int16,
    saturate_int16,
    stored_range,
    wrap_int16,
)
from minitfl.kernels.tables import by_table, rounded, stored_values, tabulated
from minitfl.op import Call, Kernel, Site, op

# ---- kernels: real numbers


@Kernel
def clamp(x, low, high, y):
    """y = x within low..high; NaN stays."""
    np.clip(x, low, high, out=y)


@Kernel
def leaky(x, slope, y):
    """y = x where x > 0, else slope * x, for a finite slope."""
    for y, x in blocks(y, x):
        np.maximum(x, 0, out=y)
        y += np.minimum(x, 0) * y.dtype.type(slope)


@Kernel
def prelu(x, slope, y):
    """y = x where x >= 0, else slope * x, for finite slopes. He et al., arXiv:1502.01852."""
    for y, x, slope in blocks(y, x, slope):
        np.maximum(x, 0, out=y)
        y += np.minimum(x, 0) * slope


@Kernel
def elu(x, y):
    """y = x where x >= 0, else exp(x) - 1. Clevert et al., arXiv:1511.07289."""
    for y, x in blocks(y, x):
        np.expm1(np.minimum(x, 0), out=y)
        np.copyto(y, x, where=~(x < 0))


@Kernel
def hard_swish(x, y):
    """y = x * min(max(x + 3, 0), 6) / 6. Howard et al., arXiv:1905.02244."""
    np.add(x, y.dtype.type(3), out=y)
    np.clip(y, 0, 6, out=y)
    np.multiply(x, y, out=y)
    np.divide(y, y.dtype.type(6), out=y)


# ---- kernels: quantized


@Kernel
def clamp_int(x, zero, factor, y_zero, low, high, y):
    """y = x within low..high, on stored numbers; factor: (multiplier, shift) of x_scale / y_scale."""
    for y, x in blocks(y, x):
        y[...] = _clamp(x, zero, factor, y_zero, low, high)


def _clamp(x, zero, factor, y_zero, low, high):
    return np.clip(rescale_twice(x.astype(np.int64) - zero, *factor) + y_zero, low, high)


@Kernel
def leaky_int(x, zero, factor, sign, slope_factor, y_zero, low, high, y):
    """y = x where x > 0, else slope * x, on stored numbers.

    factor: (multiplier, shift) of x_scale / y_scale; slope_factor: of the same times |slope|; sign: the slope's.
    """
    for y, x in blocks(y, x):
        y[...] = _leaky(x, zero, factor, sign, slope_factor, y_zero, low, high)


def _leaky(x, zero, factor, sign, slope_factor, y_zero, low, high):
    distance = x.astype(np.int64) - zero
    result = rescale_twice(np.maximum(distance, 0), *factor)
    result += sign * rescale_twice(np.minimum(distance, 0), *slope_factor)
    return np.clip(result + y_zero, low, high)


@Kernel
def prelu_int(x, slope, zero, slope_zero, factor, slope_factor, y_zero, low, high, y):
    """y = x where x >= 0, else slope * x, on stored numbers.

    factor: (multiplier, shift) of x_scale / y_scale; slope_factor: of the same times slope_scale.
    """
    for y, x, slope in blocks(y, x, slope):
        distance = x.astype(np.int64) - zero
        product = np.minimum(distance, 0) * (slope.astype(np.int64) - slope_zero)
        result = rescale_twice(np.maximum(distance, 0), *factor) + rescale_twice(product, *slope_factor)
        y[...] = np.clip(result + y_zero, low, high)


def _hard_swish(x, zero, relu_factor, factor, y_zero):
    """hard_swish on stored 8-bit numbers, in 16-bit variables; the factors are (multiplier of 15 bits, shift)."""
    x = (x - zero) << 7
    gate = saturate_int16(x << max(relu_factor[1] - 1, 0))
    gate = high_mul_int16(gate, relu_factor[0])
    if relu_factor[1] > 0:
        gate = saturate_int16(gate << 1)
    gate = rounding_shift_int16(gate, max(-relu_factor[1], 0))
    gate = (gate + (1 << 15)) >> 1
    product = gate * high_mul_int16(x, factor[0])
    cut = np.sign(product) * (np.abs(product) >> 15)  # C++ division truncates
    return wrap_int16(rounding_shift_int16(cut, -factor[1]) + y_zero)


# ---- preparations


def _clamping(site: Site, low: float, high: float, types: str) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(clamp, (x, low, high, y), (y,))
    if x.type in ("int8", "uint8", "int16"):
        check_int16(site, x, y)
    if x.type not in types.split():
        return refused(y, f"{site.op} of type {x.type}")
    least, most = stored_range(y.type)
    least = max(least, quantize_one(low, y.scale, y.zero))
    if np.isfinite(high):
        most = min(most, quantize_one(high, y.scale, y.zero))
    numbers = (x.zero, scale_ratio((x.scale,), (y.scale,)), y.zero, least, most)
    if x.type == "int16":
        return Call(clamp_int, (x, *numbers, y), (y,), workspace=workspace(y))
    return by_table(x, _clamp(stored_values(x.type), *numbers), y)


@op("RELU", max_version=3)
def relu(site: Site) -> Call:
    return _clamping(site, 0.0, np.inf, "uint8 int8 int16")


@op("RELU6", max_version=3)
def relu6(site: Site) -> Call:
    return _clamping(site, 0.0, 6.0, "uint8 int8 int16")


@op("RELU_N1_TO_1", max_version=1)
def relu_n1_to_1(site: Site) -> Call:
    return _clamping(site, -1.0, 1.0, "uint8 int8")


@op("RELU_0_TO_1", max_version=1)
def relu_0_to_1(site: Site) -> Call:
    return _clamping(site, 0.0, 1.0, "uint8 int8")


@op("LEAKY_RELU", max_version=2)
def leaky_relu(site: Site) -> Call:
    x, y = one_operand(site)
    slope = float(site.options.alpha)
    if x.type == "float32":
        return Call(leaky, (x, slope, y), (y,), workspace=workspace(y))
    if x.type not in ("int8", "uint8", "int16"):
        return refused(y, f"LEAKY_RELU of type {x.type}")
    check_int16(site, x, y)
    slope_factor = scale_ratio((x.scale, abs(slope)), (y.scale,))
    sign = -1 if slope < 0 else 1
    numbers = (x.zero, scale_ratio((x.scale,), (y.scale,)), sign, slope_factor, y.zero, *stored_range(y.type))
    if x.type == "int16":
        return Call(leaky_int, (x, *numbers, y), (y,), workspace=workspace(y))
    return by_table(x, _leaky(stored_values(x.type), *numbers), y)


@op("PRELU", max_version=1)
def prelu_(site: Site) -> Call:
    site.arity(2, 1)
    x, slope = site.input(0), site.input(1)
    y = replace(site.output(0), type=x.type).reshaped(x.known_shape)
    whole = broadcast_shape(x, slope)
    site.expect(whole == x.shape, f"the slope's shape {slope.shape} does not broadcast to the input's, {x.shape}")
    if x.type not in ("float32", "int8", "uint8", "int16"):
        return refused(y, f"PRELU of type {x.type}")
    wanted = "int8" if x.type == "int16" else x.type
    site.expect(slope.type == wanted, f"slope of type {slope.type} for input of type {x.type}, {wanted} is expected")
    if x.type == "float32":
        return Call(prelu, (x, slope, y), (y,), workspace=workspace(y))
    factors = scale_ratio((x.scale,), (y.scale,)), scale_ratio((x.scale, slope.scale), (y.scale,))
    args = (x, slope, x.zero, slope.zero, *factors, y.zero, *stored_range(y.type), y)
    return Call(prelu_int, args, (y,), workspace=workspace(y))


@op("ELU", max_version=1)
def elu_(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(elu, (x, y), (y,), workspace=workspace(y))
    if x.type != "int8":
        return refused(y, f"ELU of type {x.type}")
    return tabulated(lambda v: np.where(v < 0, rounded(np.expm1)(v), v), x, y)


@op("HARD_SWISH", max_version=1)
def hard_swish_(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(hard_swish, (x, y), (y,))
    if x.type not in ("int8", "uint8"):
        return refused(y, f"HARD_SWISH of type {x.type}")
    fine = np.float32(1 / 128) * np.float32(x.scale)
    relu_factor = _half_width(float(fine / (np.float32(3) / np.float32(32768))))
    factor = _half_width(float(fine / np.float32(y.scale)))
    site.expect(factor[1] <= 0, f"scales {x.scale} -> {y.scale}: the output's is too small")
    return by_table(x, _hard_swish(stored_values(x.type), x.zero, relu_factor, factor, y.zero), y)


def _half_width(real: float) -> tuple[int, int]:
    """quantize_multiplier with a multiplier of 15 bits."""
    multiplier, shift = quantize_multiplier(real)
    return int(narrow(multiplier)), shift
