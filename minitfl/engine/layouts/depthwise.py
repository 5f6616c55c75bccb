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


def registers(isa):
    """How many vector registers there are."""
    return 32 if max(vectors * pixels for vectors, pixels in isa.tiles.items()) > 16 else 16


def float_tile(isa):
    """(rows, pixels)"""
    return (2, 7) if registers(isa) == 32 else (2, 4)


def int_tile(isa, down, stride):
    """(rows, pixels). Two rows where they need fewer quads of lines than two times one."""
    one, two = quads(down), quads(down + stride)
    if registers(isa) == 16:
        return 1, 2
    return 2 if two < 2 * one else 1, 7 if down == 3 else 2


def quads(lines):
    return -(-lines // 4)


def taps_of(rows, down, stride, quad):
    """{row of a tile: its taps, down, in the four lines of a quad; None where it has none}, of those that have some."""
    seen = {r: [4 * quad + i - r * stride for i in range(4)] for r in range(rows)}
    seen = {r: tuple(k if 0 <= k < down else None for k in taps) for r, taps in seen.items()}
    return {r: taps for r, taps in seen.items() if any(k is not None for k in taps)}


def places(rows, down, stride):
    """{(row of a tile, quad): its taps as taps_of says}, in the order of their weights in a column of taps."""
    count = quads((rows - 1) * stride + down)
    return {(r, quad): taps for quad in range(count) for r, taps in taps_of(rows, down, stride, quad).items()}
