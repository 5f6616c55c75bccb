"""LSTM, UNIDIRECTIONAL_SEQUENCE_LSTM and BIDIRECTIONAL_SEQUENCE_LSTM: the preparations of the full cell.

    x        weights      cell state   kernel
    float32  float32      float32      lstm_float
    float32  int8, uint8  float32      lstm_hybrid
    int8     int8, uint8  int16        lstm_int  (five intermediate tensors carry the scales)
    int8     int8, uint8  int16        lstm_int8 (twelve; LSTM alone)

LSTM sees one time step, x (batch, depth); with kernel_type BASIC it is another cell, in lstm_basic. The others see x
(batch, time, depth), or (time, batch, depth) if time_major. The states are variable tensors.

BIDIRECTIONAL_SEQUENCE_LSTM has two cells of floats, the second of which goes backward in time. Their results are two
outputs, or the columns of one if merge_outputs. With auxiliary weights both cells also see the sequence aux; without
them aux is what the second cell sees in the place of x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.lstm_basic import basic
from minitfl.kernels.lstm_float import BLOCK_NBYTES, lstm_float, lstm_hybrid
from minitfl.kernels.lstm_int import lstm_int
from minitfl.kernels.lstm_int8 import lstm_int8
from minitfl.kernels.lstm_numbers import int8_numbers, int_numbers
from minitfl.kernels.lstm_weights import Weights, check_weights, real_of, sizes, stack_of, stored_kinds, weights_of
from minitfl.kernels.sequence import FORWARD, joined, seen_by_both, time_axis
from minitfl.op import Call, Kernel, Site, op

KINDS = {"float32": ("float32", "int8", "uint8"), "int8": ("int8", "uint8")}  # of weights, for each type of x


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a node: what it reads and writes. x, aux, y have three axes; output is the y of the node."""

    w: Weights
    way: tuple[int, int, int]
    x: Tensor
    aux: Tensor | None
    h: Tensor
    c: Tensor
    y: Tensor
    output: Tensor


@op("LSTM", max_version=4, pure=False)
def lstm(site: Site) -> Call:
    if site.enum("kernel_type", "LSTMKernelType") == "BASIC":
        return basic(site)
    x, w = _start(site)
    site.expect(x.rank == 2, f"the input has {x.rank} axes, not 2")
    _check_kind(site, w)
    _, units = sizes(site, w, diagonal=False)
    y = site.output(0).reshaped(x.known_shape[0], units)
    sequence, result = x.reshaped(1, *x.known_shape), y.reshaped(1, *y.known_shape)
    cell = Cell(w, FORWARD, sequence, None, site.input(18), site.input(19), result, y)
    return _call(site, cell, diagonal=False)


@op("UNIDIRECTIONAL_SEQUENCE_LSTM", max_version=4, pure=False)
def unidirectional_sequence_lstm(site: Site) -> Call:
    x, w = _start(site)
    site.expect(x.rank == 3, f"the input has {x.rank} axes, not 3")
    _, units = sizes(site, w, diagonal=True)
    y = site.output(0).reshaped(*x.known_shape[:2], units)
    way = (time_axis(site), 1, 0)
    return _call(site, Cell(w, way, x, None, site.input(18), site.input(19), y, y), diagonal=True)


def _start(site: Site) -> tuple[Tensor, Weights]:
    site.arity((20, 24), 1)
    count = len(site.inputs)
    site.expect(count in (20, 24), f"The LSTM Full kernel expects 20 or 24 inputs. Got {count} inputs")
    return site.input(0), weights_of(site, 1, norm=20 if count == 24 else 0)


