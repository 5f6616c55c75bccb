"""Smooth activations, element by element; y has the shape of x and, where quantized, a scale of its own.

            real numbers                 int8, uint8    int16
GELU        float32 float16              table          513-entry table
TANH        float32 float16 bfloat16     table          tanh_int16
LOGISTIC    float32 float16 bfloat16     table          logistic_int16
"""

from __future__ import annotations

from functools import cache

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import bfloat16_form, blocks, refused, workspace
from minitfl.kernels.elementwise import check_int16, one_operand
from minitfl.kernels.fixedpoint import power_of_two, shift_half_up
from minitfl.kernels.tables import rounded, tabulated
from minitfl.op import Call, Kernel, Site, op

# ---- kernels: real numbers


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
    """y = tanh(x)"""
    np.tanh(x, out=y)


@Kernel
def logistic(x, y):
    """y = 1 / (1 + exp(-x)), below -9 exp(x) as in the reference kernel (a relative difference of up to 1.2e-4)."""
    for y, x in blocks(y, x):
        np.negative(x, out=y)
        np.exp(y, out=y)
        np.add(y, y.dtype.type(1), out=y)
        np.divide(y.dtype.type(1), y, out=y)
        low = x < -9
        if low.any():
            np.exp(x, out=y, where=low)


@Kernel
def logistic_half(x, y):
    """y = 1 / (1 + exp(-x)) on float16, computed in float32; see logistic."""
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
def logistic_int16(x, multiplier, right, ends, slopes, y):
    """y = 2**15 / (1 + exp(-x)): x goes to the scale 2**-12 / 3, then between two entries of a table for |x|.

    ends, slopes (256,): 2**9 times the entry and what the next one adds; see logistic_table.
    """
    for y, x in blocks(y, x):
        x = _narrowed(x, multiplier, right)
        negative = x >> 31  # -1 or 0: n ^ negative is -n - 1 or n
        upper = _between(ends, slopes, np.abs(x), 9)
        y[...] = shift_half_up((upper ^ negative) + (negative & (1 << 25)), 10)


@Kernel
def tanh_int16(x, multiplier, right, ends, slopes, y):
    """y = 2**15 * tanh(x), as 2 / (1 + exp(-2 * x)) - 1; see logistic_int16, here 2**8 times the entry."""
    for y, x in blocks(y, x):
        x = _narrowed(x, multiplier, right)
        upper = _between(ends, slopes, np.abs(x), 8) - (1 << 23)
        y[...] = shift_half_up(upper ^ (x >> 31), 8)


def _narrowed(x, multiplier, right):
    return shift_half_up(x.astype(np.int64) * multiplier, right).astype(np.int32)


def _between(ends, slopes, x, bits):
    place = np.minimum(x >> bits, 255)
    return ends[place] + (x & ((1 << bits) - 1)) * slopes[place]


@cache
def logistic_table() -> np.ndarray:
    """2**16 / (1 + exp(-i / 24)) for i = 0..255, moved by half of what a line to the next entry misses midway."""
    exact = 65536 / (1 + np.exp(-np.arange(-1, 257) / 24))
    table = np.floor(exact[1:-1] + (2 * exact[1:-1] - exact[:-2] - exact[2:]) / 16 + 0.5).astype(np.int64)
    table[255] = 65535
    return table


# ---- preparations


@op("GELU", max_version=3)
def gelu_(site: Site) -> Call:
    x, y = one_operand(site)
    approximate = site.options.approximate
    if x.type in ("float32", "float16"):
        return Call(gelu_tanh if approximate else gelu, (x, y), (y,), workspace=workspace(y, arrays=8))
    if x.type not in ("int8", "uint8", "int16"):
        return refused(y, f"GELU of type {x.type}")
    return tabulated(_gelu_tanh if approximate else _gelu, x, y)


@op("TANH", max_version=3)
def tanh_(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type in ("float32", "float16"):
        return Call(tanh, (x, y), (y,))
    if x.type == "bfloat16":
        return Call(bfloat16_form(tanh), (x, y), (y,), workspace=workspace(y))
    if x.type == "int16":
        site.expect(power_of_two(y.scale) == -15, f"output scale {y.scale}, 1/32768 is expected")
        check_int16(site, x, y)
        return _sigmoid_int16(tanh_int16, x, y, (0, 1), 8, 0xFFFF << 8)
    if x.type not in ("int8", "uint8"):
        return refused(y, f"TANH of type {x.type}")
    return tabulated(rounded(np.tanh), x, y)


@op("LOGISTIC", max_version=3)
def logistic_(site: Site) -> Call:
    x, y = one_operand(site)
    if x.type == "float32":
        return Call(logistic, (x, y), (y,))
    if x.type == "float16":
        return Call(logistic_half, (x, y), (y,), workspace=workspace(y, nbytes=4))
    if x.type == "bfloat16":
        return Call(bfloat16_form(logistic), (x, y), (y,), workspace=workspace(y))
    if x.type == "int16":
        site.expect(y.scale == 1 / 32768, f"output scale {y.scale}, 1/32768 is expected")
        check_int16(site, x, y)
        return _sigmoid_int16(logistic_int16, x, y, (0,), 9, 0x7FFF << 10)
    if x.type not in ("int8", "uint8"):
        return refused(y, f"LOGISTIC of type {x.type}")
    site.expect(y.scale == 1 / 256, f"output scale {y.scale}, 1/256 is expected")
    return tabulated(lambda v: 1 / (1 + rounded(np.exp)(-v)), x, y)


def _sigmoid_int16(kernel: Kernel, x: Tensor, y: Tensor, exact: tuple[int, ...], bits: int, last: int) -> Call:
    """exact: the shifts from the scale 2**-12 that need no multiplier but 3; last: the result past the table's end."""
    power = power_of_two(x.scale)
    if power is not None and power + 12 in exact:
        multiplier, right = 3 << (power + 12), 0
    else:
        real, right = x.scale * 4096.0 * 3.0, 0
        while real <= 32767.0 / 2 and right <= 30:
            real, right = real * 2, right + 1
        multiplier = int(real)
    table = logistic_table()
    ends, slopes = (table << bits).astype(np.int32), np.append(np.diff(table), 0).astype(np.int32)
    ends[255] = last
    return Call(kernel, (x, multiplier, right, ends, slopes, y), (y,), workspace=workspace(y))
