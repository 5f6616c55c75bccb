"""Words of source.depthwise_float and source.depthwise_int."""

from minitfl.engine.blocks import layout

# windows of single channels; units are rows of tiles, of groups of blocks of channels, of phases, of all images
DEPTHWISE = layout(
    "Depthwise",
    "x y weights outside"
    " height width pixel_nbytes out_height out_width y_pixel_nbytes"
    " taps_down taps_across stride_down stride_across dilation_down dilation_across pad_down pad_across"
    " phases_down phases_across"
    " groups group_blocks blocks channels block_nbytes"
    " low high",
)
