"""Activations, element by element; y has the shape of x and, where quantized, a scale of its own.

                real numbers                 int8, uint8            int16
RELU RELU6      float32                      table of clamp_int     clamp_int
RELU_N1_TO_1    float32                      table of clamp_int
RELU_0_TO_1     float32                      table of clamp_int
LEAKY_RELU      float32                      table of leaky_int     leaky_int
PRELU           float32                      prelu_int              prelu_int (slope int8)
ELU             float32                      table (int8)
HARD_SWISH      float32                      table
GELU            float32 float16              table                  513-entry table
TANH LOGISTIC   float32 float16 bfloat16     table                  tanh_int16, logistic_int16
"""

from __future__ import annotations

from functools import cache

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import bfloat16_form, blocks, broadcast_shape, refused, workspace
from minitfl.kernels.fixedpoint import (
    high_mul_int16,
    power_of_two,
    quantize_multiplier,
    quantize_one,
    rescale_twice,
    rounding_shift,
    stored_range,
)
from minitfl.kernels.tables import lookup, rounded, stored_values, table_of, tabulated
from minitfl.op import Call, Kernel, Site, op

# ---- kernels: real numbers


@Kernel
def clamp(x, low, high, y):
    """y = x within low..high; NaN stays."""
    np.clip(x, low, high, out=y)


@Kernel
def leaky(x, slope, y):
    """y = x where x > 0, else slope * x."""
    np.multiply(x, y.dtype.type(slope), out=y)
    np.copyto(y, x, where=x > 0)


@Kernel
def prelu(x, slope, y):
    """y = x where x >= 0, else slope * x. He et al., arXiv:1502.01852."""
    np.multiply(x, slope, out=y)
    np.copyto(y, x, where=x >= 0)


@Kernel
def elu(x, y):
    """y = x where x >= 0, else exp(x) - 1. Clevert et al., arXiv:1511.07289."""
    np.expm1(np.minimum(x, 0), out=y)
    np.copyto(y, x, where=~(x < 0))


@Kernel
def hard_swish(x, y):
    """y = x * min(max(x + 3, 0), 6) / 6. Howard et al., arXiv:1905.02244."""
    np.add(x, y.dtype.type(3), out=y)
    np.clip(y, 0, 6, out=y)
    np.multiply(x, y, out=y)
    np.divide(y, y.dtype.type(6), out=y)


@Kernel
def gelu(x, y):
    """y = x / 2 * erfc(-x / sqrt(2)). Hendrycks & Gimpel, arXiv:1606.08415."""
    for y, x in blocks(y, x):
        y[...] = _gelu(x)


@Kernel
def gelu_tanh(x, y):
    """y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))), the approximation of the same paper."""
    for y, x in blocks(y, x):
        y[...] = _gelu_tanh(x)


@Kernel
def tanh(x, y):
    np.tanh(x, out=y)


@Kernel
def logistic(x, y):
    """y = 1 / (1 + exp(-x)), below -9 exp(x) as in the reference kernel (a relative difference of up to 1.2e-4)."""
    np.negative(x, out=y)
    np.exp(y, out=y)
    np.add(y, y.dtype.type(1), out=y)
    np.divide(y.dtype.type(1), y, out=y)
    low = x < -9
    if low.any():
        np.exp(x, out=y, where=low)


@Kernel
def logistic_half(x, y):
    """logistic on float16, computed in float32."""
    for y, x in blocks(y, x):
        result = np.empty(x.shape, np.float32)
        logistic.numpy(x.astype(np.float32), result)
        y[...] = result


def _gelu(x):
    return x.dtype.type(0.5) * x * erfc(x * x.dtype.type(-(0.5**0.5)))


def _gelu_tanh(x):
    real = x.dtype.type
    inner = real((2 / np.pi) ** 0.5) * (x + real(0.044715) * (x * x * x))
    return real(0.5) * x * (real(1) + rounded(np.tanh)(inner))


