"""aeq.hadamard_rotation: the fast Walsh-Hadamard transform of pieces of n numbers, divided by sqrt(n).

x (features, depth), (batch, features, depth) or of more axes, y of as many elements in any shape. n, the option
`hadamard_size`, is a power of two; where it is not, or more than depth, y = x. The pieces follow each other from the
first number on: depth // n for each feature, whether or not n divides depth, and what is left at the end stays as it
is. Numbers are float32, or int32 that hold their bits.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.kernels.custom_options import read_options
from minitfl.op import Call, Kernel, Site, op


@Kernel
def rotate(x, n, pieces, y):
    """The sums and differences of numbers `half` apart, for half = 1, 2, 4, .. n / 2, then a division by sqrt(n)."""
    y = y.reshape(-1).view(np.float32)
    y[...] = np.ascontiguousarray(x).reshape(-1).view(np.float32)
    part = y[: pieces * n]
    half = 1
    while half < n:
        pairs = part.reshape(-1, 2, half)
        difference = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = difference
        half *= 2
    part *= np.float32(1 / np.sqrt(n))


@op("aeq.hadamard_rotation")
def hadamard_rotation(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    n = read_options(site, ["hadamard_size"])["hadamard_size"]
    if x.type not in ("float32", "int32"):
        site.unsupported(f"type {x.type}")
    site.expect(y.type in ("float32", "int32"), f"output of type {y.type}")
    site.expect(x.rank >= 2, f"an input of {x.rank} axes, at least 2 are expected")
    site.expect(y.size == x.size, f"an input of shape {x.shape} and an output of shape {y.shape}")
    site.expect(n != 0, "hadamard_size is 0")
    *features, depth = x.known_shape[:3] if x.rank == 3 else x.known_shape[:2]
    pieces = math.prod(features) * (depth // n)
    if n < 0 or n & (n - 1):
        n, pieces = 1, 0
    return Call(rotate, (x, n, pieces, y), (y,), workspace=x.nbytes)
