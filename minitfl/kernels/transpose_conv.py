"""TRANSPOSE_CONV: what a convolution sums up is handed back to where it came from.

    y[b, i * stride + k - pad, .., u] gains w[u, k, l, c] * x[b, i, j, c]; then bias[u] is added, and act applied

x (batch, height, width, depth); w (units, filter height, filter width, depth); bias (units,) or absent; y (batch, out
height, out width, units), the shape that the first input holds. What falls outside y is lost. Pairs are
(height, width).

    x, y       w          bias           kernel              w is scaled
    float32    float32    float32        transpose_float     -
    float32    int8       float32        transpose_hybrid    per tensor or per unit
    uint8      uint8      int32          transpose_int       per tensor
    int8       int8       int32          transpose_int       per tensor or per unit
    int16      int8       int32 int64    transpose_int       per tensor or per unit
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.fixedpoint import exact_weights, float_activation_range, requantize
from minitfl.kernels.hybrid import quantize_into, row_scales
from minitfl.kernels.sums import MAGNITUDE, bias_of, check_types, finish, integer_bias, numbers, prepared_weights
from minitfl.kernels.windows import BLOCK, window
from minitfl.op import Call, Kernel, Site, op

LARGEST_STRIDE = 32767


@Kernel
def transpose_float(x, w, bias, stride, pad, low, high, y):
    """The sums of products plus bias, within low..high; float32."""
    for image, rows, total in _sums(x, w, stride, pad, None, y):
        finish(total, bias, low, high)
        y[image, rows] = total.reshape(y[image, rows].shape)


@Kernel
def transpose_int(x, x_zero, w, w_zero, parts, bias, multiplier, shift, y_zero, low, high, rule, stride, pad, y):
    """transpose_float on stored integers, where real = scale * (stored - zero); numbers as in conv.conv_int."""
    if parts is None:
        w, parts = exact_weights(w, w_zero, MAGNITUDE[x.dtype.name])
    if len(parts) > 2:
        w = w.astype(np.float64)

    def load(part, image):
        return np.subtract(part, x_zero, dtype=w.dtype, casting="unsafe")

    for image, rows, total in _sums(x, w, stride, pad, load, y):
        block = y[image, rows].reshape(total.shape)
        requantize(total, bias, multiplier, shift, y_zero, low, high, rule, block)


@Kernel
def transpose_hybrid(x, w, w_scale, parts, bias, stride, pad, low, high, y):
    """transpose_float on float32 x that is brought to 8 bits, an image at a time; w_scale float32 (units,)."""
    if parts is None:
        w, parts = exact_weights(w, 0, 255)
    if len(parts) > 2:
        w = w.astype(np.float64)
    scale, inverse, zero = row_scales(x.reshape(x.shape[0], -1), True)

    def load(part, image):
        out = np.empty(part.shape, w.dtype)
        quantize_into(part, inverse[image], zero[image], True, out)
        out -= zero[image]
        return out

    for image, rows, total in _sums(x, w, stride, pad, load, y):
        total *= w_scale * scale[image]
        finish(total, bias, low, high)
        y[image, rows] = total.reshape(y[image, rows].shape)


def _sums(x, w, stride, pad, load, y):
    """Yields (image, rows, total): the sums of a block of rows of y after the other, (places, units) in w's type.

    `load(part, image)` gives the values of a part of an image, or they are taken as they are where it is None. w has
    sums of products that are exact in its type where that is asked for.
    """
    batch, height, width, depth = x.shape
    _, out_height, out_width, units = y.shape
    taps = w.shape[1:3]
    matrix = w.transpose(3, 1, 2, 0).reshape(depth, -1)
    # a row of y, and the rows of x that reach it
    weight = out_width * units + width * (matrix.shape[1] + depth) * -(-taps[0] // stride[0])
    tall = max(1, BLOCK // max(weight, 1))
    for image in range(batch):
        for top in range(0, out_height, tall):
            bottom = min(top + tall, out_height)
            total = np.zeros((bottom - top, out_width, units), w.dtype)
            # rows of x with top <= i * stride + k - pad < bottom for some k
            first = max(0, -((taps[0] - 1 - pad[0] - top) // stride[0]))
            last = min(height, (bottom - 1 + pad[0]) // stride[0] + 1)
            if first < last:
                part = x[image, first:last]
                values = part if load is None else load(part, image)
                spread = np.matmul(values.reshape(-1, depth), matrix)
                spread = spread.reshape(last - first, width, *taps, units)
                for k in range(taps[0]):
                    to_rows, from_rows = _meeting(
                        last - first, stride[0], first * stride[0] + k - pad[0] - top, len(total)
                    )
                    for m in range(taps[1]):
                        to_columns, from_columns = _meeting(width, stride[1], m - pad[1], out_width)
                        total[to_rows, to_columns] += spread[from_rows, from_columns, k, m]
            yield image, slice(top, bottom), total.reshape(-1, units)


def _meeting(count, stride, start, size):
    """(where, which) of positions start + i * stride, for i in range(count), that lie within range(size): slices."""
    first = max(0, -(start // stride))
    last = min(count, (size - 1 - start) // stride + 1)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    place = start + first * stride
    return slice(place, place + (last - first - 1) * stride + 1, stride), slice(first, last)


# ---- preparation


@op("TRANSPOSE_CONV", max_version=5)
def transpose_conv(site: Site) -> Call:
    site.arity((3, 4), 1)
    shape, w, x, y = site.input(0), site.input(1), site.input(2), site.output(0)
    site.expect(shape.rank == 1, f"an output shape of rank {shape.rank}")
    site.expect(shape.type == "int32", f"an output shape of type {shape.type}")
    site.expect(x.rank == 4, f"an input of rank {x.rank}")
    site.expect(w.rank == 4, f"a filter of rank {w.rank}")
    batch, height, width, depth = x.known_shape
    units, *taps, w_depth = w.known_shape
    stride = (site.options.stride_h, site.options.stride_w)
    site.expect(0 < min(stride) and max(stride) <= LARGEST_STRIDE, f"strides of {stride}")
    site.expect(min(height, width, depth) > 0, f"an input of shape {x.shape}")
    site.expect(min(units, *taps) > 0, f"a filter of shape {w.shape}")
    site.expect(w_depth == depth, f"a filter of depth {w_depth} for an input of depth {depth}")
    if w.type == "int4":
        site.unsupported("a filter of type int4")
    check_types(site, x, w, y)
    wanted = tuple(int(n) for n in site.value(shape))
    site.expect(len(wanted) == 4 and min(wanted[1:3]) > 0, f"an output shape of {wanted}")
    site.expect(
        (wanted[0], wanted[3]) == (batch, units), f"an output shape of {wanted} for {batch} images, {units} units"
    )
    padding = site.enum("padding", "Padding")
    axes = [window(padding, wanted[i + 1], taps[i], stride[i]) for i in (0, 1)]
    seen = (axes[0][0], axes[1][0])
    site.expect(seen == (height, width), f"an input of {(height, width)} where an output of {wanted} asks for {seen}")
    where = (stride, (axes[0][1], axes[1][1]))
    y = y.reshaped(wanted)
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    workspace = min(4 << 20, 16 * (x.size + y.size + w.size))
    if x.type == "float32":
        low, high = float_activation_range(activation)
        bias = bias_of(site, 3, units, ("float32",))
        if w.type == "float32":
            return Call(transpose_float, (x, w, bias, *where, low, high, y), (y,), workspace=workspace)
        scales = w.scales
        site.expect(scales.size in (1, units), f"{scales.size} filter scales for {units} units")
        scales = np.broadcast_to(scales, units).astype(np.float32)
        floats, parts = prepared_weights(site, w, 0, "int8")
        return Call(transpose_hybrid, (x, floats, scales, parts, bias, *where, low, high, y), (y,), workspace=workspace)
    bias, rule = integer_bias(site, 3, units, x.type)
    n = numbers(site, x, w, bias, y, units, activation, rule)
    w_zero = w.zero if w.type == "uint8" else 0
    floats, parts = prepared_weights(site, w, w_zero, x.type)
    tail = (n.multiplier, n.shift, y.zero, n.low, n.high, rule, *where, y)
    return Call(transpose_int, (x, x.zero, floats, w_zero, parts, bias, *tail), (y,), workspace=workspace)
