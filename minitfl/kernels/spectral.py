"""RFFT2D: y = the two-dimensional Fourier transform of real pictures, the half of it that says everything.

x (..., tall, wide) float32 is cut, or filled up with zeros, to (..., height, width), both powers of two;
y (..., height, width // 2 + 1) complex64, y[k, m] = sum of x[i, j] * exp(-2j * pi * (k * i / height + m * j / width)).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitfl.kernels.broadcast import BLOCK
from minitfl.op import Call, Kernel, Site, op


@Kernel
def rfft2d(x, sides, y):
    """y = the half of the Fourier transform, computed in float64 and rounded once. sides: (height, width)."""
    count, step = math.prod(x.shape[:-2]), _pictures(sides)
    x = x.reshape(count, *x.shape[-2:])[:, : sides[0], : sides[1]]
    y = y.reshape(count, *y.shape[-2:])
    for start in range(0, count, step):
        y[start : start + step] = np.fft.rfft2(x[start : start + step].astype(np.float64), s=sides)


def _pictures(sides: tuple[int, ...]) -> int:
    """How many go through at a time."""
    return max(1, BLOCK // (sides[0] * sides[1]))


@op("RFFT2D")
def rfft2d_(site: Site) -> Call:
    site.arity(2, 1)
    x, length = site.input(0), site.input(1)
    site.expect(x.rank >= 2, f"a picture of rank {x.rank} has no height and width")
    if x.type != "float32":
        site.unsupported(f"Type '{x.type}' for input is not supported by rfft2d.")
    site.expect(length.shape == (2,), f"fft_length has the shape {length.shape}")
    if length.type != "int32":
        site.unsupported(f"Type '{length.type}' for fft_length is not supported by rfft2d.")
    height, width = sides = tuple(int(n) for n in site.value(length))
    site.expect(all(n > 0 and n & (n - 1) == 0 for n in sides), f"the sides {sides} are no powers of two")
    y = replace(site.output(0), type="complex64").reshaped(*x.known_shape[:-2], height, width // 2 + 1)
    # the picture, cut and filled up; then the half transform along rows, and along columns, in complex numbers
    workspace = _pictures(sides) * height * (width + 2) * 8 * 4
    return Call(rfft2d, (x, sides, y), (y,), workspace=workspace)