def erfc(x):
    """2 / sqrt(pi) * the integral of exp(-t**2) from x up, with a relative error of 2e-10 before it is rounded.

    For z = |x| and t = 2 / (2 + z): t * exp(-z**2 + P(2 * t - 1)), P fitted at Chebyshev nodes.
    """
    z = np.minimum(np.abs(x.astype(np.float64)), 40.0)
    t = 2 / (2 + z)
    u = 2 * t - 1
    fit = np.full_like(u, ERFC[-1])
    for coefficient in ERFC[-2::-1]:
        fit *= u
        fit += coefficient
    upper = t * np.exp(fit - z * z)
    return np.where(x < 0, 2 - upper, np.where(np.isnan(x), np.nan, upper)).astype(x.dtype)


ERFC = (
    -0.6717940841673, 0.6726432239792, 0.0473433210387, -0.04689561044578, -0.009872991001355, 0.008824944430584,
    0.001761401525234, -0.002345881304941, -0.0001563090200262, 0.0006740995350092, -7.094479322098e-05,
    -0.0001757727399811, 4.161466415745e-05, 3.481673551964e-05, -8.070072501796e-06, -3.758452884734e-06,
)  # fmt: skip

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
    """leaky on stored numbers; factor: x_scale / y_scale, slope_factor: the same times |slope|, sign: the slope's."""
    for y, x in blocks(y, x):
        y[...] = _leaky(x, zero, factor, sign, slope_factor, y_zero, low, high)


def _leaky(x, zero, factor, sign, slope_factor, y_zero, low, high):
    distance = x.astype(np.int64) - zero
    result = np.where(distance >= 0, rescale_twice(distance, *factor), sign * rescale_twice(distance, *slope_factor))
    return np.clip(result + y_zero, low, high)


@Kernel
def prelu_int(x, slope, zero, slope_zero, factor, slope_factor, y_zero, low, high, y):
    """prelu on stored numbers; factor: x_scale / y_scale, slope_factor: the same times slope_scale."""
    for y, x, slope in blocks(y, x, slope):
        distance = x.astype(np.int64) - zero
        product = distance * (slope.astype(np.int64) - slope_zero)
        result = np.where(distance >= 0, rescale_twice(distance, *factor), rescale_twice(product, *slope_factor))
        y[...] = np.clip(result + y_zero, low, high)


@Kernel
def logistic_int16(x, multiplier, right, table, y):
    """y = 2**15 / (1 + exp(-x)): x goes to the scale 2**-12 / 3, then between the entries of table (256,).

    table[i] ~ 2**16 / (1 + exp(-i / 24)), for |x| alone; the function is symmetric.
    """
    for y, x in blocks(y, x):
        x = _narrowed(x, multiplier, right)
        upper = _between(table, np.abs(x), 9, 0x7FFF << 10)
        y[...] = np.where(x >= 0, upper + (1 << 9), (1 << 25) - upper + (1 << 9) - 1) >> 10


@Kernel
def tanh_int16(x, multiplier, right, table, y):
    """y = 2**15 * tanh(x), as 2 / (1 + exp(-2 * x)) - 1; see logistic_int16."""
    for y, x in blocks(y, x):
        x = _narrowed(x, multiplier, right)
        upper = _between(table, np.abs(x), 8, 0xFFFF << 8) - (1 << 23)
        y[...] = np.where(x >= 0, upper + (1 << 7), -upper + (1 << 7) - 1) >> 8


def _narrowed(x, multiplier, right):
    return (x.astype(np.int64) * multiplier + ((1 << right) >> 1)) >> right


def _between(table, x, bits, beyond):
    """2**bits times the value between table[i] and table[i + 1], i = x >> bits; `beyond` after the table's end."""
    i = np.minimum(x >> bits, 254)
    part = x & ((1 << bits) - 1)
    return np.where(x >> bits >= 255, beyond, (table[i] << bits) + part * (table[i + 1] - table[i]))


@cache
def logistic_table() -> np.ndarray:
    """2**16 / (1 + exp(-i / 24)) for i = 0..255, moved by half of what a line to the next entry misses midway."""
    exact = 65536 / (1 + np.exp(-np.arange(-1, 257) / 24))
    table = np.floor(exact[1:-1] + (2 * exact[1:-1] - exact[:-2] - exact[2:]) / 16 + 0.5).astype(np.int64)
    table[255] = 65535
    return table


