"""Words of source.conv_float, and its tiles."""

from typing import NamedTuple

from minitfl.engine.blocks import layout
from minitfl.engine.isa import Isa

UNROLL = 4  # values of depth in a turn of the innermost loop

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


class Tile(NamedTuple):
    """A tile of some vectors of channels: its sums, a pixel's value and the weights it meets fit the registers."""

    pixels: int
    fewer: int  # pixels of the tiles for what is left of an image
    ahead: int  # tiles, at least, that share in fetching the next panel

    def count(self, pixels: int) -> tuple[int, int]:
        """(tiles, how many of them are large) for the pixels of an image."""
        big, left = divmod(pixels, self.pixels)
        return big + -(-left // self.fewer), big


def tiles(isa: Isa) -> dict[int, Tile]:
    """By the vectors of channels."""
    if isa.registers == 16:
        return {1: Tile(6, 4, 4), 2: Tile(6, 4, 4)}
    return {1: Tile(10, 5, 4), 2: Tile(14, 8, 4), 3: Tile(8, 4, 6), 4: Tile(6, 4, 8)}
