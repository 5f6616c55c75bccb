"""Values picked by index, and indices made of values.

    GATHER      y[b, i ..., rest] = x[b, indices[b, i], rest] along an axis
    GATHER_ND   y[i ...] = x[indices[i ...]], the last axis of indices a multi-index
    SCATTER_ND  y = 0, then y[indices[i ...]] += updates[i ...]
    WHERE       the multi-indices of what is not 0, int64 (count, rank)
    SELECT      y = a where condition else b; SELECT_V2 broadcasts
    ONE_HOT     y = on where the index along the new axis equals indices, else off

Indices from data are checked before anything is read: negative ones and ones past the end are errors.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import broadcast_shape, refused
from minitfl.kernels.checks import axis_of
from minitfl.kernels.layout import MOVED
from minitfl.op import Call, Kernel, NotYet, Site, op

GATHERED = frozenset("float32 float16 bfloat16 uint8 int4 int8 int16 int64 int32 bool string".split())
SCATTERED = frozenset("float32 uint8 bool int8 int64 int32".split())
CONDITIONS = frozenset("bool float32 int64 int32 int8 uint8 uint32".split())
MOST_AXES = 8  # that SELECT_V2 broadcasts over


def check_indices(indices, limit: int, what: str) -> None:
    """Every index in [0, limit), or an error that names the first that is not."""
    bad = (indices < 0) | (indices >= limit)
    if bad.any():
        raise ModelError(f"{what} index out of bounds: {indices[bad].reshape(-1)[0]} of {limit}")


@Kernel
def gather(x, indices, axis, batch_dims, y):
    """y[b, i] = x[b, indices[b, i]] along the axis; b stands for the first batch_dims axes of both."""
    check_indices(indices, x.shape[axis], "gather")
    if not batch_dims:
        np.take(x, indices, axis=axis, out=y, mode="clip")
    elif y.size:
        parts = ((0, batch_dims), (batch_dims, axis), (axis + 1, x.ndim))
        batch, outer, inner = (math.prod(x.shape[a:b]) for a, b in parts)
        rows = np.arange(batch)[:, np.newaxis]
        picked = x.reshape(batch, outer, x.shape[axis], inner)[rows, :, indices.reshape(batch, -1)]
        y.reshape(batch, outer, -1, inner)[...] = picked.transpose(0, 2, 1, 3)


@Kernel
def gather_nd(x, indices, y):
    """y[i] = x[indices[i]]; indices (..., count): of the first `count` axes of x."""
    if indices.size and not x.size:
        raise ModelError(f"gather_nd from an empty tensor {x.shape}")
    parts = _multi_index(x.shape, indices, "gather_nd")
    y[...] = x[parts] if parts else x


@Kernel
def scatter_nd(indices, updates, y):
    """y = 0, then y[indices[i]] += updates[i]; bools are or-ed."""
    parts = _multi_index(y.shape, indices, "scatter_nd")
    y[...] = 0
    if not parts:  # each update is as large as y
        y, parts = y[np.newaxis], (np.zeros(indices.shape[:-1], np.intp),)
    np.add.at(y, parts, updates)


def _multi_index(shape, indices, what):
    """The index arrays, one for each axis, checked."""
    parts = tuple(np.moveaxis(indices, -1, 0))
    for part, n in zip(parts, shape, strict=False):
        check_indices(part, n, what)
    return parts


@Kernel
def where(found, y):
    """y[i] = the multi-index i of what is not 0. found: the index arrays, one for each axis."""
    for axis, part in enumerate(found):
        y[:, axis] = part


@Kernel
def select(condition, a, b, y):
    """y = a where condition, else b; all three broadcast."""
    y[...] = b
    np.copyto(y, a, where=condition)


@Kernel
def one_hot(indices, on, off, axis, y):
    """y = on where the position along `axis` is the index, else off."""
    positions = np.arange(y.shape[axis]).reshape([-1 if a == axis else 1 for a in range(y.ndim)])
    y[...] = off.reshape(())
    np.copyto(y, on.reshape(()), where=np.expand_dims(indices, axis) == positions)


# ---- preparations


@op("GATHER", max_version=8)
def gather_(site: Site) -> Call:
    site.arity(2, 1)
    x, indices = site.input(0), site.input(1)
    if indices.type not in ("int64", "int32", "int16"):
        site.unsupported(f"Positions of type '{indices.type}' are not supported by gather.")
    if x.type not in GATHERED:
        site.unsupported(f"Type '{x.type}' is not supported by gather.")
    site.expect(x.type != "string" or x.rank == 1, f"strings of rank {x.rank} can't be gathered")
    axis, batch_dims = site.options.axis, site.options.batch_dims
    axis = axis_of(site, axis, x.rank)
    batch_dims += indices.rank if batch_dims < 0 else 0
    fits = 0 <= batch_dims <= min(axis, indices.rank) and batch_dims < x.rank
    site.expect(fits, f"batch_dims {site.options.batch_dims} for axis {axis} and indices of rank {indices.rank}")
    batch = x.known_shape[:batch_dims]
    site.expect(batch == indices.known_shape[:batch_dims], f"batches of {x.shape} and {indices.shape} differ")
    y = replace(site.output(0), type=x.type)
    y = y.reshaped(x.known_shape[:axis] + indices.known_shape[batch_dims:] + x.known_shape[axis + 1 :])
    if _is_known(site, x) and _is_known(site, indices):
        check_indices(site.value(indices), x.known_shape[axis], "gather")
    copies = 2 * y.nbytes if batch_dims else 0
    return Call(gather, (x, indices, axis, batch_dims, y), (y,), workspace=copies + 3 * indices.size)


def _is_known(site: Site, tensor: Tensor) -> bool:
    try:
        site.value(tensor)
    except NotYet:
        return False
    return True


@op("GATHER_ND", max_version=6)
def gather_nd_(site: Site) -> Call:
    site.arity(2, 1)
    x, indices = site.input(0), site.input(1)
    if x.type not in GATHERED - {"int4"}:
        site.unsupported(f"Params of type '{x.type}' are not supported by gather_nd.")
    if indices.type not in ("int64", "int32", "int16"):
        site.unsupported(f"Indices of type '{indices.type}' are not supported by gather_nd.")
    site.expect(x.rank >= 1, "Params must be at least a vector.")
    site.expect(indices.rank >= 1, "Indices must be at least a vector.")
    count = indices.known_shape[-1]
    site.expect(count <= x.rank, f"indices of {count} numbers into an input of rank {x.rank}")
    y = replace(site.output(0), type=x.type).reshaped(indices.known_shape[:-1] + x.known_shape[count:])
    return Call(gather_nd, (x, indices, y), (y,), workspace=y.nbytes + 3 * indices.size)


@op("SCATTER_ND", max_version=1)
def scatter_nd_(site: Site) -> Call:
    site.arity(3, 1)
    indices, updates, shape = (site.input(i) for i in range(3))
    if updates.type not in SCATTERED:
        site.unsupported(f"Updates of type '{updates.type}' are not supported by scatter_nd.")
    site.expect(indices.type == shape.type, "Indices and shape must have the same type.")
    value = site.value(shape).reshape(-1)
    if indices.type != "int32":
        site.unsupported(f"Indices of type '{indices.type}' are not supported by scatter_nd.")
    sizes = tuple(int(n) for n in value)
    site.expect(indices.rank >= 1 and updates.rank >= 1, f"indices {indices.shape} and updates {updates.shape}")
    site.expect(shape.rank == 1, f"the shape has {shape.rank} axes")
    site.expect(all(n >= 0 for n in sizes), f"the shape {sizes} is negative")
    count = indices.known_shape[-1]
    wanted = indices.known_shape[:-1] + sizes[count:]
    fits = count <= len(sizes) and updates.shape == wanted
    site.expect(fits, f"updates {updates.shape} for indices {indices.shape} into {sizes}")
    y = replace(site.output(0), type=updates.type).reshaped(sizes)
    return Call(scatter_nd, (indices, updates, y), (y,), workspace=3 * indices.size)


@op("WHERE", max_version=2)
def where_(site: Site) -> Call:
    site.arity(1, 1)
    condition = site.input(0)
    if condition.type not in CONDITIONS:
        site.unsupported(f"Condition tensor has unsupported type: '{condition.type}'.")
    y = replace(site.output(0), type="int64")
    values = site.value(condition)
    if not condition.rank:
        return refused(y.reshaped(0, 0), "Where op requires condition w/ rank > 0")
    found = np.nonzero(values)
    y = y.reshaped(found[0].size, condition.rank)
    return Call(where, (found, y), (y,))


@op("SELECT", max_version=4)
def select_(site: Site) -> Call:
    condition, a, b, y = _selection(site)
    if all(t.size == 1 for t in (condition, a, b, y)):
        return _select(condition, a, b, y)
    site.expect(a.shape == b.shape, f"the choices are {a.shape} and {b.shape}")
    if condition.rank and condition.shape != a.shape:
        rows = condition.rank == 1 and a.rank >= 1 and condition.size == a.known_shape[0]
        site.expect(rows, f"a condition {condition.shape} for choices {a.shape}")
        condition = condition.reshaped(condition.size, *([1] * (a.rank - 1)))  # each element decides over a row
    return _select(condition, a, b, y.reshaped(a.known_shape))


@op("SELECT_V2", max_version=2)
def select_v2(site: Site) -> Call:
    condition, a, b, y = _selection(site)
    if all(t.size == 1 for t in (condition, a, b, y)):
        return _select(condition, a, b, y)
    y = y.reshaped(broadcast_shape(condition, a, b))
    alike = condition.shape == a.shape == b.shape
    site.expect(alike or y.rank <= MOST_AXES, f"{y.rank} axes are more than {MOST_AXES}")
    return _select(condition, a, b, y)


def _selection(site: Site) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The condition, the choices, the output; its shape stands where all have one element, else it is not yet right."""
    site.arity(3, 1)
    condition, a, b = (site.input(i) for i in range(3))
    site.expect(condition.type == "bool", f"the condition is {condition.type}")
    site.expect(a.type == b.type, f"the choices are {a.type} and {b.type}")
    y = replace(site.output(0), type=a.type)
    return condition, a, b, y if y.shape is not None else y.reshaped(a.known_shape)


