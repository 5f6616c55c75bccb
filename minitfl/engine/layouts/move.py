"""Words of source.move."""

from minitfl.engine.blocks import layout

# a copy of images with a border around: units are rows of the copy, of all images
PAD = layout("Pad", "x y height row_nbytes padded_height before before_nbytes after_nbytes byte")

# each value several times in a row; units are values
REPEAT = layout("Repeat", "x y times")
