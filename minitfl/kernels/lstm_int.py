"""The LSTM cell on stored integers: int8 activations and weights, int16 cell state and gates.

The formulas are those of lstm_float. Each gate's sum is brought to int16 with scale 2**-12 (Q3) or, before layer
normalisation, with the scale of an intermediate tensor; its function gives Q0. Every partial sum saturates at int16.
"""

import numpy as np

from minitfl.kernels.exact import exact_product
from minitfl.kernels.fixedmath import inverse_square_root
from minitfl.kernels.fixedpoint import (
    rescale_twice,
    rescale_up,
    rounding_shift,
    saturate_int16,
    truncated_quotient,
    wrap_int16,
    wrap_int32,
)
from minitfl.kernels.gates import logistic, tanh
from minitfl.kernels.lstm_float import parts, steps_at_once
from minitfl.kernels.sequence import columns_in_time, in_time
from minitfl.op import Kernel


@Kernel
def lstm_int(
    names, stacks, factors, guards, cell_exponent, cell_clip, proj_clip, hidden_zero, h_zero, way, x, h, c, y, *weights
):
    """lstm_float on stored integers, all sums and gates in fixed point; x, h, y int8, c int16. names as there.

    stacks: "input_to_", "recurrent_to_" or "projection" -> (floats, bounds, gates, bias, multiplier, shift): the
    weights of all gates, one above the other, as exact_weights gives them, the gates' names, and int64 numbers of each
    row; the bias holds what the zero points add, -zero times the sum of the row. factors: name -> (multiplier, shift)
    for cell_to_*, *_norm and "hidden", o * tanh(c). guards: gate -> the least variance. The cell state's scale is
    2**cell_exponent.
    """
    w = dict(zip(names, weights, strict=True))
    x, y = in_time(x, way), columns_in_time(y, way, h.shape[1])
    batch, many, gates = len(h), steps_at_once(x, 4 * c.shape[-1]), stacks["input_to_"][2]
    incoming = np.zeros((0, 0), np.int64)
    for t in range(len(x)):
        place = t % many
        if place == 0:
            incoming = saturate_int16(product(stacks["input_to_"], x[t : t + many].reshape(-1, x.shape[-1])))
        both = saturate_int16(incoming[place * batch : (place + 1) * batch] + product(stacks["recurrent_to_"], h))
        total = dict(zip(gates, parts(both, len(gates)), strict=True))
        cell = c.astype(np.int64)
        forget = logistic(gate(w, factors, guards, total, "forget", cell))
        if "input" in total:
            admit = logistic(gate(w, factors, guards, total, "input", cell))
        else:
            admit = 32767 - forget
        candidate = tanh(gate(w, factors, guards, total, "cell", None), 3)
        cell = wrap_int16(rounding_shift(forget * cell, 15))
        cell = saturate_int16(cell + wrap_int16(rounding_shift(admit * candidate, 30 + cell_exponent)))
        if cell_clip > 0:
            cell = np.clip(cell, -cell_clip, cell_clip)
        out = logistic(gate(w, factors, guards, total, "output", cell))
        hidden = rescale_twice(out * tanh(cell, 15 + cell_exponent), *factors["hidden"])
        if "projection" in stacks:
            hidden = np.clip(hidden - hidden_zero, -128, 127)
            result = np.clip(product(stacks["projection"], hidden) + h_zero, -128, 127)
            if proj_clip > 0:
                result = np.clip(result, -proj_clip, proj_clip)
        else:
            result = np.clip(hidden + hidden_zero, -128, 127)
        c[...] = cell
        h[...] = result
        y[t] = result


def product(stack, x):
    """x through the weights of all gates, side by side, with what the zero points add; rescaled, int64."""
    floats, bounds, _, bias, multiplier, shift = stack
    total = exact_product(x.astype(floats.dtype), floats, bounds).astype(np.int64)
    total += bias
    return rescale_twice(wrap_int32(total), multiplier, shift)


def gate(w, factors, guards, total, name, c):
    """The sum of one gate before its function, int16 in int64; total: what comes of x and h. c None: no peephole."""
    total = total[name]
    if c is not None and f"cell_to_{name}" in w:
        total = saturate_int16(total + peephole(w[f"cell_to_{name}"], c, factors[f"cell_to_{name}"]))
    if f"{name}_norm" in w:
        return normalised(total, w[f"{name}_norm"], w[f"{name}_bias"], factors[f"{name}_norm"], guards[name])
    return total


def peephole(w, c, factor):
    """w * c rescaled. The official vector code, which takes whole blocks of 16 cells, rounds ties up, not away."""
    total = w.astype(np.int64) * c
    whole = c.shape[-1] // 16 * 16
    return np.concatenate([rescale_up(total[:, :whole], *factor), rescale_twice(total[:, whole:], *factor)], axis=-1)


def normalised(x, coefficients, bias, factor, guard):
    """coefficients * (x - mean) / deviation + bias, each row by itself; mean and deviation with 10 fractional bits."""
    n = x.shape[-1]
    mean = truncated_quotient(x.sum(-1) * 1024, n)
    variance = truncated_quotient(np.square(x).sum(-1) * ((1 << 20) // n) - mean * mean, 1 << 20)
    y = np.empty_like(x)
    for row, (values, m, v) in enumerate(zip(x, mean, variance, strict=True)):
        inverse = inverse_square_root(int(v) if v >= 1 else guard)
        scaled = rescale_twice(1024 * values - m, *inverse)
        weighted = wrap_int32(wrap_int32(scaled * coefficients) + bias)
        y[row] = rescale_twice(rounding_shift(weighted, 10), factor[0], factor[1] + 12)
    return saturate_int16(y)
