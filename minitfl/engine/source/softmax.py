"""SOFTMAX of rows: exp(beta * (x - largest)) / sum of these, in three walks through a row."""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.softmax import SOFTMAX
from minitfl.engine.source.functions import exp
from minitfl.engine.source.ir import (
    F32,
    address,
    constant,
    first_lanes,
    fold,
    inline,
    load,
    load_masked,
    loop,
    number,
    real,
    splat,
    store,
    store_masked,
    vector,
    word,
)

LANES = compiled().lanes
FLOATS = vector(F32, LANES)
LOWEST = -3.4028234663852886e38  # of the finite float32


def _row(b, x, y, depth, beta):
    rest = b.and_(depth, number(LANES - 1))
    whole = b.sub(depth, rest)
    mask = first_lanes(b, rest, LANES)
    end, y_end = (b.add(start, b.shl(whole, number(2))) for start in (x, y))

    def larger(x, largest):  # NaN is passed over
        return b.select(b.fcmp_ordered(">", x, largest), x, largest)

    def place(start, i):
        return b.add(start, b.shl(i, number(2)))

    lowest = constant(FLOATS, LOWEST)
    [largest] = loop(b, whole, [lowest], lambda i, c: [larger(load(b, place(x, i), FLOATS), c[0])], LANES)
    tail = load_masked(b, end, FLOATS, mask)
    largest = splat(b, fold(b, larger(b.select(mask, tail, lowest), largest), larger), LANES)
    beta = splat(b, beta, LANES)

    def power(x):
        return exp(b, b.fmul(b.fsub(x, largest), beta))

    def powers(i, carried):
        value = power(load(b, place(x, i), FLOATS))
        store(b, value, place(y, i))
        return [b.fadd(carried[0], value)]

    [total] = loop(b, whole, [constant(FLOATS, 0)], powers, LANES)
    last = b.select(mask, power(tail), constant(FLOATS, 0))
    total = splat(b, fold(b, b.fadd(total, last), b.fadd), LANES)

    def divide(i, carried):
        store(b, b.fdiv(load(b, place(y, i), FLOATS), total), place(y, i))
        return carried

    loop(b, whole, [], divide, LANES)
    store_masked(b, b.fdiv(last, total), y_end, mask)


row = inline(types.void(types.int64, types.int64, types.int64, types.float32), _row)


def softmax(block, slots, first, last):
    """Rows first..last - 1 of float32."""
    depth, beta = word(block, SOFTMAX.depth), real(block, SOFTMAX.beta)
    x, y = address(block, slots, SOFTMAX.x), address(block, slots, SOFTMAX.y)
    for unit in range(first, last):
        row(x + unit * depth * 4, y + unit * depth * 4, depth, beta)
    return 0


KERNELS = {"softmax": softmax}
