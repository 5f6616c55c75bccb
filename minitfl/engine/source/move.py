"""Kernels that only move bytes."""

from minitfl.engine.layouts.move import PAD
from minitfl.engine.source.ir import address, copy, fill, word


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


KERNELS = {"pad": pad}
