"""Sums of products of 8-bit integers, brought to stored values: convolutions and matrix products.

A unit of work is a group of places by a panel of channels. Its sums are made in registers, go through a small block of
memory on the stack, and are finished from there, row by row. A panel lies as its biases, its weights in the order in
which they are met, then the numbers that finish its channels.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.conv_int import CONV_INT, SHAPES
from minitfl.engine.layouts.hybrid import IMAGE_NBYTES
from minitfl.engine.source import amx
from minitfl.engine.source.dot import dot
from minitfl.engine.source.finish import KINDS, make_finish
from minitfl.engine.source.ir import (
    I32,
    add,
    address,
    inline,
    load,
    loop,
    number,
    same,
    splat,
    stack,
    store,
    vector,
    word,
)

LANES = compiled().lanes
AT = types.int64
SUMS = types.void(*[AT] * 13)


# ---- sums


def make_tile(count, vectors, alike=False):
    """sums(x, start, length, places, step, flip, rows, row_nbytes, taps, tap_nbytes, fours, weights, target): those of
    `count` places to rows of `vectors` vectors at target.

    x: where the window of the first of `length` places begins; the next ones are `step` bytes apart, and `start` is the
    first that is done. The window is `rows` times `taps` runs of `fours` times 4 bytes; flip is turned over in them.
    alike: all runs meet the same weights, of which there is a vector for a four, and one for the last four.
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
                    here = b.add(at, amx.last(b, k, fours, nbytes) if alike else b.mul(k, number(vectors * nbytes)))
                    w = [load(b, add(b, here, v * nbytes), type, 4) for v in range(vectors)]
                    made = []
                    for p in range(count):
                        value = splat(b, load(b, b.add(starts[p], b.shl(k, number(2))), I32), LANES)
                        value = b.xor(value, flip)
                        made += [dot(b, sums[p * vectors + v], value, w[v]) for v in range(vectors)]
                    return made

                sums = loop(b, fours, sums, four)
                return [at if alike else b.add(at, b.mul(fours, number(vectors * nbytes))), *sums]

            return loop(b, taps, carried, tap)

        sums = loop(b, rows, [add(b, weights, vectors * nbytes), *sums], row)[1:]
        for i, value in enumerate(sums):
            store(b, value, add(b, target, i * nbytes), 4)

    return inline(SUMS, emit)


def make_tiles(signed, panel):
    """The same by AMX, for `places` places in two tiles of equal height, which the configuration says too.

    Where there are not so many, tiles lie back so far that they end with the line: the same sums come twice.
    """
    sums = amx.make_sums(signed, panel)

    def emit(b, x, start, length, places, step, _, rows, row_nbytes, taps, tap_nbytes, chunks, weights, target):
        height = b.lshr(places, number(1))
        most = b.sub(length, height)
        starts = [same(b, "smin", at, most) for at in (start, b.add(start, height))]
        sources = [b.add(x, b.mul(at, step)) for at in starts]
        targets = [b.add(target, b.mul(b.sub(at, start), number(panel * 64))) for at in starts]
        sums(b, sources, step, rows, row_nbytes, taps, tap_nbytes, chunks, weights, targets)

    return inline(SUMS, emit)


# ---- units


def make_panels(kind, vectors, sums_of, less_of, before, count, begin, end):
    """Blocks of `count` rows of sums lie on the stack, the first one behind `before` rows of room."""
    finish = make_finish(kind, vectors)
    panel_width = vectors * LANES
    nbytes, less_nbytes, has_less = count * 4 * panel_width, count * 4 * LANES, kind.endswith("less")
    blocks_of = inline(types.int64(), lambda b: stack(b, 2 * nbytes + 4))  # odd lanes are loaded 4 bytes on
    less_blocks_of = inline(types.int64(), lambda b: stack(b, 2 * less_nbytes if has_less else 4))
    panel_y_nbytes = panel_width * (4 if kind == "hybrid" else 1)

    def panels(block, slots, first, last):
        """Panels first..last - 1: of those that go together, at each group of places, in all lines of all images.

        A panel is finished when the sums of the next one are under way.
        """
        blocks, less = blocks_of() + before * 4 * panel_width, less_blocks_of() + before * 4 * LANES
        other_less = less + less_nbytes
        x = address(block, slots, CONV_INT.x) + word(block, CONV_INT.x_start)
        y = address(block, slots, CONV_INT.y) + word(block, CONV_INT.y_start)
        weights = address(block, slots, CONV_INT.weights)
        groups, places = word(block, CONV_INT.groups), word(block, CONV_INT.places)
        lines, length = word(block, CONV_INT.lines), word(block, CONV_INT.length)
        pitch, width = word(block, CONV_INT.pitch), word(block, CONV_INT.width)
        panels, together = word(block, CONV_INT.panels), word(block, CONV_INT.together)
        step, x_flip = word(block, CONV_INT.step), word(block, CONV_INT.x_flip)
        rows, row_nbytes = word(block, CONV_INT.rows), word(block, CONV_INT.row_nbytes)
        taps, tap_nbytes, chunks = (
            word(block, CONV_INT.taps),
            word(block, CONV_INT.tap_nbytes),
            word(block, CONV_INT.chunks),
        )
        channels, y_nbytes = word(block, CONV_INT.channels), word(block, CONV_INT.pixel_y_nbytes)
        units_together = together * groups * lines * word(block, CONV_INT.images)
        begin(address(block, slots, CONV_INT.config))
        images_at = address(block, slots, CONV_INT.image_numbers)
        less_at = address(block, slots, CONV_INT.less)
        panel = start = x_line = y_line = panel_at = sums = image = 0
        for unit in range(first, last + 1):
            old_panel, old_start, old_y_line, old_panel_at, old_sums = panel, start, y_line, panel_at, sums
            old_x_line, old_image, old_less = x_line, image, less
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
                y_line = y + all_lines * word(block, CONV_INT.line_y_nbytes) + panel * panel_y_nbytes
                x_line = x + image * word(block, CONV_INT.image_nbytes) + line * word(block, CONV_INT.line_nbytes)
                sums = blocks + (unit & 1) * nbytes
                if has_less and (x_line != old_x_line or start != old_start):
                    less, other_less = other_less, less
                    less_of(x_line, start, length, places, step, x_flip, rows, row_nbytes, taps, tap_nbytes, chunks,
                            less_at, less)  # fmt: skip
                sums_of(x_line, start, length, places, step, x_flip, rows, row_nbytes, taps, tap_nbytes, chunks,
                        panel_at, sums)  # fmt: skip
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
                        old_less + (place - old_start) * (4 * LANES),
                        count,
                        old_panel_at + word(block, CONV_INT.numbers_start),
                        images_at + old_image * IMAGE_NBYTES,
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
            tile, less = make_tile(count, vectors), make_tile(count, 1, alike=True)
            for kind in KINDS:
                yield f"{kind}{vectors}x{count}", make_panels(kind, vectors, tile, less, 0, count, nothing, at_end)


def _amx_forms():
    begin, end = inline(types.void(AT), amx.configure), inline(types.void(), amx.release)
    for signed in (True, False):
        tiles, less = make_tiles(signed, 2), make_tiles(signed, 1)
        for kind in KINDS:
            name = f"{kind}amx_{'int8' if signed else 'uint8'}"
            yield name, make_panels(kind, 2, tiles, less, 16, 48, begin, end)


KERNELS = dict(_vector_forms())
if compiled().dot == "amx":
    KERNELS |= dict(_amx_forms())
