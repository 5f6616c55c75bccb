"""Sums of products of 8-bit integers, brought to stored values: convolutions and matrix products.

A unit of work is a group of places by a panel of channels. Its sums are made in registers, go through a small block of
memory on the stack, and are finished from there, row by row. A panel lies as its biases, its weights in the order in
which they are met, then the numbers that finish its channels.
"""

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.conv_int import CONV_INT, SHAPES
from minitfl.engine.source import amx
from minitfl.engine.source.dot import dot
from minitfl.engine.source.ir import (
    F64,
    I1,
    I32,
    add,
    address,
    constant,
    copy_bytes,
    inline,
    load,
    loop,
    number,
    same,
    splat,
    stack,
    store,
    store_masked,
    vector,
    word,
)
from minitfl.engine.source.rescale import (
    NUMBERS_NBYTES,
    byte_splat,
    load_numbers,
    rescale_real,
    rescale_twice,
    rescaled,
    rows_of_bytes,
)

LANES = compiled().lanes
AT = types.int64
SUMS = types.void(*[AT] * 13)


# ---- sums


def make_tile(count, vectors):
    """sums(x, start, length, places, step, flip, rows, row_nbytes, taps, tap_nbytes, fours, weights, target): those of
    `count` places to rows of `vectors` vectors at target.

    x: where the window of the first of `length` places begins; the next ones are `step` bytes apart, and `start` is the
    first that is done. The window is `rows` times `taps` runs of `fours` times 4 bytes; flip is turned over in them.
    """
    type = vector(I32, LANES)
    nbytes = 4 * LANES

    def emit(b, x, start, length, _, step, flip, rows, row_nbytes, taps, tap_nbytes, fours, weights, target):
        windows, left = [b.add(x, b.mul(start, step))], b.sub(length, start)
        for p in range(1, count):  # what is beyond repeats the last one
            there = b.icmp_signed(">", left, number(p))
            windows.append(b.select(there, b.add(windows[-1], step), windows[-1]))
        bias = [load(b, add(b, weights, v * nbytes), type, 4) for v in range(vectors)]
        sums = [bias[v] for _ in range(count) for v in range(vectors)]
        flip = splat(b, b.trunc(flip, I32), LANES)

        def row(i, carried):
            row_start = b.mul(i, row_nbytes)

            def tap(j, carried):
                start = b.add(row_start, b.mul(j, tap_nbytes))
                starts = [b.add(window, start) for window in windows]
                at, sums = carried[0], carried[1:]

                def four(k, sums):
                    here = b.add(at, b.mul(k, number(vectors * nbytes)))
                    w = [load(b, add(b, here, v * nbytes), type, 4) for v in range(vectors)]
                    made = []
                    for p in range(count):
                        value = splat(b, load(b, b.add(starts[p], b.shl(k, number(2))), I32), LANES)
                        value = b.xor(value, flip)
                        made += [dot(b, sums[p * vectors + v], value, w[v]) for v in range(vectors)]
                    return made

                sums = loop(b, fours, sums, four)
                return [b.add(at, b.mul(fours, number(vectors * nbytes))), *sums]

            return loop(b, taps, carried, tap)

        sums = loop(b, rows, [add(b, weights, vectors * nbytes), *sums], row)[1:]
        for i, value in enumerate(sums):
            store(b, value, add(b, target, i * nbytes), 4)

    return inline(SUMS, emit)


def make_tiles(signed):
    """The same by AMX, for `places` places in two tiles of equal height, which the configuration says too.

    Where there are not so many, tiles lie back so far that they end with the line: the same sums come twice.
    """
    sums = amx.make_sums(signed)

    def emit(b, x, start, length, places, step, _, rows, row_nbytes, taps, tap_nbytes, chunks, weights, target):
        height = b.lshr(places, number(1))
        most = b.sub(length, height)
        starts = [same(b, "smin", at, most) for at in (start, b.add(start, height))]
        sources = [b.add(x, b.mul(at, step)) for at in starts]
        targets = [b.add(target, b.mul(b.sub(at, start), number(amx.ROW_NBYTES))) for at in starts]
        sums(b, sources, step, rows, row_nbytes, taps, tap_nbytes, chunks, weights, targets)

    return inline(SUMS, emit)


