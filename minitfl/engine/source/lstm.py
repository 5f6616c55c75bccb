"""A step of the full LSTM cell, of floats and of stored bytes: sums of products, then gates. See kernels.lstm_float.

The weights of all gates are one stack of vectors: for each vector of cells what is added to its sums, then the weights
of each number of x, or of two, for all of its lanes.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.lstm import GATES, PRODUCTS, STORED_GATES
from minitfl.engine.source.functions import exp, tanh
from minitfl.engine.source.ir import (
    F32,
    I8,
    I16,
    I32,
    I64,
    add,
    address,
    clamp,
    constant,
    first_lanes,
    fma,
    inline,
    larger,
    load,
    load_i16,
    load_i32,
    loop,
    number,
    real,
    same,
    shuffle,
    smaller,
    splat,
    store,
    store_i8,
    store_i16,
    store_masked,
    vector,
    word,
)
from minitfl.engine.source.rescale import rescale_twice, rescale_twice_one, rounding_shift_one

LANES = compiled().lanes
VECTOR_NBYTES = 4 * LANES
FLOATS, WHOLE = vector(F32, LANES), vector(I32, LANES)
MIDDLE = 2 * 32768  # where tables have what belongs to 0
ONE = 32767  # the largest Q0, which stands for 1


# ---- sums


def sum_floats(b, x, depth, weights):
    """In four sums that do not wait for each other."""
    values = add(b, weights, VECTOR_NBYTES)
    bias = load(b, weights, FLOATS)

    def term(k, total):
        value = splat(b, load(b, b.add(x, b.shl(k, number(2))), F32), LANES)
        return fma(b, value, load(b, b.add(values, b.mul(k, number(VECTOR_NBYTES))), FLOATS), total)

    many = b.and_(depth, number(-4))
    start = [bias, *[constant(FLOATS, 0)] * 3]
    totals = loop(b, many, start, lambda k, c: [term(add(b, k, i), total) for i, total in enumerate(c)], 4)
    x, values = b.add(x, b.shl(many, number(2))), b.add(values, b.mul(many, number(VECTOR_NBYTES)))
    [total] = loop(b, b.sub(depth, many), totals[:1], lambda k, c: [term(k, c[0])])
    return b.fadd(b.fadd(total, totals[1]), b.fadd(totals[2], totals[3]))


def sum_bytes(b, x, depth, weights):
    """Pairs of int8 x by pairs of int16 weights; then rescaled, and kept within 18 bits."""
    bias, multiplier, shift = (load(b, add(b, weights, i * VECTOR_NBYTES), WHOLE) for i in range(3))
    pairs, wide = vector(I16, 2 * LANES), vector(I32, 2 * LANES)
    values = add(b, weights, 3 * VECTOR_NBYTES)

    def two(k, carried):
        near, far = (b.sext(load(b, b.add(x, add(b, k, i)), I8), I16) for i in range(2))
        pair = b.or_(b.zext(near, I32), b.shl(b.zext(far, I32), I32(16)))
        both = b.bitcast(splat(b, pair, LANES), pairs)
        w = load(b, b.add(values, b.mul(k, number(VECTOR_NBYTES // 2))), pairs)
        products = b.mul(b.sext(both, wide), b.sext(w, wide))
        even, odd = (shuffle(b, products, products, range(i, 2 * LANES, 2)) for i in range(2))
        return [b.add(carried[0], b.add(even, odd))]

    [total] = loop(b, depth, [bias], two, 2)
    total = rescale_twice(b, total, multiplier, shift)
    return within(b, total, 1 << 17)


def within(b, x, limit):
    low, high = constant(x.type, -limit), constant(x.type, limit - 1)
    return same(b, "smin", same(b, "smax", x, low), high)


def make_products(type, sum, join):
    def emit(b, x, depth, weights, added, target):
        total = sum(b, x, depth, weights)
        store(b, join(b, total, load(b, added, type)), target)

    one = inline(types.void(*[types.int64] * 5), emit)

    def products(block, slots, first, last):
        """Vectors first..last - 1: of all rows, of all sums."""
        x, weights = address(block, slots, PRODUCTS.x), address(block, slots, PRODUCTS.weights)
        added = address(block, slots, PRODUCTS.added) + word(block, PRODUCTS.added_start)
        sums, depth = address(block, slots, PRODUCTS.sums), word(block, PRODUCTS.depth)
        rows = word(block, PRODUCTS.rows)
        for unit in range(first, last):
            v = unit // rows
            row = unit - v * rows
            one(
                x + row * word(block, PRODUCTS.row_nbytes),
                depth,
                weights + v * word(block, PRODUCTS.weights_nbytes),
                added + row * word(block, PRODUCTS.added_nbytes) + v * VECTOR_NBYTES,
                sums + row * word(block, PRODUCTS.sums_nbytes) + v * VECTOR_NBYTES,
            )
        return 0

    return products


# ---- gates


def _gates(b, sums, gate_nbytes, input_gate, cells, c, h, y, clip):
    one = constant(FLOATS, 1)
    low, high = splat(b, b.fneg(clip), LANES), splat(b, clip, LANES)
    clips, admits = b.fcmp_ordered(">", clip, F32(0)), b.icmp_signed("!=", input_gate, number(0))
    forget_at = b.select(admits, gate_nbytes, number(0))

    def sigmoid(x):
        return b.fdiv(one, b.fadd(one, exp(b, b.fneg(x))))

    def vector_of_cells(i, carried):
        offset = b.shl(i, number(2))
        at = b.add(sums, offset)
        forget_place = b.add(at, forget_at)
        places = [at] + [b.add(forget_place, b.mul(number(k), gate_nbytes)) for k in range(3)]
        admit, forget, candidate, out = (load(b, place, FLOATS) for place in places)
        forget = sigmoid(forget)
        admit = b.select(admits, sigmoid(admit), b.fsub(one, forget))
        cell = b.fmul(forget, load(b, b.add(c, offset), FLOATS))
        cell = b.fadd(cell, b.fmul(admit, tanh(b, candidate)))
        cell = b.select(clips, clamp(b, cell, low, high), cell)
        result = b.fmul(sigmoid(out), tanh(b, cell))
        mask = first_lanes(b, b.sub(cells, i), LANES)
        for target, value in ((c, cell), (h, result), (y, result)):
            store_masked(b, value, b.add(target, offset), mask)
        return []

    loop(b, cells, [], vector_of_cells, LANES)


row_of_gates = inline(types.void(*[types.int64] * 7, types.float32), _gates)


def gates(block, slots, first, last):
    """Rows first..last - 1 of the state."""
    cells, size = word(block, GATES.cells), 4
    for row in range(first, last):
        row_of_gates(
            address(block, slots, GATES.sums) + row * word(block, GATES.sums_nbytes),
            word(block, GATES.gate_nbytes),
            word(block, GATES.input_gate),
            cells,
            address(block, slots, GATES.c) + row * cells * size,
            address(block, slots, GATES.h) + row * cells * size,
            address(block, slots, GATES.y) + word(block, GATES.y_start) + row * word(block, GATES.y_nbytes),
            real(block, GATES.clip),
        )
    return 0


wrapped = inline(types.int64(types.int64), lambda b, x: b.sext(b.trunc(x, I16), I64))
wrapped.__doc__ = "What an int16 holds of it."


def stored_gates(block, slots, first, last):
    """Rows first..last - 1 of the state: gates of int16 by tables."""
    cells, gate = word(block, STORED_GATES.cells), word(block, STORED_GATES.gate_nbytes)
    logistic = address(block, slots, STORED_GATES.logistic) + MIDDLE
    tanh = address(block, slots, STORED_GATES.tanh) + MIDDLE
    tanh_cell, cell_shift = address(block, slots, STORED_GATES.tanh_cell) + MIDDLE, word(block, STORED_GATES.cell_shift)
    multiplier, shift = word(block, STORED_GATES.multiplier), word(block, STORED_GATES.shift)
    zero, clip = word(block, STORED_GATES.zero), word(block, STORED_GATES.clip)
    input_gate, y_start = word(block, STORED_GATES.input_gate), word(block, STORED_GATES.y_start)
    for row in range(first, last):
        sums = address(block, slots, STORED_GATES.sums) + row * word(block, STORED_GATES.sums_nbytes)
        c = address(block, slots, STORED_GATES.c) + row * cells * 2
        h = address(block, slots, STORED_GATES.h) + row * cells
        y = address(block, slots, STORED_GATES.y) + y_start + row * word(block, STORED_GATES.y_nbytes)
        for i in range(cells):
            at = sums + i * 4
            forget_at = at + gate if input_gate else at
            forget = load_i16(logistic + 2 * load_i32(forget_at))
            admit = load_i16(logistic + 2 * load_i32(at)) if input_gate else ONE - forget
            candidate = load_i16(tanh + 2 * load_i32(forget_at + gate))
            cell = wrapped(rounding_shift_one(forget * load_i16(c + 2 * i), 15))
            cell += wrapped(rounding_shift_one(admit * candidate, cell_shift))
            cell = larger(smaller(cell, 32767), -32768)
            if clip > 0:
                cell = larger(smaller(cell, clip), -clip)
            out = load_i16(logistic + 2 * load_i32(forget_at + 2 * gate))
            result = rescale_twice_one(out * load_i16(tanh_cell + 2 * cell), multiplier, shift) + zero
            result = larger(smaller(result, 127), -128)
            store_i16(c + 2 * i, cell)
            store_i8(h + i, result)
            store_i8(y + i, result)
    return 0


KERNELS = {
    "products_f32": make_products(FLOATS, sum_floats, lambda b, total, added: b.fadd(total, added)),
    "products_i8": make_products(WHOLE, sum_bytes, lambda b, total, added: within(b, b.add(total, added), 1 << 15)),
    "gates": gates,
    "stored_gates": stored_gates,
}
