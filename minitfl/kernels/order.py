"""ARG_MAX, ARG_MIN, TOPK_V2: where the largest and smallest values are.

    ARG_MAX, ARG_MIN  y = the first position of the extreme along an axis, which goes; int32 or int64
    TOPK_V2           the k largest along the last axis, falling, and their positions; of equals the first comes first

Quantized values are compared as stored: the scale is positive.
"""

from dataclasses import replace

import numpy as np

from minitfl.op import Call, Kernel, op


@Kernel
def arg_max(x, axis, y):
    """The first of the largest; a NaN is never larger, so it counts only in the first place."""
    y[...] = _first_extreme(x, axis, np.greater, -np.inf)


@Kernel
def arg_min(x, axis, y):
    """The first of the smallest; a NaN is never smaller, so it counts only in the first place."""
    y[...] = _first_extreme(x, axis, np.less, np.inf)


def _first_extreme(x, axis, better, worst):
    pick = np.argmax if better is np.greater else np.argmin
    if x.dtype.kind != "f" or not np.isnan(x).any():
        return pick(x, axis=axis)
    found = pick(np.where(np.isnan(x), x.dtype.type(worst), x), axis=axis)
    return np.where(np.isnan(np.take(x, 0, axis=axis)), 0, found)


@Kernel
def top_k(x, values, indices):
    """x (rows ..., n), values and indices (rows ..., k). NaN counts as smallest."""
    k = values.shape[-1]
    if x.dtype.kind == "f":
        order = np.lexsort((-x, np.isnan(x)), axis=-1)
    else:
        order = np.argsort(-x.astype(np.int64) if x.dtype.itemsize < 8 else ~x, axis=-1, kind="stable")
    indices[...] = order[..., :k]
    values[...] = np.take_along_axis(x, order[..., :k], axis=-1)


# ---- preparations


@op("ARG_MAX", max_version=3)
def arg_max_(site):
    return _arg(site, arg_max)


@op("ARG_MIN", max_version=3)
def arg_min_(site):
    return _arg(site, arg_min)


def _arg(site, kernel):
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
    at = int(site.value(axis).reshape(-1)[0])
    site.expect(-x.rank <= at < x.rank, f"axis {at} for an input of rank {x.rank}")
    at += x.rank if at < 0 else 0
    site.expect(x.shape[at] > 0, f"axis {at} of {x.shape} is empty")
    y = replace(site.output(0), type=kind).reshaped(x.shape[:at] + x.shape[at + 1 :])
    return Call(kernel, (x, at, y), (y,))


@op("TOPK_V2", max_version=3)
def top_k_(site):
    site.arity(2, 2)
    x, count = site.input(0), site.input(1)
    site.expect(count.type in ("int32", "int16"), f"k is {count.type}")
    site.expect(count.size == 1, f"k has {count.size} elements")
    site.expect(x.rank >= 1, "TopK k input must have 1 or more dimensions.")
    if x.type not in ("float32", "uint8", "int8", "int16", "int32", "int64"):
        site.unsupported(f"Type {x.type} is currently not supported by TopK.")
    values, indices = site.output(0), site.output(1)
    site.expect(values.type == x.type, f"the input is {x.type}, the values {values.type}")
    site.expect(indices.type in ("int32", "int16"), f"the indices are {indices.type}")
    k = max(int(site.value(count).reshape(-1)[0]), 0)
    site.expect(k <= x.shape[-1], f"TopK k {k} is higher than the internal dimension {x.shape[-1]}.")
    shape = (*x.shape[:-1], k)
    values, indices = values.reshaped(shape), indices.reshaped(shape)
    return Call(top_k, (x, values, indices), (values, indices))
