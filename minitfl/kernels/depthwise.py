"""DEPTHWISE_CONV_2D: a filter of its own for each channel.

    y[b, i, j, d] = act(bias[d] + sum over k, l of w[0, k, l, d] * x[b, i * stride + k * dilation - pad, .., d // m])

x (batch, height, width, channels); w (1, filter height, filter width, channels * m); bias (channels * m,);
y (batch, out height, out width, channels * m), where m, the depth multiplier, follows from the shapes. What lies
outside the image counts as real 0. Pairs are (height, width).

    x, y       w            bias       kernel              w is scaled
    float32    float32      float32    depthwise_float     -
    float32    int8         float32    depthwise_hybrid    per channel, or per tensor
    uint8      uint8        int32      depthwise_int       per tensor
    int8       int8 int4    int32      depthwise_int       per tensor or per channel
    int16      int8 int4    int64      depthwise_int       per tensor or per channel
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused, wrong
from minitfl.kernels.exact import exact_weights
from minitfl.kernels.fixedpoint import float_activation_range
from minitfl.kernels.hybrid import quantized_images
from minitfl.kernels.requantize import requantize, requantize_one
from minitfl.kernels.sums import (
    MAGNITUDE,
    bias_of,
    check_filter,
    check_types,
    finish,
    image_shapes,
    less_zero,
    numbers,
    packed,
    within,
    workspace,
    wrong_filter,
)
from minitfl.kernels.windows import MOST_STRIDE, fitted, placement, windows
from minitfl.op import Call, Kernel, Site, op

FILTERS = {
    "float32": ("float32", "int8", "int4"),  # int4 is refused when it is met
    "uint8": ("uint8",),
    "int8": ("int8", "int4"),
    "int16": ("int8", "int4"),
}


@Kernel
def depthwise_float(x, w, bias, stride, dilation, pad, low, high, y):
    """The sums of products plus bias, within low..high; float32."""
    for _, _, _, total in _sums(x, w, stride, dilation, pad, None, y, y):
        finish(total, bias, low, high)


@depthwise_float.fast
def depthwise_float_loops(x, w, bias, stride, dilation, pad, low, high, y):
    _, taps_down, taps_across, units = w.shape
    times = units // x.shape[3]
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for u in range(units):
                    total = bias[u]
                    for k in range(taps_down):
                        row = i * stride[0] + k * dilation[0] - pad[0]
                        if row < 0 or row >= x.shape[1]:
                            continue
                        for m in range(taps_across):
                            column = j * stride[1] + m * dilation[1] - pad[1]
                            if column >= 0 and column < x.shape[2]:
                                total += x[b, row, column, u // times] * w[0, k, m, u]
                    y[b, i, j, u] = within(total, low, high)


@Kernel
def depthwise_int(
    x, x_zero, w, w_zero, exact, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y
):
    """depthwise_float on stored integers, where real = scale * (stored - zero); numbers as in conv.conv_int.

    w: floats that hold w - w_zero, in a type that makes the sums exact; or, where `exact` is False, the stored filter.
    """
    if not exact:
        w = _floats(w, w_zero, x.dtype.name)
    for image, rows, columns, total in _sums(x, w, stride, dilation, pad, less_zero(x_zero), y):
        block = y[image, rows, columns].reshape(total.shape)
        requantize(total, bias, multiplier, shift, y_zero, low, high, rule, block)


@depthwise_int.fast
def depthwise_int_loops(
    x, x_zero, w, w_zero, exact, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y
):
    _, taps_down, taps_across, units = w.shape
    times = units // x.shape[3]
    zero = 0 if exact else w_zero
    wide = rule == "wide"
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for u in range(units):
                    total = np.int64(bias[u])
                    for k in range(taps_down):
                        row = i * stride[0] + k * dilation[0] - pad[0]
                        if row < 0 or row >= x.shape[1]:
                            continue
                        for m in range(taps_across):
                            column = j * stride[1] + m * dilation[1] - pad[1]
                            if column >= 0 and column < x.shape[2]:
                                value = np.int64(x[b, row, column, u // times]) - x_zero
                                total += value * (np.int64(w[0, k, m, u]) - zero)
                    y[b, i, j, u] = requantize_one(total, multiplier[u], shift[u], y_zero, low, high, wide)


@Kernel
def depthwise_hybrid(x, w, w_scale, exact, bias, stride, dilation, pad, low, high, y):
    """depthwise_float on float32 x that is brought to 8 bits, an image at a time; w_scale float32 (channels * m,)."""
    if not exact:
        w = _floats(w, 0, "int8")
    scale, load = quantized_images(x, True)
    for image, rows, columns, total in _sums(x, w, stride, dilation, pad, load, y):
        total *= w_scale * scale[image]
        finish(total, bias, low, high)
        block = y[image, rows, columns]
        block[...] = total.reshape(block.shape)


def _sums(x, w, stride, dilation, pad, load, y, into=None):
    """Yields (image, rows, columns, total): the sums of one block of windows after the other, in w's type.

    total (windows, channels * m) is the block's place in `into`, or else to be used up at once.
    """
    tall, wide, pad = fitted(x.shape, y.shape, w.shape[1:3], pad, stride, dilation)
    w = w[0, tall, wide]
    filter, channels = w.shape[:2], w.shape[2]
    blocks = windows(x, y.shape[:3], filter, pad, stride, dilation, load, w.dtype, channels // x.shape[3], 2 * channels)
    memory, weights, length = np.empty(0, w.dtype), w, 1
    for image, rows, columns, pieces in blocks:
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if stride[1] == 1 and length != width:
            # neighbours meet neighbouring values: a row of windows is one long line
            weights, length = np.tile(w, (1, 1, width)), width
        size = height * width * channels
        if memory.size < 2 * size:
            memory = np.empty(2 * size, w.dtype)
        shape = (height, width // length, channels * length)
        total = memory[:size].reshape(shape) if into is None else into[image, rows, columns].reshape(shape)
        more = memory[size : 2 * size].reshape(shape)
        for n, (taps, values) in enumerate(pieces):
            if length > 1:
                lines = (*values.shape[:3], 1, length * channels)
                values = as_strided(values, lines, (*values.strides[:3], 0, values.itemsize), writeable=False)
            np.einsum("klijc,klc->ijc", values, weights[taps], out=more if n else total)
            if n:
                total += more
        yield image, rows, columns, total.reshape(-1, channels)


def _floats(w, w_zero, x_type):
    """w - w_zero (1, filter height, filter width, channels), as floats whose sums of products are exact."""
    taps = w.shape[1] * w.shape[2]
    floats, _ = exact_weights(w.reshape(taps, -1).T, w_zero, MAGNITUDE[x_type], 1)
    return np.ascontiguousarray(floats.T).reshape(w.shape)


# ---- preparations


@op("DEPTHWISE_CONV_2D", max_version=7)
def depthwise_conv_2d(site: Site) -> Call:
    site.arity((2, 3), 1)
    x, w, y = site.input(0), site.input(1), site.output(0)
    (batch, height, width, channels), (first, filter_height, filter_width, units) = image_shapes(site, x, w)
    site.expect(first == 1, f"a filter of shape {w.shape}")
    site.expect(units % channels == 0, f"{units} output channels for {channels} input channels")
    check_types(site, x, y, FILTERS)
    check_filter(site, x, w, FILTERS)
    site.expect(len(site.inputs) == 2 or site.input(2), "no bias")
    where, (out_height, out_width) = placement(site, (height, width), (filter_height, filter_width), MOST_STRIDE)
    y = y.reshaped(batch, out_height, out_width, units)
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    needed = workspace(site, x, w, y)
    if x.type == "float32":
        low, high = float_activation_range(activation)
        bias = bias_of(site, 2, units, ("float32",), 1)
        if w.type == "int4":
            return refused(y, wrong_filter(x, w))
        if w.type == "float32":
            return Call(depthwise_float, (x, w, bias, *where, low, high, y), (y,), workspace=needed)
        scales = w.scales
        axis = w.quantization.axis  # type: ignore[union-attr]
        site.expect(scales.size == w.known_shape[axis], f"{scales.size} filter scales along axis {axis} of {w.shape}")
        site.expect(scales.size in (1, units), f"{scales.size} filter scales for {units} channels")
        if batch == 0:
            return wrong(y, "no images to quantize")
        scales = np.broadcast_to(scales, units).astype(np.float32)
        floats, exact = _prepared(site, w, 0, "int8")
        return Call(depthwise_hybrid, (x, floats, scales, exact, bias, *where, low, high, y), (y,), workspace=needed)
    bias = bias_of(site, 2, units, ("int64" if x.type == "int16" else "int32",), 1)
    rule = "wide" if x.type == "int16" else "twice"
    n = numbers(site, x, w, bias, y, units, activation, rule)
    w_zero = w.zero if w.type == "uint8" else 0
    floats, exact = _prepared(site, w, w_zero, x.type)
    args = (x, x.zero, floats, w_zero, exact, bias, *n, *where, y)
    return Call(depthwise_int, args, (y,), workspace=needed)


def _prepared(site: Site, w: Tensor, w_zero: int, x_type: str) -> tuple[Any, bool]:
    """(floats, True): a constant filter as the kernels want it; (w, False): one that is computed while running."""
    ready = packed(site, w, ("taps", w_zero, x_type), lambda stored: _floats(stored, w_zero, x_type))
    return (w, False) if ready is None else (ready, True)
