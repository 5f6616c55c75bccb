"""CUMSUM, SEGMENT_SUM, UNSORTED_SEGMENT_SUM, _PROD, _MAX, _MIN: rows taken together one after the other.

    CUMSUM              y[i] = x[0] + ... + x[i] along an axis; exclusive: without x[i]; reverse: from the other end
    SEGMENT_SUM         y[s] = the sum of the rows x[i] with ids[i] == s; ids (rows,) go up from 0 by 0 or 1
    UNSORTED_SEGMENT_*  y[s] = all x[i ...] with ids[i ...] == s, for s below a number of segments; ids of any order,
                        negative ones are left out. A segment of nothing is 0, 1, the lowest or the highest number

ids (n ...) int32 and x (n ..., rest ...), whose leading axes they are; y (segments, rest ...). float32 and int32,
CUMSUM int64 too; whole numbers wrap. Floats are added in order, so that they come out equal to the bit.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import wrong
from minitfl.kernels.checks import check_types
from minitfl.kernels.fixedpoint import finite_range
from minitfl.op import Call, Kernel, Site, op


@Kernel
def cumsum(x, axis, exclusive, reverse, y):
    """Sums of all values up to each; axis: an array of one number, -rank..rank - 1."""
    along = axis.item()
    if not -x.ndim <= along < x.ndim:
        raise ModelError(f"Invalid axis value. {along} of an input of rank {x.ndim}")
    if not x.size:
        return
    x, y = np.moveaxis(x, along, 0), np.moveaxis(y, along, 0)
    if reverse:
        x, y = x[::-1], y[::-1]
    if exclusive:
        y[0] = 0
        x, y = x[:-1], y[1:]
    np.add.accumulate(x, axis=0, dtype=y.dtype, out=y)


@Kernel
def segments(x, ids, combine, start, y):
    """y[s] = combine(..., combine(start, x[i]), ...) over all i with ids[i] == s.

    x (n, rest), ids (n,), y (segments, rest). combine: a ufunc.
    """
    if ids.size and ids.max() >= len(y):
        raise ModelError(f"segment {ids.max()} of {len(y)}")
    y[...] = start
    if y.size:
        counted = ids >= 0
        combine.at(y, ids[counted], x[counted])


# ---- preparations


@op("CUMSUM")
def cumsum_(site: Site) -> Call:
    site.arity(2, 1)
    x, axis = site.input(0), site.input(1)
    site.expect(x.type in ("int32", "float32", "int64"), f"an input of type {x.type}")
    site.expect(axis.type == "int32", f"an axis of type {axis.type}")
    site.expect(axis.size == 1, f"the axis has {axis.size} elements")
    site.expect(x.rank >= 1, "an input of rank 0")
    y = site.output(0).reshaped(x.known_shape)
    check_types(site, x, y)
    return Call(cumsum, (x, axis, bool(site.options.exclusive), bool(site.options.reverse), y), (y,))


@op("SEGMENT_SUM")
def segment_sum(site: Site) -> Call:
    site.arity(2, 1)
    x, ids, y = site.input(0), site.input(1), site.output(0)
    _check_types(site, x, ids, y)
    if x.rank < 1 or ids.known_shape != x.known_shape[:1]:
        return _fails(f"ids {ids.shape} for an input {x.shape}", x, ids, y)
    fault = _fault_of_sorted(site.value(ids))
    if fault:
        return _fails(fault, x, ids, y)
    count = int(site.value(ids).max(initial=-1)) + 1
    return _segments(x, ids, count, np.add, 0, y)


@op("UNSORTED_SEGMENT_SUM")
def unsorted_segment_sum(site: Site) -> Call:
    return _unsorted(site, np.add, lambda type: 0)


@op("UNSORTED_SEGMENT_PROD")
def unsorted_segment_prod(site: Site) -> Call:
    return _unsorted(site, np.multiply, lambda type: 1)


@op("UNSORTED_SEGMENT_MAX")
def unsorted_segment_max(site: Site) -> Call:
    return _unsorted(site, np.fmax, lambda type: finite_range(type)[0])  # NaN is passed over


@op("UNSORTED_SEGMENT_MIN")
def unsorted_segment_min(site: Site) -> Call:
    return _unsorted(site, np.fmin, lambda type: finite_range(type)[1])


def _unsorted(site: Site, combine: np.ufunc, start) -> Call:
    site.arity(3, 1)
    x, ids, count, y = site.input(0), site.input(1), site.input(2), site.output(0)
    _check_types(site, x, ids, y)
    site.expect(count.type == "int32", f"the number of segments is {count.type}")
    if x.known_shape[: ids.rank] != ids.known_shape:
        return _fails(f"ids {ids.shape} for an input {x.shape}", ids, count, y)
    if count.known_shape not in ((), (1,)):
        return _fails(f"the number of segments has the shape {count.shape}", ids, count, y)
    most = int(site.value(count).reshape(-1)[0])
    if most < 0:
        return _fails(f"the number of segments is {most}", ids, count, y)
    if ids.data is not None and (last := int(site.value(ids).max(initial=-1))) >= most:
        return _fails(f"segment {last} of {most}", ids, count, y)
    return _segments(x, ids, most, combine, start(x.type), y)


def _check_types(site: Site, x: Tensor, ids: Tensor, y: Tensor) -> None:
    site.expect(x.type in ("int32", "float32"), f"an input of type {x.type}")
    site.expect(ids.type == "int32", f"ids of type {ids.type}")
    check_types(site, x, y)


def _fault_of_sorted(ids: np.ndarray) -> str:
    if ids.size and ids[0] != 0:
        return f"the ids begin with {ids[0]}"
    steps = np.diff(ids.astype(np.int64))
    odd = np.flatnonzero((steps < 0) | (steps > 1))
    return f"the ids go from {ids[odd[0]]} to {ids[odd[0] + 1]}" if odd.size else ""


def _fails(fault: str, a: Tensor, b: Tensor, y: Tensor) -> Call:
    """The official kernels find faults while allocating where a and b are constants, else at their turn."""
    if a.data is not None and b.data is not None:
        raise ModelError(fault)
    return wrong(y.reshaped(0), fault)


def _segments(x: Tensor, ids: Tensor, count: int, combine: np.ufunc, start, y: Tensor) -> Call:
    rest = x.known_shape[ids.rank :]
    y = y.reshaped(count, *rest)
    rows = x.reshaped(ids.size, math.prod(rest))
    args = (rows, ids.reshaped(ids.size), combine, start, y.reshaped(count, math.prod(rest)))
    return Call(segments, args, (y,), workspace=x.nbytes + 13 * ids.size)
