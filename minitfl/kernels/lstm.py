"""LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM: the preparations. The cells are in lstm_float and lstm_int.

    x        weights      cell state   kernel
    float32  float32      float32      lstm_float
    float32  int8, uint8  float32      lstm_hybrid
    int8     int8         int16        lstm_int (five intermediate tensors carry the scales)
    float32  float32      float32      lstm_basic_float (kernel_type BASIC)
    uint8    uint8        int16        lstm_basic_int (kernel_type BASIC)

LSTM sees one time step, x (batch, depth). UNIDIRECTIONAL_SEQUENCE_LSTM sees x (batch, time, depth), or (time, batch,
depth) if time_major. The states are variable tensors: inputs 18 and 19.
"""

import math

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.fixedpoint import exact_weights, power_of_two, quantize_multiplier
from minitfl.kernels.lstm_float import BLOCK_NBYTES, lstm_basic_float, lstm_float, lstm_hybrid
from minitfl.kernels.lstm_int import lstm_basic_int, lstm_int
from minitfl.op import Call, Kernel, op

GATES = ("input", "forget", "cell", "output")
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")
OUTPUT_STATE, CELL_STATE = 18, 19


@op("LSTM", max_version=4, pure=False)
def lstm(site):
    if site.enum("kernel_type", "LSTMKernelType") == "BASIC":
        return _basic(site)
    x = site.input(0)
    site.expect(x.rank == 2, f"the input has {x.rank} axes, not 2")
    return _full(site, x, x.reshaped(1, *x.shape), time_axis=0, shape=lambda units: (x.shape[0], units))


@op("UNIDIRECTIONAL_SEQUENCE_LSTM", max_version=4, pure=False)
def unidirectional_sequence_lstm(site):
    x = site.input(0)
    site.expect(x.rank == 3, f"the input has {x.rank} axes, not 3")
    time_axis = 0 if site.options.time_major else 1
    return _full(site, x, x, time_axis=time_axis, shape=lambda units: (*x.shape[:2], units))


def _full(site, x, sequence, time_axis, shape):
    site.arity((20, 24), 1)
    site.expect(
        len(site.inputs) in (20, 24), f"The LSTM Full kernel expects 20 or 24 inputs. Got {len(site.inputs)} inputs"
    )
    batch, depth = sequence.shape[1 - time_axis], sequence.shape[2]
    w = _weights(site)
    units = _output_units(site, w)
    cell_units = w["recurrent_to_output"].shape[0]
    _check_weights(site, w, depth, cell_units, units, x.type == "int8")
    h, c = site.input(OUTPUT_STATE), site.input(CELL_STATE)
    for state, size, what in ((h, units, "output"), (c, cell_units, "cell")):
        site.expect(state.is_variable, f"the {what} state '{state.name}' is no variable")
        site.expect(
            state.size == batch * size, f"the {what} state is {state.shape} for a batch of {batch} and {size} units"
        )
    h, c = h.reshaped(batch, units), c.reshaped(batch, cell_units)
    y = site.output(0).reshaped(shape(units))
    site.expect(y.type == x.type, f"the input is {x.type}, the output {y.type}")
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    if activation not in ACTIVATIONS:
        site.unsupported(f"a cell with the activation {activation}")
    clips = site.options.cell_clip, site.options.proj_clip
    site.expect(min(clips) >= 0, f"cell_clip and proj_clip are {clips}")
    run = (time_axis, y.reshaped(y.shape if y.rank == 3 else (1, *y.shape)))
    kinds = x.type, w["input_to_output"].type
    if kinds == ("float32", "float32"):
        args = (tuple(w), activation, *clips)
        return _call(lstm_float, args, sequence, h, c, run, y, w.values())
    if kinds == ("float32", "int8") or kinds == ("float32", "uint8"):
        stacks = {}
        for kind, names in _kinds(w).items():
            stored, gates, rows = _stacked(site, w, kind, names)
            scales = np.repeat(np.array([w[name].scale for name in names], np.float32), rows)
            stacks[kind] = (*exact_weights(stored, 0, 255), gates, scales)
        others = {name: _real(site, t) for name, t in w.items() if not any(name in n for n in _kinds(w).values())}
        args = (tuple(others), stacks, bool(site.options.asymmetric_quantize_inputs), activation, *clips)
        return _call(lstm_hybrid, args, sequence, h, c, run, y, others.values())
    if kinds == ("int8", "int8"):
        return _integer(site, x, sequence, h, c, run, y, w, clips)
    return site.unsupported(f"an LSTM on {kinds[0]} with weights of {kinds[1]}")


def _call(cell, args, x, h, c, run, y, weights):
    """The cell's call. What comes batch by batch is turned, so that the cell sees time first."""
    time_axis, out = run
    kernel = cell if time_axis == 0 else BATCH_MAJOR[cell]
    workspace = 4 * BLOCK_NBYTES + 128 * (x.shape[1] * (h.shape[1] + c.shape[1] + x.shape[2]))
    return Call(kernel, (*args, x, h, c, out, *weights), (y,), mutates=(h, c), workspace=workspace)


