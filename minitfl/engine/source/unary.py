"""Functions of one number, and activations, element by element."""

from minitfl.engine.source.elementwise import LANES, Operation, walks
from minitfl.engine.source.functions import exp, exp64, expm1, log_, reciprocal, tanh
from minitfl.engine.source.integers import rescaling, storing, wide
from minitfl.engine.source.ir import F64, add, clamp, constant, fma, load, same, splat, vector


def function(compute, unroll=2):
    """y = compute(b, x)"""
    return Operation("f32", "f32", "", lambda b, numbers: lambda x: compute(b, x), LANES, unroll)


def instruction(name):
    """What LLVM has as an intrinsic that is one instruction, or a few."""
    return function(lambda b, x: same(b, name, x))


def below(b, x, limit, then, otherwise):
    """then where x < limit, else otherwise."""
    return b.select(b.fcmp_ordered("<", x, constant(x.type, limit)), then, otherwise)


def inverse_root(b, x):
    return b.fdiv(constant(x.type, 1), same(b, "sqrt", x))


def logistic(b, x):
    """1 / (1 + exp(-x)), but exp(x) below -9."""
    low = b.fcmp_ordered("<", x, constant(x.type, -9))
    power = exp(b, b.select(low, x, b.fneg(x)))
    return b.select(low, power, reciprocal(b, b.fadd(power, constant(x.type, 1))))


def swish(b, numbers):
    low, high = numbers.real("low"), numbers.real("high")
    return lambda x: clamp(b, b.fmul(x, logistic(b, x)), low, high)


def elu(b, x):
    return below(b, x, 0, expm1(b, x, -20.0, 88.0), x)


def hard_swish(b, x):
    gate = clamp(b, b.fadd(x, constant(x.type, 3)), constant(x.type, 0), constant(x.type, 6))
    return b.fmul(b.fmul(x, gate), constant(x.type, 1 / 6))


def gelu(b, fit, x):
    """x / 2 * erfc(-x / sqrt(2)), see kernels.sigmoid. fit: address of the coefficients of erfc, float64."""
    z = b.fmul(x, constant(x.type, -(0.5**0.5)))
    doubles = vector(F64, x.type.count)
    size = b.fpext(same(b, "fabs", z), doubles)
    forty = constant(doubles, 40)
    size = b.select(b.fcmp_ordered(">", size, forty), forty, size)
    two = constant(doubles, 2)
    t = b.fdiv(two, b.fadd(size, two))
    u = b.fsub(b.fadd(t, t), constant(doubles, 1))
    exponent, *others = [splat(b, load(b, add(b, fit, 8 * k), F64), x.type.count) for k in reversed(range(16))]
    for coefficient in others:
        exponent = fma(b, exponent, u, coefficient)
    upper = b.fmul(t, exp64(b, b.fsub(exponent, b.fmul(size, size))))
    negative = b.fcmp_ordered("<", z, constant(x.type, 0))
    erfc = b.fptrunc(b.select(negative, b.fsub(two, upper), upper), x.type)
    return b.fmul(b.fmul(x, constant(x.type, 0.5)), erfc)


def gelu_tanh(b, x):
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))); tanh, rounded, from float64."""
    cube = b.fmul(b.fmul(b.fmul(x, x), x), constant(x.type, 0.044715))
    inner = b.fmul(b.fadd(x, cube), constant(x.type, (2 / 3.141592653589793) ** 0.5))
    outer = b.fptrunc(tanh(b, b.fpext(inner, vector(F64, x.type.count))), x.type)
    return b.fmul(b.fmul(x, constant(x.type, 0.5)), b.fadd(outer, constant(x.type, 1)))


def straight(b, x, slope):
    """x from 0 up, else slope * x."""
    return b.select(b.fcmp_ordered("<", x, constant(x.type, 0)), b.fmul(x, slope), x)


def clamping(b, numbers):
    low, high = numbers.real("low"), numbers.real("high")
    return lambda x: clamp(b, x, low, high)


def leaky(b, numbers):
    slope = numbers.real("slope")
    return lambda x: straight(b, x, slope)


def smooth(b, numbers):
    fit = numbers.address("fit")
    return lambda x: gelu(b, fit, x)


# ---- stored numbers, by the integer rule


def clamping_int(stored):
    def start(b, numbers):
        x_zero, rescale, store = numbers.whole("x_zero"), rescaling(b, numbers, "factor"), storing(b, numbers, stored)
        return lambda x: store(rescale(b.sub(wide(b, x, stored), x_zero)))

    return Operation(stored, stored, "x_zero factor factor_shift zero low high", start)


def leaky_int(stored):
    """sign: -1 or 1, the slope's."""

    def start(b, numbers):
        x_zero, sign = numbers.whole("x_zero"), numbers.whole("sign")
        above, below = rescaling(b, numbers, "factor"), rescaling(b, numbers, "slope")
        store = storing(b, numbers, stored)

        def compute(x):
            x = b.sub(wide(b, x, stored), x_zero)
            nothing = constant(x.type, 0)
            low = b.mul(below(same(b, "smin", x, nothing)), sign)
            return store(b.add(above(same(b, "smax", x, nothing)), low))

        return compute

    return Operation(stored, stored, "x_zero sign factor factor_shift slope slope_shift zero low high", start)


def prelu_int(stored, slopes):
    def start(b, numbers):
        x_zero, slope_zero = numbers.whole("x_zero"), numbers.whole("slope_zero")
        above, below = rescaling(b, numbers, "factor"), rescaling(b, numbers, "slope")
        store = storing(b, numbers, stored)

        def compute(x, slope):
            x = b.sub(wide(b, x, stored), x_zero)
            nothing = constant(x.type, 0)
            product = b.mul(same(b, "smin", x, nothing), b.sub(wide(b, slope, slopes), slope_zero))
            return store(b.add(above(same(b, "smax", x, nothing)), below(product)))

        return compute

    numbers = "x_zero slope_zero factor factor_shift slope slope_shift zero low high"
    return Operation(f"{stored} {slopes}", stored, numbers, start)


KERNELS = walks(
    {
        "absolute": instruction("fabs"),
        "negative": function(lambda b, x: b.fneg(x)),
        "square": function(lambda b, x: b.fmul(x, x)),
        "square_root": instruction("sqrt"),
        "inverse_root": function(inverse_root),
        "ceiling": instruction("ceil"),
        "floor": instruction("floor"),
        "round_even": instruction("rint"),
        "exponential": function(exp),
        "logarithm": function(log_),
        "tanh": function(tanh),
        "logistic": function(logistic),
        "swish": Operation("f32", "f32", "low high", swish),
        "elu": function(elu),
        "gelu": Operation("f32", "f32", "fit", smooth, LANES, 1),
        "gelu_tanh": function(gelu_tanh, 1),
        "hard_swish": function(hard_swish),
        "clamp": Operation("f32", "f32", "low high", clamping),
        "leaky": Operation("f32", "f32", "slope", leaky),
        "clamp_i16": clamping_int("i16"),
        "leaky_i16": leaky_int("i16"),
        "prelu_i8": prelu_int("i8", "i8"),
        "prelu_u8": prelu_int("u8", "u8"),
        "prelu_i16": prelu_int("i16", "i8"),
        "prelu": Operation("f32 f32", "f32", "", lambda b, numbers: lambda x, slope: straight(b, x, slope)),
    }
)
