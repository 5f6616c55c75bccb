"""BATCH_MATMUL: y = x @ w for stacks of matrices; adj_x, adj_y transpose each matrix of x, of w, before.

x (..., rows, depth), w (..., depth, units), y (..., rows, units) once transposed; the axes before broadcast.

    x          w          y          kernel           zero points
    float32    float32    float32    matmul_float     -
    float32    int8       float32    matmul_hybrid    w's is left out; w is scaled per tensor or per unit
    int8       int8       int8       matmul_int       any
    int8       int8       int32      matmul_raw       left out: products of stored values
    int16      int8       int16      matmul_int16     0
    int16      int16      int16      matmul_int16     0

Where w is one constant matrix, and x lies as it is multiplied, the products are those of FULLY_CONNECTED, with weights
that are kept ready: dense_hybrid, dense_fixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.dense_rows import SMALL_NBYTES, dense_fixed, dense_hybrid, rows_workspace
from minitfl.kernels.exact import exact_matmul, exact_weights
from minitfl.kernels.fixedpoint import quantize_multipliers, rescale_twice, rescale_wide, stored_range, wrap_int32
from minitfl.kernels.hybrid import hybrid_matmul, quantize_rows
from minitfl.kernels.sums import MAGNITUDE, packed
from minitfl.op import Call, Kernel, Site, op

BLOCK_NBYTES = 1 << 20  # of each of the temporaries: both operands in float64, the sums and what is made of them
MOST_AXES = 5
TYPES = {  # of x, w, y
    ("float32", "float32", "float32"),
    ("float32", "int8", "float32"),
    ("int8", "int8", "int8"),
    ("int8", "int8", "int32"),
    ("int16", "int8", "int16"),
    ("int16", "int16", "int16"),
}


@Kernel
def matmul_float(x, w, adj_x, adj_y, y):
    """y = x @ w, where adj_x and adj_y say which of them lie transposed."""
    np.matmul(oriented(x, adj_x), oriented(w, adj_y), out=y)


@Kernel
def matmul_int(x, w, adj_x, adj_y, x_zero, w_zero, multiplier, shift, y_zero, low, high, y):
    """matmul_float on stored integers, where real = scale * (stored - zero).

    multiplier, shift (units,) or (1,): x_scale * w_scale / y_scale, see fixedpoint. low, high: stored values.
    """
    numbers = (np.broadcast_to(n, y.shape) for n in (multiplier, shift))
    for x, w, y, multiplier, shift in stacks(oriented(x, adj_x), oriented(w, adj_y), y, *numbers):
        total = exact_matmul(x, x_zero, w, w_zero)
        y[...] = np.clip(rescale_twice(total, multiplier, shift) + y_zero, low, high)


@Kernel
def matmul_int16(x, w, adj_x, adj_y, multiplier, shift, low, high, y):
    """matmul_int for 16-bit x, whose 64-bit sums are rescaled by a 15-bit multiplier. All zeros are 0."""
    numbers = (np.broadcast_to(n, y.shape) for n in (multiplier, shift))
    for x, w, y, multiplier, shift in stacks(oriented(x, adj_x), oriented(w, adj_y), y, *numbers):
        y[...] = np.clip(wrap_int32(rescale_wide(exact_matmul(x, 0, w, 0), multiplier, shift)), low, high)


@Kernel
def matmul_raw(x, w, adj_x, adj_y, y):
    """y = x @ w on stored integers as they are."""
    for x, w, y in stacks(oriented(x, adj_x), oriented(w, adj_y), y):
        y[...] = exact_matmul(x, 0, w, 0)


@Kernel
def matmul_hybrid(x, w, adj_x, adj_y, w_scale, asymmetric, y):
    """matmul_float for stored int8 w and float x, each of whose rows is quantized; w_scale float32 (units,)."""
    x, w, units = oriented(x, adj_x), oriented(w, adj_y), np.broadcast_to(w_scale, y.shape)
    for x, w, y, w_scale in stacks(x, w, y, units):
        rows = x.shape[:-1]
        q, scale, zero = quantize_rows(x.reshape(math.prod(rows), x.shape[-1]), asymmetric)
        q, scale, zero = q.reshape(x.shape), scale.reshape(rows), zero.reshape(rows)
        y[...] = hybrid_matmul(q, scale, zero, np.swapaxes(w, -1, -2), w_scale)


# ---- stacks and blocks


def oriented(x, transposed):
    """The matrices of x as they are multiplied; a view."""
    return np.swapaxes(x, -1, -2) if transposed else x


def stacks(x, w, y, *like_y) -> Iterator[tuple]:
    """(x, w, y, *like_y) cut into parts with (x @ w).shape == y.shape and small temporaries. All are views."""
    if y.ndim == 2:
        x, w = x.reshape(x.shape[-2:]), w.reshape(w.shape[-2:])
        for b, u in parts(y.shape[0], y.shape[1], x.shape[-1]):
            yield (x[b], w[:, u], y[b, u], *(a[b, u] for a in like_y))
        return
    each = 8 * (_area(x) + _area(w)) + 40 * _area(y)
    if each * (y.size // max(_area(y), 1)) <= BLOCK_NBYTES:
        yield (x, w, y, *like_y)
        return
    x = x.reshape((1,) * (y.ndim - x.ndim) + x.shape)
    w = w.reshape((1,) * (y.ndim - w.ndim) + w.shape)
    inner = each * (y[0].size // max(_area(y), 1))
    many = max(1, BLOCK_NBYTES // max(inner, 1))
    for start in range(0, y.shape[0], many):
        cut = slice(start, start + many) if many > 1 else start
        part_x, part_w = (a[cut] if a.shape[0] > 1 else (a if many > 1 else a[0]) for a in (x, w))
        yield from stacks(part_x, part_w, y[cut], *(a[cut] for a in like_y))


def parts(batch: int, units: int, depth: int) -> Iterator[tuple[slice, slice]]:
    """Parts of rows and parts of units, such that what one pair of them takes fits in the cache."""
    many_rows, many_units = _together(batch, units, depth)
    for b in range(0, batch, many_rows):
        for u in range(0, units, many_units):
            yield slice(b, b + many_rows), slice(u, u + many_units)


def workspace(batch: int, units: int, depth: int) -> int:
    """Bytes that bound the temporaries of a kernel that goes through `parts`."""
    many_rows, many_units = _together(batch, units, depth)
    return 8 * depth * (many_units + 2 * many_rows) + 40 * many_rows * many_units + SMALL_NBYTES


def _together(batch: int, units: int, depth: int) -> tuple[int, int]:
    """How many rows and how many units make a part: at least one."""

    def fitting(count: int, nbytes: int) -> int:
        return max(1, min(count, BLOCK_NBYTES // max(nbytes, 1)))

    many_units = fitting(units, 8 * depth)
    return min(fitting(batch, 8 * depth), fitting(batch, 32 * many_units)), many_units


def _area(matrices) -> int:
    return matrices.shape[-2] * matrices.shape[-1]


# ---- preparations


@op("BATCH_MATMUL", max_version=4)
def batch_matmul(site: Site) -> Call:
    site.arity(2, 1)
    x, w, y = site.input(0), site.input(1), site.output(0)
    if (x.type, w.type, y.type) not in TYPES:
        site.unsupported(f"{x.type} times {w.type} to {y.type} is not supported")
    for t in (x, w):
        site.expect(2 <= t.rank <= MOST_AXES, f"an operand has the shape {t.shape}, not 2 to {MOST_AXES} axes")
    adj_x, adj_y = bool(site.options.adj_x), bool(site.options.adj_y)
    x_shape, w_shape = _seen(x, adj_x), _seen(w, adj_y)
    site.expect(x_shape[-1] == w_shape[-2], f"depths {x_shape[-1]} and {w_shape[-2]} of {x.shape} and {w.shape} differ")
    try:
        batch = np.broadcast_shapes(x_shape[:-2], w_shape[:-2])
    except ValueError:
        site.expect(False, f"the stacks {x.shape} and {w.shape} can't be broadcast")
        raise
    y = y.reshaped(*batch, x_shape[-2], w_shape[-1])
    single = not adj_x and math.prod(w_shape[:-2]) == 1  # one matrix: its stack is one product of many rows
    lying = (_flat(x), w.reshaped(w.known_shape[-2:]), adj_x, adj_y) if single else (x, w, adj_x, adj_y)
    result = _flat(y) if single else y
    bound = 2 * BLOCK_NBYTES + workspace(x_shape[-2], w_shape[-1], x_shape[-1])
    if w.type == "float32":
        return Call(matmul_float, (*lying, result), (y,))
    if y.type == "int32":
        return Call(matmul_raw, (*lying, result), (y,), workspace=bound)
    w_zero = 0 if x.type == "float32" else _unit_numbers(site, w, adj_y, w_shape[-1])
    ready = _prepared(site, lying[1], adj_y, w_zero, x.type) if single else None
    if ready is not None:
        bound = rows_workspace(lying[0].known_shape[0], w_shape[-1], x_shape[-1], computed=False)
    if x.type == "float32":
        return _hybrid(site, w, y, lying, result, ready, bound)
    return _integer(site, (x, w, y), lying, w_zero, result, ready, bound)


def _prepared(site: Site, w: Tensor, adj_y: bool, w_zero: int, x_type: str) -> Any:
    """(weights, bounds) of a constant matrix as the kernels of `dense_rows` want them; None of a computed one."""
    most = MAGNITUDE["int8" if x_type == "float32" else x_type]
    layout = ("matmul", adj_y, w_zero, most)
    return packed(site, w, layout, lambda stored: exact_weights(oriented(stored, not adj_y), w_zero, most))


def _unit_numbers(site: Site, w: Tensor, adj_y: bool, units: int) -> int:
    """Checks that w has one scale, or one for each unit, and one zero point; -> the zero point."""
    if w.scales.size > 1 and w.quantization is not None:
        along = w.rank - (2 if adj_y else 1)
        axis = w.quantization.axis
        site.expect(axis == along and w.scales.size == units, f"{w.scales.size} scales along axis {axis} of {w.shape}")
        site.expect((w.zeros == w.zeros[0]).all(), f"the zero points of '{w.name}' differ")
    return int(w.zeros[0])


def _seen(t: Tensor, transposed: bool) -> tuple[int, ...]:
    *batch, a, b = t.known_shape
    return (*batch, b, a) if transposed else (*batch, a, b)


def _flat(t: Tensor) -> Tensor:
    *batch, rows, columns = t.known_shape
    return t.reshaped(math.prod(batch) * rows, columns)


def _hybrid(site: Site, w: Tensor, y: Tensor, lying: tuple, result: Tensor, ready, bound: int) -> Call:
    units = y.known_shape[-1]
    scales = np.zeros(1, np.float32) if w.quantization is None else w.scales
    if scales.size not in (1, units):
        return refused(y, f"{scales.size} scales of weights for {units} units")
    asymmetric = bool(site.options.asymmetric_quantize_inputs)
    if ready is None:
        return Call(matmul_hybrid, (*lying, scales, asymmetric, result), (y,), workspace=bound)
    args = (lying[0], ready[0], np.broadcast_to(scales, units), ready[1], np.zeros(units, np.float32), asymmetric)
    return Call(dense_hybrid, (*args, "NONE", result), (y,), workspace=bound)


def _integer(site: Site, tensors: tuple, lying: tuple, w_zero: int, result: Tensor, ready, bound: int) -> Call:
    x, w, y = tensors
    products = np.float32(x.scale) * w.scales
    site.expect((products >= 0).all() and y.scale > 0, f"scales are {x.scale}, {w.scales} and {y.scale}")
    factor = quantize_multipliers(products / np.float64(y.scale))
    limits = stored_range(y.type)
    wide = x.type == "int16"
    if wide:
        site.expect(not (x.zero or w_zero or y.zero), f"zero points are {x.zero}, {w_zero} and {y.zero}, not 0")
        site.expect((factor[1] < 15).all(), f"the rescaling factors are {products / y.scale}")
    if ready is not None:
        units = y.known_shape[-1]
        factor = (np.ascontiguousarray(np.broadcast_to(n, units)) for n in factor)
        args = (lying[0], x.zero, ready[0], w_zero, ready[1], np.zeros(units, np.int32), *factor, y.zero, *limits)
        return Call(dense_fixed, (*args, "wide" if wide else "twice", result), (y,), workspace=bound)
    if wide:
        return Call(matmul_int16, (*lying, *factor, *limits, result), (y,), workspace=bound)
    return Call(matmul_int, (*lying, x.zero, w_zero, *factor, y.zero, *limits, result), (y,), workspace=bound)
