"""The sequences of LSTM cells: all of x through its weights, then for each step h through its own, and gates.

Only cells without peepholes, layer normalisation and projection.
"""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits, find
from minitfl.engine.layouts.lstm import GATES, PRODUCTS, STORED_GATES
from minitfl.kernels import gates as tables
from minitfl.memory import aligned

ALL_GATES = ("input", "forget", "cell", "output")
MOST_STEPS = 512  # each of which has two instructions


@emits("lstm_float.lstm_float")
def lstm_float(e, names, activation, cell_clip, proj_clip, way, x, aux, h, c, y, *weights):
    w = dict(zip(names, (e.contents(t) for t in weights), strict=True))
    gates = plain_gates(w)
    if gates is None or aux is not None or activation != "TANH" or any(a is None or a.ndim > 2 for a in w.values()):
        return False
    matrices = [[w[f"{kind}_to_{g}"] for g in gates] for kind in ("input", "recurrent")]
    if any(a.ndim != 2 for part in matrices for a in part):
        return False
    none = np.zeros(c.known_shape[1], np.float32)
    bias = [w[f"{g}_bias"] for g in gates], [none] * len(gates)
    stacks = [stack_floats(e.isa.lanes, *pair) for pair in zip(matrices, bias)]
    return cell(e, "products_f32", "gates", GATES, gates, stacks, way, x, h, c, y, {"clip": float(cell_clip)})


@emits("lstm_int.lstm_int")
def lstm_int(
    e, names, stacks, factors, guards, cell_exponent, cell_clip, _, hidden_zero, h_zero, way, x, h, c, y, *weights
):
    w = dict(zip(names, weights, strict=True))
    gates = stacks["input_to_"][2]
    multiplier, shift = factors["hidden"]
    if "projection" in stacks or set(w) - {f"{g}_bias" for g in gates} or not -15 <= cell_exponent <= -9 or shift > 0:
        return False
    packed = []
    for first, kind in ((1, "input_to_"), (5, "recurrent_to_")):
        matrices = [e.contents(e.input(first + ALL_GATES.index(g))) for g in gates]
        if any(a is None for a in matrices):
            return False
        packed.append(stack_bytes(e.isa.lanes, matrices, *stacks[kind][3:]))
    words = {
        "clip": cell_clip,
        "logistic": e.constant(table(tables.logistic)),
        "tanh": e.constant(table(tables.tanh, 3)),
        "tanh_cell": e.constant(table(tables.tanh, 15 + cell_exponent)),
        "cell_shift": 30 + cell_exponent,
        "multiplier": multiplier,
        "shift": shift,
        "zero": hidden_zero,
    }
    return cell(e, "products_i8", "stored_gates", STORED_GATES, gates, packed, way, x, h, c, y, words)


@emits("sequence.both_ways")
def both_ways(e, forward, backward, count, *args):
    first, second = find(forward), find(backward)
    if first is None or second is None:
        return False
    return first(e, *args[:count]) and second(e, *args[count:])


def plain_gates(w):
    """The gates that there are; None where the cell has more than weights and biases."""
    gates = tuple(g for g in ALL_GATES if f"input_to_{g}" in w)
    known = {name for g in gates for name in (f"input_to_{g}", f"recurrent_to_{g}", f"{g}_bias")}
    return gates if known == set(w) else None


def cell(e, products, kernel, layout, gates, stacks, way, x, h, c, y, words):
    """Adds the instructions of all steps in their order. stacks: of x and of h, see source.lstm."""
    axis, direction, column = way
    batch, steps, depth = x.known_shape[1 - axis], x.known_shape[axis], x.known_shape[2]
    cells, size, lanes = c.known_shape[1], x.dtype.itemsize, e.isa.lanes
    y_row = y.known_shape[-1] * size
    if steps > MOST_STEPS or not y.size:
        return False
    vectors = len(gates) * -(-cells // lanes)
    sums_nbytes = 4 * lanes * vectors
    none = e.constant(aligned(sums_nbytes))
    incoming, sums = e.scratch(batch * steps * sums_nbytes), e.scratch(batch * sums_nbytes)
    # from a row of the batch to the next, and from a step to the next, in rows
    across, along = (steps, 1) if axis == 1 else (1, batch)

    def multiply(source, count, depth, stack, added, start, added_nbytes, target):
        weights_nbytes = stack.nbytes // vectors
        numbers = {"weights_nbytes": weights_nbytes, "added_start": start, "added_nbytes": added_nbytes}
        row = {"row_nbytes": depth * size, "rows": count, "depth": depth, "sums_nbytes": sums_nbytes}
        slots = {"x": source, "weights": e.constant(stack), "added": added, "sums": target}
        e.add(f"lstm.{products}", vectors * count, PRODUCTS, **numbers, **row, **slots)

    multiply(e.tensor(x), batch * steps, depth, stacks[0], none, 0, 0, incoming)
    for t in range(steps)[::direction]:
        start = t * along * sums_nbytes
        multiply(e.tensor(h), batch, cells, stacks[1], incoming, start, across * sums_nbytes, sums)
        e.add(
            f"lstm.{kernel}",
            batch,
            layout,
            sums=sums,
            sums_nbytes=sums_nbytes,
            gate_nbytes=sums_nbytes // len(gates),
            input_gate="input" in gates,
            cells=cells,
            c=e.tensor(c),
            h=e.tensor(h),
            y=e.tensor(y),
            y_start=t * along * y_row + column * size,
            y_nbytes=across * y_row,
            **words,
        )
    return True


# ---- packing


def stack_floats(lanes, matrices, bias):
    """float32 (vectors, 1 + depth, lanes): for each vector of cells of each gate its bias, then its weights."""
    cells, depth = matrices[0].shape
    vectors = -(-cells // lanes)
    made = aligned(4 * len(matrices) * vectors * (1 + depth) * lanes).view(np.float32)
    stack = made.reshape(len(matrices), vectors, 1 + depth, lanes)
    for gate, w, added in zip(stack, matrices, bias):
        rows = np.zeros((vectors * lanes, 1 + depth), np.float32)
        rows[:cells, 0], rows[:cells, 1:] = added, w
        gate[...] = rows.reshape(vectors, lanes, 1 + depth).swapaxes(1, 2)
    return made


def stack_bytes(lanes, matrices, bias, multiplier, shift):
    """int32 (vectors, 3 + pairs, lanes): what is added, multiplier, shift, then weights as pairs of int16."""
    cells, depth = matrices[0].shape
    vectors, pairs = -(-cells // lanes), -(-depth // 2)
    made = aligned(4 * len(matrices) * vectors * (3 + pairs) * lanes).view(np.int32)
    stack = made.reshape(len(matrices), vectors, 3 + pairs, lanes)
    for g, (gate, w) in enumerate(zip(stack, matrices)):
        rows = np.zeros((vectors * lanes, 3 + pairs), np.int32)
        for i, numbers in enumerate((bias, multiplier, shift)):
            rows[:cells, i] = numbers[g * cells : (g + 1) * cells].astype(np.int32)
        both = np.zeros((cells, 2 * pairs), np.int16)
        both[:, :depth] = w.view(np.int8)
        rows[:cells, 3:] = both.view(np.int32)
        gate[...] = rows.reshape(vectors, lanes, 3 + pairs).swapaxes(1, 2)
    return made


def table(function, *bits):
    """int16 of the 65536 numbers of 16 bits, so that places count from the middle on."""
    made = aligned(2 << 16).view(np.int16)
    made[...] = function(np.arange(-32768, 32768), *bits)
    return made
