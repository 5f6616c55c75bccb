"""Functions of vectors of float32 that have no instruction."""

from math import factorial, log

from minitfl.engine.source.ir import F32, I32, constant, fma, vector

LN_2_HIGH = 0.693359375  # nine bits, so that its multiples by whole numbers are exact
LN_2_LOW = log(2) - LN_2_HIGH
ROUNDS = 1.5 * 2**23  # what is added to it leaves its nearest whole number in the lowest bits


def exp(b, x):
    """exp(x), to 2 units in the last place; NaN stays NaN.

    x = n * log(2) + rest with a whole n: Taylor's series for the rest, times 2**n in two halves, which may be no
    normal numbers together.
    """
    floats, whole = vector(F32, x.type.count), vector(I32, x.type.count)
    for compare, limit in (("<", -104), (">", 89)):  # all is 0 or infinite beyond
        x = b.select(b.fcmp_ordered(compare, x, constant(floats, limit)), constant(floats, limit), x)
    shifted = fma(b, x, constant(floats, 1 / log(2)), constant(floats, ROUNDS))
    n = b.fsub(shifted, constant(floats, ROUNDS))
    rest = fma(b, n, constant(floats, -LN_2_HIGH), x)
    rest = fma(b, n, constant(floats, -LN_2_LOW), rest)
    power = constant(floats, 1 / factorial(7))
    for k in range(6, -1, -1):
        power = fma(b, power, rest, constant(floats, 1 / factorial(k)))
    n = b.sub(b.bitcast(shifted, whole), b.bitcast(constant(floats, ROUNDS), whole))
    half = b.ashr(n, constant(whole, 1))
    for part in (half, b.sub(n, half)):
        factor = b.shl(b.add(part, constant(whole, 127)), constant(whole, 23))
        power = b.fmul(power, b.bitcast(factor, floats))
    return power
