"""Exact sums of products of stored integers, by the fast matrix products of floats.

A sum of whole numbers is exact in floats, whatever the order, while every part of it stays below 2**24 (float32) or
2**53 (float64). Where a depth is too large for float32 it is cut into parts.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np


def exact_weights(w, w_zero, x_most, most_parts=8):
    """(w - w_zero as floats, bounds): weights whose sums of products are exact, for |x| <= x_most in whole numbers.

    w (units, ...) stored integers. In float32, every sum over depths bounds[i] to bounds[i + 1] stays below 2**24,
    whatever the order; where more than most_parts would be needed the result is float64, in one part. It lies in
    memory with the units last, as a matrix product likes it.
    """
    units, depth = w.shape[0], math.prod(w.shape[1:])
    most = np.abs(np.subtract(w, w_zero, dtype=np.int32)).reshape(units, depth)
    for parts in range(1, most_parts + 1):
        bounds = tuple(depth * i // parts for i in range(parts + 1))
        sums = (most[:, a:b].sum(axis=1, dtype=np.int64).max(initial=0) for a, b in pairwise(bounds))
        if all(int(total) * x_most < 2**24 for total in sums):
            dtype = np.float32
            break
    else:
        dtype, bounds = np.float64, (0, depth)
    floats = np.empty((*w.shape[1:], units), dtype)
    np.subtract(np.moveaxis(w, 0, -1), w_zero, out=floats, casting="unsafe", dtype=np.int32)
    return np.moveaxis(floats, -1, 0), bounds


def exact_product(x, floats, bounds):
    """x @ floats.T, exactly: floats and bounds as exact_weights gives them, x whole numbers of the same type.

    Each part of the depth is summed in that type, and where there are several they together in float64.
    """
    total = np.matmul(x[:, : bounds[1]], floats[:, : bounds[1]].T)
    if len(bounds) > 2:
        total = total.astype(np.float64)
        for start, stop in pairwise(bounds[1:]):
            total += np.matmul(x[:, start:stop], floats[:, start:stop].T)
    return total


def exact_matmul(x, x_zero, w, w_zero):
    """(x - x_zero) @ (w - w_zero) for stored integers, exactly, as int64. x (..., depth), w (depth, units).

    Goes through the floating-point matrix product, which is exact while every partial sum stays below 2**24 (float32)
    or 2**53 (float64). Depths are cut into blocks where float32 would not be exact.
    """
    depth = w.shape[-2]
    x_most = _magnitude(x, x_zero)
    w_most = _magnitude(w, w_zero)
    block = (2**24 - 1) // max(x_most * w_most, 1)
    if block >= min(depth, 64):
        x32 = np.subtract(x, x_zero, dtype=np.float32, casting="unsafe")
        w32 = np.subtract(w, w_zero, dtype=np.float32, casting="unsafe")
        if block >= depth:
            return np.matmul(x32, w32).astype(np.int64)
        total = np.zeros(np.broadcast_shapes(x.shape[:-2], w.shape[:-2]) + (x.shape[-2], w.shape[-1]), np.int64)
        for start in range(0, depth, block):
            part = np.matmul(x32[..., start : start + block], w32[..., start : start + block, :])
            np.add(total, part, out=total, casting="unsafe")
        return total
    if depth * x_most * w_most >= 2**53:
        return np.matmul(x.astype(np.int64) - x_zero, w.astype(np.int64) - w_zero)
    x64 = np.subtract(x, x_zero, dtype=np.float64, casting="unsafe")
    w64 = np.subtract(w, w_zero, dtype=np.float64, casting="unsafe")
    return np.matmul(x64, w64).astype(np.int64)


def _magnitude(x, zero) -> int:
    """A bound on |x - zero| from the type alone for 8 bits, from the contents for wider types."""
    if x.size == 0:
        return 0
    if x.dtype.itemsize == 1:
        info = np.iinfo(x.dtype)
        low, high = int(info.min), int(info.max)
    else:
        low, high = int(x.min()), int(x.max())
    zeros = np.asarray(zero)
    return max(high - int(zeros.min()), int(zeros.max()) - low)
