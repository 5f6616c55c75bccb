"""Rows of a table, picked by number or by key.

    EMBEDDING_LOOKUP         y[i] = x[indices[i]]; rows of stored integers may become real numbers
    EMBEDDING_LOOKUP_SPARSE  y[place] = combination of w[i] * x[ids[i]] over all i that have this place
    HASHTABLE_LOOKUP         y[i] = x[where keys == wanted[i]], hits[i] = 1; without such a key 0 and 0

EMBEDDING_LOOKUP by stored types, real = scale * stored:

    x                         y                  scales
    any                       as x               stay as they are
    int8, uint8, int4, int2   float32, float16   one, or one for each row. uint8 is read as int8
    int4, int2                float32, float16   one for each block of numbers in a row
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.graph import Quantization, Tensor
from minitfl.kernels.broadcast import BLOCK, refused, wrong
from minitfl.kernels.index_ops import check_indices
from minitfl.op import Call, Kernel, Site, op

STORED = ("int8", "uint8", "int4", "int2")
REAL = ("float32", "float16")


@Kernel
def embedding(indices, x, y):
    """y[i] = x[indices[i]]"""
    check_indices(indices, len(x), "embedding")
    y[...] = x[indices]


@Kernel
def embedding_hybrid(indices, x, scales, y):
    """y[i] = scale * x[indices[i]]; scales (rows, blocks): of equal parts of each row."""
    check_indices(indices, len(x), "embedding")
    if not y.size:
        return
    rows, blocks = scales.shape
    x, flat = x.view(np.int8).reshape(rows, blocks, -1), y.reshape(len(y), blocks, -1)
    step = max(1, BLOCK * len(y) // y.size)
    for start in range(0, len(y), step):
        part = indices[start : start + step]
        flat[start : start + step] = x[part] * scales[part][..., np.newaxis]


@Kernel
def embedding_sparse(ids, indices, sizes, w, x, combiner, y):
    """y[place] = the sum of w[i] * x[ids[i]] over all i that have this place, divided as `combiner` says.

    indices (lookups, rank): the place of each, but for its last number. sizes: how many places there are.
    combiner: "sum"; "mean", divided by the sum of w; "sqrtn", by the root of the sum of w**2. A run of equal places is
    divided when it ends, and what comes later adds to the quotient, so places should be in order.
    """
    check_indices(ids, len(x), "embedding")
    y[...] = 0
    strides = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    places = indices[:, :-1].astype(np.int64) @ np.array(strides, np.int64)
    check_indices(places, math.prod(sizes), "embedding place")
    ends = np.flatnonzero(np.diff(places)) + 1
    rows = y.reshape(math.prod(sizes), *x.shape[1:])
    for run in np.split(np.arange(len(ids)), ends) if len(ids) else ():
        row = rows[places[run[0]]]
        for i in run:
            row += x[ids[i]] * w[i]
        if combiner == "mean":
            row /= w[run].cumsum()[-1]
        elif combiner == "sqrtn":
            row /= np.sqrt(np.square(w[run]).cumsum()[-1])


@Kernel
def hashtable_lookup(wanted, keys, x, y, hits):
    """y[i] = x[k], hits[i] = 1 where keys[k] == wanted[i]; both 0 where there is no such key.

    keys rise. Of equal ones that is taken which halving meets first.
    """
    low, high = np.zeros(len(wanted), np.int64), np.full(len(wanted), len(keys))
    found = np.full(len(wanted), -1)
    while (open := (low < high) & (found < 0)).any():
        middle = (low + high) // 2
        key = keys[np.minimum(middle, len(keys) - 1)]
        found = np.where(open & (wanted == key), middle, found)
        low = np.where(open & (wanted > key), middle + 1, low)
        high = np.where(open & (wanted < key), middle, high)
    hits[...] = found >= 0
    y[...] = x[found]
    y[found < 0] = b"" if y.dtype == object else 0


# ---- preparations


@op("EMBEDDING_LOOKUP", max_version=5)
def embedding_lookup(site: Site) -> Call:
    site.arity(2, 1)
    indices, x, y = site.input(0), site.input(1), site.output(0)
    site.expect(indices.rank == 1 and indices.type == "int32", f"the indices are {indices.type} {indices.shape}")
    site.expect(x.rank >= 2, f"a table of rank {x.rank}")
    quantization = x.quantization
    if quantization is not None and not quantization.block_size:
        _check_scales(site, x, quantization, y)
    y = y.reshaped(indices.known_shape[0], *x.known_shape[1:])
    if quantization is not None and quantization.block_size:
        return _blockwise(indices, x, quantization, y)
    if x.type == y.type:
        return Call(embedding, (indices, x, y), (y,), workspace=y.nbytes)
    if x.type not in STORED or y.type not in REAL:
        return refused(y, f"rows of type {x.type} as {y.type}")
    scales = quantization.scale if quantization is not None else np.zeros(1, np.float32)
    return _hybrid(indices, x, np.broadcast_to(scales[:, np.newaxis], (x.known_shape[0], 1)), y)


def _check_scales(site: Site, x: Tensor, quantization: Quantization, y: Tensor) -> None:
    stored, scales = x.type in STORED, x.scales
    if stored and y.type == "float32":
        site.expect(x.zeros[0] == 0, f"the zero point of the table is {x.zeros[0]}")
    if scales.size > 1:
        site.expect(stored and y.type in REAL, f"{scales.size} scales of {x.type}, wanted as {y.type}")
        site.expect(quantization.axis == 0, f"scales along axis {quantization.axis}")
        site.expect(scales.size == x.known_shape[0], f"{scales.size} scales of {x.known_shape[0]} rows")


def _blockwise(indices: Tensor, x: Tensor, quantization: Quantization, y: Tensor) -> Call:
    size = quantization.block_size
    if x.type not in ("int4", "int2") or y.type not in REAL:
        return refused(y, f"blocks of {x.type} as {y.type}")
    if x.rank != 2 or x.known_shape[1] % size:
        return wrong(y, f"rows {x.known_shape[1:]} in blocks of {size}")
    if quantization.scale.size * size != x.size:
        return wrong(y, f"{quantization.scale.size} scales of {x.size // size} blocks")
    return _hybrid(indices, x, quantization.scale.reshape(x.known_shape[0], -1), y)


def _hybrid(indices: Tensor, x: Tensor, scales: np.ndarray, y: Tensor) -> Call:
    workspace = max(BLOCK, y.size // max(y.known_shape[0], 1)) * 16
    return Call(embedding_hybrid, (indices, x, scales, y), (y,), workspace=workspace)


@op("EMBEDDING_LOOKUP_SPARSE")
def embedding_lookup_sparse(site: Site) -> Call:
    site.arity(5, 1)
    ids, indices, shape, w, x = (site.input(i) for i in range(5))
    for t, rank, type in ((ids, 1, "int32"), (indices, 2, "int32"), (shape, 1, "int32"), (w, 1, "float32")):
        site.expect(t.rank == rank and t.type == type, f"'{t.name}' is {t.type} {t.shape}")
    count, rank = indices.known_shape
    site.expect(ids.size == w.size == count, f"{ids.size} ids, {count} indices, {w.size} weights")
    y = site.output(0)
    site.expect(x.rank >= 2, f"a table of rank {x.rank}")
    site.expect(y.type == "float32", f"output 0 is {y.type}")
    if x.type != "float32":
        site.unsupported(f"rows of type {x.type} can't be added up")
    combiner = site.enum("combiner", "CombinerType").lower()
    sizes = tuple(int(n) for n in site.value(shape)[:-1])
    if shape.size != rank or not rank:
        return wrong(y.reshaped(0), f"a shape of {shape.size} axes, indices of {rank}")
    if any(n < 0 for n in sizes):
        return wrong(y.reshaped(0), f"the shape {sizes} is negative")
    y = y.reshaped(*sizes, *x.known_shape[1:])
    workspace = (count * (rank + 4) + x.size // max(x.known_shape[0], 1) * 2) * 8
    return Call(embedding_sparse, (ids, indices, sizes, w, x, combiner, y), (y,), workspace=workspace)


@op("HASHTABLE_LOOKUP")
def hashtable_lookup_(site: Site) -> Call:
    site.arity(3, 2)
    wanted, keys, x = (site.input(i) for i in range(3))
    y, hits = site.output(0), site.output(1)
    for t in (wanted, keys):
        site.expect(t.rank == 1 and t.type == "int32", f"'{t.name}' is {t.type} {t.shape}")
    site.expect(x.rank >= 1, "the values are a scalar")
    site.expect(keys.known_shape[0] == x.known_shape[0], f"{keys.known_shape[0]} keys of {x.known_shape[0]} values")
    site.expect(x.type != "string" or x.rank == 1, f"strings of rank {x.rank}")
    site.expect(hits.type == "uint8", f"the hits are {hits.type}")
    site.expect(y.type == x.type, f"values of type {x.type} as {y.type}")
    y, hits = y.reshaped(wanted.known_shape[0], *x.known_shape[1:]), hits.reshaped(wanted.known_shape)
    if not keys.size:
        return wrong(y, "a table without rows", hits)
    return Call(hashtable_lookup, (wanted, keys, x, y, hits), (y, hits), workspace=y.nbytes + wanted.size * 64)
