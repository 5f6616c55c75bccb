"""Rows made one number, the largest, its place or the sum, or divided by their length."""

from functools import partial

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.rows import ROWS
from minitfl.engine.source.ir import (
    F32,
    I1,
    I8,
    I64,
    LOWEST,
    address,
    call,
    constant,
    first_lanes,
    fma,
    fold,
    greater,
    inline,
    load,
    loop,
    number,
    real,
    same,
    splat,
    store,
    store_i32,
    store_i64,
    store_masked,
    vector,
    word,
)

LANES = compiled().lanes
FLOATS, BYTES = vector(F32, LANES), vector(I8, 4 * LANES)
LEAST_NORM = 1e-6


class Row:
    """`depth` values from an address on, in whole vectors and some of a last one, which is read to its end."""

    def __init__(self, b, x, depth, type=FLOATS):
        self.b, self.x, self.type = b, x, type
        self.shift = number(2 if type is FLOATS else 0)
        rest = b.and_(depth, number(type.count - 1))
        self.whole = b.sub(depth, rest)
        self.mask = first_lanes(b, rest, type.count)

    def place(self, i):
        return self.b.add(self.x, self.b.shl(i, self.shift))

    def load(self, i):
        return load(self.b, self.place(i), self.type)

    def walk(self, carried, body):
        """carried = body(i, vector, carried) of the whole vectors."""
        return loop(self.b, self.whole, carried, lambda i, c: body(i, self.load(i), c), self.type.count)

    def reduce(self, start, combine):
        """combine(result, x) of all, from `start` on in each lane; the lanes are combined at the end."""
        [result] = self.walk([start], lambda i, x, c: [combine(c[0], x)])
        return self.b.select(self.mask, combine(result, self.load(self.whole)), result)


def largest(b, x, depth, factor, y):
    found = Row(b, x, depth).reduce(constant(FLOATS, LOWEST), partial(greater, b))
    store(b, fold(b, found, partial(greater, b)), y)


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

    row.walk([], lambda i, x, _: store(b, b.fdiv(x, norm), target.place(i)) or [])
    store_masked(b, b.fdiv(row.load(row.whole), norm), target.place(row.whole), row.mask)


def make_place(type, lowest, combine):
    """place(x, depth): where the largest is, the first of equals; NaN is passed over, and 0 where there is no other."""

    def emit(b, x, depth):
        row = Row(b, x, depth, type)
        same_as = b.fcmp_ordered if type is FLOATS else b.icmp_signed
        found = row.reduce(constant(type, lowest), partial(combine, b))
        largest = splat(b, fold(b, found, partial(combine, b)), type.count)
        bits = ir.IntType(type.count)

        def first(i, equal, carried):
            places = b.zext(b.bitcast(equal, bits), I64)
            here = b.add(i, call(b, "llvm.cttz.i64", I64, places, I1(0)))
            finds = b.and_(b.icmp_signed("<", carried, number(0)), b.icmp_unsigned("!=", places, number(0)))
            return b.select(finds, here, carried)

        [place] = row.walk([number(-1)], lambda i, x, c: [first(i, same_as("==", x, largest), c[0])])
        equal = b.and_(same_as("==", row.load(row.whole), largest), row.mask)
        place = first(row.whole, equal, place)
        return same(b, "smax", place, number(0))

    place = inline(types.int64(types.int64, types.int64), emit)
    nbytes = 4 if type is FLOATS else 1

    def places(block, slots, first, last):
        x, y = address(block, slots, ROWS.x), address(block, slots, ROWS.y)
        depth, y_nbytes = word(block, ROWS.depth), word(block, ROWS.y_nbytes)
        for unit in range(first, last):
            found = place(x + unit * depth * nbytes, depth)
            if y_nbytes == 8:
                store_i64(y + unit * 8, found)
            else:
                store_i32(y + unit * 4, found)
        return 0

    return places


def make_rows(emit):
    row = inline(types.void(types.int64, types.int64, types.float32, types.int64), emit)

    def rows(block, slots, first, last):
        x, y = address(block, slots, ROWS.x), address(block, slots, ROWS.y)
        depth, factor, y_nbytes = word(block, ROWS.depth), real(block, ROWS.factor), word(block, ROWS.y_nbytes)
        for unit in range(first, last):
            row(x + unit * depth * 4, depth, factor, y + unit * y_nbytes)
        return 0

    return rows


KERNELS = {emit.__name__: make_rows(emit) for emit in (largest, total, unit)} | {
    "place_f32": make_place(FLOATS, float("-inf"), greater),
    "place_i8": make_place(BYTES, -128, lambda b, x, y: same(b, "smax", x, y)),
    "place_u8": make_place(BYTES, 0, lambda b, x, y: same(b, "umax", x, y)),
}
