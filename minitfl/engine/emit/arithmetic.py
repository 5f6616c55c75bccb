"""ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, MAXIMUM, MINIMUM."""

from __future__ import annotations

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise


@emits("arithmetic.add")
def add(e, x1, x2, low, high, y):
    return plain(e, "add", x1, x2, y, low=low, high=high)


@emits("arithmetic.subtract")
def subtract(e, x1, x2, low, high, y):
    return plain(e, "subtract", x1, x2, y, low=low, high=high)


@emits("arithmetic.multiply")
def multiply(e, x1, x2, low, high, y):
    return plain(e, "multiply", x1, x2, y, low=low, high=high)


@emits("division.divide")
def divide(e, x1, x2, low, high, y):
    return plain(e, "divide", x1, x2, y, low=low, high=high)


@emits("arithmetic.squared_difference")
def squared_difference(e, x1, x2, y):
    return plain(e, "squared_difference", x1, x2, y)


@emits("arithmetic.maximum")
def maximum(e, x1, x2, y):
    return plain(e, "maximum", x1, x2, y)


@emits("arithmetic.minimum")
def minimum(e, x1, x2, y):
    return plain(e, "minimum", x1, x2, y)


def plain(e, kernel, x1, x2, y, **numbers):
    """An operation on numbers that stand for themselves."""
    if y.type != "float32":
        return False
    return elementwise(e, f"arithmetic.{kernel}_f32", [x1, x2], y, **numbers)
