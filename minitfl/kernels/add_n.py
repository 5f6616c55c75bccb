"""ADD_N: y = x1 + x2 + ..., of two or more operands of one shape, float32 or int32.

Added up in the order of the operands. Float sums stay finite, as in ADD; integers wrap.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.kernels.broadcast import refused
from minitfl.kernels.fixedpoint import finite_range
from minitfl.op import Call, Kernel, Site, op


@Kernel
def sum_of(low, high, *arrays):
    """y = x1 + x2 + ..., one after another. low, high: what the type can hold; arrays: the operands, then y."""
    *operands, y = arrays
    np.copyto(y, operands[0])
    for x in operands[1:]:
        np.add(y, x, out=y)
        np.clip(y, low, high, out=y)


@op("ADD_N")
def add_n(site: Site) -> Call:
    site.expect(len(site.inputs) >= 2, f"{len(site.inputs)} operands, at least 2 are expected")
    site.arity((2, len(site.inputs)), 1)
    operands = tuple(site.input(i) for i in range(len(site.inputs)))
    first = operands[0]
    for x in operands[1:]:
        site.expect(x.known_shape == first.known_shape, f"operands of shapes {first.shape} and {x.shape}")
        site.expect(x.type == first.type, f"operands of types {first.type} and {x.type}")
    y = replace(site.output(0), type=first.type).reshaped(first.known_shape)
    if first.type not in ("float32", "int32"):
        return refused(y, f"ADD_N of type {first.type}")
    return Call(sum_of, (*finite_range(y.type), *operands, y), (y,))
