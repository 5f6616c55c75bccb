"""Windows of a tensor that are read from, or written to, wherever indices say: STABLEHLO_GATHER, STABLEHLO_SCATTER.

    STABLEHLO_GATHER   y[batch, offset] = x[start(batch) + offset]
    STABLEHLO_SCATTER  y = x, then y[start(batch) + offset] = f(that, updates[batch, offset]), update after update

start(batch) is read along index_vector_dim of the indices; a map says which axis of x each of its numbers is about, and
the others begin at 0. An offset counts along the axes of x that are not collapsed (gather) or inserted (scatter). A
window that is read is moved inwards until it fits; a value that would be written outside is left out. f is what the
one node of a subgraph does: add, multiply, maximum, minimum; without a node f(a, b) = b. See the StableHLO
specification, "gather" and "scatter".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.checks import check_types
from minitfl.kernels.layout import MOVED
from minitfl.op import Call, Kernel, Site, op

SCATTERED = frozenset("float32 float16 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool".split())
COMPUTATIONS = {
    "STABLEHLO_ADD": np.add,
    "STABLEHLO_MULTIPLY": np.multiply,
    "STABLEHLO_MAXIMUM": np.maximum,
    "STABLEHLO_MINIMUM": np.minimum,
}


@Kernel
def gather_windows(x, indices, index_axis, axes, offsets, sizes, y):
    """y[batch, offset] = x[start(batch) + offset], the window moved inwards until it fits.

    axes: of x, for each number of an index; offsets: an axis of y for each axis of x, or None; sizes: of a window.
    """
    starts = _starts(indices, index_axis, offsets, y.ndim)
    flat = np.zeros(y.shape, np.int64)
    for axis, n in enumerate(x.shape):
        start = np.clip(starts[axes.index(axis)], 0, n - sizes[axis]) if axis in axes else 0
        flat *= n
        flat += start + _offset(offsets[axis], y.shape)
    np.take(x.reshape(-1), flat, out=y, mode="clip")


@Kernel
def scatter_windows(x, indices, updates, index_axis, axes, offsets, update, y):
    """y = x, then y[start(batch) + offset] = update(that, updates[batch, offset]), one after another.

    update: a ufunc, or None to replace what is there. axes, offsets: as in gather_windows, with axes of the updates.
    """
    y[...] = x
    starts = _starts(indices, index_axis, offsets, updates.ndim)
    flat, inside = np.zeros(updates.shape, np.int64), np.ones(updates.shape, bool)
    for axis, n in enumerate(x.shape):
        position = _offset(offsets[axis], updates.shape)
        if axis in axes:
            position = position + starts[axes.index(axis)]
        inside &= (position >= 0) & (position < n)
        flat *= n
        flat += position
    if update in (np.maximum, np.minimum) and updates.dtype.kind == "f":
        inside &= ~np.isnan(updates)  # NaN compares as false, and so changes nothing
    y = y.reshape(-1)
    if update is None:
        y[flat[inside]] = updates[inside]
    else:
        update.at(y, flat[inside], updates[inside])


def _starts(indices, index_axis, offsets, rank):
    """The numbers of the indices, each an array that broadcasts over the axes of the result that are no offsets."""
    if index_axis == indices.ndim:
        indices = indices[..., np.newaxis]
    parts = np.moveaxis(indices, index_axis, 0).astype(np.int64)
    inner = tuple(axis for axis in range(rank) if axis in offsets)
    return [np.expand_dims(part, inner) for part in parts]


def _offset(axis, shape):
    """0, 1, 2 ... along an axis of the result; 0 where there is none."""
    if axis is None:
        return 0
    return np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])


# ---- preparations


@op("STABLEHLO_GATHER", max_version=1)
def stablehlo_gather(site: Site) -> Call:
    site.arity(2, 1)
    x, indices, y = site.input(0), site.input(1), site.output(0)
    _check_indices(site, indices)
    options = site.options
    sizes, offset_dims = _numbers(options.slice_sizes), _numbers(options.offset_dims)
    collapsed, axes = _numbers(options.collapsed_slice_dims), _numbers(options.start_index_map)
    site.expect(len(sizes) == x.rank, f"slice_sizes {sizes} for an input of rank {x.rank}")
    batch = _batch(site, indices, axes, x.rank)
    rank = len(batch) + len(offset_dims)
    site.expect(y.rank == rank, f"the output has {y.rank} axes, not {rank}")
    offsets = _offset_axes(site, x.rank, rank, offset_dims, collapsed)
    fits = all(0 <= size <= n for size, n in zip(sizes, x.known_shape, strict=True))
    fits = fits and all(sizes[axis] for axis in collapsed)
    site.expect(fits, f"slices of {sizes} of an input {x.shape}")
    shape, rest = [0] * rank, iter(batch)
    for axis in range(rank):
        shape[axis] = sizes[offsets.index(axis)] if axis in offset_dims else next(rest)
    y = y.reshaped(tuple(shape))
    check_types(site, x, y)
    if x.type not in MOVED:
        return refused(y, f"(Data Type: {x.type}) currently not supported.")
    args = (x, indices, options.index_vector_dim, axes, offsets, sizes, y)
    return Call(gather_windows, args, (y,), workspace=16 * y.size + 16 * indices.size)


@op("STABLEHLO_SCATTER", max_version=1)
def stablehlo_scatter(site: Site) -> Call:
    site.arity(3, 1)
    x, indices, updates, y = site.input(0), site.input(1), site.input(2), site.output(0)
    _check_indices(site, indices)
    options = site.options
    windows, inserted = _numbers(options.update_window_dims), _numbers(options.inserted_window_dims)
    axes = _numbers(options.scatter_dims_to_operand_dims)
    batch = _batch(site, indices, axes, x.rank)
    site.expect(updates.rank == len(batch) + len(windows), f"updates {updates.shape} for indices {indices.shape}")
    offsets = _offset_axes(site, x.rank, updates.rank, windows, inserted)
    found = tuple(n for axis, n in enumerate(updates.known_shape) if axis not in windows)
    site.expect(found == batch, f"updates {updates.shape} for indices {indices.shape}")
    site.expect(
        x.type == updates.type == y.type, f"the input is {x.type}, the updates {updates.type}, {y.type} comes out"
    )
    update = _computation(site)
    y = y.reshaped(x.known_shape)
    if x.type not in SCATTERED:
        return refused(y, f"(Data Type: {x.type}) currently not supported.")
    args = (x, indices, updates, options.index_vector_dim, axes, offsets, update, y)
    return Call(scatter_windows, args, (y,), workspace=(40 + x.dtype.itemsize) * updates.size + 16 * indices.size)


def _computation(site: Site) -> np.ufunc | None:
    """The ufunc of the one node that the subgraph has, or None for an empty one."""
    i = site.options.update_computation_subgraph_index
    site.expect(0 <= i < site.subgraph_count, "Computation subgraph not found for stablehlo.scatter.")
    nodes = site.subgraph(i).nodes
    site.expect(len(nodes) <= 1, f"Only one kernel allowed within the stablehlo region. {len(nodes)} found.")
    if not nodes:
        return None
    if nodes[0].op not in COMPUTATIONS:
        site.unsupported(f"{nodes[0].op} is not supported for stablehlo.scatter, which can {', '.join(COMPUTATIONS)}.")
    return COMPUTATIONS[nodes[0].op]


def _numbers(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in values)


def _check_indices(site: Site, indices: Tensor) -> None:
    if indices.type not in ("int32", "int64"):
        site.unsupported(f"(Index Type: {indices.type}) currently not supported.")


def _batch(site: Site, indices: Tensor, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape of the indices without the axis along which one index lies. axes: of a tensor of rank `rank`."""
    at = site.options.index_vector_dim
    site.expect(0 <= at <= indices.rank, f"index_vector_dim {at} for indices of rank {indices.rank}")
    length = (*indices.known_shape, 1)[at]
    distinct = len(set(axes)) == len(axes) and all(0 <= axis < rank for axis in axes)
    site.expect(distinct and len(axes) <= length, f"indices of {length} numbers about axes {axes} of {rank}")
    return (*indices.known_shape[:at], *indices.known_shape[at + 1 :])


def _offset_axes(
    site: Site, rank: int, result_rank: int, offset_dims: tuple[int, ...], without: tuple[int, ...]
) -> tuple[int | None, ...]:
    """For each of the `rank` axes of x the axis of the result along which its offset counts, or None."""
    kept = [axis for axis in range(rank) if axis not in without]
    fits = len(kept) == len(offset_dims) and list(offset_dims) == sorted(set(offset_dims))
    fits = fits and all(0 <= axis < result_rank for axis in offset_dims)
    site.expect(fits, f"offsets along {offset_dims} of {result_rank} axes for the axes {kept} of {rank}")
    along = dict(zip(kept, offset_dims, strict=True))
    return tuple(along.get(axis) for axis in range(rank))
