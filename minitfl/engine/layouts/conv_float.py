"""Words of source.conv_float, and the shapes of its tiles."""

from typing import NamedTuple

from minitfl.engine.blocks import layout
from minitfl.engine.isa import Isa

UNROLL = 4  # values of depth in a turn of the innermost loop
AHEAD = 4  # tiles, at least, that share in fetching the next panel

# sums of products of windows, a panel of channels wide; units are tiles: all tiles of all panels, a chunk at a time
CONV = layout(
    "Conv",
    "x x_start weights weights_start y y_start"
    " pixels tiles big images chunk panels"  # what there is to do
    " width step wrap image_nbytes y_step y_wrap image_y_nbytes"  # from pixel to pixel
    " rows row_nbytes taps tap_nbytes depth"  # in a window
    " panel_nbytes panel_y_nbytes image_weights_nbytes last low high",
)
# the panels of weights that are computed while running; units are panels, of all images
PACK = layout(
    "Pack", "x x_start y y_start panels width channels depth channel_nbytes depth_nbytes image_nbytes image_y_nbytes"
)


class Shape(NamedTuple):
    """Of the largest tile: its sums, the weights of a value of depth and a pixel's value fit the registers."""

    vectors: int  # of channels
    pixels: int
    fewer: int  # pixels of the tiles for what is left of an image

    def tiles(self, pixels: int) -> tuple[int, int]:
        """(tiles, how many of them are large) for the pixels of an image."""
        big, left = divmod(pixels, self.pixels)
        return big + -(-left // self.fewer), big


def shape(isa: Isa) -> Shape:
    return Shape(2, 6, 4) if isa.lanes == 8 else Shape(2, 14, 8)
