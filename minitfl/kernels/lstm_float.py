"""The full LSTM cell on floats, with float weights or stored 8-bit ones (Hochreiter & Schmidhuber, 1997; Sak et al.,
arXiv:1402.1128 for the projection, Greff et al., arXiv:1503.04069, for peepholes and the coupled input gate).

    i = sigmoid(W_i x + R_i h + p_i * c + b_i)        input gate; 1 - f where its weights are absent (CIFG)
    f = sigmoid(W_f x + R_f h + p_f * c + b_f)        forget gate
    g = act(W_g x + R_g h + b_g)                      candidate ("cell")
    c = f * c + i * g                                 clipped to +-cell_clip, if that is positive
    o = sigmoid(W_o x + R_o h + p_o * c + b_o)        output gate, which sees the new c
    h = P (o * act(c)) + b_P                          clipped to +-proj_clip; o * act(c) without a projection

With layer normalisation (Ba et al., arXiv:1607.06450) a gate's sum becomes coefficients * (sum - mean) / deviation + b.

x (time, batch, depth), h (batch, output), c (batch, cell), y (time, batch, output). `names` says which weights there
are, in the order of `weights`: input_to_input, recurrent_to_input, cell_to_input, input_bias, input_norm, and so on for
forget, cell and output; projection, projection_bias.
"""

import numpy as np

from minitfl.kernels.hybrid import hybrid_matmul, quantize_rows
from minitfl.op import Kernel

NORM_GUARD = np.float32(1e-8)


@Kernel
def lstm_float(names, activation, cell_clip, proj_clip, x, h, c, y, *weights):
    """h and c are the state: read, and left as it is after the last step."""
    w = dict(zip(names, weights, strict=True))
    run_steps(w, _float_product(w), activation, cell_clip, proj_clip, x, h, c, y)


@Kernel
def lstm_hybrid(names, scales, asymmetric, activation, cell_clip, proj_clip, x, h, c, y, *weights):
    """lstm_float with stored 8-bit weights; scales: name -> scale. x and h are brought to 8 bits row by row."""
    w = dict(zip(names, weights, strict=True))
    for name in ("input", "forget", "output"):
        if f"cell_to_{name}" in w:
            w[f"cell_to_{name}"] = w[f"cell_to_{name}"].astype(np.float32) * np.float32(scales[f"cell_to_{name}"])
    run_steps(w, _hybrid_product(w, scales, asymmetric), activation, cell_clip, proj_clip, x, h, c, y)


def _float_product(w):
    """product(name, x): x through the weights of that name; a vector of weights stands for a diagonal matrix."""

    def product(name, x):
        return x * w[name] if w[name].ndim == 1 else x @ w[name].T

    return product


def _hybrid_product(w, scales, asymmetric):
    """The same by 8-bit products; what is multiplied several times in a step is brought to 8 bits once."""
    kept = {}

    def product(name, x):
        if w[name].dtype == np.float32:
            return x * w[name]
        key = id(x)
        if key not in kept or kept[key][0] is not x:
            kept.clear() if len(kept) > 4 else None
            kept[key] = (x, quantize_rows(x, asymmetric))
        return hybrid_matmul(*kept[key][1], w[name], np.float32(scales[name]))

    return product


def run_steps(w, product, activation, cell_clip, proj_clip, x, h, c, y):
    """All time steps in order; h and c are overwritten in place at the end of each."""
    for t in range(x.shape[0]):
        now, state, cell = x[t], h.copy(), c.copy()
        forget = sigmoid(gate(w, product, "forget", now, state, cell))
        if "input_to_input" in w:
            admit = sigmoid(gate(w, product, "input", now, state, cell))
        else:
            admit = np.float32(1) - forget
        candidate = activate(gate(w, product, "cell", now, state, None), activation)
        cell = forget * cell + admit * candidate
        if cell_clip > 0:
            cell = np.clip(cell, -cell_clip, cell_clip)
        out = sigmoid(gate(w, product, "output", now, state, cell)) * activate(cell, activation)
        if "projection" in w:
            out = product("projection", out) + w.get("projection_bias", np.float32(0))
            if proj_clip > 0:
                out = np.clip(out, -proj_clip, proj_clip)
        c[...] = cell
        h[...] = out
        y[t] = out


def gate(w, product, name, x, h, c):
    """The sum of one gate before its function; c None for the candidate, which has no peephole."""
    norm = w.get(f"{name}_norm")
    bias = w[f"{name}_bias"]
    total = product(f"input_to_{name}", x) if norm is not None else bias + product(f"input_to_{name}", x)
    total = total + product(f"recurrent_to_{name}", h)
    if c is not None and f"cell_to_{name}" in w:
        total = total + w[f"cell_to_{name}"] * c
    if norm is None:
        return total
    centred = total - total.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return norm * (centred / np.sqrt(variance + NORM_GUARD)) + bias


def sigmoid(x):
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def activate(x, activation):
    """x through one of the functions that a cell may have."""
    functions = {
        "NONE": lambda x: x,
        "RELU": lambda x: np.maximum(x, 0),
        "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
        "RELU6": lambda x: np.clip(x, 0, 6),
        "TANH": np.tanh,
    }
    return functions[activation](x)


# ---- the basic cell


@Kernel
def lstm_basic_float(x, h, w, bias, c, y, c_out, joined, sums):
    """The cell of version 1: one matrix w (4 * units, depth + units) for input gate, candidate, forget and output gate.

    joined = x and h side by side, sums = joined @ w.T + bias: both are outputs too.
    """
    np.concatenate([x, h], axis=-1, out=joined)
    np.matmul(joined, w.T, out=sums)
    sums += bias
    admit, candidate, forget, out = np.split(sums, 4, axis=-1)
    c_out[...] = sigmoid(admit) * np.tanh(candidate) + sigmoid(forget) * c
    y[...] = sigmoid(out) * np.tanh(c_out)
    c[...] = c_out
    h[...] = y
