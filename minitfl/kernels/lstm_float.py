"""The full LSTM cell on floats, with float weights or stored 8-bit ones (Hochreiter & Schmidhuber, 1997; Sak et al.,
arXiv:1402.1128 for the projection, Greff et al., arXiv:1503.04069, for peepholes and the coupled input gate).

    i = sigmoid(W_i x + R_i h + p_i * c + b_i)        input gate; 1 - f where its weights are absent (CIFG)
    f = sigmoid(W_f x + R_f h + p_f * c + b_f)        forget gate
    g = act(W_g x + R_g h + b_g)                      candidate ("cell")
    c = f * c + i * g                                 clipped to +-cell_clip, if that is positive
    o = sigmoid(W_o x + R_o h + p_o * c + b_o)        output gate, which sees the new c
    h = P (o * act(c)) + b_P                          clipped to +-proj_clip; o * act(c) without a projection

With layer normalisation (Ba et al., arXiv:1607.06450) a gate's sum becomes coefficients * (sum - mean) / deviation + b.

A second input, aux, adds A_i aux, and so on, to the sum of every gate.

x (time, batch, depth), h (batch, output), c (batch, cell), y (time, batch, output), with time where `way` says. `names`
tells which weights there are, in the order of `weights`: see lstm_weights.
"""

import numpy as np

from minitfl.kernels.fused import activate
from minitfl.kernels.hybrid import hybrid_product
from minitfl.kernels.sequence import columns_in_time, in_time
from minitfl.op import Kernel

NORM_GUARD = np.float32(1e-8)
BLOCK_NBYTES = 1 << 20  # of what x through its weights takes, for several steps at once


@Kernel
def lstm_float(names, activation, cell_clip, proj_clip, way, x, aux, h, c, y, *weights):
    """The six formulas above, step by step, y = h. aux may be None; the way is one of sequence's.

    h and c are the state: read, and left as it is after the last step.
    """
    w = dict(zip(names, weights, strict=True))

    def product(kind, x):
        """gate -> x through its weights of that kind; a vector of weights stands for a diagonal matrix."""
        found = {name: w[name] for name in names if name.startswith(kind) and not name.endswith("_bias")}
        return {name[len(kind) :]: x * a if a.ndim == 1 else x @ a.T for name, a in found.items()}

    run_steps(w, product, activation, cell_clip, proj_clip, way, x, aux, h, c, y)


@Kernel
def lstm_hybrid(names, stacks, asymmetric, activation, cell_clip, proj_clip, way, x, aux, h, c, y, *weights):
    """lstm_float with stored 8-bit weights; what they are multiplied with is brought to 8 bits row by row.

    stacks: "input_to_", "aux_to_", "recurrent_to_" or "projection" -> (stack, gates): the weights of all gates, one
    above the other, as hybrid_product takes them, and the gates' names. The other weights are floats.
    """
    w = dict(zip(names, weights, strict=True))

    def product(kind, x):
        result = {name[len(kind) :]: x * w[name] for name in names if kind == "recurrent_to_" and name.startswith(kind)}
        if kind in stacks:
            stack, gates = stacks[kind]
            result |= zip(gates, parts(hybrid_product(x, stack, asymmetric), len(gates)), strict=True)
        return result

    run_steps(w, product, activation, cell_clip, proj_clip, way, x, aux, h, c, y)


def parts(total, count):
    """(batch, count * cells) -> views (batch, cells). np.split takes ten times as long."""
    cells = total.shape[-1] // count
    return [total[:, i * cells : (i + 1) * cells] for i in range(count)]


def steps_at_once(x, cells):
    """How many steps of time x goes through its weights together."""
    return max(1, BLOCK_NBYTES // max(x.shape[1] * (16 * cells + 8 * x.shape[2]), 1))


def run_steps(w, product, activation, cell_clip, proj_clip, way, x, aux, h, c, y):
    """All time steps in order; h and c are overwritten in place at the end of each."""
    x, y = in_time(x, way), columns_in_time(y, way, h.shape[1])
    aux = None if aux is None else in_time(aux, way)
    batch, many = len(h), steps_at_once(x, c.shape[-1])
    incoming = {}
    for t in range(len(x)):
        place = t % many
        if place == 0:
            incoming = coming(w, product, x[t : t + many], None if aux is None else aux[t : t + many])
        now = {name: part[place * batch : (place + 1) * batch] for name, part in incoming.items()}
        then = product("recurrent_to_", h)
        forget = sigmoid(gate(w, now, then, "forget", c))
        if "input" in now:
            admit = sigmoid(gate(w, now, then, "input", c))
        else:
            admit = np.float32(1) - forget
        candidate = gate(w, now, then, "cell", None)
        activate(candidate, activation)
        cell = forget * c + admit * candidate
        if cell_clip > 0:
            np.clip(cell, -cell_clip, cell_clip, out=cell)
        out = sigmoid(gate(w, now, then, "output", cell))
        c[...] = cell
        activate(cell, activation)
        out *= cell
        for part in product("projection", out).values():
            out = part + w.get("projection_bias", np.float32(0))
            if proj_clip > 0:
                out = np.clip(out, -proj_clip, proj_clip)
        h[...] = out
        y[t] = out


def coming(w, product, x, aux):
    """gate -> what comes of x and aux in some steps, (steps * batch, cells); biased unless normalised."""
    total = product("input_to_", x.reshape(-1, x.shape[-1]))
    for name, part in total.items():
        if f"{name}_norm" not in w:
            part += w[f"{name}_bias"]
    if aux is not None:
        for name, part in product("aux_to_", aux.reshape(-1, aux.shape[-1])).items():
            total[name] += part
    return total


def gate(w, now, then, name, c):
    """The sum of one gate before its function, of what comes now and what comes from h; c None for the candidate."""
    total = now[name] + then[name]
    if c is not None and f"cell_to_{name}" in w:
        total += w[f"cell_to_{name}"] * c
    if f"{name}_norm" not in w:
        return total
    centred = total - total.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return w[f"{name}_norm"] * (centred / np.sqrt(variance + NORM_GUARD)) + w[f"{name}_bias"]


def sigmoid(x):
    return np.float32(1) / (np.float32(1) + np.exp(-x))
