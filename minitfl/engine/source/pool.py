"""Windows of an image made one number for each channel: the largest of their values, or what comes of their sum.

A window's results stay in registers, `vectors` vectors of neighbouring channels at a time, while its pixels are walked
through.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.pool import POOL
from minitfl.engine.source.ir import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LOWEST,
    add,
    address,
    clamp,
    constant,
    first_lanes,
    greater,
    inline,
    larger,
    load,
    loop,
    number,
    same,
    shuffle,
    smaller,
    splat,
    store,
    store_masked,
    vector,
    word,
)
from minitfl.engine.source.rescale import rescale_twice

LANES = compiled().lanes


# ---- kinds: what is loaded, what it starts from, how values are combined and what becomes of the result


class LargestFloat:
    """NaN is passed over."""

    stored = vector(F32, LANES)
    start = constant(stored, LOWEST)

    def combine(self, b, largest, x):
        return greater(b, largest, x)

    join = combine

    def finish(self, b, largest, count, block):
        return clamp(b, largest, *limits(b, block, F32, self.stored))


class LargestByte:
    stored = vector(I8, 4 * LANES)

    def __init__(self, signed):
        self.least, self.most = ("smin", "smax") if signed else ("umin", "umax")
        self.start = constant(self.stored, -128 if signed else 0)

    def combine(self, b, largest, x):
        return same(b, self.most, largest, x)

    join = combine

    def finish(self, b, largest, count, block):
        low, high = limits(b, block, I8, self.stored)
        return same(b, self.least, same(b, self.most, largest, low), high)


class MeanFloat:
    stored = vector(F32, LANES)
    start = constant(stored, 0)

    def combine(self, b, total, x):
        return b.fadd(total, x)

    join = combine

    def finish(self, b, total, count, block):
        mean = b.fmul(total, splat(b, reciprocal(b, count), LANES))
        return clamp(b, mean, *limits(b, block, F32, self.stored))


class TotalByte:
    """Sums of bytes, in 16 bits for windows of at most SHORT values, which hold those, else in 32."""

    def __init__(self, signed, element):
        self.signed = signed
        self.stored = vector(I8, LANES * 32 // element.width)
        self.start = constant(vector(element, self.stored.count), 0)

    def combine(self, b, total, x):
        return b.add(total, (b.sext if self.signed else b.zext)(x, total.type))

    def join(self, b, total, other):
        return b.add(total, other)

    def finish(self, b, total, count, block):
        lanes = range(0, self.stored.count, LANES)
        parts = [shuffle(b, total, total, range(first, first + LANES)) for first in lanes]
        parts = [p if p.type.element is I32 else b.sext(p, vector(I32, LANES)) for p in parts]
        low, high = limits(b, block, I32, vector(I32, LANES))
        made = [same(b, "smin", same(b, "smax", v, low), high) for v in self.values(b, parts, count, block)]
        made = [b.trunc(v, vector(I8, LANES)) for v in made]
        return made[0] if len(made) == 1 else shuffle(b, *made, range(2 * LANES))

    def values(self, b, totals, count, block):
        """int32 vectors of what is made of those sums."""
        raise NotImplementedError


class MeanByte(TotalByte):
    """Rounded half away from zero.

    The quotients lie 1 / count apart, and halves of that are added: cut to whole numbers they are right for windows of
    less than 2**12 values, however the factor was rounded.
    """

    def values(self, b, totals, count, block):
        factor = splat(b, reciprocal(b, count), LANES)
        half = b.fadd(b.sitofp(b.lshr(count, number(1)), F32), F32(0.5))
        half = splat(b, half, LANES)
        for total in totals:
            total = b.sitofp(total, half.type)
            total = b.fadd(total, same(b, "copysign", half, total))
            yield b.fptosi(b.fmul(total, factor), vector(I32, LANES))


class RescaledByte(TotalByte):
    """(sum - offset) by multiplier and shift, plus zero."""

    def values(self, b, totals, count, block):
        offset, multiplier, shift, zero = (
            splat(b, load(b, add(b, block, 8 * i), I32), LANES)
            for i in (POOL.offset, POOL.multiplier, POOL.shift, POOL.zero)
        )
        for total in totals:
            yield b.add(rescale_twice(b, b.sub(total, offset), multiplier, shift), zero)


def reciprocal(b, count):
    return b.fdiv(F32(1), b.sitofp(count, F32))


def limits(b, block, type, vector):
    """The words low and high, in all lanes."""
    return [splat(b, load(b, add(b, block, 8 * i), type), vector.count) for i in (POOL.low, POOL.high)]


# ---- kernels


def width_nbytes(kind):
    """Of a vector as it is stored."""
    return kind.stored.count * (4 if kind.stored.element is F32 else 1)


class Row:
    """The windows of a row of the output, whose pixels lie in `rows` rows of x. In a row function's arguments x and y
    are the addresses of what the first vector of channels has in column 0, channels how many there are from there on.
    """

    def __init__(self, b, kind, vectors, x, rows, y, channels, block):
        self.b, self.kind, self.vectors = b, kind, vectors
        self.x, self.rows, self.y, self.block = x, rows, y, block
        self.nbytes, lanes = width_nbytes(kind), kind.stored.count
        self.mask = first_lanes(b, add(b, channels, -(vectors - 1) * lanes), lanes)
        self.width, self.pixel_nbytes = self.word(POOL.width), self.word(POOL.pixel_nbytes)
        self.row_nbytes = b.mul(self.width, self.pixel_nbytes)

    def word(self, i):
        return load(self.b, add(self.b, self.block, 8 * i), I64)

    def walk(self, body, carried=()):
        """carried = body(i, first column of window i, carried) for all windows."""
        b, left, across = self.b, self.word(POOL.left), self.word(POOL.across)
        loop(b, self.word(POOL.out_width), carried, lambda i, c: body(i, b.sub(b.mul(i, across), left), c))

    def place(self, row, column):
        return self.b.add(self.x, self.b.add(self.b.mul(row, self.row_nbytes), self.b.mul(column, self.pixel_nbytes)))

    def combine(self, results, at):
        """results with a pixel, vector by vector."""
        values = (load(self.b, add(self.b, at, v * self.nbytes), self.kind.stored) for v in range(self.vectors))
        return [self.kind.combine(self.b, result, value) for result, value in zip(results, values)]

    def put(self, i, results, start, stop):
        """The results of window i, which has columns start..stop - 1."""
        b, divisor = self.b, self.word(POOL.divisor)
        inside = b.mul(self.rows, b.sub(stop, start))
        count = b.select(b.icmp_signed("==", divisor, number(0)), inside, divisor)
        y = b.add(self.y, b.mul(i, self.word(POOL.pixel_y_nbytes)))
        for v, result in enumerate(results):
            value, target = self.kind.finish(b, result, count, self.block), add(b, y, v * self.nbytes)
            if v < self.vectors - 1:
                store(b, value, target)
            else:
                store_masked(b, value, target, self.mask)


def windows(row):
    """Each window by itself; where there is but one vector of channels, in four results that do not wait."""
    b, kind, vectors = row.b, row.kind, row.vectors
    chains, columns = 4 // vectors, row.word(POOL.columns)

    def window(i, column, _):
        start = same(b, "smax", column, number(0))
        stop = same(b, "smin", b.add(column, columns), row.width)
        count = b.sub(stop, start)
        many = b.and_(count, number(-chains)) if chains > 1 else number(0)

        def down(j, results):
            def one(k, results):
                return row.combine(results, row.place(j, b.add(start, k))) + results[vectors:]

            def several(k, results):
                places = (row.place(j, b.add(start, add(b, k, c))) for c in range(chains))
                return [row.combine([result], at)[0] for result, at in zip(results, places)]

            if chains > 1:
                results = loop(b, many, results, several, chains)
            return loop(b, b.sub(count, many), results, lambda k, c: one(b.add(many, k), c))

        results = loop(b, row.rows, [kind.start] * vectors * chains, down)
        while len(results) > vectors:
            results = [kind.join(b, *pair) for pair in zip(results[::2], results[1::2])]
        row.put(i, results, start, stop)
        return []

    row.walk(window)


def sliding(row):
    """Windows of three columns that move by one: what a column gives is kept for the next two."""
    b, kind = row.b, row.kind

    def column(at):
        inside = b.and_(b.icmp_signed(">=", at, number(0)), b.icmp_signed("<", at, row.width))
        count = b.select(inside, row.rows, number(0))
        return loop(b, count, [kind.start] * row.vectors, lambda j, c: row.combine(c, row.place(j, at)))

    def window(i, first, kept):
        start = same(b, "smax", first, number(0))
        stop = same(b, "smin", add(b, first, 3), row.width)
        before, fresh = [kept[: row.vectors], kept[row.vectors :]], column(add(b, first, 2))
        results = [kind.join(b, kind.join(b, x, y), z) for x, y, z in zip(*before, fresh)]
        row.put(i, results, start, stop)
        return [*before[1], *fresh]

    left = b.neg(row.word(POOL.left))
    row.walk(window, [*column(left), *column(add(b, left, 1))])


def make_pool(kind, vectors, walk):
    def emit(b, *args):
        walk(Row(b, kind, vectors, *args))

    row_of = inline(types.void(*[types.int64] * 5), emit)
    lanes, panel_nbytes = vectors * kind.stored.count, vectors * width_nbytes(kind)

    def pool(block, slots, first, last):
        """Rows first..last - 1 of the output: of all images, of all panels."""
        x = address(block, slots, POOL.x) + word(block, POOL.start)
        y = address(block, slots, POOL.y) + word(block, POOL.y_start)
        height, panels, out_height = word(block, POOL.height), word(block, POOL.panels), word(block, POOL.out_height)
        row_nbytes = word(block, POOL.width) * word(block, POOL.pixel_nbytes)
        row_y_nbytes = word(block, POOL.out_width) * word(block, POOL.pixel_y_nbytes)
        for unit in range(first, last):
            row = unit // panels
            panel = unit - row * panels
            image = row // out_height
            top = (row - image * out_height) * word(block, POOL.down) - word(block, POOL.top)
            bottom = smaller(top + word(block, POOL.rows), height)
            top = larger(top, 0)
            row_of(
                x + (image * height + top) * row_nbytes + panel * panel_nbytes,
                bottom - top,
                y + row * row_y_nbytes + panel * panel_nbytes,
                word(block, POOL.channels) - panel * lanes,
                block,
            )
        return 0

    return pool


KINDS = {"largest_f32": LargestFloat(), "mean_f32": MeanFloat()}
for signed, name in ((True, "i8"), (False, "u8")):
    KINDS[f"largest_{name}"] = LargestByte(signed)
    for element, length in ((I16, "short"), (I32, "long")):
        KINDS[f"mean_{length}_{name}"] = MeanByte(signed, element)
        KINDS[f"rescaled_{length}_{name}"] = RescaledByte(signed, element)
WALKS = {"": windows, "sliding_": sliding}
KERNELS = {
    f"{way}{name}_{vectors}": make_pool(kind, vectors, walk)
    for way, walk in WALKS.items()
    for name, kind in KINDS.items()
    for vectors in (1, 4)
}
