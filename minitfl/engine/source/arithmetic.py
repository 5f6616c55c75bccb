"""Sums, products and choices of two operands, element by element."""

from minitfl.engine.source.elementwise import Operation, walks
from minitfl.engine.source.ir import clamp


def clamped(compute):
    """An operation on real numbers whose result is clamped."""

    def start(b, numbers):
        low, high = numbers.real("low"), numbers.real("high")
        return lambda *x: clamp(b, compute(b, *x), low, high)

    return Operation("f32 f32", "f32", "low high", start)


def simple(compute):
    """An operation on real numbers without numbers of its own."""
    return Operation("f32 f32", "f32", "", lambda b, numbers: lambda *x: compute(b, *x))


def squared_difference(b, x1, x2):
    difference = b.fsub(x1, x2)
    return b.fmul(difference, difference)


KERNELS = walks(
    {
        "add_f32": clamped(lambda b, x1, x2: b.fadd(x1, x2)),
        "subtract_f32": clamped(lambda b, x1, x2: b.fsub(x1, x2)),
        "multiply_f32": clamped(lambda b, x1, x2: b.fmul(x1, x2)),
        "divide_f32": clamped(lambda b, x1, x2: b.fdiv(x1, x2)),
        "squared_difference_f32": simple(squared_difference),
        "maximum_f32": simple(lambda b, x1, x2: b.select(b.fcmp_ordered(">", x1, x2), x1, x2)),
        "minimum_f32": simple(lambda b, x1, x2: b.select(b.fcmp_ordered("<", x1, x2), x1, x2)),
    }
)
