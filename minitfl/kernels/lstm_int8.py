"""The LSTM cell on stored integers whose sums are int8: int8 activations and weights, int16 cell state and gates.

The formulas are those of lstm_float, with layer normalisation and a projection, and always with a coupled input gate
(CIFG) and without peepholes. What comes of x and of h is stored in int8 each, with the scale of an intermediate tensor;
their sum is int16. Normalisation, sigmoid and tanh are computed in float32, gates are stored with scale 2**-15.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from minitfl.kernels.exact import exact_product
from minitfl.kernels.fixedpoint import (
    rescale_twice,
    rescale_wide,
    round_away,
    rounding_shift,
    saturate_int16,
    wrap_int16,
    wrap_int32,
)
from minitfl.kernels.sequence import columns_in_time, in_time
from minitfl.kernels.tables import rounded
from minitfl.op import Kernel

ONE = 32768  # what gates are multiplied with to store them


@Kernel
def lstm_int8(names, stacks, norms, cell_clip, proj_clip, way, x, h, c, y, *weights):
    """lstm_float on stored integers, what comes of x and of h rounded to int8; x, h, y int8, c int16 (scale 2**-15).

    stacks: "input_to_forget" and so on -> (floats, bounds, added, first, zero, second): weights as exact_weights gives
    them; what the zero point of x adds to the sum of each row, int64; (multiplier, shift) to int8 with that zero, and
    on to the sum of both. "projection" -> (floats, bounds, bias, factor, zero). norms: gate -> the scale of its
    coefficients.
    """
    w = dict(zip(names, weights, strict=True))
    x, y = in_time(x, way), columns_in_time(y, way, h.shape[1])
    for t in range(len(x)):

        def gate(name, x_t=x[t]):
            total = part(stacks[f"input_to_{name}"], x_t) + part(stacks[f"recurrent_to_{name}"], h)
            return normalised(saturate_int16(total), w[f"{name}_norm"], norms[name], w[f"{name}_bias"])

        forget = logistic(gate("forget"))
        candidate = tanh(gate("cell"), 12)
        cell = wrap_int16(rounding_shift(forget * c, 15))
        cell = saturate_int16(cell + wrap_int16(rounding_shift((32767 - forget) * candidate, 15)))
        if cell_clip > 0:
            cell = np.clip(cell, -cell_clip, cell_clip)
        hidden = wrap_int16(rounding_shift(logistic(gate("output")) * tanh(cell, 15), 15))
        floats, bounds, bias, factor, zero = stacks["projection"]
        total = exact_product(hidden.astype(floats.dtype), floats, bounds).astype(np.int64) + bias
        result = np.clip(wrap_int32(rescale_wide(total, *factor)) + zero, -128, 127)
        if proj_clip > 0:
            result = np.clip(result, -proj_clip, proj_clip)
        c[...] = cell
        h[...] = result
        y[t] = result


def part(stack, x):
    """x through weights, as int8 and then with the scale of the sum, less the zero; int64."""
    floats, bounds, added, first, zero, second = stack
    total = exact_product(x.astype(floats.dtype), floats, bounds).astype(np.int64) + added
    stored = np.clip(rescale_twice(wrap_int32(total), *first) + zero, -128, 127)
    return rescale_twice(stored - zero, *second)


def normalised(x, coefficients, scale, bias):
    """coefficients * scale * (x - mean) / deviation + bias * scale / 2**10, with scale 2**-12, each row by itself.

    Sums are taken in float32 in the order of the row, so that they come out as in C++. Rows of equal numbers have a
    deviation of 1e-4; where rounding makes a variance negative the result is 0.
    """
    x = x.astype(np.float32)
    n = np.float32(x.shape[-1])
    mean = np.add.accumulate(x, axis=-1)[:, -1:] / n
    variance = np.add.accumulate(x * x, axis=-1)[:, -1:] / n - mean * mean
    inverse = np.float32(1) / np.sqrt(np.where(variance == 0, np.float32(1e-8), variance))
    y = (x - mean) * inverse * coefficients.astype(np.float32) * scale
    y += bias.astype(np.float32) * (np.float32(2.0**-10) * scale)
    return saturate_int16(np.nan_to_num(round_away(y * np.float32(4096)), nan=0.0)).astype(np.int64)


def logistic(x):
    """1 / (1 + exp(-x)) for x with scale 2**-12."""
    return _logistic_table()[x + 32768]


def tanh(x, bits):
    """tanh(x) for x with scale 2**-bits."""
    return _tanh_table(bits)[x + 32768]


@cache
def _logistic_table():
    """Of the 65536 inputs in rising order, int64."""
    power = rounded(np.exp)(_reals(12) * np.float32(-1))
    return np.minimum(np.trunc(np.float32(ONE) / (np.float32(1) + power)), 32767).astype(np.int64)


@cache
def _tanh_table(bits):
    """Of the 65536 inputs in rising order, int64."""
    return np.trunc(rounded(np.tanh)(_reals(bits)) * np.float32(ONE)).astype(np.int64)


def _reals(bits):
    return np.arange(-32768, 32768).astype(np.float32) * np.float32(2.0**-bits)
