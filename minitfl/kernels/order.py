"""ARG_MAX, ARG_MIN, TOPK_V2, UNIQUE, BUCKETIZE: how values compare to each other.

    ARG_MAX, ARG_MIN  y = the first position of the extreme along an axis, which goes; int32 or int64
    TOPK_V2           the k largest along the last axis, falling, and their positions; of equals the first comes first
    UNIQUE            the different values of a vector in the order they come in, and for each value which of them it is
    BUCKETIZE         y = how many of the boundaries, which rise, are not above x; int32

Quantized values are compared as stored: the scale is positive.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.kernels.broadcast import refused
from minitfl.kernels.checks import axis_of
from minitfl.op import Call, Kernel, Site, op
from minitfl.schema.enums import TensorType

SORTED_WHOLE = 4096  # a shorter row is sorted whole


@Kernel
def arg_max(x, axis, y):
    """y = the first place of the largest that is not NaN; 0 where all are NaN."""
    y[...] = _first_extreme(x, axis, np.argmax, -np.inf)


@Kernel
def arg_min(x, axis, y):
    """y = the first place of the smallest that is not NaN; 0 where all are NaN."""
    y[...] = _first_extreme(x, axis, np.argmin, np.inf)


def _first_extreme(x, axis, pick, worst):
    if x.dtype.kind != "f" or not np.isnan(x).any():
        return pick(x, axis=axis)
    valid = ~np.isnan(x)
    filled = np.where(valid, x, x.dtype.type(worst))
    found = pick(filled, axis=axis)
    extreme = np.take_along_axis(filled, np.expand_dims(found, axis), axis).squeeze(axis)
    return np.where(extreme == worst, np.argmax(valid, axis=axis), found)


@Kernel
def top_k(x, values, indices):
    """values = the k largest of each row, falling; indices = their places. NaN counts as smallest.

    x (rows ..., n), values and indices (rows ..., k).
    """
    n, k = x.shape[-1], values.shape[-1]
    if not values.size:
        return
    falling = ~_sortable(x)  # integers: ~ turns their order around and can't overflow
    if n < SORTED_WHOLE or k * 8 > n:
        order = np.argsort(falling, axis=-1, kind="stable")[..., :k]
    else:
        order = np.stack([_first_of_many(row, k) for row in falling.reshape(-1, n)]).reshape(values.shape)
    indices[...] = order
    values[...] = np.take_along_axis(x, order, axis=-1)


def _first_of_many(row, k):
    """Where the k smallest of a row are, in order: only those not above the k-th are sorted."""
    near = np.flatnonzero(row <= np.partition(row, k - 1)[k - 1])
    return near[np.argsort(row[near], kind="stable")[:k]]


def _sortable(x):
    """Integers in the order of x; NaN is the smallest of all, -0.0 equals 0.0."""
    if x.dtype.kind != "f":
        return x
    bits = (x + np.float32(0)).view(np.int32)
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return np.where(np.isnan(x), np.int32(-(2**31)), ordered)


@Kernel
def picked(x, first, which, values, indices):
    """values = x at `first`, the places where each of the different values stands first; indices = which."""
    values[...] = x[first]
    indices[...] = which


@Kernel
def bucketize(x, boundaries, real, y):
    """y = how many boundaries are <= x, for NaN all; boundaries (n,) float32. real: the type that x is compared in."""
    y[...] = np.searchsorted(boundaries, x.astype(real, copy=False), side="right")


# ---- preparations


@op("ARG_MAX", max_version=3)
def arg_max_(site: Site) -> Call:
    return _arg(site, arg_max)


@op("ARG_MIN", max_version=3)
def arg_min_(site: Site) -> Call:
    return _arg(site, arg_min)


def _arg(site: Site, kernel: Kernel) -> Call:
    site.arity(2, 1)
    x, axis = site.input(0), site.input(1)
    site.expect(axis.size == 1, f"the axis has {axis.size} elements")
    site.expect(axis.type in ("int32", "int64"), f"the axis is {axis.type}")
    kind = site.enum("output_type", "TensorType").lower()
    if kind not in ("int32", "int64"):
        site.unsupported(f"Unknown index output data type: {kind}")
    if x.type not in ("float32", "uint8", "int8", "int32", "bool"):
        site.unsupported(f"Unknown input type: {x.type}, only float32, int types and bool are supported")
    site.expect(x.rank >= 1, "the input is a scalar")
    at = axis_of(site, int(site.value(axis).reshape(-1)[0]), x.rank)
    site.expect(x.known_shape[at] > 0, f"axis {at} of {x.shape} is empty")
    y = replace(site.output(0), type=kind).reshaped(x.known_shape[:at] + x.known_shape[at + 1 :])
    # a copy without NaN, one with the axis at the end, two masks of x, and positions as NumPy counts them
    return Call(kernel, (x, at, y), (y,), workspace=2 * (x.nbytes + x.size) + 32 * y.size)


@op("TOPK_V2", max_version=3)
def top_k_(site: Site) -> Call:
    site.arity(2, 2)
    x, count = site.input(0), site.input(1)
    values, indices = site.output(0), site.output(1)
    site.expect(values.type == x.type, f"the input is {x.type}, the values {values.type}")
    site.expect(count.type in ("int32", "int16"), f"k is {count.type}")
    k = site.value(count).reshape(-1)
    site.expect(count.size == 1, f"k has {count.size} elements")
    site.expect(x.rank >= 1, "TopK k input must have 1 or more dimensions.")
    k, n = max(int(k[0]), 0), x.known_shape[-1]
    site.expect(k <= n, f"TopK k {k} is higher than the internal dimension {n}.")
    values, indices = (t.reshaped(*x.known_shape[:-1], k) for t in (values, indices))
    if x.type not in ("float32", "uint8", "int8", "int16", "int32", "int64"):
        return refused(values, f"Type {x.type} is currently not supported by TopK.", indices)
    if indices.type not in ("int32", "int16"):
        return refused(values, f"Output index type {indices.type} is not supported by TopK.", indices)
    if indices.type == "int16" and values.size and n > 32767:
        return refused(values, "TopK row size exceeds output index type range.", indices)
    # x in an order of its own, as whole numbers, and its places, as NumPy counts them
    return Call(top_k, (x, values, indices), (values, indices), workspace=24 * x.size)


@op("UNIQUE")
def unique(site: Site) -> Call:
    site.arity(1, 2)
    x, values, indices = site.input(0), site.output(0), site.output(1)
    site.expect(site.options.idx_out_type is not None, "no type of the indices is given")
    kind = "int64" if site.options.idx_out_type == TensorType.INT64 else "int32"
    site.expect(values.type == x.type, f"the input is {x.type}, the values {values.type}")
    site.expect(indices.type == kind, f"the indices are {indices.type}, not {kind}")
    site.expect(x.rank == 1, f"an input of rank {x.rank}")
    indices = indices.reshaped(x.known_shape)
    if x.type not in ("int8", "int16", "int32", "int64", "float32", "uint8"):
        return refused(values.reshaped(0), f"Currently Unique doesn't support type: {x.type}", indices)
    first, which = _first_places(site.value(x))
    values = values.reshaped(first.size)
    return Call(picked, (x, first, which, values, indices), (values, indices), workspace=values.nbytes)


def _first_places(x):
    """(where each of the different values stands first, which of them each value is).

    NaN is found equal to the smallest value before it, as it is neither above nor below; in front it equals all.
    """
    if x.dtype.kind == "f" and np.isnan(x).any():
        x = np.where(np.isnan(x), np.fmin.accumulate(x), x) if x[0] == x[0] else np.zeros_like(x)
    _, first, which = np.unique(x, return_index=True, return_inverse=True)
    places = np.argsort(first)  # np.unique gives them in the order of the values
    rank = np.empty_like(places)
    rank[places] = np.arange(places.size)
    return first[places], rank[which]


@op("BUCKETIZE")
def bucketize_(site: Site) -> Call:
    site.arity(1, 1)
    x = site.input(0)
    boundaries = np.array(site.options.boundaries, np.float32)
    site.expect((boundaries[1:] >= boundaries[:-1]).all(), "Expected sorted boundaries")
    if x.type not in ("int32", "float32", "int64", "float64"):
        site.unsupported(f"Type '{x.type}' is not supported by bucketize.")
    y = replace(site.output(0), type="int32").reshaped(x.known_shape)
    real = np.float64 if x.type == "float64" else np.float32  # whole numbers are rounded to float32
    return Call(bucketize, (x, boundaries, real, y), (y,), workspace=16 * x.size)
