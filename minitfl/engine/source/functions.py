"""Functions of vectors of float32 and float64 that have no instruction: series by Taylor around a nearby exact value.

NaN stays NaN in all of them.
"""

from collections import namedtuple
from decimal import Decimal
from math import factorial, log

from llvmlite import ir

from minitfl.engine.isa import compiled
from minitfl.engine.source.ir import F32, F64, I16, I32, I64, call, constant, fma, same, shuffle, vector

Real = namedtuple("Real", "bits fraction bias rounds ln2_high terms")
REALS = {
    # rounds: what is added to it leaves its nearest whole number in the lowest bits
    # ln2_high: log(2) in so few bits that its multiples by the exponents are exact
    F32: Real(I32, 23, 127, 1.5 * 2**23, 0.693359375, 7),
    F64: Real(I64, 52, 1023, 1.5 * 2**52, round(log(2) * 2**32) / 2**32, 13),
}
LN2_LOW = float(Decimal(2).ln() - Decimal(REALS[F32].ln2_high))
SCALES = compiled().lanes == 16  # AVX-512 multiplies by powers of two


def exp(b, x, low=-104.0, high=89.0):
    """exp(x), to 2 units in the last place. float32.

    Beyond low..high, which must not be further apart than they are here, it is as there.
    """
    x = _within(b, x, low, high)
    if SCALES:
        return joined(b, [_exp_by_table(b, part) for part in parted(b, x, 16)])
    n, rest = _split(b, x)
    power = constant(x.type, 1 / factorial(7))
    for k in range(6, -1, -1):
        power = fma(b, power, rest, constant(x.type, 1 / factorial(k)))
    # in two halves, which may be no normal numbers together
    half = b.ashr(n, constant(n.type, 1))
    for part in (half, b.sub(n, half)):
        power = b.fmul(power, _power_of_two(b, part, x.type))
    return power


def _exp_by_table(b, x):
    """exp(x) for x = n * log(2) + rest, n a multiple of 1 / 32: the fraction of n chooses one of 32 powers."""
    rounds = constant(x.type, 1.5 * 2**18)
    shifted = fma(b, x, constant(x.type, 1 / log(2)), rounds)
    n = b.fsub(shifted, rounds)
    rest = fma(b, n, constant(x.type, -REALS[F32].ln2_high), x)
    rest = fma(b, n, constant(x.type, -LN2_LOW), rest)
    low, high = (ir.Constant(x.type, [2 ** (k / 32) for k in range(first, first + 16)]) for first in (0, 16))
    places = b.bitcast(shifted, vector(I32, 16))
    power = call(b, "llvm.x86.avx512.vpermi2var.ps.512", x.type, low, places, high)
    series = fma(b, rest, constant(x.type, 1 / 6), constant(x.type, 1 / 2))
    series = fma(b, b.fmul(rest, rest), series, rest)
    power = fma(b, power, series, power)
    # by two to the power of what is whole in n, at most n
    return call(b, "llvm.x86.avx512.mask.scalef.ps.512", x.type, power, n, constant(x.type, 0), I16(-1), I32(4))


def expm1(b, x, low, high):
    """exp(x) - 1, also near 0. Beyond low..high, within -36..88, it is as there.

    x = n * log(2) + rest: 2**n * (exp(rest) - 1) + 2**n - 1.
    """
    terms = REALS[x.type.element].terms
    n, rest = _split(b, _within(b, x, low, high))
    series = constant(x.type, 1 / factorial(terms))
    for k in range(terms - 1, 1, -1):
        series = fma(b, series, rest, constant(x.type, 1 / factorial(k)))
    series = fma(b, b.fmul(series, rest), rest, rest)
    scale = _power_of_two(b, n, x.type)
    return fma(b, scale, series, b.fsub(scale, constant(x.type, 1)))


def exp64(b, x):
    """exp(x) for float64 below 700, with a relative error of 1e-12; below -700 it is as there."""
    n, rest = _split(b, _within(b, x, -700.0, 700.0))
    power = constant(x.type, 1 / factorial(10))
    for k in range(9, -1, -1):
        power = fma(b, power, rest, constant(x.type, 1 / factorial(k)))
    return b.fmul(power, _power_of_two(b, n, x.type))


def tanh(b, x):
    """tanh(x) = (exp(2 * x) - 1) / (exp(2 * x) + 1), for |x|; then the sign is put back."""
    size = same(b, "fabs", x)
    most = 10.0 if x.type.element is F32 else 20.0  # from there it is 1
    e = expm1(b, b.fmul(size, constant(x.type, 2)), -1.0, 2 * most)
    quotient = divide if x.type.element is F32 else type(b).fdiv
    return same(b, "copysign", quotient(b, e, b.fadd(e, constant(x.type, 2))), x)


