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

from minitfl.kernels.hybrid import quantize_rows, stacked_product
from minitfl.op import Kernel

NORM_GUARD = np.float32(1e-8)
BLOCK_NBYTES = 1 << 20  # of what x through its weights takes, for several steps at once


@Kernel
def lstm_float(names, activation, cell_clip, proj_clip, x, h, c, y, *weights):
    """h and c are the state: read, and left as it is after the last step."""
    w = dict(zip(names, weights, strict=True))

    def product(kind, x):
        """gate -> x through its weights of that kind; a vector of weights stands for a diagonal matrix."""
        found = {name: w[name] for name in names if name.startswith(kind) and not name.endswith("_bias")}
        return {name[len(kind) :]: x * a if a.ndim == 1 else x @ a.T for name, a in found.items()}

    run_steps(w, product, activation, cell_clip, proj_clip, x, h, c, y)


@Kernel
def lstm_hybrid(names, stacks, asymmetric, activation, cell_clip, proj_clip, x, h, c, y, *weights):
    """lstm_float with stored 8-bit weights; what they are multiplied with is brought to 8 bits row by row.

    stacks: "input_to_", "recurrent_to_" or "projection" -> (floats, bounds, gates, scales): the weights of all gates,
    one above the other, as exact_weights gives them, the gates' names, and the scale of each row, float32.
    """
    w = dict(zip(names, weights, strict=True))

    def product(kind, x):
        result = {name[len(kind) :]: x * w[name] for name in names if kind == "recurrent_to_" and name.startswith(kind)}
        if kind in stacks:
            floats, bounds, gates, scales = stacks[kind]
            q, scale, zero = quantize_rows(x, asymmetric)
            total = stacked_product(np.subtract(q, zero[:, None], dtype=floats.dtype), floats, bounds)
            total = total.astype(np.float32) * (scale[:, None] * scales)
            result |= zip(gates, parts(total, len(gates)), strict=True)
        return result

    run_steps(w, product, activation, cell_clip, proj_clip, x, h, c, y)


def parts(total, count):
    """(batch, count * cells) -> views (batch, cells). np.split takes ten times as long."""
    cells = total.shape[-1] // count
    return [total[:, i * cells : (i + 1) * cells] for i in range(count)]


def steps_at_once(x, cells):
    """How many steps of time x goes through its weights together."""
    return max(1, BLOCK_NBYTES // max(x.shape[1] * (16 * cells + 8 * x.shape[2]), 1))


def run_steps(w, product, activation, cell_clip, proj_clip, x, h, c, y):
    """All time steps in order; h and c are overwritten in place at the end of each."""
    batch, many = len(h), steps_at_once(x, c.shape[-1])
    incoming = {}
    for t in range(x.shape[0]):
        place = t % many
        if place == 0:
            incoming = product("input_to_", x[t : t + many].reshape(-1, x.shape[-1]))
        now = {name: part[place * batch : (place + 1) * batch] for name, part in incoming.items()}
        then = product("recurrent_to_", h)
        forget = sigmoid(gate(w, now, then, "forget", c))
        if "input" in now:
            admit = sigmoid(gate(w, now, then, "input", c))
        else:
            admit = np.float32(1) - forget
        candidate = activate(gate(w, now, then, "cell", None), activation)
        cell = forget * c + admit * candidate
        if cell_clip > 0:
            cell = np.clip(cell, -cell_clip, cell_clip)
        out = sigmoid(gate(w, now, then, "output", cell)) * activate(cell, activation)
        for part in product("projection", out).values():
            out = part + w.get("projection_bias", np.float32(0))
            if proj_clip > 0:
                out = np.clip(out, -proj_clip, proj_clip)
        c[...] = cell
        h[...] = out
        y[t] = out


def gate(w, now, then, name, c):
    """The sum of one gate before its function, of what comes from x now and from h; c None for the candidate."""
    norm = w.get(f"{name}_norm")
    bias = w[f"{name}_bias"]
    total = (now[name] if norm is not None else bias + now[name]) + then[name]
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
