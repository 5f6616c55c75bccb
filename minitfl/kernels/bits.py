"""BITWISE_XOR, RIGHT_SHIFT, BITCAST: integers and other numbers as strings of bits.

    x1, x2, y                                  kernel
    int8 uint8 int16 uint16 int32 uint32       exclusive_or, shift_right; shapes broadcast
    any type but strings, x to y               take_bits

BITCAST to a smaller type adds a last axis, over which the bytes of a number lie, lowest first; to a larger type it
takes the last axis away. 4- and 2-bit numbers can only be taken for others of as many bits.
"""

from __future__ import annotations

import numpy as np

from minitfl.graph import BITS, OBJECTS
from minitfl.kernels.broadcast import blocks, refused, workspace
from minitfl.kernels.elementwise import two_operands
from minitfl.op import Call, Kernel, Site, op

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


@Kernel
def exclusive_or(x1, x2, y):
    """y = x1 ^ x2"""
    np.bitwise_xor(x1, x2, out=y)


@Kernel
def shift_right(x1, x2, y):
    """y = floor(x1 / 2**x2), x2 within 0 and the bits of the type less one."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.right_shift(x1, np.clip(x2, 0, 8 * y.dtype.itemsize - 1), out=y)


@Kernel
def take_bits(x, y):
    """y = the bytes of x, taken for numbers of y's type."""
    y.reshape(-1).view(np.uint8)[...] = np.ascontiguousarray(x).reshape(-1).view(np.uint8)


def _integers(site: Site, kernel: Kernel, room: int = 0) -> Call:
    x1, x2, y = two_operands(site)
    if x1.type not in INTEGERS:
        return refused(y, f"{site.op} of type {x1.type}")
    return Call(kernel, (x1, x2, y), (y,), workspace=room * workspace(y))


@op("BITWISE_XOR")
def bitwise_xor(site: Site) -> Call:
    return _integers(site, exclusive_or)


@op("RIGHT_SHIFT")
def right_shift(site: Site) -> Call:
    return _integers(site, shift_right, 1)


@op("BITCAST")
def bitcast(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    for t in (x, y):
        if t.type in OBJECTS:
            site.unsupported(f"type {t.type}")
    narrow = BITS.get(x.type) != BITS.get(y.type)
    shape, ratio = x.known_shape, y.dtype.itemsize // x.dtype.itemsize
    if x.dtype.itemsize > y.dtype.itemsize:
        shape = (*shape, x.dtype.itemsize // y.dtype.itemsize)
    elif ratio > 1:
        site.expect(shape[-1:] == (ratio,), f"the last axis of {shape} must have {ratio} of {x.type} for one {y.type}")
        shape = shape[:-1]
    if narrow:
        site.unsupported(f"{x.type} taken for {y.type}")
    y = y.reshaped(shape)
    return Call(take_bits, (x, y), (y,))
