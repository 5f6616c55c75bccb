"""AVERAGE_POOL_2D and MAX_POOL_2D; MEAN, SUM and REDUCE_MAX along neighbouring axes that are not the last."""

from __future__ import annotations

import math

from minitfl.engine.emit import emits
from minitfl.engine.layouts.pool import POOL, SHORT

TYPES = {"float32": "f32", "int8": "i8", "uint8": "u8"}
LONG = 1024  # values of a mean that are worth adding up by rows first


@emits("pool.max_pool")
def max_pool(e, x, filter, stride, pad, lowest, low, high, y):
    return pool(e, "largest", x, filter, stride, pad, low, high, y)


@emits("pool.average_float")
def average_float(e, x, filter, stride, pad, low, high, y):
    return pool(e, "mean", x, filter, stride, pad, low, high, y)


@emits("pool.average_int")
def average_int(e, x, filter, stride, pad, exact, low, high, y):
    count = filter[0] * filter[1]
    return count < 2**12 and pool(e, length("mean", count), x, filter, stride, pad, low, high, y)


def length(kind, count):
    """The kind of sums of bytes that holds `count` of them."""
    return f"{kind}_{'short' if count <= SHORT else 'long'}"


def pool(e, kind, x, filter, stride, pad, low, high, y):
    if x.type not in TYPES or not y.size:
        return False
    kind = f"{kind}_{TYPES[x.type]}"
    outputs = y.known_shape[1:3]
    windows(e, kind, e.tensor(x), e.tensor(y), x.known_shape, outputs, filter, stride, pad, low, high)
    return True


@emits("reduce.mean_float")
def mean_float(e, x, axes, keep, count, y):
    return reduced(e, "mean_f32", x, axes, y, divisor=count)


@emits("reduce.mean_int")
def mean_int(e, x, x_zero, axes, keep, count, multiplier, shift, y_zero, low, high, y):
    if x.dtype.itemsize > 1 or 512 * count >= 2**31:
        return False
    kind = f"{length('rescaled', count)}_{TYPES[x.type]}"
    numbers = {"offset": x_zero * count, "multiplier": multiplier, "shift": shift, "zero": y_zero}
    return reduced(e, kind, x, axes, y, **numbers)


@emits("reduce.sum_values")
def sum_values(e, x, axes, keep, y):
    return x.type == "float32" and reduced(e, "mean_f32", x, axes, y, divisor=1)


@emits("reduce.largest")
def largest(e, x, start, axes, keep, y):
    return x.type in TYPES and reduced(e, f"largest_{TYPES[x.type]}", x, axes, y)


def reduced(e, kind, x, axes, y, **numbers):
    """Adds the instructions for one window an image, all of the neighbouring axes that are reduced."""
    size = reduced_sizes(x, axes)
    if size is None or not y.size:
        return False
    batch, height, width, channels = size
    limits = (-math.inf, math.inf) if x.type == "float32" else (-128, 127) if x.type == "int8" else (0, 255)
    source = e.tensor(x)
    if kind == "mean_f32" and height > 1 and height * width >= LONG:
        rows = e.scratch(4 * batch * height * channels)
        outputs, window = (height, 1), (1, width)
        windows(e, kind, source, rows, size, outputs, window, (1, 1), (0, 0), *limits, divisor=1)
        source, width = rows, 1
    images, window = (batch, 1, height * width, channels), (1, height * width)
    windows(e, kind, source, e.tensor(y), images, (1, 1), window, (1, 1), (0, 0), *limits, **numbers)
    return True


def reduced_sizes(x, axes):
    """x as (batch, height, width, channels) of which height and width are reduced; None where that can't be."""
    if not axes or axes[-1] - axes[0] != len(axes) - 1 or axes[-1] == x.rank - 1:
        return None
    shape = x.known_shape
    first, last = axes[0], axes[-1] + 1
    outside, inside = math.prod(shape[:first]), math.prod(shape[last:])
    return outside, math.prod(shape[first : last - 1]), shape[last - 1], inside


def windows(e, kind, x, y, images, outputs, filter, stride, pad, low, high, **numbers):
    """Adds the instructions of all channels: panels of four vectors, and what is left in panels of one.

    images: the shape of x; outputs, filter, stride, pad: (along height, along width). numbers: what is not 0 of the
    words for sums.
    """
    channels = images[3]
    size = 4 if kind.endswith("f32") else 1
    lanes = e.isa.lanes * (4 // size if kind.startswith("largest") else 2 if "short" in kind else 1)
    numbers = dict.fromkeys(("divisor", "offset", "multiplier", "shift", "zero"), 0) | numbers
    wide = channels // (4 * lanes)
    for vectors, start, count in ((4, 0, wide * 4 * lanes), (1, wide * 4 * lanes, channels - wide * 4 * lanes)):
        if not count:
            continue
        panels = -(-count // (vectors * lanes))
        e.add(
            f"pool.{kind}_{vectors}",
            images[0] * outputs[0] * panels,
            POOL,
            x=x,
            start=start * size,
            y=y,
            y_start=start * size,
            height=images[1],
            width=images[2],
            pixel_nbytes=channels * size,
            out_height=outputs[0],
            out_width=outputs[1],
            pixel_y_nbytes=channels * size,
            rows=filter[0],
            columns=filter[1],
            down=stride[0],
            across=stride[1],
            top=pad[0],
            left=pad[1],
            panels=panels,
            channels=count,
            low=low,
            high=high,
            **numbers,
        )
