"""What the preparations of element-wise operators share: operands and result, activations, ratios of scales."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import broadcast_shape
from minitfl.kernels.checks import check_types
from minitfl.kernels.fixedpoint import activation_range, float_activation_range, quantize_multiplier
from minitfl.op import Site

# The result is of the operands' type, or bool, whatever the file says.
RETYPED = frozenset(
    "ADD SUB DIV FLOOR_DIV FLOOR_MOD POW SQUARED_DIFFERENCE MAXIMUM MINIMUM BITWISE_XOR RIGHT_SHIFT LOGICAL_AND "
    "LOGICAL_OR EXP CEIL FLOOR NEG ROUND".split()
)
COMPARISONS = frozenset("EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL".split())


def one_operand(site: Site) -> tuple[Tensor, Tensor]:
    """Operand and result, of one type and shape."""
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    if site.op in RETYPED:
        y = replace(y, type=x.type)
    check_types(site, x, y)
    return x, y.reshaped(x.known_shape)


def two_operands(site: Site) -> tuple[Tensor, Tensor, Tensor]:
    """The operands, of one type, and the result in the shape they make, of the type it has then."""
    site.arity(2, 1)
    x1, x2 = site.input(0), site.input(1)
    site.expect(x1.type == x2.type, f"operands of types {x1.type} and {x2.type}")
    y = site.output(0).reshaped(broadcast_shape(x1, x2))
    type = x2.type if site.op in RETYPED else "bool" if site.op in COMPARISONS else y.type
    return x1, x2, replace(y, type=type)


def check_int16(site: Site, *tensors: Tensor) -> None:
    """int16 tensors are quantized, with zero point 0."""
    for t in tensors:
        site.expect(t.type != "int16" or t.zero == 0, f"zero point {t.zero} of an int16 tensor, 0 is expected")


def fused_activation(site: Site) -> str:
    return site.enum("fused_activation_function", "ActivationFunctionType")


def plain_range(site: Site, y: Tensor) -> tuple[float, float]:
    """The fused activation's range for numbers that stand for themselves, within the finite ones of their type."""
    kind, limits = (float, np.finfo(y.dtype)) if y.dtype.kind == "f" else (int, np.iinfo(y.dtype))
    low, high = float_activation_range(fused_activation(site))
    if y.dtype.kind == "u" and -math.inf < low < 0:
        low += limits.max + 1  # C++ converts -1 to the largest number
    return kind(max(low, limits.min)), kind(min(high, limits.max))


def quantized_range(site: Site, y: Tensor) -> tuple[int, int]:
    """The fused activation's range of stored numbers."""
    return activation_range(fused_activation(site), y.type, y.scale, y.zero)


def scale_ratio(over: tuple[float, ...], under: tuple[float, ...]) -> tuple[int, int]:
    """(multiplier, shift) of the product of the scales `over` by that of the scales `under`, computed in float32."""
    products = []
    with np.errstate(all="ignore"):
        for scales in (over, under):
            product = np.float32(scales[0])
            for scale in scales[1:]:
                product = product * np.float32(scale)
            products.append(product)
        return quantize_multiplier(float(products[0] / products[1]))
