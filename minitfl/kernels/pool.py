"""AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D: one number a window and channel, within the fused activation's range.

    AVERAGE_POOL_2D    sum(x) / count
    MAX_POOL_2D        max(x)
    L2_POOL_2D         sqrt(sum(x * x) / count)

x (batch, height, width, channels); y (batch, out height, out width, channels). A window counts only the values that lie
inside the image. Pairs are (height, width).

    x, y                average          max         l2
    float32             average_float    max_pool    l2_pool
    int8 uint8 int16    average_int      max_pool    -

Stored integers are averaged as they are: input and output have the same scale and zero point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.checks import check_types
from minitfl.kernels.fixedpoint import (
    activation_range,
    finite_activation_range,
    finite_range,
    float_activation_range,
    stored_range,
)
from minitfl.kernels.sums import within
from minitfl.kernels.windows import BLOCK, Pair, touching, window
from minitfl.op import Call, Kernel, Site, op, scalar

TYPES = ("float32", "uint8", "int8", "int16")


@Kernel
def average_float(x, filter, stride, pad, low, high, y):
    """The mean of each window's values; float32."""
    for block, total, count in _sums(x, None, filter, stride, pad, np.float32, y):
        total /= count
        np.clip(total, low, high, out=block)


@average_float.fast
def average_float_loops(x, filter, stride, pad, low, high, y):
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom = inside(i, stride[0], pad[0], filter[0], x.shape[1])
            for j in range(y.shape[2]):
                left, right = inside(j, stride[1], pad[1], filter[1], x.shape[2])
                for c in range(y.shape[3]):
                    total = np.float32(0)
                    for row in range(top, bottom):
                        for column in range(left, right):
                            total += x[b, row, column, c]
                    y[b, i, j, c] = within(total / np.float32((bottom - top) * (right - left)), low, high)


