"""SVDF: a dense layer over the last `memory` steps of time, its weights split in `rank` products of two vectors.

    state = its steps moved back by one, w_feature @ x as the newest
    y = act(sum over rank, memory of w_time * state + bias)

x (batch, depth); w_feature (filters, depth); w_time (filters, memory); bias (units,) or absent; state
(batch, filters, memory), a variable; y (batch, units); filters = units * rank, the filters of a unit side by side.
Nakkiran et al., Interspeech 2015, "Compressing Deep Neural Networks using a Rank-Constrained Topology".

    x          w_feature     w_time        bias       state      y          kernel
    float32    float32       float32       float32    float32    float32    svdf_float
    float32    int8 uint8    int8 uint8    float32    float32    float32    svdf_hybrid
    int8       int8 uint8    int16         int32      int16      int8       svdf_int
    int8       int8 uint8    int8          int32      int8       int8       svdf_int

uint8 weights hold the bits of int8 ones.
"""

from __future__ import annotations

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.exact import exact_matmul
from minitfl.kernels.fixedpoint import quantize_multiplier, rescale_twice, stored_range, wrap_int32
from minitfl.kernels.fused import activate
from minitfl.kernels.hybrid import hybrid_product, hybrid_weights
from minitfl.op import Call, Kernel, Site, op

BYTES = ("int8", "uint8")
TYPES = {  # of x, w_feature, w_time, state, y
    ("float32", "float32", "float32", "float32", "float32"),
    *(("float32", w, time, "float32", "float32") for w in BYTES for time in BYTES),
    *(("int8", w, stored, stored, "int8") for w in BYTES for stored in ("int8", "int16")),
}


@Kernel
def svdf_float(x, w_feature, w_time, bias, activation, state, y):
    """y = act(sum(w_time * state) + bias) once state has taken in w_feature @ x."""
    _push(state, np.matmul(x, w_feature.T))
    _through_time(state, w_time, bias, activation, y)


@Kernel
def svdf_hybrid(x, w_feature, w_time, time_scale, bias, asymmetric, activation, state, y):
    """svdf_float for weights stored in int8; w_feature, a hybrid_stack, meets x in integers. time_scale: float32."""
    _push(state, hybrid_product(x, w_feature, asymmetric))
    _through_time(state, w_time.view(np.int8) * np.float32(time_scale), bias, activation, y)


@Kernel
def svdf_int(x, w_feature, w_time, bias, x_zero, to_state, state_zero, low, high, to_y, y_zero, state, y):
    """svdf_float on stored integers, without an activation but the range of y.

    to_state, to_y: (multiplier, shift) from x_scale * feature_scale to the state's scale, and on to y's; low, high: the
    range of the state. Sums of 16-bit products wrap at 32 bits.
    """
    newest = rescale_twice(exact_matmul(x, x_zero, w_feature.view(np.int8).T, 0), *to_state) + state_zero
    _push(state, np.clip(newest, low, high))
    total = np.einsum("bfm,fm->bf", state.astype(np.int64) - state_zero, w_time.astype(np.int64))
    total = _ranks(total, y).sum(-1) + bias
    y[...] = np.clip(rescale_twice(wrap_int32(total), *to_y) + y_zero, -128, 127)


def _push(state, newest):
    state[..., :-1] = state[..., 1:]
    state[..., -1] = newest


def _through_time(state, w_time, bias, activation, y):
    total = np.einsum("bfm,fm->bf", state, w_time)
    np.sum(_ranks(total, y), axis=-1, out=y)
    y += bias
    activate(y, activation)