def _batch_major(cell, leading):
    """The same kernel for x and y (batch, time, ...); `leading` arguments stand before x."""

    def turned(*args):
        x, h, c, y, *weights = args[leading:]
        cell.numpy(*args[:leading], x.swapaxes(0, 1), h, c, y.swapaxes(0, 1), *weights)

    turned.__name__ = f"{cell.__name__}_batch_major"
    turned.__doc__ = f"{cell.__name__} with the batch first, then time."
    turned.__module__ = __name__
    return Kernel(turned)


BATCH_MAJOR = {
    lstm_float: _batch_major(lstm_float, 4),
    lstm_hybrid: _batch_major(lstm_hybrid, 6),
    lstm_int: _batch_major(lstm_int, 9),
}


# ---- the weights and what is checked of them


def _weights(site):
    """name -> Tensor of the weights that are there; those that no cell can do without are."""
    names = [f"input_to_{g}" for g in GATES] + [f"recurrent_to_{g}" for g in GATES]
    names = dict(enumerate(names, 1)) | {9: "cell_to_input", 10: "cell_to_forget", 11: "cell_to_output"}
    names |= {12 + k: f"{g}_bias" for k, g in enumerate(GATES)} | {16: "projection", 17: "projection_bias"}
    if len(site.inputs) == 24 and site.optional(21) is not None:
        names |= {20 + k: f"{g}_norm" for k, g in enumerate(GATES)}
    w = {name: t for i, name in names.items() if (t := site.optional(i)) is not None}
    needed = [f"{kind}_{g}" for g in GATES[1:] for kind in ("input_to", "recurrent_to")]
    needed += [f"{g}_bias" for g in GATES[1:]]
    for name in needed:
        site.expect(name in w, f"the weights {name} are missing")
    return w


def _output_units(site, w):
    recurrent = w["recurrent_to_output"]
    site.expect(recurrent.rank in (1, 2), f"the weights recurrent_to_output are {recurrent.shape}")
    return recurrent.shape[-1] if recurrent.rank == 2 else recurrent.shape[0]


def _check_weights(site, w, depth, cells, units, integer):
    cifg = "input_to_input" not in w
    together = [
        (not cifg, ("recurrent_to_input", "input_bias")),
        ("cell_to_output" in w, ("cell_to_forget",) if cifg else ("cell_to_input", "cell_to_forget")),
        ("forget_norm" in w, ("cell_norm", "output_norm") if cifg else ("input_norm", "cell_norm", "output_norm")),
    ]
    for there, names in together:
        for name in names:
            site.expect((name in w) == there, f"the weights {name} are {'missing' if there else 'one too many'}")
    site.expect("projection" in w or "projection_bias" not in w, "a bias for a projection that is not there")
    site.expect("projection" in w or cells == units, f"{cells} cells and {units} outputs without a projection")
    kind = w["input_to_forget"].type
    for name, t in w.items():
        matrix = name.startswith(("input_to", "recurrent_to")) or name == "projection"
        if name.startswith("input_to"):
            wanted = (cells, depth)
        elif name.startswith("recurrent_to"):
            wanted = (cells,) if t.rank == 1 and _diagonal(site) else (cells, units)
        elif name == "projection":
            wanted = (units, cells)
        else:
            wanted = (units,) if name == "projection_bias" else (cells,)
        site.expect(t.shape == wanted, f"the weights {name} are {t.shape}, not {wanted}")
        if matrix:
            allowed = (kind, "float32") if t.rank == 1 else (kind,)
        elif name.endswith("_bias"):
            allowed = ("int32",) if integer else ("float32",)
        elif name.endswith("_norm"):
            allowed = ("int16",) if integer else ("float32",)
        else:
            allowed = ("int16",) if integer else (kind,)
        site.expect(t.type in allowed, f"the weights {name} are {t.type}, not {allowed[0]}")


def _diagonal(site):
    return bool(getattr(site.options, "diagonal_recurrent_tensors", False))


def _kinds(w):
    """kind -> the names of its stored 8-bit matrices, those that meet the same numbers."""
    kinds = ("input_to_", "recurrent_to_", "projection")
    found = {
        kind: [n for n, t in w.items() if n.startswith(kind) and t.rank == 2 and t.type in ("int8", "uint8")]
        for kind in kinds
    }
    return {kind: names for kind, names in found.items() if names}


def _stacked(site, w, kind, names):
    """(all matrices one above the other, the gates they belong to, the rows of each).

    uint8 weights hold the bits of int8 ones, as the oldest converters wrote them.
    """
    stored = [site.value(w[name]).view(np.int8) for name in names]
    return np.concatenate(stored), tuple(name[len(kind) :] for name in names), len(stored[0])


def _real(site, t):
    """8-bit vectors of weights as floats; others as they are."""
    return site.value(t).view(np.int8) * np.float32(t.scale) if t.type in ("int8", "uint8") else t


