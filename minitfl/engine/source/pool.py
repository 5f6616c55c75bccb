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
    add,
    address,
    clamp,
    constant,
    first_lanes,
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
LOWEST = -3.4028234663852886e38  # of the finite float32


# ---- kinds: what is loaded, what it starts from, how values are combined and what becomes of the result


class LargestFloat:
    """NaN is passed over."""

    stored = vector(F32, LANES)
    start = constant(stored, LOWEST)

    def combine(self, b, largest, x):
        return b.select(b.fcmp_ordered(">", x, largest), x, largest)

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


def make_window(kind, vectors):
    """window(x, rows, row_nbytes, columns, pixel_nbytes, count, y, last, block): all pixels of a window -> y.

    count: what a mean divides by. channels: how many there are.
    """
    lanes = kind.stored.count
    nbytes = width_nbytes(kind)
    chains = 4 // vectors  # of sums that do not wait for each other

    def emit(b, x, rows, row_nbytes, columns, pixel_nbytes, count, y, channels, block):
        def row(i, results):
            start = b.add(x, b.mul(i, row_nbytes))

            def column(j, results):
                at = b.add(start, b.mul(j, pixel_nbytes))
                values = [load(b, add(b, at, v * nbytes), kind.stored) for v in range(vectors)]
                return [kind.combine(b, result, value) for result, value in zip(results, values)] + results[vectors:]

            if chains == 1:
                return loop(b, columns, results, column)
            many = b.and_(columns, number(-chains))

            def several(j, results):
                places = [b.add(start, b.mul(b.add(j, number(k)), pixel_nbytes)) for k in range(chains)]
                return [kind.combine(b, result, load(b, at, kind.stored)) for result, at in zip(results, places)]

            results = loop(b, many, results, several, chains)
            start = b.add(start, b.mul(many, pixel_nbytes))
            return loop(b, b.sub(columns, many), results, column)

        results = loop(b, rows, [kind.start] * vectors * chains, row)
        while len(results) > vectors:
            results = [kind.join(b, *pair) for pair in zip(results[::2], results[1::2])]
        mask = first_lanes(b, add(b, channels, -(vectors - 1) * lanes), lanes)
        for v, result in enumerate(results):
            value, target = kind.finish(b, result, count, block), add(b, y, v * nbytes)
            if v < vectors - 1:
                store(b, value, target)
            else:
                store_masked(b, value, target, mask)

    return inline(types.void(*[types.int64] * 9), emit)


def make_pool(kind, vectors):
    window = make_window(kind, vectors)
    lanes, panel_nbytes = vectors * kind.stored.count, vectors * width_nbytes(kind)

    def pool(block, slots, first, last):
        """Rows first..last - 1 of the output: of all images, of all panels."""
        x = address(block, slots, POOL.x) + word(block, POOL.start)
        y = address(block, slots, POOL.y) + word(block, POOL.y_start)
        height, width, panels = word(block, POOL.height), word(block, POOL.width), word(block, POOL.panels)
        out_height, out_width = word(block, POOL.out_height), word(block, POOL.out_width)
        pixel_nbytes, pixel_y_nbytes = word(block, POOL.pixel_nbytes), word(block, POOL.pixel_y_nbytes)
        row_nbytes, across, divisor = width * pixel_nbytes, word(block, POOL.across), word(block, POOL.divisor)
        for unit in range(first, last):
            out_row = unit // panels
            panel = unit - out_row * panels
            image = out_row // out_height
            top = (out_row - image * out_height) * word(block, POOL.down) - word(block, POOL.top)
            bottom = smaller(top + word(block, POOL.rows), height)
            top = larger(top, 0)
            rows = x + (image * height + top) * row_nbytes + panel * panel_nbytes
            target = y + out_row * out_width * pixel_y_nbytes + panel * panel_nbytes
            left = -word(block, POOL.left)
            for _ in range(out_width):
                start, stop = larger(left, 0), smaller(left + word(block, POOL.columns), width)
                window(
                    rows + start * pixel_nbytes,
                    bottom - top,
                    row_nbytes,
                    stop - start,
                    pixel_nbytes,
                    divisor if divisor else (bottom - top) * (stop - start),
                    target,
                    word(block, POOL.channels) - panel * lanes,
                    block,
                )
                left += across
                target += pixel_y_nbytes
        return 0

    return pool


KINDS = {"largest_f32": LargestFloat(), "mean_f32": MeanFloat()}
for signed, name in ((True, "i8"), (False, "u8")):
    KINDS[f"largest_{name}"] = LargestByte(signed)
    for element, length in ((I16, "short"), (I32, "long")):
        KINDS[f"mean_{length}_{name}"] = MeanByte(signed, element)
        KINDS[f"rescaled_{length}_{name}"] = RescaledByte(signed, element)
KERNELS = {f"{name}_{vectors}": make_pool(kind, vectors) for name, kind in KINDS.items() for vectors in (1, 4)}
