"""L2_NORMALIZATION, LOCAL_RESPONSE_NORMALIZATION: values divided by the size of their neighbours along the last axis.

    L2_NORMALIZATION                y = x / max(sqrt(sum of x * x), 1e-6), the sum over the last axis
    LOCAL_RESPONSE_NORMALIZATION    y = x / (bias + alpha * sum of x * x)**beta, the sum over 2 * radius + 1 channels

x, y (..., depth) of the same shape.

    x, y       kernel             y is stored with
    float32    unit               -
    uint8      unit_uint8         scale 1/128, zero 128
    int8       unit_int8          scale 1/128, zero 0
    float32    local_response     -

LOCAL_RESPONSE_NORMALIZATION: Krizhevsky et al. 2012, section 3.3. The official reference kernel leaves out channel
c + radius; this is the formula.
"""

from __future__ import annotations

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import BLOCK, row_blocks
from minitfl.kernels.checks import check_types
from minitfl.kernels.fixedmath import inverse_square_roots
from minitfl.kernels.fixedpoint import high_mul, rescale_twice, rounding_shift
from minitfl.op import Call, Kernel, Site, op

LEAST_NORM = 1e-6


@Kernel
def unit(x, y):
    """Rows of length 1; float32 (rows, depth)."""
    norm = np.sqrt(np.einsum("rd,rd->r", x, x))
    np.divide(x, np.maximum(norm, np.float32(LEAST_NORM))[:, None], out=y)


@Kernel
def unit_uint8(x, x_zero, y):
    """unit on stored integers (rows, depth): 128 times the value, divided and rounded in two steps."""
    for part, block in row_blocks(x, y):
        values = np.subtract(part, x_zero, dtype=np.int64)
        multiplier, shift = inverse_square_roots(np.square(values).sum(axis=1, keepdims=True))
        scaled = rounding_shift(high_mul(128 * values, multiplier), -shift)
        block[...] = np.clip(128 + scaled, 0, 255)


@Kernel
def unit_int8(x, x_zero, y):
    """unit on stored integers (rows, depth)."""
    for part, block in row_blocks(x, y):
        values = np.subtract(part, x_zero, dtype=np.int64)
        multiplier, shift = inverse_square_roots(np.square(values).sum(axis=1, keepdims=True))
        block[...] = np.clip(rescale_twice(values, multiplier, shift + 7), -128, 127)


@Kernel
def local_response(x, radius, bias, alpha, beta, y):
    """x (rows, depth) times (bias + alpha * the sum of squares of 2 * radius + 1 channels)**-beta; float32."""
    depth = x.shape[1]
    for part, block in row_blocks(x, y):
        squares = np.square(part)
        total = squares.copy()
        for distance in range(1, min(radius, depth - 1) + 1):
            total[:, distance:] += squares[:, :-distance]
            total[:, :-distance] += squares[:, distance:]
        total *= alpha
        total += bias
        np.multiply(part, total**-beta, out=block)


# ---- preparations


@op("L2_NORMALIZATION", max_version=2)
def l2_normalization(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.rank >= 1, "an input of rank 0")
    if y.type not in ("float32", "uint8", "int8"):
        site.unsupported(f"an output of type {y.type}")
    check_types(site, x, y)
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    site.expect(activation == "NONE", f"a fused {activation}")
    if y.type != "float32":
        expected = (1 / 128, 128 if y.type == "uint8" else 0)
        site.expect((y.scale, y.zero) == expected, f"an output of (scale, zero) {(y.scale, y.zero)}, not {expected}")
    rows = _row_shape(x)
    y = y.reshaped(x.known_shape)
    views = x.reshaped(rows), y.reshaped(rows)
    if y.type == "float32":
        return Call(unit, views, (y,), workspace=3 * 4 * rows[0])
    zero = x.zero if x.quantization is not None and x.quantization.per_tensor else 0
    kernel = unit_uint8 if y.type == "uint8" else unit_int8
    return Call(kernel, (views[0], zero, views[1]), (y,), workspace=_workspace(rows, 8 * 8))


@op("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.rank == 4, f"an input of rank {x.rank}")
    for t in (y, x):
        if t.type != "float32":
            site.unsupported(f"a tensor of type {t.type}")
    options = site.options
    site.expect(options.radius >= 0, f"a radius of {options.radius}")
    rows = _row_shape(x)
    y = y.reshaped(x.known_shape)
    args = (x.reshaped(rows), options.radius, options.bias, options.alpha, options.beta, y.reshaped(rows))
    return Call(local_response, args, (y,), workspace=_workspace(rows, 4 * 4))


def _row_shape(x: Tensor) -> tuple[int, int]:
    """(rows, depth): x as rows of its last axis."""
    depth = x.known_shape[-1]
    return x.size // max(depth, 1), depth


def _workspace(rows: tuple[int, int], nbytes: int) -> int:
    return min(rows[0] * rows[1], max(BLOCK, rows[1])) * nbytes
