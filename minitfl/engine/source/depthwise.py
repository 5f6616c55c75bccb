"""How tiles walk over images whose channels are summed apart from each other.

A dilated window sees every second row, say, and so do all windows that start on such a row: the image falls into
phases, which are images of their own without dilation.
"""

from numba.extending import register_jitable

from minitfl.engine.layouts.depthwise import DEPTHWISE
from minitfl.engine.layouts.hybrid import IMAGE_NBYTES
from minitfl.engine.source.ir import add, address, load, word


def said(b, block, name, type):
    """A word of the block."""
    return load(b, add(b, block, 8 * getattr(DEPTHWISE, name)), type, 4)


@register_jitable
def phase_of(size, out_size, phase, phases, pad):
    """(first, shift, inside, count): window i of a phase starts at its position first + i * stride, which is `shift`
    + `phases` times that of the image; positions 0..inside - 1 are in the image. There are `count` windows."""
    first = (phase - pad) // phases
    shift = phase - pad - first * phases
    return first, shift, max(0, (size - shift + phases - 1) // phases), (out_size - phase + phases - 1) // phases


def make_walk(tile, rows, pixels, channels, x_nbytes, y_nbytes):
    """A kernel of tiles of `rows` by `pixels`, in blocks of `channels`; values have so many bytes.

    tile(block, table, x, outside, top, height, row_nbytes, column, width, pixel_nbytes, weights, y, y_row_nbytes,
    y_pixel_nbytes, rows, pixels, blocks, channels): x is the address of the first window, in row `top` and `column` of
    an image (height, width). From `outside` on there is what counts as the values of a row outside the image, as long
    as the image's and the filter's are together. `table` is the address of the image's numbers in hybrid kernels. Of
    the tile, `rows` by `pixels` are to be stored, for as many blocks of channels, of which `channels` are there.
    """

    def walk(block, slots, first, last):
        x, y = address(block, slots, DEPTHWISE.x), address(block, slots, DEPTHWISE.y)
        weights, outside = address(block, slots, DEPTHWISE.weights), address(block, slots, DEPTHWISE.outside)
        table = address(block, slots, DEPTHWISE.table)
        height, width = word(block, DEPTHWISE.height), word(block, DEPTHWISE.width)
        out_height, out_width = word(block, DEPTHWISE.out_height), word(block, DEPTHWISE.out_width)
        pixel_nbytes, y_pixel_nbytes = word(block, DEPTHWISE.pixel_nbytes), word(block, DEPTHWISE.y_pixel_nbytes)
        groups, group_blocks = word(block, DEPTHWISE.groups), word(block, DEPTHWISE.group_blocks)
        down, across = word(block, DEPTHWISE.phases_down), word(block, DEPTHWISE.phases_across)
        stride_down, stride_across = word(block, DEPTHWISE.stride_down), word(block, DEPTHWISE.stride_across)
        bands = ((out_height + down - 1) // down + rows - 1) // rows
        for unit in range(first, last):
            rest = unit // groups
            n = (unit - rest * groups) * group_blocks
            band = rest % bands
            rest //= bands
            image = rest // down
            phase = rest - image * down
            start, shift, inside, count = phase_of(height, out_height, phase, down, word(block, DEPTHWISE.pad_down))
            i = band * rows
            if i >= count:
                continue
            top = start + i * stride_down
            row = x + (image * height + shift + top * down) * width * pixel_nbytes + n * channels * x_nbytes
            y_row = y + (image * out_height + phase + i * down) * out_width * y_pixel_nbytes + n * channels * y_nbytes
            for phase in range(min(across, out_width)):
                begin, left, within, length = phase_of(
                    width, out_width, phase, across, word(block, DEPTHWISE.pad_across)
                )
                for j in range(0, length, pixels):
                    j = max(0, min(j, length - pixels))
                    column = begin + j * stride_across
                    tile(
                        block,
                        table + image * IMAGE_NBYTES,
                        row + (left + column * across) * pixel_nbytes,
                        outside,
                        top,
                        inside,
                        down * width * pixel_nbytes,
                        column,
                        within,
                        across * pixel_nbytes,
                        weights + n * word(block, DEPTHWISE.block_nbytes),
                        y_row + (phase + j * across) * y_pixel_nbytes,
                        down * out_width * y_pixel_nbytes,
                        across * y_pixel_nbytes,
                        count - i,
                        length - j,
                        min(group_blocks, word(block, DEPTHWISE.blocks) - n),
                        word(block, DEPTHWISE.channels) - n * channels,
                    )
        return 0

    return walk