# ---- from sums to bytes


def _twice(b, at):
    n = load_numbers(b, at)
    return NUMBERS_NBYTES, lambda u: rescaled(b, u, n)


def _clamped(b, at):
    n = load_numbers(b, at)
    return NUMBERS_NBYTES, lambda u: rescaled(b, u, n, signed=False)


def _any(b, at):
    multiplier, shift, zero = (load(b, add(b, at, i * 4 * LANES), vector(I32, LANES), 4) for i in range(3))
    return 12 * LANES, lambda x: same(b, "sadd.sat", rescale_twice(b, x, multiplier, shift), zero)


def _real(b, at):
    type = vector(F64, LANES)
    factor, zero = (load(b, add(b, at, i * 8 * LANES), type, 4) for i in range(2))
    low, high = constant(type, -(2.0**30)), constant(type, 2.0**30)
    return 16 * LANES, lambda x: rescale_real(b, x, factor, zero, low, high)


# how a vector of sums becomes stored values that are not yet clamped; emit.conv_int packs their numbers:
# rescale_twice in its short form, that where the clamp takes all below zero, for any numbers; rescale_real
FINISHES = {"twice": _twice, "clamped": _clamped, "any": _any, "real": _real}


def make_finish(kind, vectors):
    """finish(sums, count, numbers, y, y_nbytes, channels, low, high, flip): `count` rows of sums to rows of bytes,
    `channels` in each, y_nbytes apart."""
    together = 4 // vectors
    width = vectors * LANES

    def emit(b, sums, count, numbers, y, y_nbytes, channels, low, high, flip):
        finishes = []
        for _ in range(vectors):
            nbytes, finish = FINISHES[kind](b, numbers)
            finishes.append(finish)
            numbers = add(b, numbers, nbytes)
        limits = [byte_splat(b, value) for value in (low, high, flip)]
        put = _put(b, channels, width)

        def group(i, _):
            rows, targets = [], []
            for r in range(together):
                row = add(b, i, r)
                if r:  # where there is none the first one again
                    row = b.select(b.icmp_signed("<", row, count), row, i)
                at = b.add(sums, b.mul(row, number(4 * width)))
                loaded = (load(b, add(b, at, v * 4 * LANES), vector(I32, LANES), 4) for v in range(vectors))
                rows.append([finish(value) for finish, value in zip(finishes, loaded)])
                targets.append(b.add(y, b.mul(row, y_nbytes)))
            for row, target in zip(rows_of_bytes(b, rows, *limits), targets):
                put(row, target)
            return []

        loop(b, count, [], group, step=together)

    return inline(types.void(*[AT] * 9), emit)


def _put(b, channels, width):
    """put(row, target): stores the first `channels` bytes of a row."""
    if LANES == 16:
        bits = b.lshr(number(-1), b.sub(number(64), channels))
        mask = b.bitcast(b.trunc(bits, ir.IntType(width)) if width < 64 else bits, vector(I1, width))
        return lambda row, target: store_masked(b, row, target, mask)
    whole, memory = b.icmp_signed(">=", channels, number(width)), stack(b, width)

    def put(row, target):
        with b.if_else(whole) as (then, otherwise):
            with then:
                store(b, row, target)
            with otherwise:
                store(b, row, memory)
                copy_bytes(b, target, memory, channels)

    return put


# ---- units