def _select(condition: Tensor, a: Tensor, b: Tensor, y: Tensor) -> Call:
    if a.type not in MOVED:
        return refused(y, f"Does not support type other than bool|float|int, got {a.type}")
    if y.size == 1:
        condition, a, b = (t.reshaped(y.known_shape) for t in (condition, a, b))
    return Call(select, (condition, a, b, y), (y,))


@op("ONE_HOT", max_version=1)
def one_hot_(site: Site) -> Call:
    site.arity(4, 1)
    indices, depth, on, off = (site.input(i) for i in range(4))
    if on.type not in ("float32", "int16", "int32", "int64", "int8", "uint8", "bool"):
        site.unsupported(f"Unknown output data type: {on.type}")
    site.expect(indices.type in ("int32", "int64"), f"the indices are {indices.type}")
    site.expect(off.type == on.type, f"the values are {on.type} and {off.type}")
    for t in (depth, on, off):
        site.expect(t.size == 1, f"'{t.name}' has {t.size} elements")
    site.expect(depth.type in ("int32", "int64"), f"the depth is {depth.type}")
    axis = site.options.axis
    axis = indices.rank if axis == -1 else axis
    site.expect(0 <= axis <= indices.rank, f"axis {axis} for indices of rank {indices.rank}")
    length = int(site.value(depth).reshape(-1)[0])
    site.expect(length >= 0, f"the depth is {length}")
    y = replace(site.output(0), type=on.type)
    y = y.reshaped(*indices.known_shape[:axis], length, *indices.known_shape[axis:])
    if on.type == "int16":
        return refused(y, "ONE_HOT of type int16")
    return Call(one_hot, (indices, on, off, axis, y), (y,), workspace=y.size)
