"""Sparse constants -> dense arrays, by their sparsity parameters. DENSIFY: y = x, a sparse constant, dense.

Each level of the traversal order is dense (every index) or compressed: segments[p] to segments[p + 1] bound, for
position p of the level above, the indices that are there. With blocks, level n + k walks inside the blocks of dimension
block_map[k]. Constants are made dense when they are loaded, so that every operator takes them, and DENSIFY has only to
hand them on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.broadcast import refused
from minitfl.kernels.copying import copy_results
from minitfl.op import Call, Site, op

TYPES = ("float32", "float16", "int8")


def densify(values: np.ndarray, shape: tuple[int, ...], sparsity: dict[str, Any]) -> np.ndarray:
    """The dense array of `shape` whose stored values, in traversal order, are `values`; zero elsewhere."""
    order = [int(d) for d in sparsity["traversal_order"]]
    block_map = [int(d) for d in sparsity.get("block_map", ())]
    levels = sparsity["dim_metadata"]
    rank = len(shape)
    if sorted(order) != list(range(rank + len(block_map))) or len(levels) != len(order):
        raise ModelError(f"traversal order {order} with {len(levels)} dimensions does not fit shape {shape}")
    if any(not 0 <= d < rank for d in block_map):
        raise ModelError(f"block map {block_map} names a dimension that shape {shape} does not have")
    block = [1] * rank
    for k, dimension in enumerate(block_map):
        level = levels[order.index(rank + k)]
        if level["format"] != 0 or level["dense_size"] < 1:
            raise ModelError(f"block dimension {k} is not dense with a positive size")
        block[dimension] *= level["dense_size"]

    count = 1
    coordinates: list[np.ndarray] = []
    for n, level in enumerate(levels):
        # what the next compressed level bounds, or else the stored values, is all that a file can speak of
        below = (lower["array_segments"].size for lower in levels[n + 1 :] if lower["format"] != 0)
        parents, at = _descend(level, count, next(below, values.size))
        coordinates = [c[parents] for c in coordinates] + [at]
        count = at.size
    if count > values.size:
        raise ModelError(f"sparsity parameters place {count} values where {values.size} are stored")
    if math.prod(shape) > 1 << 40:
        raise ModelError(f"a sparse tensor has the shape {shape}")

    by_dimension: list[np.ndarray] = [np.zeros(count, np.int64) for _ in shape]
    for dimension, at in zip(order, coordinates, strict=True):
        if dimension < rank:
            by_dimension[dimension] += at * block[dimension]
        else:
            by_dimension[block_map[dimension - rank]] += at
    for dimension, at in enumerate(by_dimension):
        if count and not 0 <= at.min() <= at.max() < shape[dimension]:
            raise ModelError(f"sparse indices leave dimension {dimension} of shape {shape}")
    dense = np.zeros(shape, values.dtype)
    dense[tuple(by_dimension)] = values[:count]
    dense.flags.writeable = False
    return dense


def _descend(level: dict[str, Any], count: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """For `count` positions of the level above: each position below, as (its parent, its index in this dimension)."""
    if level["format"] == 0:
        size = level["dense_size"]
        if size < 0 or count * size > most:
            raise ModelError(f"sparsity parameters place {count} times {size} values where there are at most {most}")
        return np.repeat(np.arange(count), size), np.tile(np.arange(size), count)
    segments = level["array_segments"].astype(np.int64)
    indices = level["array_indices"].astype(np.int64)
    if segments.size != count + 1 or np.any(np.diff(segments) < 0) or segments[0] != 0 or segments[-1] != indices.size:
        raise ModelError(
            f"sparse segments of length {segments.size} do not fit {count} rows and {indices.size} indices"
        )
    return np.repeat(np.arange(count), np.diff(segments)), indices


# ---- preparations


@op("DENSIFY")
def densify_(site: Site) -> Call:
    site.arity(1, 1)
    x = site.input(0)
    site.expect(x.type != "string", "the input holds strings")
    site.expect(x.data is not None, "the input is no constant")
    site.expect(x.sparsity, "the input has no sparsity parameters")
    y = replace(site.output(0), type=x.type).reshaped(x.known_shape)
    if x.type not in TYPES:
        return refused(y, f"type {x.type} is not supported")
    return Call(copy_results, (x, y), (y,))
