"""FULLY_CONNECTED: y = act(x @ w.T + bias).

x (..., depth), seen as (batch, depth); w (units, depth); bias (units,) or absent; y (batch, units), or x's own axes but
the last with keep_num_dims.

    x             w               bias           y               kernel            w is scaled
    float32       float32         float32        float32         dense_float       -
    float32       int8 int4 int2  float32        float32         dense_hybrid      per tensor, per unit or in blocks
    float32       uint8           float32        float32         dense_hybrid      per tensor; its bytes count as int8
    int8          int8 int4 int2  int32          int8            dense_int         per tensor or per unit
    int8          int8, sparse    int32          int8            dense_fixed       per tensor or per unit
    uint8         uint8           int32          uint8 int16     dense_int         per tensor
    uint8         uint8           int32          int16           dense_shuffled    per tensor
    int16         int8 int4 int2  int32 int64    int16           dense_int         per tensor or per unit
    int16         int16           int32 int64    int16           dense_fixed       per tensor or per unit

Other pairs of integer types for x and y are computed by the same formula. In blocks: block_size values of a row share a
scale. The shuffled format has a second output, see dense_shuffled.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.dense_rows import (
    SMALL_NBYTES,
    dense_fixed,
    dense_float,
    dense_hybrid,
    dense_int,
    dense_shuffled,
    dense_without_depth,
    rows_workspace,
)
from minitfl.kernels.fixedpoint import activation_range, finite_activation_range, quantize_multipliers
from minitfl.kernels.fused import ACTIVATIONS
from minitfl.kernels.sums import check_bias_scale, exact_packed
from minitfl.op import Call, Site, op

CLAMPS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
NARROW = ("int4", "int2")


@op("FULLY_CONNECTED", max_version=14)
def fully_connected(site: Site) -> Call:
    site.arity((2, 3), (1, 2))
    x, w, bias, y = site.input(0), site.input(1), site.optional(2), site.output(0)
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    shuffled = site.enum("weights_format", "FullyConnectedOptionsWeightsFormat") != "DEFAULT"
    site.arity((2, 3), 2 if shuffled else 1)
    _check_types(site, x, w, bias, y, shuffled)
    hybrid = x.type == "float32" != w.type
    allowed = ACTIVATIONS if hybrid else CLAMPS
    site.expect(activation in allowed, f"the fused activation is {activation}, which {x.type} does not take")
    blockwise = w.quantization is not None and w.quantization.block_size > 0
    if w.type in NARROW and w.quantization is not None and not blockwise:
        site.expect(not w.zeros.any(), "Unsupported filter quantization zero-point value.")
    site.expect(w.rank == 2, f"weights have the shape {w.shape}, not (units, depth)")

    units, depth = w.known_shape
    y = y.reshaped(_result_shape(site, x, units, depth))
    if depth == 0:
        return Call(dense_without_depth, (y,), (y,))
    batch = x.size // depth
    if bias is not None:
        site.expect(bias.size == units, f"{bias.size} biases for {units} units")
    arrays = (x.reshaped(batch, depth), w, _bias(bias, units))
    result = y.reshaped(batch, units)
    if hybrid and blockwise:
        return _blockwise(site, arrays, activation, y, result)
    if hybrid:
        return _hybrid(site, arrays, activation, y, result)
    if x.type == "float32":
        return Call(dense_float, (*arrays, *finite_activation_range(activation), result), (y,))
    return _integer(site, arrays, activation, y, result, shuffled)


def _check_types(site: Site, x: Tensor, w: Tensor, bias: Tensor | None, y: Tensor, shuffled: bool) -> None:
    """UnsupportedError for a combination of types that no kernel takes."""
    integers = ("uint8", "int8", "int16")
    if shuffled:
        good = (x.type, w.type, y.type) == ("uint8", "uint8", "int16")
        biases = ("int32", "int64")
    elif x.type == "float32":
        good = w.type in ("float32", "uint8", "int8", *NARROW) and y.type == "float32"
        biases = ("float32",)
    elif w.type == "int16":
        good = x.type == y.type == "int16"
        biases = ("int32", "int64")
    else:
        good = w.type in ("uint8", "int8", *NARROW) and x.type in integers and y.type in integers
        good = good and not (x.type == "uint8" != w.type and y.type == "int16")
        biases = ("int32", "int64")
    if not good:
        site.unsupported(f"{x.type} activations with {w.type} weights to {y.type} are not supported")
    if bias is not None and bias.type not in biases:
        site.unsupported(f"a bias of type {bias.type} is not supported for {x.type} activations")


def _result_shape(site: Site, x: Tensor, units: int, depth: int) -> tuple[int, ...]:
    shape = x.known_shape
    if site.options.keep_num_dims or depth == 0:
        site.expect(shape, "x is a scalar")
    if site.options.keep_num_dims:
        site.expect(depth == 0 or shape[-1] == depth, f"the last axis of {shape} does not have the depth {depth}")
        return (*shape[:-1], units)
    if depth == 0:
        return math.prod(shape[:-1]), units
    site.expect(x.size % depth == 0, f"{x.size} elements of shape {shape} are not rows of depth {depth}")
    return x.size // depth, units


def _bias(bias: Tensor | None, units: int) -> Tensor | np.ndarray:
    return np.zeros(units, np.int32) if bias is None else bias.reshaped(units)


def _hybrid(site: Site, arrays: tuple, activation: str, y: Tensor, result: Tensor) -> Call:
    x, w, bias = arrays
    units = w.known_shape[0]
    scales = np.zeros(1, np.float32) if w.quantization is None else w.scales
    if w.quantization is not None and scales.size > 1:
        axis = w.quantization.axis
        if axis not in (0, 1) or scales.size != w.known_shape[axis]:
            return refused(y, f"{scales.size} scales along axis {axis} of weights of shape {w.shape}")
    scales = np.ascontiguousarray(np.broadcast_to(scales[:units], units))
    floats, bounds = exact_packed(site, w, 0, "float32")
    asymmetric = bool(site.options.asymmetric_quantize_inputs)
    args = (x, floats, scales, bounds, bias, asymmetric, activation, result)
    return Call(dense_hybrid, args, (y,), workspace=_needed(x, w, bounds))


def _blockwise(site: Site, arrays: tuple, activation: str, y: Tensor, result: Tensor) -> Call:
    """Scales that vary along the depth go into the weights themselves. Zero points of blocks count for nothing."""
    x, w, bias = arrays
    units, depth = w.known_shape
    size, scales = w.quantization.block_size, w.scales
    site.expect(depth % size == 0, f"a depth of {depth} in blocks of {size}")
    blocks = (units, depth // size, 1)
    site.expect(scales.size == math.prod(blocks), f"{scales.size} scales for {blocks[1]} blocks of {units} units")

    def real(stored):
        reals = (stored.reshape(*blocks[:2], size) * scales.reshape(blocks)).reshape(units, depth)
        return np.ascontiguousarray(reals.T).T  # as a matrix product likes it

    args = (x, site.packed(w, ("blockwise", scales.tobytes()), real), np.ones(units, np.float32), (0, depth), bias)
    return Call(dense_hybrid, (*args, True, activation, result), (y,), workspace=_needed(x, w, (0, depth)))


def _integer(site: Site, arrays: tuple, activation: str, y: Tensor, result: Tensor, shuffled: bool) -> Call:
    x, w, bias = arrays
    units = w.known_shape[0]
    x_scale, y_scale = x.scale, y.scale
    site.expect(y_scale > 0, f"the output's scale is {y_scale}")
    w_zero = w.zeros
    if w.scales.size > 1:
        site.expect(x.type != "uint8" and w.type != "uint8", "uint8 has no scales per unit")
        axis = w.quantization.axis  # type: ignore[union-attr]
        site.expect(axis == 0, f"the weights are scaled along axis {axis}, not by unit")
        site.expect(w.scales.size == units, f"{w.scales.size} scales for {units} units")
        w_zero = 0
    else:
        if isinstance(bias, Tensor):
            check_bias_scale(site, bias.numbers[0], x_scale * float(w.scales[0]), y_scale)
        w_zero = int(w_zero[0])
    product = x_scale * w.scales.astype(np.float64)
    fixed = w.type == "int16" or shuffled or bool(w.sparsity and y.type == "int8")
    if fixed and w.scales.size == 1:
        product = product.astype(np.float32).astype(np.float64)
    factor = np.broadcast_to(product / y_scale, units)
    site.expect(np.all(np.isfinite(factor)) and np.all(factor >= 0), f"rescaling factors are {factor}")
    if x.type == y.type == "int16":
        site.expect(x.zero == 0 and y.zero == 0, f"zero points of int16 are {x.zero} and {y.zero}, not 0")
        _check_bias_type(site, bias)
    low, high = activation_range(activation, y.type, y_scale, y.zero)
    if y.type == "uint8" and w.type in NARROW:
        return refused(y, f"{w.type} weights are not supported with a uint8 result")
    if shuffled:
        return _shuffled(site, arrays, factor, (low, high), y, result)
    floats, bounds = exact_packed(site, w, w_zero, x.type)
    first, needed = (x, x.zero, floats, w_zero, bounds, bias), _needed(x, w, bounds)
    if not fixed:
        args = (*first, np.ascontiguousarray(factor), y.zero, low, high, result)
        return Call(dense_int, args, (y,), workspace=needed)
    multiplier, shift = quantize_multipliers(factor)
    rule = "wide" if w.type == "int16" else "twice"
    site.expect(rule != "wide" or np.all(shift < 15), f"rescaling factors are {factor}")
    return Call(dense_fixed, (*first, multiplier, shift, y.zero, low, high, rule, result), (y,), workspace=needed)


def _shuffled(site: Site, arrays: tuple, factor, limits: tuple[int, int], y: Tensor, result: Tensor) -> Call:
    """The format implies zero points of 128 for x and w, and 0 for y; what the file says of them is passed over."""
    x, w, bias = arrays
    batch, depth = x.known_shape
    units = w.known_shape[0]
    site.expect(units % 4 == 0 and depth % 16 == 0, f"shuffled weights of shape {w.shape}, not of blocks of 4 by 16")
    second = site.output(1)
    if second.type != "uint8":
        return refused(y, f"shuffled activations of type {second.type}")
    if second.size != x.size:
        second = second.reshaped(batch, depth)
    args = (x, w, bias, *quantize_multipliers(factor), *limits, result, second)
    needed = 10 * units * depth + batch * (12 * depth + 48 * units) + SMALL_NBYTES
    return Call(dense_shuffled, args, (y, second), workspace=needed)


def _needed(x: Tensor, w: Tensor, bounds) -> int:
    return rows_workspace(x.known_shape[0], *w.known_shape, computed=bounds is None)


def _check_bias_type(site: Site, bias) -> None:
    wanted = site.enum("quantized_bias_type", "TensorType").lower()
    if wanted != "float32":  # its default, which says nothing
        site.expect(wanted in ("int32", "int64"), f"quantized_bias_type is {wanted}")
        site.expect(not isinstance(bias, Tensor) or bias.type == wanted, f"the bias is not of type {wanted}")
