"""A tensor of which some values are replaced: DYNAMIC_UPDATE_SLICE, SPARSE_TO_DENSE.

    DYNAMIC_UPDATE_SLICE  y = x, but the update where it begins at `start`, moved inwards until it fits
    SPARSE_TO_DENSE       y = default in the given shape, but values[i] at indices[i]

Both are generic in the stored type.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.kernels.broadcast import refused, wrong
from minitfl.kernels.index_ops import check_indices
from minitfl.op import Call, Kernel, Site, op

NOT_UPDATED = frozenset("string resource variant uint4 int2".split())
DENSE = frozenset("int32 int64 int8 uint8 float32".split())
MOST_AXES = 8
MOST_DENSE_AXES = 4


@Kernel
def dynamic_update_slice(x, update, start, y):
    """y = x, but the update where it begins at `start` (rank,), moved inwards until it fits."""
    y[...] = x
    most = np.subtract(x.shape, update.shape)
    begins = np.clip(start, 0, most).tolist()
    y[tuple(slice(begin, begin + n) for begin, n in zip(begins, update.shape, strict=True))] = update


@Kernel
def sparse_to_dense(indices, values, default, y):
    """y = default, but values[i] at indices[i].

    indices (count, rank): a multi-index for each value. Where two meet, the later one stays.
    """
    for axis, n in enumerate(y.shape):
        check_indices(indices[:, axis], n, "sparse_to_dense")
    y[...] = default.reshape(())
    # the axis in front lets a multi-index have no numbers
    y[np.newaxis][(np.zeros(len(indices), np.intp), *indices.T)] = values


# ---- preparations


@op("DYNAMIC_UPDATE_SLICE", max_version=6)
def dynamic_update_slice_(site: Site) -> Call:
    x, update, start = (site.input(i) for i in range(3))
    site.expect(start.shape == (x.rank,), f"a start of shape {start.shape} for an input of rank {x.rank}")
    site.expect(update.rank == x.rank, f"an update of rank {update.rank} for an input of rank {x.rank}")
    fits = all(a <= b for a, b in zip(update.known_shape, x.known_shape, strict=True))
    site.expect(fits, f"the update {update.shape} is larger than the input {x.shape}")
    site.arity(3, 1)
    site.expect(x.type == update.type, f"the input is {x.type}, the update {update.type}")
    site.expect(start.type in ("int32", "int64"), f"the start is {start.type}")
    y = replace(site.output(0), type=x.type).reshaped(x.known_shape)
    if x.rank > MOST_AXES:
        return wrong(y, f"the input has {x.rank} axes, more than {MOST_AXES}")
    if x.type in NOT_UPDATED:
        return refused(y, f"DynamicUpdateSlice does not support the type {x.type}.")
    return Call(dynamic_update_slice, (x, update, start, y), (y,))


@op("SPARSE_TO_DENSE", max_version=3)
def sparse_to_dense_(site: Site) -> Call:
    site.arity(4, 1)
    indices, shape, values, default = (site.input(i) for i in range(4))
    site.expect(indices.rank < 3, f"the indices have {indices.rank} axes")
    site.expect(shape.rank == 1, f"the shape has {shape.rank} axes")
    site.expect(values.rank < 2, f"the values have {values.rank} axes")
    site.expect(default.size == 1, f"the default has {default.size} elements")
    for t in (indices, shape):
        site.expect(t.type in ("int32", "int64"), f"'{t.name}' is {t.type}")
    site.expect(values.type in DENSE, f"the values are {values.type}")
    site.expect(values.type == default.type, f"the values are {values.type}, the default {default.type}")
    indices = indices if indices.rank == 2 else indices.reshaped(indices.size, 1)
    count, rank = indices.known_shape
    site.expect(rank == shape.size, f"indices into {rank} axes for a shape of {shape.size}")
    site.expect(not values.rank or values.size == count, f"{values.size} values for {count} indices")
    y = replace(site.output(0), type=values.type).reshaped(tuple(int(n) for n in site.value(shape)))
    if rank > MOST_DENSE_AXES:
        return wrong(y, f"the output has {rank} axes, more than {MOST_DENSE_AXES}")
    return Call(sparse_to_dense, (indices, values, default, y), (y,), workspace=8 * indices.size + y.nbytes)
