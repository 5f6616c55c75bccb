"""Sums, products and choices of two operands, element by element."""

from minitfl.engine.source.elementwise import LANES, TYPES, Operation, nbytes, walks
from minitfl.engine.source.integers import BYTES, real, rescaling, rounded, storing, wide
from minitfl.engine.source.ir import clamp, fma, same

CHOSEN = ("f32", "i8", "u8", "i16", "i32", "i64")

# ---- numbers that stand for themselves


def clamped(compute):
    """An operation whose result is clamped."""

    def start(b, numbers):
        low, high = numbers.real("low"), numbers.real("high")
        return lambda *x: clamp(b, compute(b, *x), low, high)

    return Operation("f32 f32", "f32", "low high", start)


def simple(compute):
    """An operation without numbers of its own."""
    return Operation("f32 f32", "f32", "", lambda b, numbers: lambda *x: compute(b, *x))


def clamped_integers(element, name):
    """Integers that stand for themselves; what does not fit wraps before it is clamped."""

    def start(b, numbers):
        low, high = (numbers.whole(word, TYPES[element]) for word in ("low", "high"))
        return lambda *x: same(b, "smax", same(b, "smin", getattr(b, name)(*x), high), low)

    return Operation(f"{element} {element}", element, "low high", start, LANES if element == "i32" else LANES // 2)


def choice(element, sign):
    """The operand that is higher or lower; the second one where they are alike."""
    compare = {"f": "fcmp_ordered", "i": "icmp_signed", "u": "icmp_unsigned"}[element[0]]
    lanes = LANES * 4 // nbytes(TYPES[element])
    return Operation(
        f"{element} {element}",
        element,
        "",
        lambda b, numbers: lambda x1, x2: b.select(getattr(b, compare)(sign, x1, x2), x1, x2),
        lanes,
    )


def squared_difference(b, x1, x2):
    difference = b.fsub(x1, x2)
    return b.fmul(difference, difference)


# ---- stored numbers of 8 bits, computed as float32: see emit.in_floats


def sum_in_floats(stored):
    def start(b, numbers):
        factor1, factor2, constant = (numbers.real(name) for name in ("factor1", "factor2", "constant"))
        store = storing(b, numbers, stored)

        def compute(x1, x2):
            inner = fma(b, factor2, real(b, x2, stored), constant)
            return store(rounded(b, fma(b, factor1, real(b, x1, stored), inner)))

        return compute

    return Operation(f"{stored} {stored}", stored, "factor1 factor2 constant zero low high", start, BYTES, 1)


def product_in_floats(stored):
    def start(b, numbers):
        zero1, zero2 = numbers.real("zero1"), numbers.real("zero2")
        factor, push, up = (numbers.real(name) for name in ("factor", "push", "up"))
        store = storing(b, numbers, stored)

        def compute(x1, x2):
            total = b.fmul(b.fsub(real(b, x1, stored), zero1), b.fsub(real(b, x2, stored), zero2))
            moved = b.fadd(same(b, "copysign", push, total), up)
            return store(rounded(b, fma(b, total, factor, moved)))

        return compute

    return Operation(f"{stored} {stored}", stored, "zero1 zero2 factor push up zero low high", start, BYTES, 1)


# ---- stored numbers, by the integer rule


def whole_sum(stored, combine):
    """combine of two operands, brought to one scale, rescaled."""

    def start(b, numbers):
        zero1, zero2, left = (numbers.whole(name) for name in ("zero1", "zero2", "left"))
        rescale1, rescale2, rescale = (rescaling(b, numbers, name) for name in ("factor1", "factor2", "factor"))
        store = storing(b, numbers, stored)

        def compute(x1, x2):
            x1 = rescale1(b.shl(b.sub(wide(b, x1, stored), zero1), left))
            x2 = rescale2(b.shl(b.sub(wide(b, x2, stored), zero2), left))
            return store(rescale(combine(b, x1, x2)))

        return compute

    factors = "factor1 factor1_shift factor2 factor2_shift factor factor_shift"
    return Operation(f"{stored} {stored}", stored, f"zero1 zero2 left {factors} zero low high", start)


def whole_product(stored):
    def start(b, numbers):
        zero1, zero2 = numbers.whole("zero1"), numbers.whole("zero2")
        rescale, store = rescaling(b, numbers, "factor"), storing(b, numbers, stored)

        def compute(x1, x2):
            return store(rescale(b.mul(b.sub(wide(b, x1, stored), zero1), b.sub(wide(b, x2, stored), zero2))))

        return compute

    return Operation(f"{stored} {stored}", stored, "zero1 zero2 factor factor_shift zero low high", start)


def whole_square(b, x1, x2):
    difference = b.sub(x1, x2)
    return b.mul(difference, difference)


KERNELS = walks(
    {
        "add_f32": clamped(lambda b, x1, x2: b.fadd(x1, x2)),
        "subtract_f32": clamped(lambda b, x1, x2: b.fsub(x1, x2)),
        "multiply_f32": clamped(lambda b, x1, x2: b.fmul(x1, x2)),
        "divide_f32": clamped(lambda b, x1, x2: b.fdiv(x1, x2)),
        "squared_difference_f32": simple(squared_difference),
        "squared_difference_i8": whole_sum("i8", whole_square),
    }
    | {f"maximum_{element}": choice(element, ">") for element in CHOSEN}
    | {f"minimum_{element}": choice(element, "<") for element in CHOSEN}
    | {f"add_{element}": clamped_integers(element, "add") for element in ("i32", "i64")}
    | {f"subtract_{element}": clamped_integers(element, "sub") for element in ("i32", "i64")}
    | {f"multiply_{element}": clamped_integers(element, "mul") for element in ("i32", "i64")}
    | {f"sum_in_floats_{stored}": sum_in_floats(stored) for stored in ("i8", "u8")}
    | {f"product_in_floats_{stored}": product_in_floats(stored) for stored in ("i8", "u8")}
    | {f"add_{stored}": whole_sum(stored, lambda b, x1, x2: b.add(x1, x2)) for stored in ("i8", "u8", "i16")}
    | {f"subtract_{stored}": whole_sum(stored, lambda b, x1, x2: b.sub(x1, x2)) for stored in ("i8", "u8", "i16")}
    | {f"multiply_{stored}": whole_product(stored) for stored in ("i8", "u8", "i16")}
)
