"""Windows of single channels, float32: y = clip(bias + sum over the taps of w * x), a vector of channels at a time.

A tile is two rows by a few pixels of the output. Its sums stay in registers while the columns of the input go by; each
value is loaded once for all windows of the tile that see it. Rows outside the image are read from a row of zeros, and
columns outside are left out. Filters of other sizes and strides take one pixel at a time.

Weights lie by vectors of channels: the bias (lanes,), then the taps (down, across, lanes).
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.depthwise import SIDES, float_tile
from minitfl.engine.source.depthwise import make_walk, said
from minitfl.engine.source.ir import (
    F32,
    I64,
    add,
    choose,
    clamp,
    first_lanes,
    fma,
    inline,
    load,
    loop,
    number,
    splat,
    store,
    store_masked,
    vector,
    when,
)

LANES = compiled().lanes
NBYTES = 4 * LANES
TYPE = vector(F32, LANES)
REGISTERS = compiled().registers
ROWS, PIXELS = float_tile(compiled())


def make_tile(down, across, stride):
    """See depthwise.make_walk."""
    lines = range((ROWS - 1) * stride + down)
    columns = range((PIXELS - 1) * stride + across)
    held = REGISTERS - ROWS * PIXELS - 4  # weights that stay in registers, too

    def emit(
        b, block, table, x, outside, top, height, row_nbytes, column, width, pixel_nbytes, weights, y, y_row_nbytes,
        y_nbytes, rows, pixels, blocks, channels,
    ):  # fmt: skip
        there = [b.icmp_unsigned("<", add(b, top, i), height) for i in lines]
        starts = [b.select(t, b.add(x, b.mul(row_nbytes, number(i))), outside) for i, t in zip(lines, there)]
        inside = [b.icmp_unsigned("<", add(b, column, c), width) for c in columns]
        limits = limits_of(b, block)

        def body(v, _):
            at = b.add(weights, b.mul(v, number((1 + down * across) * NBYTES)))
            offset = b.mul(v, number(NBYTES))

            def weight(n):
                return load(b, add(b, at, (1 + n) * NBYTES), TYPE, 4)

            w = {n: weight(n) for n in range(min(held, down * across))}
            bias = load(b, at, TYPE, 4)
            sums = {(r, p): bias for r in range(ROWS) for p in range(PIXELS)}
            for c in columns:
                taps = [
                    (k * across + c - p * stride, k, (r, p))
                    for k in range(down)
                    for r in range(ROWS)
                    for p in range(PIXELS)
                    if 0 <= c - p * stride < across
                ]
                seen = sorted({place for *_, place in taps})

                def add_column(some, offset=offset, taps=taps, seen=seen):
                    some = dict(zip(seen, some))
                    values = [load(b, b.add(start, offset), TYPE, 4) for start in starts]
                    for n, k, place in taps:
                        factor = w[n] if n in w else weight(n)
                        some[place] = fma(b, values[place[0] * stride + k], factor, some[place])
                    return [some[place] for place in seen]

                sums.update(zip(seen, when(b, inside[c], [sums[place] for place in seen], add_column)))
                offset = b.add(offset, pixel_nbytes)
            target = b.add(y, b.mul(v, number(NBYTES)))
            left = b.sub(channels, b.mul(v, number(LANES)))
            put_tile(b, sums, limits, target, y_row_nbytes, y_nbytes, rows, pixels, left)
            return []

        loop(b, blocks, [], body)

    return inline(types.void(*[types.int64] * 18), emit)


def make_pixel():
    """A tile of one pixel, of a filter of any size, stride and dilation. See depthwise.make_walk."""

    def emit(
        b, block, table, x, outside, top, height, row_nbytes, column, width, pixel_nbytes, weights, y, y_row_nbytes,
        y_nbytes, rows, pixels, blocks, channels,
    ):  # fmt: skip
        names = "taps_down", "taps_across", "dilation_down", "dilation_across"
        down, across, apart_down, apart_across = (said(b, block, name, I64) for name in names)
        limits = limits_of(b, block)

        def body(v, _):
            at = b.add(weights, b.mul(v, said(b, block, "block_nbytes", I64)))
            shift = b.mul(v, number(NBYTES))

            def row(k, sums):
                i = b.mul(k, apart_down)
                start = b.add(b.add(x, shift), b.mul(i, row_nbytes))
                taps = b.add(at, b.mul(add(b, b.mul(k, across), 1), number(NBYTES)))

                def tap(n, sums):
                    j = b.mul(n, apart_across)
                    factor = load(b, b.add(taps, b.mul(n, number(NBYTES))), TYPE, 4)

                    def multiply(sums):
                        value = load(b, b.add(start, b.mul(j, pixel_nbytes)), TYPE, 4)
                        return [fma(b, value, factor, sums[0])]

                    return when(b, b.icmp_unsigned("<", b.add(column, j), width), sums, multiply)

                inside = b.icmp_unsigned("<", b.add(top, i), height)
                return when(b, inside, sums, lambda sums: loop(b, across, sums, tap))

            (total,) = loop(b, down, [load(b, at, TYPE, 4)], row)
            left = b.sub(channels, b.mul(v, number(LANES)))
            put_tile(b, {(0, 0): total}, limits, b.add(y, shift), y_row_nbytes, y_nbytes, rows, pixels, left)
            return []

        loop(b, blocks, [], body)

    return inline(types.void(*[types.int64] * 18), emit)


def limits_of(b, block):
    return [splat(b, said(b, block, name, F32), LANES) for name in ("low", "high")]


def put_tile(b, sums, limits, y, row_nbytes, pixel_nbytes, rows, pixels, lanes):
    """Stores what is there of the sums, a dict by (row, pixel), within limits."""
    mask = first_lanes(b, lanes, LANES)

    def put(store):
        for (r, p), total in sums.items():
            there = b.and_(b.icmp_signed(">", rows, number(r)), b.icmp_signed(">", pixels, number(p)))
            target = b.add(y, b.add(b.mul(row_nbytes, number(r)), b.mul(pixel_nbytes, number(p))))
            value = clamp(b, total, *limits)
            when(b, there, [], lambda _, value=value, target=target: store(value, target))

    choose(
        b,
        b.icmp_signed(">=", lanes, number(LANES)),
        lambda: put(lambda value, target: store(b, value, target, 4)),
        lambda: put(lambda value, target: store_masked(b, value, target, mask)),
    )


KERNELS = {
    f"tiles{taps}s{stride}": make_walk(make_tile(taps, taps, stride), ROWS, PIXELS, LANES, 4, 4)
    for taps in SIDES
    for stride in (1, 2)
}
KERNELS["pixels"] = make_walk(make_pixel(), 1, 1, LANES, 4, 4)
