"""Sums of products of float32, a tile of pixels by channels at a time: convolutions and matrix products.

A tile's sums stay in registers while its window is walked through: `rows` rows of `taps` runs of `depth` values, which
lie contiguous in the input. The weights of a panel of channels lie in that order behind its bias, so that they are read
once from front to back, and while the tiles of a panel are summed up, the next panel is fetched.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.conv_float import AHEAD, CONV, UNROLL, shape
from minitfl.engine.source.ir import (
    F32,
    add,
    address,
    choose,
    clamp,
    first_lanes,
    fma,
    inline,
    load,
    loop,
    number,
    prefetch,
    real,
    splat,
    store,
    store_masked,
    vector,
    word,
)

LANES = compiled().lanes
SHAPE = shape(compiled())


def make_tile(pixels, vectors, checked=False):
    """tile(x, column, left, width, step, wrap, rows, row_nbytes, taps, tap_nbytes, depth, weights, ahead, ahead_nbytes,
    y, y_nbytes, last, low, high): `pixels` pixels by `vectors` vectors of channels.

    x: address of the first pixel's window, which is in column `column` of `width`; the next pixel's lies `step` bytes
    on, and `wrap` bytes on where a row ends. Of the pixels, `left` are there; what is beyond repeats the last one, if
    it is `checked`. ahead: what to fetch meanwhile, `ahead_nbytes` for every UNROLL values of depth. last: lanes of the
    last vector that are channels.
    """
    type = vector(F32, LANES)
    nbytes = 4 * LANES
    ways = 1 if pixels * vectors >= 8 else UNROLL  # sums of one value, for want of others that keep the units busy
    lines = UNROLL * vectors * nbytes // (64 if pixels == 1 else 64 * AHEAD)

    def emit(
        b, x, column, left, width, step, wrap, rows, row_nbytes, taps, tap_nbytes, depth, weights, ahead, ahead_nbytes,
        y, y_nbytes, last, low, high,
    ):  # fmt: skip

        def straight():
            found = [x]
            for _ in range(1, pixels):
                found.append(b.add(found[-1], step))
            return found

        def winding():
            found, here = [x], column
            for p in range(1, pixels):
                here = b.add(here, number(1))
                ends = b.icmp_signed("==", here, width)
                moved = b.add(found[-1], b.select(ends, wrap, step))
                here = b.select(ends, number(0), here)
                if checked:
                    moved = b.select(b.icmp_signed(">", left, number(p)), moved, found[-1])
                found.append(moved)
            return found

        if pixels == 1:
            windows = [x]
        else:
            fits = b.icmp_signed("<=", add(b, column, pixels), width)
            windows = choose(b, fits, straight, winding)
        sums = [load(b, add(b, weights, v * nbytes), type, 4) for v in range(vectors)] * pixels
        sums += [splat(b, F32(0), LANES)] * (len(sums) * (ways - 1))
        at = add(b, weights, vectors * nbytes)

        def deep(at, here, sums, count):
            """`count` values of depth from `here` on, relative to the windows."""
            sums = list(sums)
            for k in range(count):
                w = [load(b, add(b, at, (k * vectors + v) * nbytes), type, 4) for v in range(vectors)]
                first = k % ways * pixels * vectors
                for p in range(pixels):
                    value = splat(b, load(b, add(b, b.add(windows[p], here), 4 * k), F32, 4), LANES)
                    for v in range(vectors):
                        i = first + p * vectors + v
                        sums[i] = fma(b, value, w[v], sums[i])
            return [add(b, at, count * vectors * nbytes), add(b, here, 4 * count), *sums]

        def row(i, carried):
            def tap(j, carried):
                def most(_, carried):
                    ahead, at, here, *sums = carried
                    for line in range(lines):
                        prefetch(b, add(b, ahead, 64 * line))
                    return [b.add(ahead, ahead_nbytes), *deep(at, here, sums, UNROLL)]

                def one(_, carried):
                    at, here, *sums = carried
                    return deep(at, here, sums, 1)

                here = b.add(b.mul(i, row_nbytes), b.mul(j, tap_nbytes))
                ahead, at, *sums = carried
                ahead, *carried = loop(
                    b, b.ashr(depth, number(UNROLL.bit_length() - 1)), [ahead, at, here, *sums], most
                )
                at, _, *sums = loop(b, b.and_(depth, number(UNROLL - 1)), carried, one)
                return [ahead, at, *sums]

            return loop(b, taps, carried, tap, certain=True)

        _, _, *sums = loop(b, rows, [ahead, at, *sums], row, certain=True)
        low, high = splat(b, low, LANES), splat(b, high, LANES)
        mask = first_lanes(b, last, LANES)
        for p in range(pixels):
            if p:
                after = b.add(y, y_nbytes)
                y = b.select(b.icmp_signed(">", left, number(p)), after, y) if checked else after
            for v in range(vectors):
                value = sums[p * vectors + v]
                for way in range(1, ways):
                    value = b.fadd(value, sums[(way * pixels + p) * vectors + v])
                value = clamp(b, value, low, high)
                target = add(b, y, v * nbytes)
                if v == vectors - 1:
                    store_masked(b, value, target, mask)
                else:
                    store(b, value, target, 4)

    return inline(types.void(*[types.int64] * 17, types.float32, types.float32), emit)


def make_panels(vectors):
    most, fewer = SHAPE.pixels, SHAPE.fewer
    tile, small_tile = make_tile(most, vectors), make_tile(fewer, vectors, checked=True)

    def panels(block, slots, first, last):
        """Tiles first..last - 1, counted through the panels of a chunk of the pixels, and then the next chunk."""
        x = address(block, slots, CONV.x)
        y = address(block, slots, CONV.y) + word(block, CONV.y_start)
        weights = address(block, slots, CONV.weights) + word(block, CONV.weights_start)
        tiles, images, width = word(block, CONV.tiles), word(block, CONV.images), word(block, CONV.width)
        count, step, wrap = word(block, CONV.pixels), word(block, CONV.step), word(block, CONV.wrap)
        rows, row_nbytes = word(block, CONV.rows), word(block, CONV.row_nbytes)
        taps, tap_nbytes, depth = word(block, CONV.taps), word(block, CONV.tap_nbytes), word(block, CONV.depth)
        panel_nbytes, y_nbytes = word(block, CONV.panel_nbytes), word(block, CONV.pixel_y_nbytes)
        low, high = real(block, CONV.low), real(block, CONV.high)
        panels, chunk = word(block, CONV.panels), word(block, CONV.chunk)
        big = word(block, CONV.big)
        rows_nbytes = step * (width - 1) + wrap
        part = panel_nbytes // AHEAD
        unit = first
        while unit < last:
            begin = unit // (panels * chunk) * chunk
            size = min(chunk, tiles * images - begin)
            panel = (unit - begin * panels) // size
            done = unit - begin * panels - panel * size
            stop = min(size, done + last - unit)
            unit += stop - done
            here = weights + panel * panel_nbytes
            lanes = LANES
            if panel == panels - 1:
                lanes = word(block, CONV.last)
            image = (begin + done) // tiles
            t = begin + done - image * tiles
            for i in range(done, stop):
                ahead, ahead_nbytes = here, 0
                if i < AHEAD and panel < panels - 1:
                    ahead, ahead_nbytes = here + panel_nbytes + i * part, UNROLL * 4 * LANES * vectors // AHEAD
                pixel = t * most if t < big else big * most + (t - big) * fewer
                row = 0
                column = pixel
                if pixel >= width:
                    row = pixel // width
                    column -= row * width
                window = x + image * word(block, CONV.image_nbytes) + row * rows_nbytes + column * step
                target = y + panel * word(block, CONV.panel_y_nbytes) + (image * count + pixel) * y_nbytes
                if t < big:
                    tile(window, column, most, width, step, wrap, rows, row_nbytes, taps, tap_nbytes, depth, here,
                         ahead, ahead_nbytes, target, y_nbytes, lanes, low, high)  # fmt: skip
                else:
                    small_tile(window, column, count - pixel, width, step, wrap, rows, row_nbytes, taps, tap_nbytes,
                               depth, here, ahead, ahead_nbytes, target, y_nbytes, lanes, low, high)  # fmt: skip
                t += 1
                if t == tiles:
                    t = 0
                    image += 1
        return 0

    return panels


def make_row(vectors):
    tile = make_tile(1, vectors)

    def row(block, slots, first, last):
        """Panels first..last - 1 of a single pixel: what matters is how fast the weights come."""
        x = address(block, slots, CONV.x)
        y = address(block, slots, CONV.y) + word(block, CONV.y_start)
        weights = address(block, slots, CONV.weights) + word(block, CONV.weights_start)
        panel_nbytes = word(block, CONV.panel_nbytes)
        for panel in range(first, last):
            here = weights + panel * panel_nbytes
            tile(x, 0, 1, 1, 0, 0, word(block, CONV.rows), word(block, CONV.row_nbytes), word(block, CONV.taps),
                 word(block, CONV.tap_nbytes), word(block, CONV.depth), here, here + 4096, UNROLL * vectors * 4 * LANES,
                 y + panel * word(block, CONV.panel_y_nbytes), 0,
                 word(block, CONV.last) if panel == word(block, CONV.panels) - 1 else LANES,
                 real(block, CONV.low), real(block, CONV.high))  # fmt: skip
        return 0

    return row


KERNELS = {f"panels{vectors}": make_panels(vectors) for vectors in range(1, SHAPE.vectors + 1)}
KERNELS |= {f"row{vectors}": make_row(vectors) for vectors in range(1, SHAPE.vectors + 1)}