@op("BIDIRECTIONAL_SEQUENCE_LSTM", max_version=3, pure=False)
def bidirectional_sequence_lstm(site: Site) -> Call:
    merged = site.options.merge_outputs
    site.arity(48, 1 if merged else 2)
    x, aux = site.input(0), site.optional(39)
    for t in (x, aux):
        site.expect(t is None or (t.type == "float32" and t.rank == 3), f"an input is {t and (t.type, t.shape)}")
    forward, backward = weights_of(site, 1, aux=40), weights_of(site, 18, aux=44)
    crossed = "aux_to_output" in forward
    site.expect(crossed == ("aux_to_output" in backward), "one cell has auxiliary weights, the other has none")
    site.expect(aux is not None or not crossed, "auxiliary weights without an auxiliary input")
    _check_kind(site, forward)
    cells, units = sizes(site, forward, diagonal=False)
    site.expect(sizes(site, backward, diagonal=False) == (cells, units), "the two cells differ in size")
    site.expect(
        backward["input_to_output"].type == forward["input_to_output"].type, "the weights of the cells differ in type"
    )
    lead = x.known_shape[:2]
    if aux is not None:
        alike = aux.known_shape[:2] == lead and (crossed or aux.shape == x.shape)
        site.expect(alike, f"the inputs are {x.shape} and {aux.shape}")
    y = site.output(0).reshaped(*lead, 2 * units if merged else units)
    back_y = y if merged else site.output(1).reshaped(*lead, units)
    axis = time_axis(site)
    second, aux = seen_by_both(x, aux, crossed)
    ways = (axis, 1, 0), (axis, -1, units if merged else 0)
    first_cell = Cell(forward, ways[0], x, aux, site.input(35), site.input(36), y, y)
    second_cell = Cell(backward, ways[1], second, aux, site.input(37), site.input(38), back_y, back_y)
    return joined(_call(site, first_cell, diagonal=False), _call(site, second_cell, diagonal=False))


# ---- one cell


def _check_kind(site: Site, w: Weights) -> None:
    """For the operators that look at the type of their weights before they run."""
    kind = w["input_to_output"].type
    if kind not in KINDS["float32"]:
        site.unsupported(f"an LSTM with weights of {kind}")


def _call(site: Site, cell: Cell, diagonal: bool) -> Call:
    w, x, aux = cell.w, cell.x, cell.aux
    integer = x.type == "int8"
    batch, depth = x.known_shape[1 - cell.way[0]], x.known_shape[2]
    cells, units = sizes(site, w, diagonal)
    check_weights(site, w, depth, 0 if aux is None else aux.known_shape[2], diagonal, integer)
    h, c = _state(site, cell.h, batch, units), _state(site, cell.c, batch, cells)
    clips = np.float32(site.options.cell_clip), np.float32(site.options.proj_clip)
    site.expect(min(clips) >= 0, f"cell_clip and proj_clip are {clips}")
    kind = w["input_to_output"].type
    if kind not in KINDS.get(x.type, ()):
        return refused(cell.output, f"an LSTM on {x.type} with weights of {kind} is not supported")
    types = [t.type for t in (x, h, c, cell.y)]
    if types not in (["float32"] * 4, ["int8", "int8", "int16", "int8"]):
        site.unsupported(f"an LSTM from {types[0]} to {types[3]}, with states of {types[1]} and {types[2]}")
    workspace = 4 * BLOCK_NBYTES + 128 * batch * (units + cells + depth)

    def call(kernel: Kernel, numbers: tuple, sequences: tuple, vectors: dict) -> Call:
        args = (tuple(vectors), *numbers, cell.way, *sequences, h, c, cell.y, *vectors.values())
        return Call(kernel, args, (cell.output,), mutates=(h, c), workspace=workspace)

    if integer:
        count = len(site.intermediates)
        if count not in ((5,) if diagonal else (5, 12)):
            site.unsupported(f"an integer LSTM with {count} intermediate tensors")
        if count == 5:
            return call(lstm_int, *int_numbers(site, w, x, h, c, cell.y, clips))
        return call(lstm_int8, *int8_numbers(site, w, x, h, c, cell.y, clips))
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    if kind == "float32":
        return call(lstm_float, (activation, *clips), (x, aux), dict(w))
    stacks = {}
    for prefix, names in stored_kinds(w).items():
        floats, bounds = stack_of(site, [w[name] for name in names], 255)
        rows = [w[name].known_shape[0] for name in names]
        scales = np.repeat(np.array([w[name].numbers[0] for name in names], np.float32), rows)
        stacks[prefix] = (floats, bounds, scales), tuple(name[len(prefix) :] for name in names)
    inside = {name for names in stored_kinds(w).values() for name in names}
    vectors = {name: real_of(site, t, t.numbers[0]) for name, t in w.items() if name not in inside}
    asymmetric = bool(site.options.asymmetric_quantize_inputs)
    return call(lstm_hybrid, (stacks, asymmetric, activation, *clips), (x, aux), vectors)


def _state(site: Site, t: Tensor, batch: int, size: int) -> Tensor:
    site.expect(t.is_variable, f"the state '{t.name}' is no variable")
    site.expect(t.size == batch * size, f"the state '{t.name}' is {t.shape} for a batch of {batch} and {size} numbers")
    return t.reshaped(batch, size)