def log_(b, x):
    """log(x) of float32; -infinity for 0, NaN below.

    x = 2**n * (1 + f) with sqrt(1 / 2) <= 1 + f < sqrt(2), and for s = f / (2 + f): log(1 + f) is 2 * s * (1 + s**2 / 3
    + s**4 / 5 + ...), of which 2 * s is f - s * f.
    """
    floats, whole = x.type, vector(I32, x.type.count)
    small = b.fcmp_ordered("<", x, constant(floats, 2.0**-126))
    normal = b.select(small, b.fmul(x, constant(floats, 2.0**24)), x)
    bits = b.bitcast(normal, whole)
    root = constant(whole, 0x3F3504F3)  # the bits of sqrt(1 / 2)
    n = b.ashr(b.sub(bits, root), constant(whole, 23))
    f = b.fsub(b.bitcast(b.sub(bits, b.shl(n, constant(whole, 23))), floats), constant(floats, 1))
    n = b.sub(n, b.select(small, constant(whole, 24), constant(whole, 0)))
    n = b.sitofp(n, floats)
    s = divide(b, f, b.fadd(f, constant(floats, 2)))
    square = b.fmul(s, s)
    series = constant(floats, 2 / 11)
    for k in (9, 7, 5, 3):
        series = fma(b, series, square, constant(floats, 2 / k))
    high = REALS[F32].ln2_high
    # n * log(2) + f - s * (f - square * series), small terms first
    rest = b.fmul(s, b.fsub(f, b.fmul(square, series)))
    rest = b.fsub(rest, b.fmul(n, constant(floats, LN2_LOW)))
    result = fma(b, n, constant(floats, high), b.fsub(f, rest))
    infinite, nothing = constant(floats, float("inf")), constant(floats, 0)
    result = b.select(b.fcmp_ordered("<", x, infinite), result, x)  # so infinity and NaN stay
    result = b.select(b.fcmp_ordered("<", x, nothing), constant(floats, float("nan")), result)
    return b.select(b.fcmp_ordered("==", x, nothing), constant(floats, float("-inf")), result)


def divide(b, x, y):
    """x / y for normal numbers y between 2**-100 and 2**100, to a unit in the last place."""
    if not SCALES:
        return b.fdiv(x, y)
    inverse = reciprocal(b, y)
    quotient = b.fmul(x, inverse)
    return fma(b, fma(b, b.fneg(quotient), y, x), inverse, quotient)


def reciprocal(b, y):
    """1 / y, as divide, to 2 units in the last place."""
    if not SCALES:
        return b.fdiv(constant(y.type, 1), y)
    return joined(b, [_reciprocal(b, part) for part in parted(b, y, 16)])


def _reciprocal(b, y):
    near = call(b, "llvm.x86.avx512.rcp14.ps.512", y.type, y, constant(y.type, 0), I16(-1))  # off by 2**-14
    return fma(b, near, fma(b, b.fneg(near), y, constant(y.type, 1)), near)


def parted(b, x, lanes):
    """A vector as several of `lanes`."""
    return [shuffle(b, x, x, range(first, first + lanes)) for first in range(0, x.type.count, lanes)]


def joined(b, parts):
    """What was parted: two to the power of something."""
    while len(parts) > 1:
        parts = [shuffle(b, x, y, range(2 * x.type.count)) for x, y in zip(parts[::2], parts[1::2])]
    return parts[0]


def _within(b, x, low, high):
    for compare, limit in (("<", low), (">", high)):
        x = b.select(b.fcmp_ordered(compare, x, constant(x.type, limit)), constant(x.type, limit), x)
    return x


def _split(b, x):
    """(n, rest) of x = n * log(2) + rest with a whole n, as integers, and |rest| <= log(2) / 2."""
    real = REALS[x.type.element]
    rounds = constant(x.type, real.rounds)
    shifted = fma(b, x, constant(x.type, 1 / log(2)), rounds)
    n = b.fsub(shifted, rounds)
    rest = fma(b, n, constant(x.type, -real.ln2_high), x)
    rest = fma(b, n, constant(x.type, -float(Decimal(2).ln() - Decimal(real.ln2_high))), rest)
    whole = vector(real.bits, x.type.count)
    return b.sub(b.bitcast(shifted, whole), b.bitcast(rounds, whole)), rest


def _power_of_two(b, n, floats):
    """2**n, which must be a normal number."""
    real = REALS[floats.element]
    return b.bitcast(b.shl(b.add(n, constant(n.type, real.bias)), constant(n.type, real.fraction)), floats)
