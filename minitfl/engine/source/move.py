"""Kernels that only move bytes."""

from minitfl.engine.layouts.move import PAD, REPEAT
from minitfl.engine.source.ir import address, copy, fill, load_i8, load_i32, store_i8, store_i32, word


def pad(block, slots, first, last):
    """Rows of images copied with a border of one byte value around each image."""
    x, y = address(block, slots, PAD.x), address(block, slots, PAD.y)
    height, row_nbytes = word(block, PAD.height), word(block, PAD.row_nbytes)
    padded_height, before = word(block, PAD.padded_height), word(block, PAD.before)
    left, right, byte = word(block, PAD.before_nbytes), word(block, PAD.after_nbytes), word(block, PAD.byte)
    padded_nbytes = left + row_nbytes + right
    for unit in range(first, last):
        image = unit // padded_height
        row = unit - image * padded_height - before
        at = y + unit * padded_nbytes
        if row < 0 or row >= height:
            fill(at, byte, padded_nbytes)
        else:
            fill(at, byte, left)
            copy(at + left, x + (image * height + row) * row_nbytes, row_nbytes)
            fill(at + left + row_nbytes, byte, right)
    return 0


def make_repeat(load, store, nbytes):
    def repeat(block, slots, first, last):
        """Each value several times in a row."""
        x, y = address(block, slots, REPEAT.x), address(block, slots, REPEAT.y)
        times = word(block, REPEAT.times)
        for i in range(first, last):
            value = load(x + i * nbytes)
            for n in range(times):
                store(y + (i * times + n) * nbytes, value)
        return 0

    return repeat


KERNELS = {
    "pad": pad,
    "repeat1": make_repeat(load_i8, store_i8, 1),
    "repeat4": make_repeat(load_i32, store_i32, 4),
}
