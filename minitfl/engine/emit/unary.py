"""Functions of one number, and activations."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise, rescaling
from minitfl.kernels.sigmoid import ERFC
from minitfl.memory import copied

STORED = {"int8": "i8", "uint8": "u8", "int16": "i16"}


@emits(
    "unary.absolute",
    "unary.negative",
    "unary.square",
    "unary.square_root",
    "unary.inverse_root",
    "unary.ceiling",
    "unary.floor",
    "unary.round_even",
    "unary.exponential",
    "unary.logarithm",
    "sigmoid.tanh",
    "sigmoid.logistic",
    "sigmoid.gelu_tanh",
    "activation.elu",
    "activation.hard_swish",
)
def function(e, x, y):
    return plain(e, e.call.kernel.__name__, [x], y)


@emits("sigmoid.gelu")
def gelu(e, x, y):
    return plain(e, "gelu", [x], y, fit=e.constant(copied(np.array(ERFC))))


@emits("activation.clamp")
def clamp(e, x, low, high, y):
    return plain(e, "clamp", [x], y, low=low, high=high)


@emits("gated.swish")
def swish(e, x, low, high, y):
    return plain(e, "swish", [x], y, low=low, high=high)


@emits("activation.leaky")
def leaky(e, x, slope, y):
    return plain(e, "leaky", [x], y, slope=slope)


@emits("activation.prelu")
def prelu(e, x, slope, y):
    return plain(e, "prelu", [x, slope], y)


def plain(e, kernel, operands, y, **numbers):
    if any(t.type != "float32" for t in (*operands, y)):
        return False
    return elementwise(e, f"unary.{kernel}", operands, y, **numbers)


# ---- stored numbers


@emits("activation.clamp_int")
def clamp_int(e, x, zero, factor, y_zero, low, high, y):
    return stored(e, "clamp", [x], y, x_zero=zero, **rescaling("factor", factor), zero=y_zero, low=low, high=high)


@emits("activation.leaky_int")
def leaky_int(e, x, zero, factor, sign, slope_factor, y_zero, low, high, y):
    factors = rescaling("factor", factor) | rescaling("slope", slope_factor)
    return stored(e, "leaky", [x], y, x_zero=zero, sign=sign, **factors, zero=y_zero, low=low, high=high)


@emits("activation.prelu_int")
def prelu_int(e, x, slope, zero, slope_zero, factor, slope_factor, y_zero, low, high, y):
    factors = rescaling("factor", factor) | rescaling("slope", slope_factor)
    numbers = {"x_zero": zero, "slope_zero": slope_zero, **factors, "zero": y_zero, "low": low, "high": high}
    return stored(e, "prelu", [x, slope], y, **numbers)


def stored(e, kernel, operands, y, **numbers):
    """int16, but the kernel of `prelu` is there for bytes too."""
    if operands[0].type != y.type or y.type not in ("int16", *(("int8", "uint8") if kernel == "prelu" else ())):
        return False
    return elementwise(e, f"unary.{kernel}_{STORED[y.type]}", operands, y, **numbers)
