"""Sums of products of float32, a tile of pixels by channels at a time: convolutions and matrix products.

A tile's sums stay in registers while its window is walked through: `rows` rows of `taps` runs of `depth` values, which
lie contiguous in the input. The weights of a panel of channels lie in that order behind its bias, so that they are read
once from front to back.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.conv_float import CONV
from minitfl.engine.source.ir import (
    F32,
    add,
    address,
    clamp,
    first_lanes,
    fma,
    inline,
    load,
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


def make_tile(pixels, vectors):
    """tile(x, column, left, width, step, wrap, rows, row_nbytes, taps, tap_nbytes, depth, weights, y, pixel_y_nbytes,
    last, low, high): `pixels` pixels by `vectors` vectors of channels.

    x: address of the first pixel's window, which is in column `column` of `width`; the next pixel's lies `step` bytes
    on, and `wrap` bytes on where a row ends. Of the pixels, `left` are there; what is beyond repeats the last one.
    last: lanes of the last vector that are channels.
    """
    type = vector(F32, LANES)
    nbytes = 4 * LANES

    def emit(
        b, x, column, left, width, step, wrap, rows, row_nbytes, taps, tap_nbytes, depth, weights, y, y_nbytes, last,
        low, high,
    ):  # fmt: skip
        windows, targets = [x], [y]
        for p in range(1, pixels):
            there = b.icmp_signed(">", left, number(p))
            ends = b.icmp_signed("==", b.add(column, number(1)), width)
            moved = b.add(windows[-1], b.select(ends, wrap, step))
            column = b.select(ends, number(0), b.add(column, number(1)))
            windows.append(b.select(there, moved, windows[-1]))
            targets.append(b.select(there, b.add(targets[-1], y_nbytes), targets[-1]))
        bias = [load(b, add(b, weights, v * nbytes), type, 4) for v in range(vectors)]
        sums = [bias[v] for _ in range(pixels) for v in range(vectors)]
        at = add(b, weights, vectors * nbytes)

        def row(i, carried):
            row_start = b.mul(i, row_nbytes)

            def tap(j, carried):
                tap_start = b.add(row_start, b.mul(j, tap_nbytes))
                starts = [b.add(window, tap_start) for window in windows]
                at, sums = carried[0], carried[1:]

                def deep(k, sums):
                    here = b.add(at, b.mul(k, number(vectors * nbytes)))
                    w = [load(b, add(b, here, v * nbytes), type, 4) for v in range(vectors)]
                    offset = b.shl(k, number(2))
                    made = []
                    for p in range(pixels):
                        value = splat(b, load(b, b.add(starts[p], offset), F32, 4), LANES)
                        made += [fma(b, value, w[v], sums[p * vectors + v]) for v in range(vectors)]
                    return made

                sums = loop(b, depth, sums, deep)
                return [b.add(at, b.mul(depth, number(vectors * nbytes))), *sums]

            return loop(b, taps, carried, tap)

        sums = loop(b, rows, [at, *sums], row)[1:]
        low, high = splat(b, low, LANES), splat(b, high, LANES)
        mask = first_lanes(b, last, LANES)
        for p in range(pixels):
            for v in range(vectors):
                value = clamp(b, sums[p * vectors + v], low, high)
                target = add(b, targets[p], v * nbytes)
                if v == vectors - 1:
                    store_masked(b, value, target, mask)
                else:
                    store(b, value, target, 4)

    return inline(types.void(*[types.int64] * 15, types.float32, types.float32), emit)


def make_panels(pixels, vectors):
    tile = make_tile(pixels, vectors)

    def panels(block, slots, first, last):
        """Tiles first..last - 1: those of an image, of all images, of all panels."""
        x = address(block, slots, CONV.x)
        y = address(block, slots, CONV.y) + word(block, CONV.y_start)
        weights = address(block, slots, CONV.weights) + word(block, CONV.weights_start)
        tiles, images, width = word(block, CONV.tiles), word(block, CONV.images), word(block, CONV.width)
        count, step, wrap = word(block, CONV.pixels), word(block, CONV.step), word(block, CONV.wrap)
        y_nbytes = word(block, CONV.pixel_y_nbytes)
        rows_nbytes = step * (width - 1) + wrap
        for unit in range(first, last):
            panel = unit // (tiles * images)
            rest = unit - panel * tiles * images
            image = rest // tiles
            pixel = (rest - image * tiles) * pixels
            row = pixel // width
            column = pixel - row * width
            tile(
                x + image * word(block, CONV.image_nbytes) + row * rows_nbytes + column * step,
                column,
                count - pixel,
                width,
                step,
                wrap,
                word(block, CONV.rows),
                word(block, CONV.row_nbytes),
                word(block, CONV.taps),
                word(block, CONV.tap_nbytes),
                word(block, CONV.depth),
                weights + panel * word(block, CONV.panel_nbytes),
                y + panel * word(block, CONV.panel_y_nbytes) + (image * count + pixel) * y_nbytes,
                y_nbytes,
                word(block, CONV.last),
                real(block, CONV.low),
                real(block, CONV.high),
            )
        return 0

    return panels


KERNELS = {
    f"panels{vectors}x{pixels}": make_panels(pixels, vectors)
    for vectors, most in compiled().tiles.items()
    for pixels in {1, most}
}
