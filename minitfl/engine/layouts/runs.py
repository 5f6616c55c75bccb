"""Words of source.runs."""

from minitfl.engine.blocks import layout

# runs of `nbytes` contiguous bytes along four axes and one more, with a stride in x and y for each; units are blocks of
# `block` runs along the last axis, of which it has `blocks`, for each place along the others
RUNS = layout("Runs", "x start y y_start nbytes block blocks n1 n2 n3 n4 x0 x1 x2 x3 x4 y0 y1 y2 y3 y4")

# y filled with the same eight bytes again and again; units are stretches of FILLED bytes
FILL = layout("Fill", "y nbytes pattern")
FILLED = 1 << 14

# rows of x picked by index, `count` from each stretch of `rows` rows; units are the rows of y. Each `outer` stretches
# share their indices
PICK = layout("Pick", "x indices y rows count outer nbytes")

# pixels of images picked by tables of their places in bytes, along height and width; units are rows of y
PIXELS = layout("Pixels", "x down across y out_height out_width image_nbytes pixel_nbytes")
