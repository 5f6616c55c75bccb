"""Runs of contiguous bytes, moved from one place to another: what joins, cuts and rearranges tensors.

A run of 1, 2, 4 or 8 bytes has a kernel of its own. `transpose` kernels are for runs of one element that are neighbours
in x, but not in y: squares of them are turned in registers.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.runs import FILL, FILLED, PICK, PIXELS, RUNS
from minitfl.engine.source.ir import (
    I8,
    I16,
    I32,
    I64,
    address,
    inline,
    load,
    load_i16,
    load_i32,
    load_i64,
    loop,
    number,
    shuffle,
    smaller,
    store,
    store_i8,
    store_i64,
    vector,
    word,
)

WIDEST = 4 * compiled().lanes


# ---- the moves


def _move(b, target, source, nbytes):
    """Whole vectors; where the last one would reach beyond the end, it overlaps the one before."""

    def whole(size, at):
        store(b, load(b, b.add(source, at), vector(I8, size)), b.add(target, at))

    def narrower(size):
        size //= 2
        if size == 1:
            whole(1, number(0))
            return
        with b.if_else(b.icmp_signed(">=", nbytes, number(size))) as (wide, narrow):
            with wide:
                whole(size, number(0))
                whole(size, b.sub(nbytes, number(size)))
            with narrow:
                narrower(size)

    with b.if_else(b.icmp_signed(">=", nbytes, number(WIDEST))) as (long, short):
        with long:
            last = b.sub(nbytes, number(WIDEST))
            loop(b, last, [], lambda i, _: whole(WIDEST, i) or [], WIDEST)
            whole(WIDEST, last)
        with short:
            narrower(WIDEST)


def _move_element(type):
    return lambda b, target, source, nbytes: store(b, load(b, source, type), target)


def moving(emit):
    """move(target, source, nbytes); at least one byte."""
    return inline(types.void(types.int64, types.int64, types.int64), emit)


move = moving(_move)
MOVES = {"runs": move} | {f"runs{t.width // 8}": moving(_move_element(t)) for t in (I8, I16, I32, I64)}


def make_square(type, lanes):
    """square(target, target_nbytes, source, source_nbytes): lanes rows of lanes elements, rows become columns."""
    row = vector(type, lanes)

    def emit(b, target, target_nbytes, source, source_nbytes):
        rows = [load(b, b.add(source, b.mul(number(i), source_nbytes)), row) for i in range(lanes)]
        halves = [[half + k for k in range(lanes // 2) for half in (start, start + lanes)] for start in (0, lanes // 2)]
        step = 1
        while step < lanes:  # each time rows i and i + lanes / 2 are shuffled as a pack of cards is
            rows = [shuffle(b, rows[i], rows[i + lanes // 2], half) for i in range(lanes // 2) for half in halves]
            step *= 2
        for i, turned in enumerate(rows):
            store(b, turned, b.add(target, b.mul(number(i), target_nbytes)))

    return inline(types.void(*[types.int64] * 4), emit)


# ---- kernels


def make_runs(move):
    def runs(block, slots, first, last):
        """Blocks first..last - 1 of runs."""
        x = address(block, slots, RUNS.x) + word(block, RUNS.start)
        y = address(block, slots, RUNS.y) + word(block, RUNS.y_start)
        n1, n2, n3, n4 = word(block, RUNS.n1), word(block, RUNS.n2), word(block, RUNS.n3), word(block, RUNS.n4)
        nbytes, blocks, size = word(block, RUNS.nbytes), word(block, RUNS.blocks), word(block, RUNS.block)
        step, y_step = word(block, RUNS.x4), word(block, RUNS.y4)
        for unit in range(first, last):
            place = unit // blocks
            i4 = (unit - place * blocks) * size
            i3, place = place % n3, place // n3
            i2, place = place % n2, place // n2
            i1, i0 = place % n1, place // n1
            source = x + i0 * word(block, RUNS.x0) + i1 * word(block, RUNS.x1) + i2 * word(block, RUNS.x2)
            target = y + i0 * word(block, RUNS.y0) + i1 * word(block, RUNS.y1) + i2 * word(block, RUNS.y2)
            source += i3 * word(block, RUNS.x3) + i4 * step
            target += i3 * word(block, RUNS.y3) + i4 * y_step
            for _ in range(smaller(size, n4 - i4)):
                move(target, source, nbytes)
                source += step
                target += y_step
        return 0

    return runs


def make_transpose(type, lanes):
    square = make_square(type, lanes)

    def transpose(block, slots, first, last):
        """Blocks first..last - 1 of `lanes` runs, or more where it is the last, each along all of axis 3.

        Along axis 4 the runs are neighbours in x, along axis 3 in y. Both have at least `lanes` of them.
        """
        x = address(block, slots, RUNS.x) + word(block, RUNS.start)
        y = address(block, slots, RUNS.y) + word(block, RUNS.y_start)
        n1, n2, n3, n4 = word(block, RUNS.n1), word(block, RUNS.n2), word(block, RUNS.n3), word(block, RUNS.n4)
        blocks, size, step, y_step = (
            word(block, RUNS.blocks),
            word(block, RUNS.nbytes),
            word(block, RUNS.x3),
            word(block, RUNS.y4),
        )
        for unit in range(first, last):
            place = unit // blocks
            start = (unit - place * blocks) * lanes
            stop = start + lanes if unit + 1 < (place + 1) * blocks else n4
            i2, place = place % n2, place // n2
            i1, i0 = place % n1, place // n1
            source = x + i0 * word(block, RUNS.x0) + i1 * word(block, RUNS.x1) + i2 * word(block, RUNS.x2)
            target = y + i0 * word(block, RUNS.y0) + i1 * word(block, RUNS.y1) + i2 * word(block, RUNS.y2)
            for i in range(start, stop, lanes):
                i4 = smaller(i, n4 - lanes)  # the last squares overlap those before
                for j in range(0, n3, lanes):
                    i3 = smaller(j, n3 - lanes)
                    square(target + i3 * size + i4 * y_step, y_step, source + i3 * step + i4 * size, step)
        return 0

    return transpose


def fill(block, slots, first, last):
    """Stretches first..last - 1."""
    end = address(block, slots, FILL.y) + word(block, FILL.nbytes)
    y, pattern = address(block, slots, FILL.y), word(block, FILL.pattern)
    stop = smaller(y + last * FILLED, end)
    y += first * FILLED
    while y + 8 <= stop:
        store_i64(y, pattern)
        y += 8
    while y < stop:
        store_i8(y, pattern)
        pattern >>= 8
        y += 1
    return 0


def make_pick(load_index, nbytes):
    def pick(block, slots, first, last):
        """Rows first..last - 1 of y; 1 where an index is none of a row."""
        x, y = address(block, slots, PICK.x), address(block, slots, PICK.y)
        indices, size = address(block, slots, PICK.indices), word(block, PICK.nbytes)
        rows, count, outer = word(block, PICK.rows), word(block, PICK.count), word(block, PICK.outer)
        for unit in range(first, last):
            stretch = unit // count
            index = load_index(indices + (stretch // outer * count + unit - stretch * count) * nbytes)
            if index < 0 or index >= rows:
                return 1
            move(y + unit * size, x + (stretch * rows + index) * size, size)
        return 0

    return pick


def make_pixels(move):
    def pixels(block, slots, first, last):
        """Rows first..last - 1 of all images of y."""
        x, y = address(block, slots, PIXELS.x), address(block, slots, PIXELS.y)
        down, across = address(block, slots, PIXELS.down), address(block, slots, PIXELS.across)
        height, width, size = (
            word(block, PIXELS.out_height),
            word(block, PIXELS.out_width),
            word(block, PIXELS.pixel_nbytes),
        )
        for unit in range(first, last):
            image = unit // height
            row = x + image * word(block, PIXELS.image_nbytes) + load_i64(down + (unit - image * height) * 8)
            target = y + unit * width * size
            for column in range(width):
                move(target, row + load_i64(across + column * 8), size)
                target += size
        return 0

    return pixels


KERNELS = (
    {"fill": fill}
    | {name: make_runs(move) for name, move in MOVES.items()}
    | {name.replace("runs", "pixels"): make_pixels(move) for name, move in MOVES.items()}
    | {f"transpose{t.width // 8}": make_transpose(t, lanes) for t, lanes in ((I8, 16), (I16, 8), (I32, 8))}
    | {f"pick_i{bits}": make_pick(load, bits // 8) for bits, load in ((16, load_i16), (32, load_i32), (64, load_i64))}
)
