"""Windows of single channels of 8-bit numbers: sums of products of four lines at a time, rescaled to bytes.

A block is as many channels as a vector has bytes. The lines of a tile's input that a column has are brought together
four by four: a lane then holds the four bytes of one channel, and the column's products with a column of taps are one
instruction for each of four vectors.

Products of quads need weights of 8 bits. `wide` kernels take 16 bits, of the even and the odd lines in turn.

Weights lie by blocks: what sums begin with, four vectors of int32; for each column of taps and each four of them: four
vectors, or four times two of int16; then the numbers of source.rescale, or where floats are stored, for each of four
vectors: the sums of the weights, their scales and the biases.
"""

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.depthwise import INT_TILE, SIDES, fours
from minitfl.engine.layouts.hybrid import IMAGE
from minitfl.engine.source.depthwise import make_walk, said
from minitfl.engine.source.dot import DOT, dot
from minitfl.engine.source.elementwise import store_first
from minitfl.engine.source.ir import (
    F32,
    I8,
    I16,
    I32,
    I64,
    add,
    call,
    choose,
    clamp,
    constant,
    first_lanes,
    inline,
    load,
    loop,
    number,
    shuffle,
    splat,
    store,
    store_masked,
    vector,
    when,
)
from minitfl.engine.source.rescale import NUMBERS_NBYTES, byte_splat, load_numbers, rescaled, rows_of_bytes

ISA = compiled()
LANES = ISA.lanes
CHANNELS = 4 * LANES
PIXELS = INT_TILE[1]
BYTES, WORDS, SUMS, FLOATS = vector(I8, CHANNELS), vector(I16, 2 * LANES), vector(I32, LANES), vector(F32, LANES)


def dot_words(b, sums, x, w):
    """sums + the products of two signed words in each lane."""
    if ISA.machine == "x86_64":
        name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
        return b.add(sums, call(b, name, SUMS, x, w))
    by = constant(SUMS, 16)
    for half in (lambda v: b.ashr(b.shl(v, by), by), lambda v: b.ashr(v, by)):
        sums = b.add(sums, b.mul(*(half(b.bitcast(v, SUMS)) for v in (x, w))))
    return sums


def split(b, quad):
    """The even and the odd bytes as words."""
    words = b.bitcast(quad, WORDS)
    return b.and_(words, constant(WORDS, 255)), b.lshr(words, constant(WORDS, 8))


def multiply(b, sums, x, weights):
    """sums + the products of a quad, or of one that is split, and the weights at an address."""
    if not isinstance(x, tuple):
        return dot(b, sums, x, load(b, weights, BYTES))
    for half, words in enumerate(x):
        sums = dot_words(b, sums, words, load(b, add(b, weights, half * CHANNELS), WORDS))
    return sums


