"""Words of source.conv_float."""

from minitfl.engine.blocks import layout

# sums of products of windows, a panel of channels wide; units are tiles: panels * images * tiles of an image
CONV = layout(
    "Conv",
    "x weights weights_start y y_start pixels tiles images width step wrap image_nbytes"
    " rows row_nbytes taps tap_nbytes depth"
    " panel_nbytes panel_y_nbytes pixel_y_nbytes last low high",
)
