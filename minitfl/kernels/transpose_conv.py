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

from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import wrong
from minitfl.kernels.exact import exact_weights
from minitfl.kernels.fixedpoint import float_activation_range
from minitfl.kernels.hybrid import quantized_images
from minitfl.kernels.requantize import requantize
from minitfl.kernels.sums import (
    MAGNITUDE,
    bias_of,
    check_filter,
    check_types,
    finish,
    image_shapes,
    integer_bias,
    less_zero,
    numbers,
    packed,
    workspace,
)
from minitfl.kernels.windows import BLOCK, MOST_STRIDE, meeting, window
from minitfl.op import Call, Kernel, Site, op

FILTERS = {"float32": ("float32", "int8"), "uint8": ("uint8",), "int8": ("int8",), "int16": ("int8",)}


@Kernel
def transpose_float(x, w, bias, stride, pad, low, high, y):
    """The sums of products plus bias, within low..high; float32."""
    for image, rows, total in _sums(x, w, stride, pad, None, y):
        finish(total, bias, low, high)
        y[image, rows] = total.reshape(y[image, rows].shape)


@Kernel
def transpose_int(x, x_zero, w, w_zero, exact, bias, multiplier, shift, y_zero, low, high, rule, stride, pad, y):
    """transpose_float on stored integers, where real = scale * (stored - zero); numbers as in conv.conv_int.

    w: floats that hold w - w_zero, in a type that makes the sums exact; or, where `exact` is False, the stored filter.
    """
    if not exact:
        w, _ = exact_weights(w, w_zero, MAGNITUDE[x.dtype.name], 1)
    for image, rows, total in _sums(x, w, stride, pad, less_zero(x_zero), y):
        block = y[image, rows].reshape(total.shape)
        requantize(total, bias, multiplier, shift, y_zero, low, high, rule, block)


@Kernel
def transpose_hybrid(x, w, w_scale, exact, bias, stride, pad, low, high, y):
    """transpose_float on float32 x that is brought to 8 bits, an image at a time; w_scale float32 (units,)."""
    if not exact:
        w, _ = exact_weights(w, 0, MAGNITUDE["int8"], 1)
    scale, load = quantized_images(x, True)
    for image, rows, total in _sums(x, w, stride, pad, load, y):
        total *= w_scale * scale[image]
        finish(total, bias, low, high)
        y[image, rows] = total.reshape(y[image, rows].shape)


@Kernel
def misfit(x_shape, w_shape, wanted, y):
    """Refuses: the official runtime finds out at this node's turn, not before."""
    raise ModelError(f"an input of shape {x_shape} and a filter of shape {w_shape} do not make an output of {wanted}")


def _sums(x, w, stride, pad, load, y):
    """Yields (image, rows, total): the sums of a block of rows of y after the other, (places, units) in w's type.

    load(out, part, image) writes the values of a part of an image; they are taken as they are where it is None.
    """
    batch, height, width, depth = x.shape
    _, out_height, out_width, units = y.shape
    taps = w.shape[1:3]
    matrices = w.transpose(1, 3, 2, 0).reshape(taps[0], depth, taps[1] * units)
    columns = [meeting(width, stride[1], m - pad[1], out_width) for m in range(taps[1])]
    # a row of y, and what a row of x makes of it
    weight = out_width * units + width * (taps[1] * units + depth)
    tall = max(1, BLOCK // max(weight, 1))
    for image in range(batch):
        for top in range(0, out_height, tall):
            rows = slice(top, min(top + tall, out_height))
            total = np.zeros((rows.stop - top, out_width, units), w.dtype)
            for k in range(taps[0]):
                here, there = meeting(height, stride[0], k - pad[0] - top, len(total))
                values = x[image, there]
                if load is not None:
                    values = np.empty(values.shape, w.dtype)
                    load(values, x[image, there], image)
                spread = np.matmul(values.reshape(-1, depth), matrices[k]).reshape(len(values), width, taps[1], units)
                for m, (to, origin) in enumerate(columns):
                    total[here, to] += spread[:, origin, m]
            yield image, rows, total.reshape(-1, units)


# ---- preparations


@op("TRANSPOSE_CONV", max_version=5)
def transpose_conv(site: Site) -> Call:
    site.arity((3, 4), 1)
    shape, w, x, y = site.input(0), site.input(1), site.input(2), site.output(0)
    site.expect(shape.rank == 1, f"an output shape of rank {shape.rank}")
    site.expect(shape.type == "int32", f"an output shape of type {shape.type}")
    (batch, height, width, depth), (units, *taps, w_depth) = image_shapes(site, x, w)
    stride = (site.options.stride_h, site.options.stride_w)
    site.expect(0 < min(stride) and max(stride) <= MOST_STRIDE, f"strides of {stride}")
    site.expect(w_depth == depth, f"a filter of depth {w_depth} for an input of depth {depth}")
    check_types(site, x, y, FILTERS)
    check_filter(site, x, w, FILTERS)
    site.expect(shape.size == 4, f"an output shape of {shape.size} values")
    wanted = tuple(int(n) for n in site.value(shape))
    site.expect(min(wanted) >= 0 and min(wanted[1:3]) > 0, f"an output shape of {wanted}")
    padding = site.enum("padding", "Padding")
    axes = [window(padding, wanted[i + 1], taps[i], stride[i]) for i in (0, 1)]
    seen = (axes[0][0], axes[1][0])
    site.expect(seen == (height, width), f"an input of {(height, width)} where an output of {wanted} asks for {seen}")
    y = y.reshaped(wanted)
    if (wanted[0], wanted[3]) != (batch, units):
        return Call(misfit, (x.shape, w.shape, wanted, y), (y,))
    where = (stride, (axes[0][1], axes[1][1]))
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    needed = workspace(site, x, w, y)
    if x.type == "float32":
        low, high = float_activation_range(activation)
        bias = bias_of(site, 3, units, ("float32",))
        if w.type == "float32":
            return Call(transpose_float, (x, w, bias, *where, low, high, y), (y,), workspace=needed)
        scales = w.scales
        site.expect(scales.size in (1, units), f"{scales.size} filter scales for {units} units")
        if batch == 0:
            return wrong(y, "no images to quantize")
        scales = np.broadcast_to(scales, units).astype(np.float32)
        floats, exact = _prepared(site, w, 0, "int8")
        return Call(transpose_hybrid, (x, floats, scales, exact, bias, *where, low, high, y), (y,), workspace=needed)
    bias, rule = integer_bias(site, 3, units, x.type, any_zero=x.type == "uint8")
    n = numbers(site, x, w, bias, y, units, activation, rule)
    w_zero = w.zero if w.type == "uint8" else 0
    floats, exact = _prepared(site, w, w_zero, x.type)
    args = (x, x.zero, floats, w_zero, exact, bias, *n, *where, y)
    return Call(transpose_int, args, (y,), workspace=needed)


def _prepared(site: Site, w: Tensor, w_zero: int, x_type: str) -> tuple[Any, bool]:
    """(floats, True): a constant filter as the kernels want it; (w, False): one that is computed while running."""
    most = MAGNITUDE[x_type]
    ready = packed(site, w, ("whole", w_zero, most), lambda stored: exact_weights(stored, w_zero, most, 1)[0])
    return (w, False) if ready is None else (ready, True)
