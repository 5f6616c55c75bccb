"""MEAN, SUM and REDUCE_MAX along neighbouring axes, ARG_MAX along the last, L2_NORMALIZATION."""

from __future__ import annotations

import math

from minitfl.engine.emit import emits
from minitfl.engine.emit.pool import TYPES, length, windows
from minitfl.engine.layouts.rows import ROWS

LONG = 1024  # values of a mean that are worth adding up by rows first


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
    if not axes or axes[-1] - axes[0] != len(axes) - 1 or not y.size:
        return False
    size = sizes(x, axes)
    kernel = {"largest_f32": "largest", "mean_f32": "total"}.get(kind)
    if size[-1] == 1 and kernel is not None:
        return add_rows(e, kernel, x, y, size[1] * size[2], 4, 1 / numbers.get("divisor", 1))
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


def sizes(x, axes):
    """x as (batch, height, width, channels) of which height and width are reduced."""
    shape, first, last = x.known_shape, axes[0], axes[-1]
    return math.prod(shape[:first]), math.prod(shape[first:last]), shape[last], math.prod(shape[last + 1 :])


@emits("normalise.unit")
def unit(e, x, y):
    return y.size > 0 and add_rows(e, "unit", x, y, x.known_shape[1], 4 * x.known_shape[1])


@emits("order.arg_max")
def arg_max(e, x, axis, y):
    if x.type not in TYPES or axis % x.rank != x.rank - 1 or not x.size or y.dtype.itemsize not in (4, 8):
        return False
    return add_rows(e, f"place_{TYPES[x.type]}", x, y, x.known_shape[-1], y.dtype.itemsize)


def add_rows(e, kernel, x, y, depth, y_nbytes, factor=1.0):
    """Adds what makes `y_nbytes` of each row of `depth` values."""
    words = {"x": e.tensor(x), "y": e.tensor(y), "depth": depth, "y_nbytes": y_nbytes, "factor": float(factor)}
    e.add(f"rows.{kernel}", x.size // depth, ROWS, **words)
    return True