@Kernel
def average_int(x, filter, stride, pad, exact, low, high, y):
    """average_float on stored integers, rounded half away from zero. exact: a float type that holds every sum."""
    for block, total, count in _sums(x, None, filter, stride, pad, exact, y):
        total += np.copysign(count // 2, total)
        total /= count  # cut to a whole number it is right, whatever the rounding: the quotients lie 1 / count apart
        np.trunc(total, out=total)
        np.copyto(block, np.clip(total, low, high, out=total), casting="unsafe")


@average_int.fast
def average_int_loops(x, filter, stride, pad, exact, low, high, y):
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom = inside(i, stride[0], pad[0], filter[0], x.shape[1])
            for j in range(y.shape[2]):
                left, right = inside(j, stride[1], pad[1], filter[1], x.shape[2])
                count = (bottom - top) * (right - left)
                for c in range(y.shape[3]):
                    total = np.int64(0)
                    for row in range(top, bottom):
                        for column in range(left, right):
                            total += np.int64(x[b, row, column, c])
                    size = (abs(total) + count // 2) // count
                    y[b, i, j, c] = min(max(size if total > 0 else -size, low), high)


@Kernel
def l2_pool(x, filter, stride, pad, low, high, y):
    """The root of the mean square of each window's values; float32."""
    for block, total, count in _sums(x, np.square, filter, stride, pad, np.float32, y):
        total /= count
        np.sqrt(total, out=total)
        np.clip(total, low, high, out=block)


@Kernel
def max_pool(x, filter, stride, pad, lowest, low, high, y):
    """The largest value of each window, from `lowest` on; NaN is passed over."""
    for block, largest in _swept(x, None, np.fmax, lowest, filter, stride, pad, y.dtype, y):
        np.clip(largest, low, high, out=block)


@max_pool.fast
def max_pool_loops(x, filter, stride, pad, lowest, low, high, y):
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom = inside(i, stride[0], pad[0], filter[0], x.shape[1])
            for j in range(y.shape[2]):
                left, right = inside(j, stride[1], pad[1], filter[1], x.shape[2])
                for c in range(y.shape[3]):
                    largest = lowest
                    for row in range(top, bottom):
                        for column in range(left, right):
                            if x[b, row, column, c] > largest:
                                largest = x[b, row, column, c]
                    y[b, i, j, c] = min(max(largest, low), high)


@scalar
def inside(i, stride, pad, filter, size):
    """(first, last + 1) of window i's values inside the image, along one axis."""
    start = i * stride - pad
    return max(start, 0), min(start + filter, size)


def _sums(x, function, filter, stride, pad, dtype, y) -> Iterator:
    """Yields (block, total, count): a part of y, the sums of its windows, and how many values each of them has."""
    counts = []
    for axis in (0, 1):
        starts = np.arange(y.shape[axis + 1]) * stride[axis] - pad[axis]
        counts.append(np.minimum(starts + filter[axis], x.shape[axis + 1]) - np.maximum(starts, 0))
    row = 0
    for block, total in _swept(x, function, np.add, 0, filter, stride, pad, dtype, y):
        rows = counts[0][row : row + len(block)]
        row = (row + len(block)) % y.shape[1]
        yield block, total, (rows[:, None, None] * counts[1][:, None]).astype(dtype)


def _swept(x, function: Callable | None, combine, start, filter, stride, pad, dtype, y) -> Iterator:
    """Yields (block, swept): rows of an image of y, and `combine` over the values of their windows, as dtype.

    Windows are swept down first, then across: filter height + filter width steps instead of their product.
    """
    _, height, width, channels = x.shape
    _, out_height, out_width, _ = y.shape
    step = max(1, BLOCK // max(width * channels, 1))
    for image in range(len(x) if y.size else 0):
        for top in range(0, out_height, step):
            bottom = min(top + step, out_height)
            down = np.full((bottom - top, width, channels), start, dtype)
            for out, part in _taps(height, out_height, filter[0], stride[0], pad[0], top, bottom):
                values = x[image, part]
                combine(down[out], values if function is None else function(values), out=down[out], dtype=dtype)
            if filter[1] == stride[1] == 1 and not pad[1]:
                across = down
            else:
                across = np.full((bottom - top, out_width, channels), start, dtype)
                for out, part in _taps(width, out_width, filter[1], stride[1], pad[1], 0, out_width):
                    combine(across[:, out], down[:, part], out=across[:, out])
            yield y[image, top:bottom], across


def _taps(size, out_size, filter, stride, pad, first, last) -> Iterator:
    """For each tap of windows first..last - 1: which of them (slice from `first` on) it finds inside, and where."""
    for tap in range(*touching(size, out_size, filter, stride, 1, pad)):
        begin = max(first, -((tap - pad) // stride))
        end = min(last, (size - 1 + pad - tap) // stride + 1)
        if begin < end:
            where = begin * stride + tap - pad
            yield slice(begin - first, end - first), slice(where, where + (end - begin - 1) * stride + 1, stride)


# ---- preparations


@op("AVERAGE_POOL_2D", max_version=3)
def average_pool_2d(site: Site) -> Call:
    x, y, sizes, limits, refusal = _checked(site, TYPES)
    if refusal:
        return refused(y, refusal)
    if x.type == "float32":
        return Call(average_float, (x, *sizes, *limits, y), (y,), workspace=_workspace(x, y, 4))
    most = max(abs(n) for n in stored_range(x.type))
    count = min(sizes[0][0], x.known_shape[1]) * min(sizes[0][1], x.known_shape[2])
    exact = np.float32 if (most + 1) * count < 2**24 else np.float64
    return Call(average_int, (x, *sizes, exact, *limits, y), (y,), workspace=_workspace(x, y, 8))


@op("MAX_POOL_2D", max_version=3)
def max_pool_2d(site: Site) -> Call:
    x, y, sizes, limits, refusal = _checked(site, TYPES)
    if refusal:
        return refused(y, refusal)
    return Call(
        max_pool, (x, *sizes, finite_range(x.type)[0], *limits, y), (y,), workspace=_workspace(x, y, x.dtype.itemsize)
    )


@op("L2_POOL_2D")
def l2_pool_2d(site: Site) -> Call:
    x, y, sizes, limits, refusal = _checked(site, ("float32",))
    site.expect(x.type not in ("uint8", "int8"), f"an input of type {x.type}")
    if refusal:
        return refused(y, refusal)
    return Call(l2_pool, (x, *sizes, *limits, y), (y,), workspace=_workspace(x, y, 4))


def _checked(site: Site, types: tuple[str, ...]) -> tuple[Tensor, Tensor, tuple[Pair, Pair, Pair], tuple, str]:
    """(x, y, (filter, stride, pad) as pairs, (low, high), why the official kernel refuses to run, or "")."""
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.rank == 4, f"an input of rank {x.rank}")
    check_types(site, x, y)
    padding = site.enum("padding", "Padding")
    filter = (site.options.filter_height, site.options.filter_width)
    stride = (site.options.stride_h, site.options.stride_w)
    site.expect(min(stride) > 0, f"strides of {stride}")
    batch, height, width, channels = x.known_shape
    across = _fitting(padding, width, filter[1], stride[1])
    down = _fitting(padding, height, filter[0], stride[0]) if across else None
    (out_height, top), (out_width, left) = down or (0, 0), across or (0, 0)
    y = y.reshaped(batch, out_height, out_width, channels)
    limits = _limits(site, y) if x.type in types else None
    refusal = "" if limits else f"Type {x.type} not currently supported, or its fused activation lacks a scale."
    return x, y, (filter, stride, (top, left)), limits or (), refusal


def _fitting(padding: str, size: int, filter: int, stride: int) -> tuple[int, int] | None:
    """(out_size, pad_before); None where no window fits: the official Prepare takes that for an empty output."""
    try:
        return window(padding, size, filter, stride)[:2]
    except ModelError:
        return None


def _limits(site: Site, y: Tensor) -> tuple[float, float] | None:
    """The range of the fused activation, within the finite numbers of y's type; None where that takes a scale."""
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    if y.type == "float32":
        return finite_activation_range(activation)
    if float_activation_range(activation) == (-math.inf, math.inf):
        return stored_range(y.type)  # needs no scale
    return None if y.quantization is None else activation_range(activation, y.type, y.scale, y.zero)


def _workspace(x: Tensor, y: Tensor, nbytes: int) -> int:
    _, _, width, channels = x.known_shape
    rows = max(1, BLOCK // max(width * channels, 1))
    return min(rows, y.known_shape[1]) * (2 * width + 3 * y.known_shape[2]) * channels * nbytes