def _hard_swish(x, zero, relu_factor, factor, y_zero):
    """hard_swish on stored 8-bit numbers, in 16-bit fixed point; the factors are (multiplier of 15 bits, shift)."""
    x = (x - zero) << 7
    gate = np.clip(x << max(relu_factor[1] - 1, 0), -32768, 32767)
    gate = high_mul_int16(gate, relu_factor[0])
    if relu_factor[1] > 0:
        gate = np.clip(gate << 1, -32768, 32767)
    gate = rounding_shift(gate, max(-relu_factor[1], 0))
    gate = (gate + (1 << 15)) >> 1
    product = gate * high_mul_int16(x, factor[0])
    cut = np.sign(product) * (np.abs(product) >> 15)  # C++ division truncates
    return rounding_shift(cut, -factor[1]) + y_zero


# ---- preparations


def _one(site: Site, inputs: int = 1) -> tuple[Tensor, Tensor]:
    """Input and output, of one type and shape."""
    site.arity(inputs, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.type == y.type, f"input of type {x.type}, output of type {y.type}")
    return x, y.reshaped(x.known_shape)


def _ratio(*scales: float) -> tuple[int, int]:
    """(multiplier, shift) of the product of all scales but the last over the last, computed in float32."""
    product = np.float32(scales[0])
    with np.errstate(all="ignore"):
        for scale in scales[1:-1]:
            product = product * np.float32(scale)
        return quantize_multiplier(float(product / np.float32(scales[-1])))


def _check_int16(site: Site, x: Tensor, y: Tensor) -> None:
    for t in (x, y):
        site.expect(t.type != "int16" or t.zero == 0, f"zero point {t.zero} of an int16 tensor, 0 is expected")


def _by_table(x: Tensor, values: np.ndarray, y: Tensor) -> Call:
    return Call(lookup, (x, table_of(values, y.type), y), (y,), workspace=workspace(y, nbytes=2, arrays=2))


def _clamping(site: Site, low: float, high: float, types: str) -> Call:
    x, y = _one(site)
    if x.type == "float32":
        return Call(clamp, (x, low, high, y), (y,))
    if x.type in ("int8", "uint8", "int16"):
        _check_int16(site, x, y)
    if x.type not in types.split():
        return refused(y, f"{site.op} of type {x.type}")
    least, most = stored_range(y.type)
    least = max(least, quantize_one(low, y.scale, y.zero))
    if np.isfinite(high):
        most = min(most, quantize_one(high, y.scale, y.zero))
    numbers = (x.zero, _ratio(x.scale, y.scale), y.zero, least, most)
    if x.type == "int16":
        return Call(clamp_int, (x, *numbers, y), (y,), workspace=workspace(y))
    return _by_table(x, _clamp(stored_values(x.type), *numbers), y)


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
    x, y = _one(site)
    slope = float(site.options.alpha)
    if x.type == "float32":
        return Call(leaky, (x, slope, y), (y,))
    if x.type not in ("int8", "uint8", "int16"):
        return refused(y, f"LEAKY_RELU of type {x.type}")
    _check_int16(site, x, y)
    slope_factor = _ratio(x.scale, abs(slope), y.scale)
    sign = -1 if slope < 0 else 1
    numbers = (x.zero, _ratio(x.scale, y.scale), sign, slope_factor, y.zero, *stored_range(y.type))
    if x.type == "int16":
        return Call(leaky_int, (x, *numbers, y), (y,), workspace=workspace(y))
    return _by_table(x, _leaky(stored_values(x.type), *numbers), y)


@op("PRELU", max_version=1)
def prelu_op(site: Site) -> Call:
    x, y = _one(site, 2)
    slope = site.input(1)
    whole = broadcast_shape(x, slope)
    site.expect(whole == x.shape, f"the slope's shape {slope.shape} does not broadcast to the input's, {x.shape}")
    if x.type not in ("float32", "int8", "uint8", "int16"):
        return refused(y, f"PRELU of type {x.type}")
    wanted = "int8" if x.type == "int16" else x.type
    site.expect(slope.type == wanted, f"slope of type {slope.type} for input of type {x.type}, {wanted} is expected")
    if x.type == "float32":
        return Call(prelu, (x, slope, y), (y,))
    factors = _ratio(x.scale, y.scale), _ratio(x.scale, slope.scale, y.scale)
    args = (x, slope, x.zero, slope.zero, *factors, y.zero, *stored_range(y.type), y)
    return Call(prelu_int, args, (y,), workspace=workspace(y))