def interleaved(b, lines):
    """Four vectors with a byte of each of four lines in a lane; channels in the order of emit.rescale.channels."""

    def zipped(x, y, unit):
        count = 16 // unit  # in 128 bits
        type = vector(ir.IntType(8 * unit), CHANNELS // unit)
        x, y = b.bitcast(x, type), b.bitcast(y, type)
        halves = []
        for start in (0, count // 2):
            places = [g + start + i for g in range(0, type.count, count) for i in range(count // 2)]
            halves.append(shuffle(b, x, y, [p + type.count * odd for p in places for odd in (0, 1)]))
        return halves

    pairs = zip(zipped(lines[0], lines[1], 1), zipped(lines[2], lines[3], 1))
    return [b.bitcast(v, BYTES) for first, last in pairs for v in zipped(first, last, 2)]


def make_tile(side, stride, wide, finisher):
    """See depthwise.make_walk."""
    columns = range((PIXELS - 1) * stride + side)
    each = 4 * (2 if wide else 1) * CHANNELS  # bytes of weights of a quad
    column_nbytes = len(fours(side)) * each

    def emit(
        b, block, table, x, outside, top, height, row_nbytes, column, width, pixel_nbytes, weights, y, y_row_nbytes,
        y_nbytes, rows, pixels, blocks, channels,
    ):  # fmt: skip
        there = [b.icmp_unsigned("<", add(b, top, i), height) for i in range(side)]
        starts = [b.select(t, b.add(x, b.mul(row_nbytes, number(i))), outside) for i, t in enumerate(there)]
        inside = [b.icmp_unsigned("<", add(b, column, c), width) for c in columns]
        turn_x = byte_splat(b, said(b, block, "turn_x", I64))

        def quads_of(offset, out, is_inside):
            """[quad of lines][vector] of a column."""
            values = [b.select(is_inside, b.add(start, offset), out) for start in starts]
            values = [b.xor(load(b, value, BYTES), turn_x) for value in values]
            values += values[-1:] * (-len(values) % 4)
            made = [interleaved(b, values[q : q + 4]) for q in range(0, len(values), 4)]
            return [[split(b, v) if wide else v for v in quad] for quad in made]

        def body(n, _):
            at = b.add(weights, b.mul(n, said(b, block, "block_nbytes", I64)))
            taps = add(b, at, 4 * CHANNELS)
            numbers = add(b, taps, side * column_nbytes)
            offset = b.mul(n, number(CHANNELS))
            out = b.add(outside, offset)
            finish = finisher(b, block, table, numbers, y, offset, channels)
            under_way = {}
            for c in columns:
                lined = quads_of(offset, out, inside[c])
                for p in range(PIXELS):
                    k = c - p * stride
                    if not 0 <= k < side:
                        continue
                    if p not in under_way:
                        under_way[p] = [load(b, add(b, at, v * CHANNELS), SUMS) for v in range(4)]
                    for quad, xs in enumerate(lined):
                        w = add(b, taps, k * column_nbytes + quad * each)
                        under_way[p] = [
                            multiply(b, total, x, add(b, w, v * each // 4))
                            for v, (total, x) in enumerate(zip(under_way[p], xs))
                        ]
                    if k == side - 1:
                        sums = under_way.pop(p)
                        there = b.icmp_signed(">", pixels, number(p))
                        when(b, there, [], lambda _, p=p, sums=sums: finish(sums, b.mul(y_nbytes, number(p))))
                offset = b.add(offset, pixel_nbytes)
            return []

        loop(b, blocks, [], body)

    return inline(types.void(*[types.int64] * 18), emit)


def make_pixel(finisher):
    """A tile of one pixel, of a filter of any size, stride and dilation. See depthwise.make_walk.

    Weights lie by four rows of taps, then by columns.
    """

    def emit(
        b, block, table, x, outside, top, height, row_nbytes, column, width, pixel_nbytes, weights, y, y_row_nbytes,
        y_nbytes, rows, pixels, blocks, channels,
    ):  # fmt: skip
        names = "taps_down", "taps_across", "dilation_down", "dilation_across", "block_nbytes"
        down, across, apart_down, apart_across, block_nbytes = (said(b, block, name, I64) for name in names)
        turn_x = byte_splat(b, said(b, block, "turn_x", I64))

        def body(n, _):
            at = b.add(weights, b.mul(n, block_nbytes))
            offset = b.mul(n, number(CHANNELS))
            out = b.add(outside, offset)

            def four_rows(k, sums):
                lines = [b.mul(add(b, k, i), apart_down) for i in range(4)]
                there = [b.icmp_unsigned("<", b.add(top, line), height) for line in lines]
                starts = [b.add(b.add(x, offset), b.mul(line, row_nbytes)) for line in lines]
                taps = add(b, b.add(at, b.mul(b.mul(k, across), number(2 * CHANNELS))), 4 * CHANNELS)

                def tap(n, sums):
                    j = b.mul(n, apart_across)
                    inside = b.icmp_unsigned("<", b.add(column, j), width)
                    shift = b.mul(j, pixel_nbytes)
                    places = [b.select(b.and_(t, inside), b.add(s, shift), out) for t, s in zip(there, starts)]
                    quad = interleaved(b, [b.xor(load(b, place, BYTES), turn_x) for place in places])
                    w = b.add(taps, b.mul(n, number(8 * CHANNELS)))
                    return [multiply(b, sums[v], split(b, quad[v]), add(b, w, 2 * v * CHANNELS)) for v in range(4)]

                return loop(b, across, sums, tap)

            sums = loop(b, down, [load(b, add(b, at, v * CHANNELS), SUMS) for v in range(4)], four_rows, step=4)
            numbers = add(b, b.add(at, block_nbytes), -finisher.nbytes)
            finisher(b, block, table, numbers, y, offset, channels)(sums, number(0))
            return []

        loop(b, blocks, [], body)

    return inline(types.void(*[types.int64] * 18), emit)


class Stored:
    """Makes finish(sums, nbytes), which stores the sums of a pixel, four vectors. first: the block's first channel."""

    nbytes = 4 * NUMBERS_NBYTES

    def __init__(self, signed):
        self.signed = signed

    def __call__(self, b, block, table, numbers, y, first, channels):
        limits = [byte_splat(b, said(b, block, name, I64)) for name in ("low", "high", "turn_y")]
        count = b.sub(channels, first)
        full = b.icmp_signed(">=", count, number(CHANNELS))

        def finish(sums, nbytes):
            n = [load_numbers(b, add(b, numbers, v * NUMBERS_NBYTES)) for v in range(4)]
            values = [rescaled(b, total, m, self.signed) for total, m in zip(sums, n)]
            (stored,) = rows_of_bytes(b, [values], *limits)
            at = b.add(b.add(y, first), nbytes)
            choose(b, full, lambda: store(b, stored, at), lambda: store_first(b, stored, at, count))

        return finish


class Real:
    """Stored for floats: clip(scale of the image * scale of the channel * (sum - zero * sum of weights) + bias)."""

    nbytes = 3 * 4 * CHANNELS

    def __call__(self, b, block, table, numbers, y, first, channels):
        low, high = (splat(b, said(b, block, name, F32), LANES) for name in ("low", "high"))
        scale = splat(b, load(b, add(b, table, 4 * IMAGE.scale), F32), LANES)
        zero = splat(b, load(b, add(b, table, 4 * IMAGE.zero), I32), LANES)

        def finish(sums, nbytes):
            values = []
            for v, total in enumerate(sums):
                at = [add(b, numbers, (3 * v + i) * 4 * LANES) for i in range(3)]
                total = b.sub(total, b.mul(zero, load(b, at[0], SUMS, 4)))
                factor = b.fmul(load(b, at[1], FLOATS, 4), scale)
                total = b.fadd(b.fmul(b.sitofp(total, FLOATS), factor), load(b, at[2], FLOATS, 4))
                values.append(clamp(b, total, low, high))
            for i, value in enumerate(in_order(b, values)):
                channel = add(b, first, i * LANES)
                mask = first_lanes(b, b.sub(channels, channel), LANES)
                store_masked(b, value, b.add(b.add(y, nbytes), b.shl(channel, number(2))), mask)

        return finish


def in_order(b, values):
    """Four vectors of channels, which come as rescale.channels says, in their order."""
    low, high = (shuffle(b, values[i], values[i + 1], range(2 * LANES)) for i in (0, 2))
    vector_of, lane = (lambda c: c // 4 % 4), (lambda c: c // 16 * 4 + c % 4)
    places = [vector_of(c) * LANES + lane(c) for c in range(CHANNELS)]
    return [shuffle(b, low, high, places[i : i + LANES]) for i in range(0, CHANNELS, LANES)]


# u: the activation clamps all that is below the zero point; r: real results; w: wide
FINISHERS = {"": (Stored(True), 1), "u": (Stored(False), 1), "r": (Real(), 4)}
KERNELS = {
    f"tiles{side}s{stride}{'w' * wide}{kind}": make_walk(
        make_tile(side, stride, wide, finisher), *INT_TILE, CHANNELS, 1, y_nbytes
    )
    for side in SIDES
    for stride in (1, 2)
    for wide in ((False, True) if DOT == "vnni" else (True,))
    for kind, (finisher, y_nbytes) in FINISHERS.items()
}
KERNELS |= {
    f"pixels{kind}": make_walk(make_pixel(finisher), 1, 1, CHANNELS, 1, y_nbytes)
    for kind, (finisher, y_nbytes) in FINISHERS.items()
}
