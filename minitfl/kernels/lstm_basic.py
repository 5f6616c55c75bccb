"""LSTM with kernel_type BASIC: the cell of its first version, one step, all gates through one matrix.

    joined = x and h side by side
    sums = joined @ w.T + bias              input gate, candidate, forget gate, output gate
    c = sigmoid(forget) * c + sigmoid(input) * tanh(candidate)
    h = y = sigmoid(output) * tanh(c)

x (batch, depth), h, c (batch, units), w (4 * units, depth + units), bias (4 * units,). All of y, c, joined and sums are
outputs. h and c are written back; they need not be variables.

    x, h, y, joined   w        bias      c         sums      kernel
    float32           float32  float32   float32   float32   lstm_basic_float
    uint8             uint8    int32     int16     int16     lstm_basic_int
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.broadcast import refused
from minitfl.kernels.exact import exact_matmul
from minitfl.kernels.fixedpoint import (
    high_mul_int16,
    power_of_two,
    quantize_multiplier,
    rescale_up,
    rounding_shift,
    saturate_int16,
    wrap_int32,
)
from minitfl.kernels.gates import logistic, tanh
from minitfl.kernels.lstm_float import sigmoid
from minitfl.op import Call, Kernel, Site

TYPES = (
    ("float32",) * 9,
    ("uint8", "uint8", "uint8", "int32", "int16", "uint8", "int16", "uint8", "int16"),
)


@Kernel
def lstm_basic_float(x, h, w, bias, c, y, c_out, joined, sums):
    """The formulas above, y = h, and c_out = c; joined and sums are what they say. float32."""
    np.concatenate([x, h], axis=-1, out=joined)
    np.matmul(joined, w.T, out=sums)
    sums += bias
    admit, candidate, forget, out = np.split(sums, 4, axis=-1)
    c_out[...] = sigmoid(admit) * np.tanh(candidate) + sigmoid(forget) * c
    y[...] = sigmoid(out) * np.tanh(c_out)
    c[...] = c_out
    h[...] = y


@Kernel
def lstm_basic_int(x, h, w, w_zero, bias, multiplier, shift, c, y, c_out, joined, sums):
    """lstm_basic_float on uint8 with scale 1/128 and zero 128; c and c_out int16 in Q4, sums int16 in Q3."""
    np.concatenate([x, h], axis=-1, out=joined)
    total = exact_matmul(joined, 128, w.T, w_zero) + bias
    sums[...] = saturate_int16(rescale_up(wrap_int32(total), multiplier, shift))
    admit, candidate, forget, out = np.split(sums, 4, axis=-1)
    fresh = high_mul_int16(logistic(admit), tanh(candidate, 3))
    kept = high_mul_int16(logistic(forget), c.astype(np.int64))
    c_out[...] = saturate_int16(rounding_shift(fresh, 4) + kept)
    result = high_mul_int16(logistic(out), tanh(c_out, 4))
    y[...] = 128 + np.clip(rounding_shift(result, 8), -128, 127)
    c[...] = c_out
    h[...] = y


# ---- preparations


def basic(site: Site) -> Call:
    """The preparation of LSTM for this cell."""
    site.arity(5, 4)
    x, h, w, bias, c = (site.input(i) for i in range(5))
    for t in (x, h, w, c):
        site.expect(t.rank == 2, f"'{t.name}' has {t.rank} axes, not 2")
    (batch, depth), units = x.known_shape, h.known_shape[1]
    wanted = {h: (batch, units), w: (4 * units, depth + units), bias: (4 * units,), c: (batch, units)}
    for t, shape in wanted.items():
        site.expect(t.shape == shape, f"'{t.name}' is {t.shape}, not {shape}")
    for t in (h, c):
        site.expect(t.data is None, f"the state '{t.name}' is a constant")
    widths = units, units, depth + units, 4 * units
    y, *others = outputs = tuple(site.output(i).reshaped(batch, n) for i, n in enumerate(widths))
    types = tuple(t.type for t in (x, h, w, bias, c, *outputs))
    if types not in TYPES:
        return refused(y, f"Unsupported combination of data types for LstmCell: {', '.join(types)}", *others)
    bound = 64 * batch * (depth + units + 16 * units) + 8 * w.size
    if types[0] == "float32":
        return Call(lstm_basic_float, (x, h, w, bias, c, *outputs), outputs, mutates=(h, c), workspace=bound)
    if power_of_two(others[0].numbers[0]) != -11:
        return refused(y, f"the state's scale is {others[0].numbers[0]}, not 2**-11", *others)
    multiplier, shift = quantize_multiplier(4096 * bias.numbers[0])
    args = (x, h, w, w.numbers[1], bias, multiplier, shift, c, *outputs)
    return Call(lstm_basic_int, args, outputs, mutates=(h, c), workspace=bound)
