"""CONV_2D: every output channel is a sum over a window of all channels of its group.

    y[b, i, j, u] = act(bias[u] + sum over k, l, c of w[u, k, l, c] * x[b, i * stride + k * dilation - pad, .., c])

x (batch, height, width, channels); w (units, filter height, filter width, depth); bias (units,); y (batch, out height,
out width, units). With channels = groups * depth, the units of a group see the channels of that group alone. What lies
outside the image counts as real 0. Pairs are (height, width).

    x, y       w            bias           kernel         w is scaled
    float32    float32      float32        conv_float     -
    float32    int8 int4    float32        conv_hybrid    per tensor, or per unit
    float32    uint8        float32        conv_hybrid    per tensor; its bytes count as int8
    uint8      uint8        int32          conv_int       per tensor
    int8       int8 int4    int32          conv_int       per tensor or per unit
    int16      int8 int4    int32 int64    conv_int       per tensor or per unit
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minitfl.kernels.broadcast import refused
from minitfl.kernels.exact import exact_weights
from minitfl.kernels.fixedpoint import float_activation_range
from minitfl.kernels.hybrid import quantized_images
from minitfl.kernels.requantize import requantize, requantize_one
from minitfl.kernels.sums import (
    MAGNITUDE,
    bias_of,
    check_filter,
    check_types,
    exact_packed,
    finish,
    image_shapes,
    integer_bias,
    less_zero,
    numbers,
    within,
    workspace,
    wrong_filter,
)
from minitfl.kernels.windows import fitted, placement, windows
from minitfl.op import Call, Kernel, Site, op

FILTERS = {
    "float32": ("float32", "int8", "uint8", "int4"),
    "uint8": ("uint8",),
    "int8": ("int8", "int4"),
    "int16": ("int8", "int4"),
}


@Kernel
def conv_float(x, w, bias, stride, dilation, pad, low, high, y):
    """The sum of products plus bias, within low..high; float32."""
    for _, _, _, total in _sums(x, w, None, stride, dilation, pad, None, y):
        finish(total, bias, low, high)


@conv_float.fast
def conv_float_loops(x, w, bias, stride, dilation, pad, low, high, y):
    units, taps_down, taps_across, depth = w.shape
    group = units * depth // x.shape[3]
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for u in range(units):
                    first = u // group * depth
                    total = bias[u]
                    for k in range(taps_down):
                        row = i * stride[0] + k * dilation[0] - pad[0]
                        if row < 0 or row >= x.shape[1]:
                            continue
                        for m in range(taps_across):
                            column = j * stride[1] + m * dilation[1] - pad[1]
                            if column < 0 or column >= x.shape[2]:
                                continue
                            for d in range(depth):
                                total += x[b, row, column, first + d] * w[u, k, m, d]
                    y[b, i, j, u] = within(total, low, high)


@Kernel
def conv_int(x, x_zero, w, w_zero, bounds, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y):
    """conv_float on stored integers, where real = scale * (stored - zero).

    The bias is stored with scale x_scale * w_scale and zero 0, so it adds to the sum of products as it is.
    multiplier, shift (units,): x_scale * w_scale / y_scale; rule, low, high: see requantize. w: floats that hold
    w - w_zero with `bounds` as exact.exact_weights gives them; or the stored filter, bounds None.
    """
    if bounds is None:
        w, bounds = exact_weights(w, w_zero, MAGNITUDE[x.dtype.name])
    for image, rows, columns, total in _sums(x, w, bounds, stride, dilation, pad, less_zero(x_zero), y):
        block = y[image, rows, columns].reshape(total.shape)
        requantize(total, bias, multiplier, shift, y_zero, low, high, rule, block)


@conv_int.fast
def conv_int_loops(
    x, x_zero, w, w_zero, bounds, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y
):
    units, taps_down, taps_across, depth = w.shape
    group = units * depth // x.shape[3]
    zero = w_zero if bounds is None else 0
    wide = rule == "wide"
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for u in range(units):
                    first = u // group * depth
                    total = np.int64(bias[u])
                    for k in range(taps_down):
                        row = i * stride[0] + k * dilation[0] - pad[0]
                        if row < 0 or row >= x.shape[1]:
                            continue
                        for m in range(taps_across):
                            column = j * stride[1] + m * dilation[1] - pad[1]
                            if column < 0 or column >= x.shape[2]:
                                continue
                            for d in range(depth):
                                value = np.int64(x[b, row, column, first + d]) - x_zero
                                total += value * (np.int64(w[u, k, m, d]) - zero)
                    y[b, i, j, u] = requantize_one(total, multiplier[u], shift[u], y_zero, low, high, wide)


@Kernel
def conv_hybrid(x, w, w_scale, bounds, bias, asymmetric, stride, dilation, pad, low, high, y):
    """conv_float on float32 x that is brought to 8 bits, an image at a time, and a stored filter with scale w_scale.

    w, bounds: as in conv_int; w_scale float32 (units,).
    """
    if bounds is None:
        w, bounds = exact_weights(w.view(np.int8), 0, MAGNITUDE["int8"])
    scale, load = quantized_images(x, asymmetric)
    for image, rows, columns, total in _sums(x, w, bounds, stride, dilation, pad, load, y):
        block = y[image, rows, columns].reshape(total.shape)
        np.copyto(block, total, casting="unsafe")
        if asymmetric:
            block *= w_scale
            block *= scale[image]
        else:
            block *= scale[image] * w_scale
        finish(block, bias, low, high)


def _sums(x, w, bounds, stride, dilation, pad, load, y):
    """Yields (image, rows, columns, total): the sums of products of one block of windows after the other.

    total (windows, units). Where bounds is None it is the block's place in y, else floats to be used up at once, summed
    as in exact.exact_product.
    """
    units, depth = w.shape[0], w.shape[3]
    groups = x.shape[3] // depth
    tall, wide, pad = fitted(x.shape, y.shape, w.shape[1:3], pad, stride, dilation)
    used = w[:, tall, wide]
    if bounds is not None and len(bounds) > 2 and used.shape != w.shape:
        used, bounds = used.astype(np.float64), bounds[:2]
    filter = used.shape[1:3]
    length = filter[0] * filter[1] * depth
    matrix = used.reshape(groups, units // groups, length).swapaxes(1, 2)
    cuts = bounds if bounds is not None and len(bounds) > 2 else (0, length)
    memory = np.empty(0, used.dtype)
    weight = groups * length + units
    for image, rows, columns, pieces in windows(
        x, y.shape[:3], filter, pad, stride, dilation, load, used.dtype, 1, weight
    ):
        block = y[image, rows, columns]
        patches = _patches(pieces, groups, filter, block.shape[:2], used.dtype)
        count = patches.shape[1]
        if bounds is None and groups == 1:
            total = block.reshape(count, units)
            np.matmul(patches[0], matrix[0], out=total)
            yield image, rows, columns, total
            continue
        if memory.size < count * units:
            memory = np.empty(count * units, used.dtype)
        total = memory[: count * units].reshape(groups, count, units // groups)
        np.matmul(patches[:, :, : cuts[1]], matrix[:, : cuts[1]], out=total)
        if len(cuts) > 2:
            total = total.astype(np.float64)
            for start, stop in pairwise(cuts[1:]):
                total += np.matmul(patches[:, :, start:stop], matrix[:, start:stop])
        total = total.swapaxes(0, 1).reshape(count, units)
        if bounds is None:
            block = block.reshape(count, units)
            block[...] = total
            total = block
        yield image, rows, columns, total


def _patches(pieces, groups, filter, block, dtype):
    """The windows of a block as the rows of matrices (groups, windows, taps * depth), without a copy where possible."""
    count = block[0] * block[1]
    taps, values = next(pieces)
    depth = values.shape[4] // groups
    shape = (*values.shape[:4], groups, depth)
    if values.shape[0] == filter[0]:
        return values.reshape(shape).transpose(4, 2, 3, 0, 1, 5).reshape(groups, count, -1)
    patches = np.empty((groups, *block, *filter, depth), dtype)
    while True:
        patches[:, :, :, taps] = values.reshape(shape).transpose(4, 2, 3, 0, 1, 5)
        following = next(pieces, None)
        if following is None:
            return patches.reshape(groups, count, -1)
        taps, values = following


# ---- preparations


@op("CONV_2D", max_version=8)
def conv_2d(site: Site) -> Call:
    site.arity((2, 3), 1)
    x, w, y = site.input(0), site.input(1), site.output(0)
    (batch, height, width, channels), (units, filter_height, filter_width, depth) = image_shapes(site, x, w)
    site.expect(channels % depth == 0, f"{channels} channels for a filter of depth {depth}")
    site.expect(units % (channels // depth) == 0, f"{units} units in {channels // depth} groups")
    check_types(site, x, y, FILTERS)
    if x.type != "int8":
        check_filter(site, x, w, FILTERS)
    site.expect(len(site.inputs) == 3 and site.input(2), "no bias, which this op can't do without")
    where, (out_height, out_width) = placement(site, (height, width), (filter_height, filter_width))
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    y = y.reshaped(batch, out_height, out_width, units)
    x_seen, y_seen = x, y
    stride, _, pad = where
    if filter_height == filter_width == stride[0] == stride[1] == 1 and not any(pad):
        # one product of matrices
        x_seen, y_seen = x.reshaped(1, batch * height * width, 1, channels), y.reshaped(1, y.size // units, 1, units)
    needed = workspace(site, x, w, y)
    if x.type == "float32":
        low, high = float_activation_range(activation)
        bias = bias_of(site, 2, units, ("float32",))
        if w.type == "float32":
            return Call(conv_float, (x_seen, w, bias, *where, low, high, y_seen), (y,), workspace=needed)
        scales = np.zeros(1, np.float32) if w.quantization is None else w.scales
        several = bool((scales != scales[0]).any())
        if several or channels != depth:
            site.expect(scales.size == units, f"{scales.size} filter scales for {units} units")
        scales = np.broadcast_to(scales if several else scales[:1], units).astype(np.float32)
        floats, bounds = exact_packed(site, w, 0, "float32")
        args = (x, floats, scales, bounds, bias, several or channels != depth, *where, low, high, y)
        return Call(conv_hybrid, args, (y,), workspace=needed)
    site.expect(x.type == "uint8" or not w.zeros.any(), f"a filter with zero point {w.zeros}")
    bias, rule = integer_bias(site, 2, units, x.type)
    n = numbers(site, x, w, bias, y, units, activation, rule)
    if w.type not in FILTERS[x.type]:
        return refused(y, wrong_filter(x, w))
    w_zero = w.zero if w.type == "uint8" else 0
    floats, bounds = exact_packed(site, w, w_zero, x.type)
    args = (x_seen, x.zero, floats, w_zero, bounds, bias, *n, *where, y_seen)
    return Call(conv_int, args, (y,), workspace=needed)