@op("ELU", max_version=1)
def elu_op(site: Site) -> Call:
    x, y = _one(site)
    if x.type == "float32":
        return Call(elu, (x, y), (y,), workspace=2 * y.nbytes)
    if x.type != "int8":
        return refused(y, f"ELU of type {x.type}")
    return tabulated(site, lambda v: np.where(v < 0, rounded(np.expm1)(v), v), x, y)


@op("HARD_SWISH", max_version=1)
def hard_swish_op(site: Site) -> Call:
    x, y = _one(site)
    if x.type == "float32":
        return Call(hard_swish, (x, y), (y,))
    if x.type not in ("int8", "uint8"):
        return refused(y, f"HARD_SWISH of type {x.type}")
    fine = np.float32(1 / 128) * np.float32(x.scale)
    factors = []
    for scale in (np.float32(3) / np.float32(32768), np.float32(y.scale)):
        multiplier, shift = quantize_multiplier(float(fine / scale))
        factors.append((min((multiplier + (1 << 15)) >> 16, 32767), shift))
    site.expect(factors[1][1] <= 0, f"scales {x.scale} -> {y.scale}: the output's is too small")
    return _by_table(x, _hard_swish(stored_values(x.type), x.zero, *factors, y.zero), y)


@op("GELU", max_version=3)
def gelu_op(site: Site) -> Call:
    x, y = _one(site)
    approximate = site.options.approximate
    if x.type in ("float32", "float16"):
        return Call(gelu_tanh if approximate else gelu, (x, y), (y,), workspace=workspace(y))
    if x.type not in ("int8", "uint8", "int16"):
        return refused(y, f"GELU of type {x.type}")
    return tabulated(site, _gelu_tanh if approximate else _gelu, x, y)


@op("TANH", max_version=3)
def tanh_op(site: Site) -> Call:
    x, y = _one(site)
    if x.type in ("float32", "float16"):
        return Call(tanh, (x, y), (y,))
    if x.type == "bfloat16":
        return Call(bfloat16_form(tanh), (x, y), (y,))
    if x.type == "int16":
        site.expect(power_of_two(y.scale) == -15, f"output scale {y.scale}, 1/32768 is expected")
        return _sigmoid_int16(site, tanh_int16, x, y, (0, 1))
    if x.type not in ("int8", "uint8"):
        return refused(y, f"TANH of type {x.type}")
    return tabulated(site, rounded(np.tanh), x, y)


@op("LOGISTIC", max_version=3)
def logistic_op(site: Site) -> Call:
    x, y = _one(site)
    if x.type == "float32":
        return Call(logistic, (x, y), (y,))
    if x.type == "float16":
        return Call(logistic_half, (x, y), (y,), workspace=workspace(y, nbytes=4))
    if x.type == "bfloat16":
        return Call(bfloat16_form(logistic), (x, y), (y,))
    if x.type == "int16":
        site.expect(y.scale == 1 / 32768, f"output scale {y.scale}, 1/32768 is expected")
        return _sigmoid_int16(site, logistic_int16, x, y, (0,))
    if x.type not in ("int8", "uint8"):
        return refused(y, f"LOGISTIC of type {x.type}")
    site.expect(y.scale == 1 / 256, f"output scale {y.scale}, 1/256 is expected")
    return tabulated(site, lambda v: 1 / (1 + rounded(np.exp)(-v)), x, y)


def _sigmoid_int16(site: Site, kernel: Kernel, x: Tensor, y: Tensor, exact: tuple[int, ...]) -> Call:
    """exact: the shifts from the scale 2**-12 that need no multiplier but 3."""
    _check_int16(site, x, y)
    power = power_of_two(x.scale)
    if power is not None and power + 12 in exact:
        multiplier, right = 3 << (power + 12), 0
    else:
        real, right = x.scale * 4096.0 * 3.0, 0
        while real <= 32767.0 / 2 and right <= 30:
            real, right = real * 2, right + 1
        multiplier = int(real)
    return Call(kernel, (x, multiplier, right, logistic_table(), y), (y,), workspace=workspace(y, arrays=10))