# ---- the numbers of the integer cell


def _integer(site, x, sequence, h, c, run, y, w, clips):
    if len(site.intermediates) != 5:
        site.unsupported(f"an integer LSTM with {len(site.intermediates)} intermediate tensors, not 5")
    hidden = site.intermediates[4]
    norm = "forget_norm" in w
    exponent = power_of_two(c.scale)
    if exponent is None or exponent > -9:
        raise ModelError(f"the cell state's scale {c.scale} is no power of 2 up to 2**-9")
    f32 = np.float32
    scales = {g: f32(site.intermediates[k].scale) if norm else f32(2.0**-12) for k, g in enumerate(GATES)}
    factors, guards, numbers = {}, {}, {}  # numbers: name of a matrix -> (what is added to its sums, factor)
    for g in GATES:
        if f"input_to_{g}" not in w:
            continue
        for name, source in ((f"input_to_{g}", x), (f"recurrent_to_{g}", h)):
            real = f32(w[name].scale) * f32(source.scale) / scales[g]
            numbers[name] = (-source.zero * _row_sums(site, w[name]), quantize_multiplier(float(real)))
        if not norm:
            added, factor = numbers[f"input_to_{g}"]
            numbers[f"input_to_{g}"] = (added + site.value(w[f"{g}_bias"]), factor)
        else:
            factors[f"{g}_norm"] = quantize_multiplier(w[f"{g}_norm"].scale)
            guards[g] = max(1, int(10000 * f32(w[f"{g}_norm"].scale)))
        if f"cell_to_{g}" in w:
            real = f32(2.0**exponent * f32(w[f"cell_to_{g}"].scale) / scales[g])
            factors[f"cell_to_{g}"] = quantize_multiplier(float(real))
    factors["hidden"] = quantize_multiplier(float(f32(2.0**-15 / f32(hidden.scale) * 2.0**-15)))
    if "projection" in w:
        real = f32(w["projection"].scale) * f32(hidden.scale) / f32(h.scale)
        added = hidden.zero * _row_sums(site, w["projection"])
        if "projection_bias" in w:
            added = added + site.value(w["projection_bias"])
        numbers["projection"] = (added, quantize_multiplier(float(real)))
    stacks = {}
    for kind, names in _kinds(w).items():
        stored, gates, rows = _stacked(site, w, kind, names)
        added = np.concatenate([numbers[name][0] for name in names])
        factor = np.repeat(np.array([numbers[name][1] for name in names], np.int64), rows, axis=0)
        stacks[kind] = (*exact_weights(stored, 0, 128), gates, added, *factor.T)
    cell_clip = int(min(clips[0] / c.scale, 32767)) if clips[0] > 0 else 0
    proj_clip = int(min(clips[1] / y.scale, 127)) if clips[1] > 0 else 0
    others = {name: t for name, t in w.items() if name not in numbers and name != "projection_bias"}
    args = (tuple(others), stacks, factors, guards, exponent, cell_clip, proj_clip, hidden.zero, h.zero)
    return _call(lstm_int, args, sequence, h, c, run, y, others.values())


def _row_sums(site, t):
    return site.value(t).astype(np.int64).sum(axis=1)


# ---- the basic cell


def _basic(site):
    site.arity(5, 4)
    x, h, w, bias, c = (site.input(i) for i in range(5))
    for t in (x, h, w, c):
        site.expect(t.rank == 2, f"'{t.name}' has {t.rank} axes, not 2")
    batch, depth, units = x.shape[0], x.shape[1], h.shape[1]
    wanted = {h: (batch, units), w: (4 * units, depth + units), bias: (4 * units,), c: (batch, units)}
    for t, shape in wanted.items():
        site.expect(t.shape == shape, f"'{t.name}' is {t.shape}, not {shape}")
    for t in (h, c):
        site.expect(t.is_variable, f"the state '{t.name}' is no variable")
    y = site.output(0).reshaped(batch, units)
    c_out = site.output(1).reshaped(batch, units)
    joined = site.output(2).reshaped(batch, depth + units)
    sums = site.output(3).reshaped(batch, 4 * units)
    outputs = (y, c_out, joined, sums)
    kinds = [t.type for t in (x, h, w, bias, c, *outputs)]
    if kinds == ["float32"] * 9:
        return Call(lstm_basic_float, (x, h, w, bias, c, *outputs), outputs, mutates=(h, c))
    if kinds != ["uint8", "uint8", "uint8", "int32", "int16", "uint8", "int16", "uint8", "int16"]:
        site.unsupported(f"Unsupported combination of data types for LstmCell: {', '.join(kinds)}")
    site.expect(math.isclose(c_out.scale, 2.0**-11, rel_tol=1e-3), f"the state's scale is {c_out.scale}, not 2**-11")
    multiplier, shift = quantize_multiplier(4096 * bias.scale)
    args = (x, h, w, w.zero, bias, multiplier, shift, c, *outputs)
    return Call(lstm_basic_int, args, outputs, mutates=(h, c))
