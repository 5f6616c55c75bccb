"""BATCH_MATMUL: y = x @ w for stacks of matrices; adj_x, adj_y transpose each matrix of x, of w, before.

x (..., rows, depth), w (..., depth, units), y (..., rows, units) once transposed; the axes before broadcast.

    x          w          y          kernel           zero points
    float32    float32    float32    matmul_float     -
    float32    int8       float32    matmul_hybrid    w's is left out; w is scaled per tensor or per unit
    int8       int8       int8       matmul_int       any
    int8       int8       int32      matmul_raw       left out: products of stored values
    int16      int8       int16      matmul_int16     0
    int16      int16      int16      matmul_int16     0
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.dense import BLOCK_NBYTES, parts, workspace
from minitfl.kernels.fixedpoint import exact_matmul, quantize_multiplier, rescale_twice, rescale_wide, stored_range
from minitfl.kernels.hybrid import hybrid_matmul, quantize_rows
from minitfl.op import Call, Kernel, Site, op

MOST_AXES = 5
TYPES = {  # of x, w, y
    ("float32", "float32", "float32"),
    ("float32", "int8", "float32"),
    ("int8", "int8", "int8"),
    ("int8", "int8", "int32"),
    ("int16", "int8", "int16"),
    ("int16", "int16", "int16"),
}

# ---- kernels


@Kernel
def matmul_float(x, w, adj_x, adj_y, y):
    """y = x @ w, where adj_x and adj_y say which of them lie transposed."""
    np.matmul(oriented(x, adj_x), oriented(w, adj_y), out=y)


@Kernel
def matmul_int(x, w, adj_x, adj_y, x_zero, w_zero, multiplier, shift, y_zero, low, high, y):
    """matmul_float on stored integers, where real = scale * (stored - zero).

    multiplier, shift: x_scale * w_scale / y_scale, see fixedpoint. low, high: stored values.
    """
    for x, w, y in stacks(oriented(x, adj_x), oriented(w, adj_y), y):
        total = exact_matmul(x, x_zero, w, w_zero)
        y[...] = np.clip(rescale_twice(total, multiplier, shift) + y_zero, low, high)


@Kernel
def matmul_int16(x, w, adj_x, adj_y, multiplier, shift, low, high, y):
    """matmul_int for 16-bit x, whose 64-bit sums are rescaled by a 15-bit multiplier. All zeros are 0."""
    for x, w, y in stacks(oriented(x, adj_x), oriented(w, adj_y), y):
        y[...] = np.clip(rescale_wide(exact_matmul(x, 0, w, 0), multiplier, shift), low, high)


@Kernel
def matmul_raw(x, w, adj_x, adj_y, y):
    """y = x @ w on stored integers as they are."""
    for x, w, y in stacks(oriented(x, adj_x), oriented(w, adj_y), y):
        y[...] = exact_matmul(x, 0, w, 0)


@Kernel
def matmul_hybrid(x, w, adj_x, adj_y, w_scale, asymmetric, y):
    """matmul_float for stored int8 w and float x, each of whose rows is quantized; w_scale float32 (units,)."""
    x, w = np.broadcast_arrays(*_with_axes(oriented(x, adj_x), oriented(w, adj_y)), subok=False) if False else (x, w)


# ---- stacks and blocks


def oriented(x, transposed):
    """The matrices of x as they are multiplied; a view."""
    return np.swapaxes(x, -1, -2) if transposed else x
