"""Comparisons and logic, element by element; shapes broadcast, y is bool.

    x1, x2                              kernel
    bool float16 float32 int16..int64   equal not_equal less less_equal   (bool and string: EQUAL and NOT_EQUAL alone;
    string bfloat16                                                        bfloat16: LESS and GREATER alone)
    int8 uint8, quantized int16         equal_int ...                     (int16: EQUAL and NOT_EQUAL alone)
    bool                                logical_and logical_or logical_not

x1 > x2 is computed as x2 < x1. Quantized numbers are compared after each was brought to the unit of 2**-8 in integers,
so numbers that lie closer than that are equal.
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.broadcast import bfloat16_form, blocks, refused, workspace
from minitfl.kernels.elementwise import one_operand, two_operands
from minitfl.kernels.fixedpoint import quantize_multiplier, rescale_twice
from minitfl.op import Call, Kernel, Site, op

# ---- kernels


@Kernel
def equal(x1, x2, y):
    """y = (x1 == x2)"""
    np.equal(x1, x2, out=y)


@Kernel
def not_equal(x1, x2, y):
    """y = (x1 != x2)"""
    np.not_equal(x1, x2, out=y)


@Kernel
def less(x1, x2, y):
    """y = (x1 < x2)"""
    np.less(x1, x2, out=y)


@Kernel
def less_equal(x1, x2, y):
    """y = (x1 <= x2)"""
    np.less_equal(x1, x2, out=y)


@Kernel
def equal_int(x1, x2, zero1, zero2, factor1, factor2, y):
    """y = (x1 == x2) on stored numbers; factor1, factor2: (multiplier, shift) of each scale."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.equal(_in_units(x1, zero1, factor1), _in_units(x2, zero2, factor2), out=y)


@Kernel
def not_equal_int(x1, x2, zero1, zero2, factor1, factor2, y):
    """y = (x1 != x2) on stored numbers; see equal_int."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.not_equal(_in_units(x1, zero1, factor1), _in_units(x2, zero2, factor2), out=y)


@Kernel
def less_int(x1, x2, zero1, zero2, factor1, factor2, y):
    """y = (x1 < x2) on stored numbers; see equal_int."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.less(_in_units(x1, zero1, factor1), _in_units(x2, zero2, factor2), out=y)


@Kernel
def less_equal_int(x1, x2, zero1, zero2, factor1, factor2, y):
    """y = (x1 <= x2) on stored numbers; see equal_int."""
    for y, x1, x2 in blocks(y, x1, x2):
        np.less_equal(_in_units(x1, zero1, factor1), _in_units(x2, zero2, factor2), out=y)


@Kernel
def logical_and(x1, x2, y):
    """y = x1 and x2"""
    np.logical_and(x1, x2, out=y)


@Kernel
def logical_or(x1, x2, y):
    """y = x1 or x2"""
    np.logical_or(x1, x2, out=y)


@Kernel
def logical_not(x, y):
    """y = not x"""
    np.logical_not(x, out=y)


def _in_units(x, zero, factor):
    """Stored numbers as multiples of 2**-8."""
    return rescale_twice((x.astype(np.int64) - zero) << 8, *factor)


# ---- preparations


def _relation(site: Site, kernel: Kernel, quantized: Kernel, plain: str, scaled: str, swap: bool = False) -> Call:
    """plain, scaled: the types that are compared as they are, and by their scales."""
    x1, x2, y = two_operands(site)
    if x1.type == "string" and "string" not in plain.split():
        site.unsupported("type string")
    if swap:
        x1, x2 = x2, x1
    if x1.type in scaled.split() and not (x1.type == "int16" and site.input(0).quantization is None):
        factor1, factor2 = quantize_multiplier(x1.scale), quantize_multiplier(x2.scale)
        args = (x1, x2, x1.zero, x2.zero, factor1, factor2, y)
        return Call(quantized, args, (y,), workspace=workspace(y))
    if x1.type not in plain.split():
        return refused(y, f"{site.op} of type {x1.type}")
    if x1.type == "bfloat16":
        return Call(bfloat16_form(kernel), (x1, x2, y), (y,), workspace=workspace(y))
    return Call(kernel, (x1, x2, y), (y,))


@op("EQUAL", max_version=5)
def equal_(site: Site) -> Call:
    plain = "bool float32 float16 int16 int32 int64 string"
    return _relation(site, equal, equal_int, plain, "int8 uint8 int16")


@op("NOT_EQUAL", max_version=4)
def not_equal_(site: Site) -> Call:
    plain = "bool float32 float16 int16 int32 int64 string"
    return _relation(site, not_equal, not_equal_int, plain, "int8 uint8 int16")


@op("LESS", max_version=3)
def less_(site: Site) -> Call:
    return _relation(site, less, less_int, "float32 float16 bfloat16 int16 int32 int64", "int8 uint8")


@op("LESS_EQUAL", max_version=2)
def less_equal_(site: Site) -> Call:
    return _relation(site, less_equal, less_equal_int, "float32 float16 int16 int32 int64", "int8 uint8")


@op("GREATER", max_version=2)
def greater(site: Site) -> Call:
    return _relation(site, less, less_int, "float32 float16 bfloat16 int16 int32 int64", "int8 uint8", swap=True)


@op("GREATER_EQUAL", max_version=3)
def greater_equal(site: Site) -> Call:
    return _relation(site, less_equal, less_equal_int, "float32 float16 int16 int32 int64", "int8 uint8", swap=True)


def _logical(site: Site, kernel: Kernel) -> Call:
    x1, x2, y = two_operands(site)
    site.expect(x1.type == "bool", f"type {x1.type}, bool is expected")
    return Call(kernel, (x1, x2, y), (y,))


@op("LOGICAL_AND", max_version=1)
def logical_and_(site: Site) -> Call:
    return _logical(site, logical_and)


@op("LOGICAL_OR", max_version=1)
def logical_or_(site: Site) -> Call:
    return _logical(site, logical_or)


@op("LOGICAL_NOT", max_version=1)
def logical_not_(site: Site) -> Call:
    x, y = one_operand(site)
    site.expect(x.type == "bool", f"type {x.type}, bool is expected")
    return Call(logical_not, (x, y), (y,))
