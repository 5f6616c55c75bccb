"""CONV_3D and CONV_3D_TRANSPOSE, on float32.

    CONV_3D              y[b, i * ..] = act(bias[u] + sum over taps k, channels c of w[k, c, u] * x[b, p, c])
    CONV_3D_TRANSPOSE    y[b, p, u] gains w[k, u, c] * x[b, i, c]; then bias[u] is added, and act applied

where p = i * stride + k * dilation - pad. i, k and p are places in a volume, triples (depth, height, width), and so are
stride, dilation and pad. x (batch, depth, height, width, channels); w (filter depth, filter height, filter width,
channels, units), with the last two exchanged in a CONV_3D_TRANSPOSE; bias (units,) or absent; y (batch, depth, height,
width, units), of a CONV_3D_TRANSPOSE the shape that its first input holds. What lies outside a volume is 0, or lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.fixedpoint import float_activation_range
from minitfl.kernels.sums import bias_of, finish
from minitfl.kernels.windows import BLOCK, meeting, window
from minitfl.op import Call, Kernel, Site, op

AXES = ("d", "h", "w")


@Kernel
def conv3d(x, w, bias, stride, dilation, pad, low, high, y):
    """The windows of x as the rows of a matrix, times the filter; plus bias, within low..high."""
    taps, size = w.shape[:3], x.shape[1:4]
    matrix = w.reshape(-1, w.shape[4])
    for image in range(len(y)):
        for block in _blocks(y.shape[1:4], sum(matrix.shape)):
            total = y[(image, *block)]
            patches = np.zeros((*total.shape[:3], *taps, w.shape[3]), np.float32)
            for tap in np.ndindex(taps):
                there, here = _places(block, tap, stride, dilation, pad, size)
                patches[(*here, *tap)] = x[(image, *there)]
            sums = patches.reshape(-1, len(matrix)) @ matrix
            finish(sums, bias, low, high)
            total[...] = sums.reshape(total.shape)


@Kernel
def conv3d_transpose(x, w, bias, stride, dilation, pad, low, high, y):
    """Each value of x times the filter, added up where it belongs; plus bias, within low..high."""
    *taps, units, channels = w.shape
    matrix = w.reshape(-1, channels).T
    y[...] = 0
    for image in range(len(y)):
        for block in _blocks(x.shape[1:4], matrix.shape[1]):
            part = x[(image, *block)]
            spread = (part.reshape(-1, channels) @ matrix).reshape(*part.shape[:3], *taps, units)
            for tap in np.ndindex(*taps):
                there, here = _places(block, tap, stride, dilation, pad, y.shape[1:4])
                y[(image, *there)] += spread[(*here, *tap)]
    finish(y.reshape(-1, units), bias, low, high)


def _places(block, tap, stride, dilation, pad, size):
    """(where, which): the places i of a block whose p lies in a volume of that size, and these p. Slices."""
    starts = (block[n].start * stride[n] + tap[n] * dilation[n] - pad[n] for n in range(3))
    pairs = [meeting(block[n].stop - block[n].start, stride[n], start, size[n]) for n, start in enumerate(starts)]
    return tuple(where for where, _ in pairs), tuple(which for _, which in pairs)


def _blocks(sizes: Sequence[int], weight: int) -> Iterator[tuple[slice, ...]]:
    """Parts of a volume, a slice for each axis, that hold at most BLOCK elements if each place has `weight` of them."""
    outer, *inner = sizes
    each = math.prod(inner) * weight
    if inner and each > BLOCK:
        for i in range(outer):
            for block in _blocks(inner, weight):
                yield slice(i, i + 1), *block
        return
    many = max(1, BLOCK // max(each, 1))
    for start in range(0, outer, many):
        yield slice(start, min(start + many, outer)), *(slice(0, size) for size in inner)


# ---- preparations


@op("CONV_3D")
def conv_3d(site: Site) -> Call:
    site.arity((2, 3), 1)
    x, w, y = site.input(0), site.input(1), site.output(0)
    _check(site, x, w, y, x_channels=4, w_channels=3)
    bias = bias_of(site, 2, w.known_shape[4], ("float32",))
    axes = _windows(site, x.known_shape[1:4], w)
    y = y.reshaped(x.known_shape[0], *(size for size, _, _ in axes), w.known_shape[4])
    weight = math.prod(w.known_shape[:4]) + w.known_shape[4]
    return _call(site, conv3d, (x, w, bias), axes, weight, y)


@op("CONV_3D_TRANSPOSE")
def conv_3d_transpose(site: Site) -> Call:
    site.arity((3, 4), 1)
    shape, w, x, y = site.input(0), site.input(1), site.input(2), site.output(0)
    site.expect(shape.known_shape == (5,), f"an output shape of shape {shape.shape}")
    _check(site, x, w, y, x_channels=4, w_channels=4)
    site.expect(shape.type == "int32", f"an output shape of type {shape.type}")
    bias = bias_of(site, 3, w.known_shape[3], ("float32",))
    wanted = tuple(int(n) for n in site.value(shape))
    site.expect(min(wanted) >= 0, f"an output shape of {wanted}")
    fixed = (x.known_shape[0], w.known_shape[3])
    site.expect((wanted[0], wanted[4]) == fixed, f"an output shape of {wanted} with batch and units of {fixed}")
    axes = _windows(site, wanted[1:4], w)
    seen = tuple(size for size, _, _ in axes)
    site.expect(seen == x.known_shape[1:4], f"an input of {x.shape} where an output of {wanted} asks for {seen}")
    weight = math.prod(w.known_shape[:4])
    return _call(site, conv3d_transpose, (x, w, bias), axes, weight, y.reshaped(wanted))


def _check(site: Site, x: Tensor, w: Tensor, y: Tensor, x_channels: int, w_channels: int) -> None:
    site.expect(x.rank == 5, f"an input of rank {x.rank}")
    site.expect(w.rank == 5, f"a filter of rank {w.rank}")
    site.expect(min(w.known_shape) > 0, f"a filter of shape {w.shape}")
    site.expect(min(x.known_shape[1:]) > 0, f"an input of shape {x.shape}")
    channels = x.known_shape[x_channels], w.known_shape[w_channels]
    site.expect(channels[0] == channels[1], f"{channels[0]} channels for a filter of {channels[1]}")
    for t in (x, w, y):
        if t.type != "float32":
            site.unsupported(f"tensor {t.index} of type {t.type}")


def _windows(site: Site, size: tuple[int, ...], w: Tensor) -> list[tuple[int, int, int]]:
    padding = site.enum("padding", "Padding")
    stride, dilation = _steps(site)
    return [window(padding, size[n], w.known_shape[n], stride[n], dilation[n]) for n in range(3)]


def _steps(site: Site) -> tuple[tuple[int, ...], tuple[int, ...]]:
    stride = tuple(getattr(site.options, f"stride_{axis}") for axis in AXES)
    return stride, tuple(getattr(site.options, f"dilation_{axis}_factor") for axis in AXES)


def _call(site: Site, kernel: Kernel, args: tuple, axes, weight: int, y: Tensor) -> Call:
    pad = tuple(before for _, before, _ in axes)
    limits = float_activation_range(site.enum("fused_activation_function", "ActivationFunctionType"))
    return Call(kernel, (*args, *_steps(site), pad, *limits, y), (y,), workspace=8 * max(BLOCK, weight))
