"""Words of source.resize."""

from minitfl.engine.blocks import layout

# units are rows of y, of all images; rows, columns: tables of PLACE for each row and column of y
BILINEAR = layout("Bilinear", "x rows columns y out_height out_width image_nbytes pixel_nbytes")

# both neighbours in x, in bytes, and the weight of the second: a float32, or 1024ths
PLACE = layout("Place", "before after weight")
