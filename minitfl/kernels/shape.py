"""Tensors made of numbers alone: SHAPE, RANK, RANGE, FILL, ZEROS_LIKE.

    SHAPE       y = the sizes of x            RANK    y = how many axes x has
    RANGE       y[i] = start + i * delta, up to but without limit
    FILL        y = value everywhere, in the given shape
    ZEROS_LIKE  y = 0 in the shape of x

What follows from shapes alone is known before anything runs, so nodes that compute shapes from it are folded away.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitfl.kernels.broadcast import refused
from minitfl.kernels.checks import check_no_zero_point, check_scales
from minitfl.kernels.layout import MOVED
from minitfl.op import Call, Kernel, Site, op


@Kernel
def fill(value, y):
    """y = value, a scalar."""
    y[...] = value


@Kernel
def count_up(start, delta, y):
    """y[i] = start + i * delta; floats add up one by one, so that they round as the running sum does."""
    if y.size:
        steps = np.full(y.shape, delta, y.dtype)
        steps[0] = start
        np.cumsum(steps, out=y)


# ---- preparations


@op("SHAPE", max_version=1)
def shape(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    kind = site.enum("out_type", "TensorType").lower()
    if kind not in ("int32", "int64"):
        site.unsupported(f"Unknown shape output data type: {kind}")
    y = replace(y, type=kind).reshaped(x.rank)
    return Call(fill, (np.array(x.shape, y.dtype), y), (y,))


@op("RANK", max_version=1)
def rank(site: Site) -> Call:
    site.arity(1, 1)
    y = replace(site.output(0), type="int32").reshaped(())
    return Call(fill, (site.input(0).rank, y), (y,))


@op("RANGE", max_version=2)
def range_(site: Site) -> Call:
    site.arity(3, 1)
    start, limit, delta = (site.input(i) for i in range(3))
    if start.type not in ("float32", "int32", "int64"):
        site.unsupported(f"Unknown index output data type: {start.type}")
    for t in (start, limit, delta):
        site.expect(t.rank == 0, f"'{t.name}' is no scalar but {t.shape}")
        site.expect(t.type == start.type, f"'{t.name}' is {t.type}, start {start.type}")
    first, last, step = (site.value(t)[()] for t in (start, limit, delta))
    site.expect(step != 0, "delta is 0")
    site.expect(first >= last if step < 0 else first <= last, f"from {first} by {step} never comes to {last}")
    if start.type == "float32":
        with np.errstate(all="ignore"):
            count = np.ceil(np.abs((last - first) / step))
        site.expect(math.isfinite(count), f"from {first} by {step} to {last} takes {count} values")
        size = int(count)
    else:
        size = -(-abs(int(last) - int(first)) // abs(int(step)))
    y = replace(site.output(0), type=start.type).reshaped(size)
    return Call(count_up, (start, delta, y), (y,), workspace=y.nbytes)


@op("FILL", max_version=5)
def fill_(site: Site) -> Call:
    site.arity(2, 1)
    dims, value = site.input(0), site.input(1)
    site.expect(dims.rank == 1, f"the shape has {dims.rank} axes")
    site.expect(dims.type in ("int32", "int64"), f"the shape is {dims.type}")
    site.expect(value.rank == 0, f"the value is no scalar but {value.shape}")
    y = replace(site.output(0), type=value.type)
    check_scales(site, value, y)
    check_no_zero_point(site, value)
    sizes = tuple(int(n) for n in site.value(dims))
    site.expect(all(n >= 0 for n in sizes), f"Fill dimensions must be >= 0, got {sizes}")
    y = y.reshaped(sizes)
    if value.type not in MOVED | {"string"}:
        return refused(y, f"Fill does not support the type {value.type}.")
    return Call(fill, (value, y), (y,))


@op("ZEROS_LIKE", max_version=1)
def zeros_like(site: Site) -> Call:
    site.arity(1, 1)
    x = site.input(0)
    y = replace(site.output(0), type=x.type).reshaped(x.known_shape)
    if x.type not in ("int64", "int32", "float32"):
        return refused(y, f"ZerosLike only currently supports int64, int32, and float32, got {x.type}")
    return Call(fill, (0, y), (y,))
