"""Numbers in another type, element by element: QUANTIZE, DEQUANTIZE, CAST."""

from minitfl.engine.source.elementwise import LANES, TYPES, Operation, nbytes, walks
from minitfl.engine.source.integers import STORED, storing, truncated, wide
from minitfl.engine.source.ir import I8, constant, fma, same, vector
from minitfl.engine.source.rescale import rescale_twice

BELOW_HALF = 0.49999997  # the float32 before 0.5, which itself would take the number before 0.5 up to 1
CASTS = (
    "f16 f32, f32 f16, i8 f32, u8 f32, i16 f32, i32 f32, i64 f32, i8 i32, u8 i32, i16 i32, i32 i8, i32 u8, i32 i16,"
    " i32 i64, i64 i32, i8 i64, u8 i64, i64 u8, i64 i8"
).split(", ")
REQUANTIZED = ("i8 i16", "u8 i16", "i16 i8", "i16 i16")
FRACTIONS = {"i8": (-128, 127), "u8": (0, 255), "i16": (-(2**15), 2**15 - 1), "i32": (-(2**31), 2**31 - 1)}


def quantize(stored):
    """clip(zero + round(x / scale)), halves away from zero; the sum wraps. inverse: 1 / scale.

    The quotient by way of the inverse is corrected by what is left of x, and so the one of a division.
    """

    def start(b, numbers):
        scale, inverse = numbers.real("scale"), numbers.real("inverse")
        store = storing(b, numbers, stored)
        half = constant(scale.type, BELOW_HALF)

        def compute(x):
            near = b.fmul(x, inverse)
            quotient = fma(b, fma(b, b.fneg(near), scale, x), inverse, near)
            return store(truncated(b, b.fadd(quotient, same(b, "copysign", half, quotient))))

        return compute

    return Operation("f32", stored, "scale inverse zero low high", start, LANES, 2 if stored == "i16" else 4)


def dequantize(stored):
    """scale * (x - zero)"""

    def start(b, numbers):
        zero, scale = numbers.real("zero"), numbers.real("scale")
        return lambda x: b.fmul(b.fsub(b.sitofp(wide(b, x, stored), zero.type), zero), scale)

    return Operation(stored, "f32", "zero scale", start)


def requantize(source, target):
    """clip(rescaled(x - x_zero) + zero)"""

    def start(b, numbers):
        x_zero, multiplier, shift = (numbers.whole(name) for name in ("x_zero", "factor", "factor_shift"))
        store = storing(b, numbers, target)
        return lambda x: store(rescale_twice(b, b.sub(wide(b, x, source), x_zero), multiplier, shift))

    return Operation(source, target, "x_zero factor factor_shift zero low high", start)


def cast(source, target):
    """As C converts."""
    from_float, to_float = source[0] == "f", target[0] == "f"
    before, after = nbytes(TYPES[source]), nbytes(TYPES[target])
    if from_float:
        name = "fpext" if after > before else "fptrunc"
    elif to_float:
        name = "uitofp" if source[0] == "u" else "sitofp"
    else:
        name = "trunc" if after < before else "zext" if source[0] == "u" else "sext"

    def start(b, numbers):
        return lambda x: getattr(b, name)(x, vector(TYPES[target], numbers.lanes))

    return Operation(source, target, "", start, LANES if max(before, after) < 8 else LANES // 2)


def cut_off(target):
    """x without its fraction, within what the type holds; NaN becomes the highest number."""
    low, high = FRACTIONS[target]

    def start(b, numbers):
        whole = vector(TYPES[target], numbers.lanes)

        def compute(x):
            inside = b.fcmp_ordered("<", x, constant(x.type, high))
            x = b.select(b.fcmp_ordered("<", x, constant(x.type, low)), constant(x.type, low), x)
            y = truncated(b, x)
            return b.select(inside, y if target == "i32" else b.trunc(y, whole), constant(whole, high))

        return compute

    return Operation("f32", target, "", start)


def to_bool(source):
    def start(b, numbers):
        def compute(x):
            zero = constant(x.type, 0)
            there = b.fcmp_unordered("!=", x, zero) if source[0] == "f" else b.icmp_signed("!=", x, zero)
            return b.zext(there, vector(I8, numbers.lanes))

        return compute

    return Operation(source, "u8", "", start)


KERNELS = walks(
    {f"quantize_{stored}": quantize(stored) for stored in STORED}
    | {f"dequantize_{stored}": dequantize(stored) for stored in STORED}
    | {
        f"requantize_{x}_{y}": requantize(x, y)
        for x, y in (("i8", "i16"), ("u8", "i16"), ("i16", "i8"), ("i16", "i16"))
    }
    | {f"cast_{pair.replace(' ', '_')}": cast(*pair.split()) for pair in CASTS}
    | {f"cut_off_{target}": cut_off(target) for target in FRACTIONS}
    | {f"to_bool_{source}": to_bool(source) for source in ("f32", "i32", "u8")}
)
