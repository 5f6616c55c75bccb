"""Words of source.pool."""

from minitfl.engine.blocks import layout

# windows of `rows` by `columns` pixels that slide over images by steps of `down` and `across`, the first of them `top`
# and `left` outside; units are rows of the output, of all images, a panel of channels wide. divisor: what sums are
# divided by, 0 for as many pixels as lie inside the image; or else they are rescaled, (sum - offset) * multiplier *
# 2**(shift - 31) + zero
POOL = layout(
    "Pool",
    "x start y y_start height width pixel_nbytes out_height out_width pixel_y_nbytes"
    " rows columns down across top left panels channels divisor low high offset multiplier shift zero",
)
SHORT = 128  # bytes that a window can have to be summed in 16 bits
