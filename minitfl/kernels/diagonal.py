"""The diagonals of matrices, which are the last two axes: MATRIX_DIAG, MATRIX_SET_DIAG.

    MATRIX_DIAG      y[..., i, i] = x[..., i], 0 elsewhere
    MATRIX_SET_DIAG  y[..., i, i] = diagonal[..., i], x elsewhere

Both are generic in the stored type; 0 is the stored 0, whatever the zero point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.graph import OBJECTS, Tensor
from minitfl.op import Call, Kernel, Site, op


@Kernel
def matrix_diag(x, y):
    """y[..., i, i] = x[..., i], 0 elsewhere"""
    y[...] = 0
    _diagonals(y)[...] = x


@Kernel
def matrix_set_diag(x, diagonal, y):
    """y[..., i, i] = diagonal[..., i], x elsewhere.

    diagonal: the values of one matrix after another; what is left over is not used.
    """
    y[...] = x
    target = _diagonals(y)
    target[...] = diagonal.reshape(-1)[: target.size].reshape(target.shape)


def _diagonals(y):
    """A view of the diagonals, (..., min(rows, columns))."""
    return np.einsum("...ii->...i", y[..., : min(y.shape[-2:]), : min(y.shape[-2:])])


@op("MATRIX_DIAG", max_version=1)
def matrix_diag_(site: Site) -> Call:
    site.arity(1, 1)
    x = site.input(0)
    site.expect(x.rank >= 1, "a scalar is no diagonal")
    y = _like(site, x).reshaped(*x.known_shape, x.known_shape[-1])
    return Call(matrix_diag, (x, y), (y,))


@op("MATRIX_SET_DIAG", max_version=1)
def matrix_set_diag_(site: Site) -> Call:
    site.arity(2, 1)
    x, diagonal = site.input(0), site.input(1)
    site.expect(x.rank >= 2, f"the input has {x.rank} axes, a matrix has 2")
    site.expect(diagonal.type == x.type, f"the input is {x.type}, the diagonal {diagonal.type}")
    *batch, rows, columns = x.known_shape
    wanted = int(np.prod(batch, dtype=np.int64)) * min(rows, columns)
    site.expect(diagonal.size >= wanted, f"a diagonal {diagonal.shape} for matrices {x.shape}")
    y = _like(site, x).reshaped(x.known_shape)
    return Call(matrix_set_diag, (x, diagonal, y), (y,))


def _like(site: Site, x: Tensor) -> Tensor:
    """The output, of the input's type."""
    if x.type in OBJECTS:
        site.unsupported(f"Type '{x.type}' has no 0 and no diagonal.")
    return replace(site.output(0), type=x.type)
