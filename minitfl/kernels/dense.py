"""FULLY_CONNECTED: y = act(x @ w.T + bias).

x (..., depth), seen as (batch, depth); w (units, depth); bias (units,) or absent; y (batch, units), or x's own axes but
the last with keep_num_dims.

    x             w               bias           y               kernel         w is scaled
    float32       float32         float32        float32         dense_float    -
    float32       int8 int4 int2  float32        float32         dense_hybrid   per tensor or per unit
    float32       uint8           float32        float32         dense_hybrid   per tensor; its bytes are read as int8
    int8          int8 int4 int2  int32          int8            dense_int      per tensor or per unit
    uint8         uint8           int32          uint8 int16     dense_int      per tensor
    int16         int8 int4 int2  int32 int64    int16           dense_int      per tensor or per unit
    int16         int16           int32 int64    int16           dense_int16    per tensor or per unit

Other pairs of integer types for x and y are computed by the same formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.fixedpoint import (
    activation_range,
    exact_matmul,
    float_activation_range,
    quantize_multipliers,
    rescale_real,
    rescale_wide,
)
from minitfl.kernels.fused import ACTIVATIONS, activate
from minitfl.kernels.hybrid import hybrid_matmul, quantize_rows
from minitfl.op import Call, Kernel, Site, op

BLOCK_NBYTES = 1 << 20  # of each of the temporaries: both operands in float64, the sums and what is made of them
SMALL_NBYTES = 1 << 17  # more than all that depends on one side alone
CLAMPS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
NARROW = ("int4", "int2")

# ---- kernels


@Kernel
def dense_float(x, w, bias, low, high, y):
    """y = clip(x @ w.T + bias, low, high); x (batch, depth), w (units, depth), y (batch, units)."""
    np.matmul(x, w.T, out=y)
    y += bias
    np.clip(y, low, high, out=y)


@Kernel
def dense_int(x, w, bias, x_zero, w_zero, factor, y_zero, low, high, y):
    """dense_float on stored integers, where real = scale * (stored - zero).

    The bias is stored with scale x_scale * w_scale and zero 0, so it adds to the sum of products as it is.
    factor (units,): x_scale * w_scale / y_scale, float64. low, high: stored values.
    """
    for b, u in parts(len(x), *w.shape):
        total = exact_matmul(x[b], x_zero, w[u].T, w_zero) + bias[u]
        y[b, u] = np.clip(rescale_real(total, factor[u]) + y_zero, low, high)


@Kernel
def dense_int16(x, w, bias, x_zero, w_zero, multiplier, shift, y_zero, low, high, y):
    """dense_int for 16-bit x and w, whose sums are rescaled by 15-bit multipliers."""
    for b, u in parts(len(x), *w.shape):
        total = exact_matmul(x[b], x_zero, w[u].T, w_zero) + bias[u]
        y[b, u] = np.clip(rescale_wide(total, multiplier[u], shift[u]) + y_zero, low, high)


@Kernel
def dense_hybrid(x, w, bias, w_scale, asymmetric, activation, y):
    """dense_float for stored 8-bit w and float x, which is quantized row by row; w_scale float32 (units,)."""
    w = w.view(np.int8)
    for b, units in rows(len(x), *w.shape):
        q, scale, zero = quantize_rows(x[b], asymmetric)
        for u in units:
            y[b, u] = hybrid_matmul(q, scale, zero, w[u], w_scale[u])
            y[b, u] += bias[u]
    activate(y, activation)


@Kernel
def dense_without_depth(y):
    """y = 0, whatever that stands for: of no products not even the bias is left."""
    y[...] = 0


# ---- blocks


def rows(batch: int, units: int, depth: int) -> Iterator[tuple[slice, list[slice]]]:
    """Parts of the batch, each with the parts of the units, such that what one pair of them takes fits in the cache."""
    many_units = _fitting(units, 8 * depth)
    many_rows = min(_fitting(batch, 8 * depth), _fitting(batch, 32 * many_units))
    cuts = [slice(u, u + many_units) for u in range(0, units, many_units)]
    for b in range(0, batch, many_rows):
        yield slice(b, b + many_rows), cuts


def parts(batch: int, units: int, depth: int) -> Iterator[tuple[slice, slice]]:
    """The pairs of `rows`, one by one."""
    return ((b, u) for b, cuts in rows(batch, units, depth) for u in cuts)


def _fitting(count: int, nbytes: int) -> int:
    """How many things of that many bytes make a block: at least one, at most `count`."""
    return max(1, min(count, BLOCK_NBYTES // max(nbytes, 1)))


def workspace(batch: int, units: int, depth: int) -> int:
    """Bytes that bound the temporaries of a kernel that goes through `rows`."""
    many_units = _fitting(units, 8 * depth)
    many_rows = min(_fitting(batch, 8 * depth), _fitting(batch, 32 * many_units))
    return 8 * depth * (many_units + 2 * many_rows) + 40 * many_rows * many_units + SMALL_NBYTES


# ---- while preparing


@op("FULLY_CONNECTED", max_version=14)
def fully_connected(site: Site) -> Call:
    site.arity((2, 3), (1, 2))
    x, w, bias, y = site.input(0), site.input(1), site.optional(2), site.output(0)
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    if site.enum("weights_format", "FullyConnectedOptionsWeightsFormat") != "DEFAULT":
        site.unsupported("weights in the shuffled 4x16 format are not supported")
    if len(site.options.quant_spec):
        site.unsupported("a quantization specification is not supported")
    site.arity((2, 3), 1)
    _check_types(site, x, w, bias, y)
    hybrid = x.type == "float32" != w.type
    allowed = ACTIVATIONS if hybrid else CLAMPS
    site.expect(activation in allowed, f"the fused activation is {activation}, which {x.type} does not take")
    if w.quantization is not None and w.quantization.block_size:
        site.unsupported("blockwise quantized weights are not supported")
    if w.type in NARROW and w.quantization is not None:
        site.expect(not w.zeros.any(), "Unsupported filter quantization zero-point value.")
    site.expect(w.rank == 2, f"weights have the shape {w.shape}, not (units, depth)")

    units, depth = w.known_shape
    y = y.reshaped(_result_shape(site, x, units, depth))
    if depth == 0:
        return Call(dense_without_depth, (y,), (y,))
    batch = x.size // depth
    if bias is not None:
        site.expect(bias.size == units, f"{bias.size} biases for {units} units")
    flat = (batch, units)
    arrays = (x.reshaped(batch, depth), w, _bias(bias, units))
    result = y.reshaped(flat)
    bound = workspace(batch, units, depth)
    if hybrid:
        return _hybrid(site, arrays, activation, y, result, bound)
    if x.type == "float32":
        low, high = float_activation_range(activation)
        most = float(np.finfo(np.float32).max)
        return Call(dense_float, (*arrays, max(low, -most), min(high, most), result), (y,))
    return _integer(site, arrays, activation, y, result, bound)


def _check_types(site: Site, x: Tensor, w: Tensor, bias: Tensor | None, y: Tensor) -> None:
    """UnsupportedError for a combination of types that no kernel takes."""
    integers = ("uint8", "int8", "int16")
    if x.type == "float32":
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


def _bias(bias: Tensor | None, units: int):
    return np.zeros(units, np.int32) if bias is None else bias.reshaped(units)


def legacy_scale(t: Tensor) -> float:
    """The one scale of a tensor; 0 where it has none or several, which is what some official checks go by."""
    return float(t.scales[0]) if t.quantization is not None and t.scales.size == 1 else 0.0


def _hybrid(site: Site, arrays: tuple, activation: str, y: Tensor, result: Tensor, bound: int) -> Call:
    x, w, bias = arrays
    units = w.known_shape[0]
    scales = np.zeros(1, np.float32) if w.quantization is None else w.scales
    if w.quantization is not None and scales.size > 1:
        axis = w.quantization.axis
        if axis not in (0, 1) or scales.size != w.known_shape[axis]:
            return refused(y, f"{scales.size} scales along axis {axis} of weights of shape {w.shape}")
    scales = np.ascontiguousarray(np.broadcast_to(scales[:units], units))
    asymmetric = bool(site.options.asymmetric_quantize_inputs)
    return Call(dense_hybrid, (x, w, bias, scales, asymmetric, activation, result), (y,), workspace=bound)


def _integer(site: Site, arrays: tuple, activation: str, y: Tensor, result: Tensor, bound: int) -> Call:
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
        check_bias_scale(site, x_scale * float(w.scales[0]), y_scale, bias)
        w_zero = int(w_zero[0])
    product = x_scale * w.scales.astype(np.float64)
    if w.type == "int16" and w.scales.size == 1:
        product = product.astype(np.float32).astype(np.float64)
    factor = np.broadcast_to(product / y_scale, units)
    site.expect(np.all(np.isfinite(factor)) and np.all(factor >= 0), f"rescaling factors are {factor}")
    if x.type == y.type == "int16":
        site.expect(x.zero == 0 and y.zero == 0, f"zero points of int16 are {x.zero} and {y.zero}, not 0")
        _check_bias_type(site, bias)
    low, high = activation_range(activation, y.type, y_scale, y.zero)
    if y.type == "uint8" and w.type in NARROW:
        return refused(y, f"{w.type} weights are not supported with a uint8 result")
    if w.type == "int16":
        multiplier, shift = quantize_multipliers(factor)
        site.expect(np.all(shift < 15), f"rescaling factors are {factor}")
        args = (x, w, bias, x.zero, w_zero, multiplier, shift, y.zero, low, high, result)
        return Call(dense_int16, args, (y,), workspace=bound)
    args = (x, w, bias, x.zero, w_zero, np.ascontiguousarray(factor), y.zero, low, high, result)
    return Call(dense_int, args, (y,), workspace=bound)


def check_bias_scale(site: Site, product_scale: float, y_scale: float, bias) -> None:
    """A bias is added to sums of products: its scale must be theirs, give or take 2 % of a step of the output."""
    if isinstance(bias, Tensor):
        scale = legacy_scale(bias)
        site.expect(
            abs(product_scale - scale) / y_scale <= 0.02,
            f"the bias has scale {scale} where x_scale * w_scale is {product_scale}",
        )


def _check_bias_type(site: Site, bias) -> None:
    wanted = site.enum("quantized_bias_type", "TensorType").lower()
    if wanted != "float32":  # its default, which says nothing
        site.expect(wanted in ("int32", "int64"), f"quantized_bias_type is {wanted}")
        site.expect(not isinstance(bias, Tensor) or bias.type == wanted, f"the bias is not of type {wanted}")
