"""Rows of float32 made one number, or divided by their length."""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.rows import ROWS
from minitfl.engine.source.ir import (
    F32,
    address,
    constant,
    first_lanes,
    fma,
    fold,
    inline,
    load,
    load_masked,
    loop,
    number,
    real,
    same,
    splat,
    store,
    store_masked,
    vector,
    word,
)

LANES = compiled().lanes
FLOATS = vector(F32, LANES)
LOWEST = -3.4028234663852886e38  # of the finite float32
LEAST_NORM = 1e-6


class Row:
    """`depth` values from an address on, in whole vectors and some of a last one."""

    def __init__(self, b, x, depth):
        self.b, self.x = b, x
        rest = b.and_(depth, number(LANES - 1))
        self.whole = b.sub(depth, rest)
        self.mask = first_lanes(b, rest, LANES)

    def place(self, i):
        return self.b.add(self.x, self.b.shl(i, number(2)))

    def reduce(self, start, combine):
        """combine(result, x) of all, from `start` on in each lane; the lanes are combined at the end."""
        b = self.b
        [result] = loop(b, self.whole, [start], lambda i, c: [combine(c[0], load(b, self.place(i), FLOATS))], LANES)
        last = load_masked(b, self.place(self.whole), FLOATS, self.mask)
        return b.select(self.mask, combine(result, last), result)


def largest(b, x, depth, factor, y):
    def greater(largest, x):  # NaN is passed over
        return b.select(b.fcmp_ordered(">", x, largest), x, largest)

    found = Row(b, x, depth).reduce(constant(FLOATS, LOWEST), greater)
    store(b, fold(b, found, greater), y)


def total(b, x, depth, factor, y):
    """sum(x) * factor"""
    found = Row(b, x, depth).reduce(constant(FLOATS, 0), b.fadd)
    store(b, b.fmul(fold(b, found, b.fadd), factor), y)


def unit(b, x, depth, factor, y):
    """x / its length"""
    row = Row(b, x, depth)
    squares = row.reduce(constant(FLOATS, 0), lambda total, x: fma(b, x, x, total))
    norm = same(b, "sqrt", fold(b, squares, b.fadd))
    norm = b.select(b.fcmp_ordered("<", norm, F32(LEAST_NORM)), F32(LEAST_NORM), norm)
    norm = splat(b, norm, LANES)
    target = Row(b, y, depth)

    def divide(i, carried):
        store(b, b.fdiv(load(b, row.place(i), FLOATS), norm), target.place(i))
        return []

    loop(b, row.whole, [], divide, LANES)
    last = b.fdiv(load(b, row.place(row.whole), FLOATS), norm)
    store_masked(b, last, target.place(row.whole), row.mask)


def make_rows(emit):
    row = inline(types.void(types.int64, types.int64, types.float32, types.int64), emit)

    def rows(block, slots, first, last):
        x, y = address(block, slots, ROWS.x), address(block, slots, ROWS.y)
        depth, factor, y_nbytes = word(block, ROWS.depth), real(block, ROWS.factor), word(block, ROWS.y_nbytes)
        for unit in range(first, last):
            row(x + unit * depth * 4, depth, factor, y + unit * y_nbytes)
        return 0

    return rows


KERNELS = {emit.__name__: make_rows(emit) for emit in (largest, total, unit)}
