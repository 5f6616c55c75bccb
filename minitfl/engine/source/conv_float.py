"""Sums of products of float32, a tile of pixels by channels at a time: convolutions and matrix products.

A tile's sums stay in registers while its window is walked through: `rows` rows of `taps` runs of `depth` values, which
lie contiguous in the input. The weights of a panel of channels lie in that order behind its bias, so that they are read
once from front to back, and while the tiles of a panel are summed up, the next panel is fetched. They are float32, or
float16 that are widened in registers; the bias is always float32.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.conv_float import CONV, PACK, UNROLL, tiles
from minitfl.engine.source.ir import (
    F16,
    F32,
    add,
    address,
    choose,
    clamp,
    copy,
    fill,
    first_lanes,
    fma,
    inline,
    load,
    load_f32,
    loop,
    number,
    opaque,
    prefetch,
    real,
    splat,
    store,
    store_f32,
    store_masked,
    vector,
    word,
)

LANES = compiled().lanes
TILES = tiles(compiled())


def make_tile(pixels, vectors, half, checked=False):
    """tile(x, y, column, left, width, step, wrap, y_step, y_wrap, rows, row_nbytes, taps, tap_nbytes, depth, weights,
    ahead, ahead_nbytes, last, low, high): `pixels` pixels by `vectors` vectors of channels.

    x, y: addresses of the first pixel's window and of its sums. It is in column `column` of `width`; the next pixel's
    lie `step` and `y_step` bytes on, or `wrap` and `y_wrap` where a row ends. `left` pixels are there, and those beyond
    repeat the last one, if it is `checked`. ahead: what to fetch meanwhile, `ahead_nbytes` for every UNROLL values of
    depth. last: lanes of the last vector that are channels.
    """
    type = vector(F32, LANES)
    stored = vector(F16, LANES) if half else type
    nbytes, w_nbytes = 4 * LANES, (2 if half else 4) * LANES
    ways = 1 if pixels * vectors >= 8 else UNROLL  # sums of one value, for want of others that keep the units busy
    lines = 0 if pixels == 1 else max(1, UNROLL * vectors * w_nbytes // (64 * TILES[vectors].ahead))

    def emit(
        b, x, y, column, left, width, step, wrap, y_step, y_wrap, rows, row_nbytes, taps, tap_nbytes, depth, weights,
        ahead, ahead_nbytes, last, low, high,
    ):  # fmt: skip
        def places(start, step, wrap):
            """The address of each pixel."""

            def straight():
                found = [start]
                for _ in range(1, pixels):
                    found.append(b.add(found[-1], step))
                return found

            def winding():
                found, here = [start], column
                for p in range(1, pixels):
                    here = b.add(here, number(1))
                    ends = b.icmp_signed("==", here, width)
                    here = b.select(ends, number(0), here)
                    moved = b.add(found[-1], b.select(ends, wrap, step))
                    if checked:
                        moved = b.select(b.icmp_signed(">", left, number(p)), moved, found[-1])
                    found.append(moved)
                return found

            if pixels == 1:
                return [start]
            fits = b.icmp_signed("<=", add(b, column, pixels), width)
            if not checked:
                fits = b.or_(fits, b.icmp_signed("==", step, wrap))
            return choose(b, fits, straight, winding)

        windows = places(x, step, wrap)
        sums = [load(b, add(b, weights, v * nbytes), type, 4) for v in range(vectors)] * pixels
        sums += [splat(b, F32(0), LANES)] * (len(sums) * (ways - 1))
        at = add(b, weights, vectors * nbytes)

        def deep(at, here, sums, count):
            """`count` values of depth from `here` on, relative to the windows."""
            sums = list(sums)
            for k in range(count):
                w = [load(b, add(b, at, (k * vectors + v) * w_nbytes), stored, 2) for v in range(vectors)]
                w = [b.fpext(v, type) for v in w] if half else w
                first = k % ways * pixels * vectors
                for p in range(pixels):
                    value = splat(b, load(b, add(b, b.add(windows[p], here), 4 * k), F32, 4), LANES)
                    for v in range(vectors):
                        i = first + p * vectors + v
                        sums[i] = fma(b, value, w[v], sums[i])
            return [add(b, at, count * vectors * w_nbytes), add(b, here, 4 * count), *sums]

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
                few = opaque(b, b.and_(depth, number(UNROLL - 1)))  # or else this loop is unrolled: twice as much code
                at, _, *sums = loop(b, few, carried, one)
                return [ahead, at, *sums]

            return loop(b, taps, carried, tap, certain=True)

        _, _, *sums = loop(b, rows, [ahead, at, *sums], row, certain=True)
        low, high = splat(b, low, LANES), splat(b, high, LANES)
        mask = first_lanes(b, last, LANES)
        for p, target in enumerate(places(y, y_step, y_wrap)):
            for v in range(vectors):
                value = sums[p * vectors + v]
                for way in range(1, ways):
                    value = b.fadd(value, sums[(way * pixels + p) * vectors + v])
                value = clamp(b, value, low, high)
                if v == vectors - 1:
                    store_masked(b, value, add(b, target, v * nbytes), mask)
                else:
                    store(b, value, add(b, target, v * nbytes), 4)

    return inline(types.void(*[types.int64] * 18, types.float32, types.float32), emit)


def make_panels(vectors, half):
    most, fewer, fewest = TILES[vectors]
    tile, small_tile = make_tile(most, vectors, half), make_tile(fewer, vectors, half, checked=True)
    turn_nbytes = (2 if half else 4) * LANES * vectors * UNROLL

    def panels(block, slots, first, last):
        """Tiles first..last - 1, counted through the panels of a chunk of the pixels, and then the next chunk."""
        x = address(block, slots, CONV.x) + word(block, CONV.x_start)
        y = address(block, slots, CONV.y) + word(block, CONV.y_start)
        weights = address(block, slots, CONV.weights) + word(block, CONV.weights_start)
        tiles, images, big = word(block, CONV.tiles), word(block, CONV.images), word(block, CONV.big)
        count, width = word(block, CONV.pixels), word(block, CONV.width)
        step, wrap = word(block, CONV.step), word(block, CONV.wrap)
        y_step, y_wrap = word(block, CONV.y_step), word(block, CONV.y_wrap)
        rows, row_nbytes = word(block, CONV.rows), word(block, CONV.row_nbytes)
        taps, tap_nbytes, depth = word(block, CONV.taps), word(block, CONV.tap_nbytes), word(block, CONV.depth)
        low, high = real(block, CONV.low), real(block, CONV.high)
        panels, panel_nbytes = word(block, CONV.panels), word(block, CONV.panel_nbytes)
        all = tiles * images
        chunk = min(word(block, CONV.chunk), all)
        begin = first // (panels * chunk) * chunk
        size = min(chunk, all - begin)
        share = min(max(size, fewest), 4 * fewest)  # tiles that fetch a part of the next panel
        panel = (first - begin * panels) // size
        i = first - begin * panels - panel * size
        for _ in range(first, last):
            t, image = begin + i, 0
            if images > 1:
                image = t // tiles
                t -= image * tiles
            pixel = t * most if t < big else big * most + (t - big) * fewer
            row, column = 0, pixel
            if pixel >= width:
                row = pixel // width
                column -= row * width
            window = x + image * word(block, CONV.image_nbytes) + row * (step * (width - 1) + wrap) + column * step
            target = y + image * word(block, CONV.image_y_nbytes) + row * (y_step * (width - 1) + y_wrap)
            target += column * y_step + panel * word(block, CONV.panel_y_nbytes)
            here = weights + image * word(block, CONV.image_weights_nbytes) + panel * panel_nbytes
            lanes = word(block, CONV.last) if panel == panels - 1 else LANES
            ahead, ahead_nbytes = here, 0
            if i < share and panel < panels - 1:
                ahead, ahead_nbytes = here + panel_nbytes + i * (panel_nbytes // share), turn_nbytes // share
            if t < big:
                tile(window, target, column, most, width, step, wrap, y_step, y_wrap, rows, row_nbytes, taps,
                     tap_nbytes, depth, here, ahead, ahead_nbytes, lanes, low, high)  # fmt: skip
            else:
                small_tile(window, target, column, count - pixel, width, step, wrap, y_step, y_wrap, rows, row_nbytes,
                           taps, tap_nbytes, depth, here, ahead, ahead_nbytes, lanes, low, high)  # fmt: skip
            i += 1
            if i == size:
                i = 0
                panel += 1
                if panel == panels:
                    panel = 0
                    begin += size
                    size = min(chunk, all - begin)
        return 0

    return panels


def make_row(vectors, half):
    tile = make_tile(1, vectors, half)

    def row(block, slots, first, last):
        """Panels first..last - 1 of a single pixel: what matters is how fast the weights come."""
        x = address(block, slots, CONV.x) + word(block, CONV.x_start)
        y = address(block, slots, CONV.y) + word(block, CONV.y_start)
        weights = address(block, slots, CONV.weights) + word(block, CONV.weights_start)
        for panel in range(first, last):
            here = weights + panel * word(block, CONV.panel_nbytes)
            tile(x, y + panel * word(block, CONV.panel_y_nbytes), 0, 1, 1, 0, 0, 0, 0, word(block, CONV.rows),
                 word(block, CONV.row_nbytes), word(block, CONV.taps), word(block, CONV.tap_nbytes),
                 word(block, CONV.depth), here, here, 0,
                 word(block, CONV.last) if panel == word(block, CONV.panels) - 1 else LANES,
                 real(block, CONV.low), real(block, CONV.high))  # fmt: skip
        return 0

    return row


def pack(block, slots, first, last):
    """Panels of matrices (units, depth) that lie in any order: a bias of 0, then the weights of each value of depth."""
    x = address(block, slots, PACK.x) + word(block, PACK.x_start)
    y = address(block, slots, PACK.y) + word(block, PACK.y_start)
    panels, width, channels = word(block, PACK.panels), word(block, PACK.width), word(block, PACK.channels)
    depth, channel_nbytes, depth_nbytes = (
        word(block, PACK.depth), word(block, PACK.channel_nbytes), word(block, PACK.depth_nbytes)
    )  # fmt: skip
    for unit in range(first, last):
        image = unit // panels
        panel = unit - image * panels
        count = min(width, channels - panel * width)
        source = x + image * word(block, PACK.image_nbytes) + panel * width * channel_nbytes
        target = y + image * word(block, PACK.image_y_nbytes) + panel * (1 + depth) * width * 4
        fill(target, 0, width * 4)
        for _ in range(depth):
            target += width * 4
            if channel_nbytes == 4:
                copy(target, source, count * 4)
            else:
                for c in range(count):
                    store_f32(target + c * 4, load_f32(source + c * channel_nbytes))
            fill(target + count * 4, 0, (width - count) * 4)
            source += depth_nbytes
    return 0


KERNELS = {"pack": pack}
for vectors in TILES:
    for half in (False, True) if vectors <= 2 else (False,):
        name = f"{vectors}half" if half else f"{vectors}"
        KERNELS |= {f"panels{name}": make_panels(vectors, half), f"row{name}": make_row(vectors, half)}
