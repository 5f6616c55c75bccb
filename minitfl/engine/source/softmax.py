"""SOFTMAX of rows, exp(beta * (x - largest)) / sum of these, and its logarithm; of floats and of stored bytes."""

from functools import partial

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.softmax import AWAY, ROWS, STORED
from minitfl.engine.source.functions import exp
from minitfl.engine.source.ir import (
    F32,
    I1,
    I8,
    I64,
    LOWEST,
    address,
    call,
    constant,
    fold,
    greater,
    inline,
    larger,
    load,
    load_f32,
    load_i32,
    number,
    real,
    same,
    smaller,
    splat,
    store,
    store_i8,
    store_i16,
    store_masked,
    vector,
    word,
)
from minitfl.engine.source.rescale import high_mul_one
from minitfl.engine.source.rows import Row
from minitfl.kernels.fixedmath import raw

LANES = compiled().lanes
FLOATS = vector(F32, LANES)


# ---- floats


def make_rows(scale, finish):
    """scale(b, total), a scalar, and finish(b, x - largest, its power, what was made of the total) make y."""

    def emit(b, x, y, depth, beta):
        """In three walks: the largest; the powers, put into y, and their sum; y."""
        source, target = Row(b, x, depth), Row(b, y, depth)
        beta = splat(b, beta, LANES)
        found = source.reduce(constant(FLOATS, LOWEST), partial(greater, b))
        largest = splat(b, fold(b, found, partial(greater, b)), LANES)

        def power(x):
            return exp(b, b.fmul(b.fsub(x, largest), beta))

        def add_power(i, x, carried):
            value = power(x)
            store(b, value, target.place(i))
            return [b.fadd(carried[0], value)]

        zeros = constant(FLOATS, 0)
        [total] = source.walk([zeros], add_power)
        tail = source.load(source.whole)
        last = power(tail)
        total = scale(b, fold(b, b.fadd(total, b.select(source.mask, last, zeros)), b.fadd))
        total = splat(b, total, LANES)

        def put(i, x, _):
            store(b, finish(b, b.fsub(x, largest), target.load(i), total), target.place(i))
            return []

        source.walk([], put)
        store_masked(b, finish(b, b.fsub(tail, largest), last, total), target.place(source.whole), source.mask)

    row = inline(types.void(types.int64, types.int64, types.int64, types.float32), emit)

    def rows(block, slots, first, last):
        depth, beta = word(block, ROWS.depth), real(block, ROWS.beta)
        x, y = address(block, slots, ROWS.x), address(block, slots, ROWS.y)
        for unit in range(first, last):
            row(x + unit * depth * 4, y + unit * depth * 4, depth, beta)
        return 0

    return rows


softmax = make_rows(lambda b, total: b.fdiv(F32(1), total), lambda b, x, power, inverse: b.fmul(power, inverse))
log_softmax = make_rows(lambda b, total: same(b, "log", total), lambda b, x, power, logarithm: b.fsub(x, logarithm))


# ---- stored bytes: kernels.softmax.softmax_int


leading_zeros = inline(types.int64(types.int64), lambda b, x: call(b, "llvm.ctlz.i64", I64, x, I1(0)))
leading_zeros.__doc__ = "Of 64 bits."
byte = inline(types.int64(types.int64, types.int64), lambda b, at, turn: b.xor(b.zext(load(b, at, I8), I64), turn))
byte.__doc__ = "byte(at, turn): a byte in its order from 0 to 255; turn: 128 for int8, which is signed, else 0."
inverse_of = inline(
    types.float32(types.float32, types.float32), lambda b, total, scale: b.fdiv(F32(1), b.fmul(total, scale))
)


def _rounded(b, power, factor, rounding):
    share = same(b, "minnum", b.fmul(power, factor), F32(2**20))
    up = same(b, "floor", b.fadd(share, F32(0.5)))
    away = same(b, "trunc", b.fadd(share, F32(0.49999997)))  # 0.5 would take the number just below it up to 1
    return b.fptosi(b.select(b.icmp_signed("==", rounding, number(AWAY)), away, up), I64)


rounded = inline(types.int64(types.float32, types.float32, types.int64), _rounded)
rounded.__doc__ = "rounded(power, factor, rounding): power * factor as a whole number."
ONE, QUARTER, ESTIMATE, SLOPE = raw(1), raw(1, 2), raw(48 / 17, 2), raw(-32 / 17, 2)


def make_stored(nbytes, put):
    def stored(block, slots, first, last):
        """Rows first..last - 1: in fixed point where their powers add up to what it holds, else in float32."""
        depth, turn = word(block, STORED.depth), word(block, STORED.turn)
        x, y = address(block, slots, STORED.x), address(block, slots, STORED.y)
        powers, terms = address(block, slots, STORED.powers), address(block, slots, STORED.terms)
        reals, scale = address(block, slots, STORED.reals), real(block, STORED.scale)
        rounding = word(block, STORED.rounding)
        low, high, zero = word(block, STORED.low), word(block, STORED.high), word(block, STORED.zero)
        for unit in range(first, last):
            row, target = x + unit * depth, y + unit * depth * nbytes
            largest = 0
            for i in range(depth):
                largest = larger(largest, byte(row + i, turn))
            total = 0
            for i in range(depth):
                total += load_i32(terms + 4 * (largest - byte(row + i, turn)))
            leading = leading_zeros(total) - 32
            exponent = 12 - leading + 31 - 8 * nbytes
            if 0 < total < 1 << 31 and exponent <= 31:
                # 1 / total: three steps of Newton and Raphson, see kernels.fixedmath.reciprocal
                half = (total << leading) >> 1
                inverse = ESTIMATE + high_mul_one(half, SLOPE)
                for _ in range(3):
                    inverse += high_mul_one(inverse, QUARTER - high_mul_one(half, inverse)) << 2
                inverse = smaller(inverse << 1, ONE)
                nudge = (1 << exponent) >> 1
                for i in range(depth):
                    power = load_i32(powers + 4 * (largest - byte(row + i, turn)))
                    put(target + i * nbytes, smaller(low + ((high_mul_one(inverse, power) + nudge) >> exponent), high))
            else:
                sum = load_f32(reals + 4 * (largest - byte(row, turn)))
                for i in range(1, depth):  # in the order of the official kernel
                    sum += load_f32(reals + 4 * (largest - byte(row + i, turn)))
                factor = inverse_of(sum, scale)
                for i in range(depth):
                    share = rounded(load_f32(reals + 4 * (largest - byte(row + i, turn))), factor, rounding)
                    put(target + i * nbytes, smaller(larger(share + zero, low), high))
        return 0

    return stored


KERNELS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmax_stored1": make_stored(1, store_i8),
    "softmax_stored2": make_stored(2, store_i16),
}
