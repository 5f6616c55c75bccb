"""Functions of one number, and activations, of float32."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise, lasting
from minitfl.kernels.sigmoid import ERFC


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
    return plain(e, "gelu", [x], y, fit=e.constant(lasting(np.array(ERFC))))


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