def _ranks(total, y):
    """(batch, filters) -> (batch, units, rank)"""
    return total.reshape(*y.shape, total.shape[1] // y.shape[1])


# ---- preparations


@op("SVDF", max_version=4)
def svdf(site: Site) -> Call:
    site.arity(5, 1)
    x, w_feature, w_time, state = (site.input(i) for i in (0, 1, 2, 4))
    bias, y = site.optional(3), site.output(0)
    site.expect(x.type in ("float32", "int8"), f"the input is {x.type}")
    for what, t in (("x", x), ("w_feature", w_feature), ("w_time", w_time), ("state", state)):
        site.expect(t.rank == 2, f"{what} has the shape {t.shape}, not two axes")
    (batch, depth), (filters, w_depth), (time_filters, memory) = (t.known_shape for t in (x, w_feature, w_time))
    rank = site.options.rank
    site.expect(rank > 0 and filters % rank == 0, f"{filters} filters are not divided by rank {rank}")
    site.expect(depth == w_depth, f"x has a depth of {depth}, w_feature of {w_depth}")
    site.expect(time_filters == filters, f"w_time has {time_filters} filters, w_feature {filters}")
    site.expect(memory > 0, "w_time has no memory")
    site.expect(
        state.known_shape == (batch, filters * memory),
        f"the state has the shape {state.shape}, not {(batch, filters * memory)}",
    )
    units = filters // rank
    wanted = "float32" if x.type == "float32" else "int32"
    if bias is not None:
        site.expect(bias.known_shape[:1] == (units,) and bias.size == units, f"{bias.size} biases for {units} units")
        if bias.type != wanted:
            site.unsupported(f"a bias of type {bias.type} is not supported with {x.type}")
    y = y.reshaped(batch, units)
    bias = np.zeros(units, wanted) if bias is None else bias.reshaped(units)
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    numbers = () if x.type == "float32" else _numbers(site, x, w_feature, w_time, state, y)
    types = x.type, w_feature.type, w_time.type, state.type, y.type
    if types not in TYPES:
        return refused(y, "{} with weights of {} and {} and a state of {} to {} is not supported".format(*types))
    if not state.is_variable:
        return refused(y, "the state is not a variable")
    state = state.reshaped(batch, filters, memory)
    bound = 2 * state.nbytes + 16 * (filters * depth + batch * (depth + filters)) + 4 * w_time.size
    if x.type == "int8":
        if activation != "RELU":
            return refused(y, f"the fused activation is {activation}; int8 takes RELU alone")
        args = (x, w_feature, w_time, bias, *numbers, state, y)
        return Call(svdf_int, args, (y,), mutates=(state,), workspace=bound + 8 * 2 * (state.size + w_time.size))
    if w_feature.type == "float32":
        args = (x, w_feature, w_time, bias, activation, state, y)
        return Call(svdf_float, args, (y,), mutates=(state,), workspace=bound)
    asymmetric, time_scale = bool(site.options.asymmetric_quantize_inputs), np.float32(w_time.numbers[0])
    args = (x, hybrid_weights(site, w_feature), w_time, time_scale, bias, asymmetric, activation, state, y)
    return Call(svdf_hybrid, args, (y,), mutates=(state,), workspace=bound)


def _numbers(site: Site, x: Tensor, w_feature: Tensor, w_time: Tensor, state: Tensor, y: Tensor) -> tuple:
    """svdf_int's numbers from x_zero to y_zero. The official kernel multiplies and divides the scales in float32."""
    feature, time = np.float32(w_feature.scales[0]), np.float32(w_time.scales[0])
    for t in (state, y):
        site.expect(t.scales[0] > 0, f"the scale of tensor {t.index} is {t.scales[0]}")
    to_state = np.float32(x.scales[0]) * feature / np.float32(state.scales[0])
    to_y = np.float32(state.scales[0]) * time / np.float32(y.scales[0])
    state_zero = int(state.zeros[0]) if state.type == "int8" else 0
    low, high = stored_range(state.type)
    first, second = quantize_multiplier(float(to_state)), quantize_multiplier(float(to_y))
    return int(x.zeros[0]), first, state_zero, low, high, second, int(y.zeros[0])
