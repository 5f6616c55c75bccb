"""The LSTM cell on stored integers: int8 activations and weights, int16 cell state and gates.

The formulas are those of lstm_float. Each gate's sum is brought to int16 with scale 2**-12 (Q3) or, before layer
normalisation, with the scale of an intermediate tensor; its function gives Q0. Every partial sum saturates at int16.
"""

import numpy as np

from minitfl.kernels.fixedmath import inverse_square_root
from minitfl.kernels.fixedpoint import (
    exact_matmul,
    high_mul_int16,
    rescale_twice,
    rescale_up,
    rounding_shift,
    wrap_int32,
)
from minitfl.kernels.gates import logistic, tanh
from minitfl.op import Kernel


@Kernel
def lstm_int(names, factors, guards, cell_exponent, cell_clip, proj_clip, hidden_zero, h_zero, x, h, c, y, *weights):
    """x, h, y int8, c int16. names as in lstm_float.

    factors: name of the weights -> (multiplier, shift); "hidden" for o * tanh(c), "input_norm" and so on for the
    coefficients. guards: gate -> the least variance. The cell state's scale is 2**cell_exponent.
    biases are of int64 and hold what the zero points add: -zero times the sum of each row of weights.
    """
    w = dict(zip(names, weights, strict=True))
    for t in range(x.shape[0]):
        now, state, cell = x[t], h.copy(), c.astype(np.int64)
        forget = logistic(gate(w, factors, guards, "forget", now, state, cell))
        if "input_to_input" in w:
            admit = logistic(gate(w, factors, guards, "input", now, state, cell))
        else:
            admit = 32767 - forget
        candidate = tanh(gate(w, factors, guards, "cell", now, state, None), 3)
        cell = wrap_int16(rounding_shift(forget * cell, 15))
        cell = saturate(cell + wrap_int16(rounding_shift(admit * candidate, 30 + cell_exponent)))
        if cell_clip > 0:
            cell = np.clip(cell, -cell_clip, cell_clip)
        out = logistic(gate(w, factors, guards, "output", now, state, cell))
        hidden = rescale_twice(out * tanh(cell, 15 + cell_exponent), *factors["hidden"])
        if "projection" in w:
            hidden = np.clip(hidden - hidden_zero, -128, 127)
            total = exact_matmul(hidden.astype(np.int8), 0, w["projection"].T, 0) + w["projection_bias"]
            result = np.clip(rescale_twice(wrap_int32(total), *factors["projection"]) + h_zero, -128, 127)
            if proj_clip > 0:
                result = np.clip(result, -proj_clip, proj_clip)
        else:
            result = np.clip(hidden + hidden_zero, -128, 127)
        c[...] = cell
        h[...] = result
        y[t] = result


def gate(w, factors, guards, name, x, h, c):
    """The sum of one gate before its function, int16 in int64."""
    total = saturate(product(w, factors, f"input_to_{name}", x))
    total = saturate(total + product(w, factors, f"recurrent_to_{name}", h))
    if c is not None and f"cell_to_{name}" in w:
        peephole = rescale_twice(w[f"cell_to_{name}"].astype(np.int64) * c, *factors[f"cell_to_{name}"])
        total = saturate(total + peephole)
    if f"{name}_norm" in w:
        return normalised(total, w[f"{name}_norm"], w[f"{name}_bias"], factors[f"{name}_norm"], guards[name])
    return total


def product(w, factors, name, x):
    total = exact_matmul(x, 0, w[name].T, 0) + w[f"{name}_bias"]
    return rescale_twice(wrap_int32(total), *factors[name])


def normalised(x, coefficients, bias, factor, guard):
    """coefficients * (x - mean) / deviation + bias, each row by itself; mean and deviation with 10 fractional bits."""
    n = x.shape[-1]
    mean = truncated(x.sum(-1) * 1024, n)
    variance = truncated(np.square(x).sum(-1) * ((1 << 20) // n) - mean * mean, 1 << 20)
    y = np.empty_like(x)
    for row, (values, m, v) in enumerate(zip(x, mean, variance, strict=True)):
        inverse = inverse_square_root(int(v) if v >= 1 else guard)
        scaled = rescale_twice(1024 * values - m, *inverse)
        weighted = wrap_int32(wrap_int32(scaled * coefficients) + bias)
        rounded = truncated(np.where(weighted > 0, weighted + 512, weighted - 512), 1024)
        y[row] = rescale_twice(rounded, factor[0], factor[1] + 12)
    return saturate(y)


def truncated(a, b):
    """a / b with the fraction cut off, as C++ divides."""
    return np.sign(a) * (np.abs(a) // b)


def saturate(x):
    return np.clip(x, -32768, 32767)


def wrap_int16(x):
    return np.asarray(x).astype(np.int16).astype(np.int64)


# ---- the basic cell


@Kernel
def lstm_basic_int(x, h, w, w_zero, bias, multiplier, shift, c, y, c_out, joined, sums):
    """lstm_basic_float on uint8 with scale 1/128 and zero 128; c and c_out int16 in Q4, sums int16 in Q3."""
    np.concatenate([x, h], axis=-1, out=joined)
    total = exact_matmul(joined, 128, w.T, w_zero) + bias
    sums[...] = saturate(rescale_up(wrap_int32(total), multiplier, shift))
    admit, candidate, forget, out = np.split(sums, 4, axis=-1)
    fresh = high_mul_int16(logistic(admit), tanh(candidate, 3))
    kept = high_mul_int16(logistic(forget), c.astype(np.int64))
    c_out[...] = saturate(rounding_shift(fresh, 4) + kept)
    result = high_mul_int16(logistic(out), tanh(c_out, 4))
    y[...] = 128 + np.clip(rounding_shift(result, 8), -128, 127)
    c[...] = c_out
    h[...] = y