def make_panels(kind, vectors, sums_of, before, nbytes, begin, end):
    """nbytes: of a block of sums on the stack, which begins `before` bytes before those of the first place."""
    finish = make_finish(kind, vectors)
    blocks_of = inline(types.int64(), lambda b: stack(b, 2 * nbytes))
    panel_width = vectors * LANES

    def panels(block, slots, first, last):
        """Panels first..last - 1: of those that go together, at each group of places, in all lines of all images.

        A panel is finished when the sums of the next one are under way.
        """
        blocks = blocks_of() + before
        x = address(block, slots, CONV_INT.x) + word(block, CONV_INT.x_start)
        y = address(block, slots, CONV_INT.y) + word(block, CONV_INT.y_start)
        weights = address(block, slots, CONV_INT.weights)
        groups, places, length = (
            word(block, CONV_INT.groups),
            word(block, CONV_INT.places),
            word(block, CONV_INT.length),
        )
        lines, length = word(block, CONV_INT.lines), word(block, CONV_INT.length)
        pitch, width = word(block, CONV_INT.pitch), word(block, CONV_INT.width)
        panels, together = word(block, CONV_INT.panels), word(block, CONV_INT.together)
        channels, y_nbytes = word(block, CONV_INT.channels), word(block, CONV_INT.pixel_y_nbytes)
        units_together = together * groups * lines * word(block, CONV_INT.images)
        begin(address(block, slots, CONV_INT.config))
        panel = start = y_line = panel_at = sums = 0
        for unit in range(first, last + 1):
            old_panel, old_start, old_y_line, old_panel_at, old_sums = panel, start, y_line, panel_at, sums
            if unit < last:
                some = unit // units_together
                rest = unit - some * units_together
                count = min(together, panels - some * together)
                spot = rest // count
                panel = some * together + rest - spot * count
                all_lines = spot // groups
                start = (spot - all_lines * groups) * places
                image = all_lines // lines
                line = all_lines - image * lines
                panel_at = weights + panel * word(block, CONV_INT.panel_nbytes)
                y_line = y + all_lines * word(block, CONV_INT.line_y_nbytes) + panel * panel_width
                sums = blocks + (unit & 1) * nbytes
                sums_of(
                    x + image * word(block, CONV_INT.image_nbytes) + line * word(block, CONV_INT.line_nbytes),
                    start,
                    length,
                    places,
                    word(block, CONV_INT.step),
                    word(block, CONV_INT.x_flip),
                    word(block, CONV_INT.rows),
                    word(block, CONV_INT.row_nbytes),
                    word(block, CONV_INT.taps),
                    word(block, CONV_INT.tap_nbytes),
                    word(block, CONV_INT.chunks),
                    panel_at,
                    sums,
                )
            if unit == first:
                continue
            place, stop = old_start, min(old_start + places, length)
            row = place // pitch
            while place < stop:  # in y are the first `width` of `pitch` places
                column = place - row * pitch
                count = min(width - column, stop - place)
                if count > 0:
                    finish(
                        old_sums + (place - old_start) * (4 * panel_width),
                        count,
                        old_panel_at + word(block, CONV_INT.numbers_start),
                        old_y_line + (row * width + column) * y_nbytes,
                        y_nbytes,
                        min(panel_width, channels - old_panel * panel_width),
                        word(block, CONV_INT.low),
                        word(block, CONV_INT.high),
                        word(block, CONV_INT.flip),
                    )
                row += 1
                place = row * pitch
        end()
        return 0

    return panels


def _vector_forms():
    nothing, at_end = inline(types.void(AT), lambda b, _: None), inline(types.void(), lambda b: None)
    for vectors, most in SHAPES[compiled().dot, LANES].items():
        for count in {1, most}:
            tile, nbytes = make_tile(count, vectors), count * vectors * LANES * 4
            for kind in FINISHES:
                yield f"{kind}{vectors}x{count}", make_panels(kind, vectors, tile, 0, nbytes, nothing, at_end)


def _amx_forms():
    begin, end = inline(types.void(AT), amx.configure), inline(types.void(), amx.release)
    before = 16 * amx.ROW_NBYTES
    for signed in (True, False):
        tiles = make_tiles(signed)
        for kind in FINISHES:
            name = f"{kind}amx_{'int8' if signed else 'uint8'}"
            yield name, make_panels(kind, 2, tiles, before, 3 * before, begin, end)


KERNELS = dict(_vector_forms())
if compiled().dot == "amx":
    KERNELS |= dict(_amx_forms())
