"""STABLEHLO_*: arithmetic and logic of two operands of one shape, element by element.

                              types                                             kernel
    ADD MULTIPLY              bool float16 float32 float64, integers            plain_sum, plain_product
    MAXIMUM MINIMUM           the same                                          larger, smaller
    AND                       bool, integers                                    bits_of_both
    SHIFT_LEFT                int8 int16 int32                                  shift_left

Integers have 8 to 64 bits, signed or not, and wrap. A sum of bools is whether one is true, a product whether both are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import blocks, refused, workspace
from minitfl.kernels.checks import check_types
from minitfl.op import Call, Kernel, Site, op

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
NUMBERS = ("bool", "float16", "float32", "float64", *INTEGERS)


@Kernel
def plain_sum(x1, x2, y):
    """y = x1 + x2; infinities stay."""
    np.add(x1, x2, out=y)


@Kernel
def plain_product(x1, x2, y):
    """y = x1 * x2; infinities stay."""
    np.multiply(x1, x2, out=y)


@Kernel
def larger(x1, x2, y):
    """y = x2 if x1 < x2 else x1: x1 where either is NaN."""
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.where(x1 < x2, x2, x1)


@Kernel
def smaller(x1, x2, y):
    """y = x2 if x2 < x1 else x1: x1 where either is NaN."""
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.where(x2 < x1, x2, x1)


@Kernel
def bits_of_both(x1, x2, y):
    """y = x1 & x2"""
    np.bitwise_and(x1, x2, out=y)


@Kernel
def shift_left(x1, x2, y):
    """y = x1 * 2**x2, wrapped; 0 where x2 is negative or no less than the bits of the type."""
    bits = 8 * y.dtype.itemsize
    for y, x1, x2 in blocks(y, x1, x2):
        y[...] = np.where((x2 >= 0) & (x2 < bits), np.left_shift(x1, np.clip(x2, 0, bits - 1)), 0)


# ---- preparations


def _two_of_one_shape(site: Site) -> tuple[Tensor, Tensor, Tensor]:
    site.arity(2, 1)
    x1, x2 = site.input(0), site.input(1)
    site.expect(x1.type == x2.type, f"operands of types {x1.type} and {x2.type}")
    site.expect(x1.known_shape == x2.known_shape, f"operands of shapes {x1.shape} and {x2.shape}")
    return x1, x2, site.output(0).reshaped(x1.known_shape)


def _elementwise(site: Site, kernel: Kernel, types: tuple[str, ...] = NUMBERS) -> Call:
    x1, x2, y = _two_of_one_shape(site)
    if x1.type not in types:
        return refused(y, f"{site.op} of type {x1.type}")
    check_types(site, x1, y)
    return Call(kernel, (x1, x2, y), (y,), workspace=workspace(y))


@op("STABLEHLO_ADD")
def stablehlo_add(site: Site) -> Call:
    return _elementwise(site, plain_sum)


@op("STABLEHLO_MULTIPLY")
def stablehlo_multiply(site: Site) -> Call:
    return _elementwise(site, plain_product)


@op("STABLEHLO_MAXIMUM")
def stablehlo_maximum(site: Site) -> Call:
    return _elementwise(site, larger)


@op("STABLEHLO_MINIMUM")
def stablehlo_minimum(site: Site) -> Call:
    return _elementwise(site, smaller)


@op("STABLEHLO_AND")
def stablehlo_and(site: Site) -> Call:
    return _elementwise(site, bits_of_both, ("bool", *INTEGERS))


@op("STABLEHLO_SHIFT_LEFT")
def stablehlo_shift_left(site: Site) -> Call:
    x1, x2, y = _two_of_one_shape(site)
    y = replace(y, type=x1.type)
    if x1.type not in ("int8", "int16", "int32"):
        return refused(y, f"{site.op} of type {x1.type}")
    return Call(shift_left, (x1, x2, y), (y,), workspace=workspace(y))
