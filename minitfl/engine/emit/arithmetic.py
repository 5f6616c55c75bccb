"""ADD, SUB, MUL, DIV, SQUARED_DIFFERENCE, MAXIMUM, MINIMUM."""

from __future__ import annotations

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise, rescaling
from minitfl.engine.emit.in_floats import product_factors, sum_factors
from minitfl.kernels.fixedpoint import stored_range

BYTES = {"int8": "i8", "uint8": "u8"}
STORED = BYTES | {"int16": "i16"}

NAMES = STORED | {"int32": "i32", "int64": "i64", "float32": "f32"}
WHOLE = ("int32", "int64", "float32")
PLAIN = {
    **dict.fromkeys(("add", "subtract", "multiply"), WHOLE),
    **dict.fromkeys(("divide", "squared_difference"), ("float32",)),
    **dict.fromkeys(("maximum", "minimum"), tuple(NAMES)),
}

# ---- numbers that stand for themselves


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
    if not x1.type == x2.type == y.type or y.type not in PLAIN[kernel]:
        return False
    return elementwise(e, f"arithmetic.{kernel}_{NAMES[y.type]}", [x1, x2], y, **numbers)


# ---- stored numbers


@emits("arithmetic.add_int")
def add_int(e, x1, x2, zero1, zero2, left, sign, factor1, factor2, factor_y, y_zero, low, high, y):
    if y.type in BYTES and x1.type == x2.type == y.type:
        numbers = (zero1, zero2), (factor1, factor2), left, sign, factor_y, y_zero, low, high
        factors = sum_factors(x1.type, *numbers)
        if factors is not None:
            names = dict(zip(("factor1", "factor2", "constant"), factors), zero=y_zero, low=low, high=high)
            return elementwise(e, f"arithmetic.sum_in_floats_{BYTES[y.type]}", [x1, x2], y, **names)
    return whole_sum(
        e,
        "add" if sign > 0 else "subtract",
        x1,
        x2,
        zero1,
        zero2,
        left,
        factor1,
        factor2,
        factor_y,
        y_zero,
        low,
        high,
        y,
    )


@emits("arithmetic.squared_difference_int")
def squared_difference_int(e, x1, x2, *numbers):
    return whole_sum(e, "squared_difference", x1, x2, *numbers)


def whole_sum(e, kernel, x1, x2, zero1, zero2, left, factor1, factor2, factor_y, y_zero, low, high, y):
    if not x1.type == x2.type == y.type:
        return False
    return elementwise(
        e,
        f"arithmetic.{kernel}_{STORED[y.type]}",
        [x1, x2],
        y,
        zero1=zero1,
        zero2=zero2,
        left=left,
        **rescaling("factor1", factor1),
        **rescaling("factor2", factor2),
        **rescaling("factor", factor_y),
        zero=y_zero,
        low=low,
        high=high,
    )


@emits("arithmetic.multiply_int")
def multiply_int(e, x1, x2, zero1, zero2, factor, y_zero, low, high, y):
    if not x1.type == x2.type == y.type:
        return False
    numbers = {"zero1": zero1, "zero2": zero2, "zero": y_zero, "low": low, "high": high}
    if y.type in BYTES:
        reach = most_distance(x1.type, zero1) * most_distance(x2.type, zero2)
        factors = product_factors(reach, factor, y_zero, low, high)
        if factors is not None:
            floats = {"zero1": float(zero1), "zero2": float(zero2), **dict(zip(("factor", "push", "up"), factors))}
            return elementwise(e, f"arithmetic.product_in_floats_{BYTES[y.type]}", [x1, x2], y, **(numbers | floats))
    numbers |= rescaling("factor", factor)
    return elementwise(e, f"arithmetic.multiply_{STORED[y.type]}", [x1, x2], y, **numbers)


def most_distance(type, zero):
    return max(abs(limit - zero) for limit in stored_range(type))
