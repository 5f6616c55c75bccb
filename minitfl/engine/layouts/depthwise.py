"""Words of source.depthwise_float and source.depthwise_int, and the tiles that both sides agree upon."""

from minitfl.engine.blocks import layout

# windows of single channels; units are rows of tiles, of groups of blocks of channels, of phases, of all images
DEPTHWISE = layout(
    "Depthwise",
    "x y weights outside table"
    " height width pixel_nbytes out_height out_width y_pixel_nbytes"
    " taps_down taps_across stride_down stride_across dilation_down dilation_across pad_down pad_across"
    " phases_down phases_across"
    " groups group_blocks blocks channels block_nbytes"
    " low high turn_x turn_y",
)

SIDES = (3, 5, 7)  # of filters that have kernels of their own, with strides of 1 and 2


def float_tile(isa):
    """(rows, pixels)"""
    return (2, 7) if isa.registers == 32 else (2, 4)


INT_TILE = (1, 7)


def fours(down):
    """The taps of a column of the filter by four lines, None where there are no more."""
    return [tuple(k if k < down else None for k in range(i, i + 4)) for i in range(0, down, 4)]
