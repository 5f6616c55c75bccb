"""Words of source.hybrid."""

from minitfl.engine.blocks import layout

# what the 8 bits of an image stand for, in 4 bytes each: float32, int32
IMAGE = layout("Image", "scale zero")
IMAGE_NBYTES = 4 * len(IMAGE)

# of a part of an image, in 4 bytes each, all float32: see source.hybrid
EXTREMES = layout("Extremes", "low high odd")
EXTREMES_NBYTES = 4 * len(EXTREMES)

# extremes of images of `count` floats, each in `parts` parts of `part` floats; units are parts
MEASURE = layout("Measure", "x extremes count parts part")

# a copy of images in 8 bits with a border around that stands for 0, and the numbers of each; the extremes are those of
# MEASURE. Units are rows of the copy, of all images; before and after are bytes, row and so on numbers of values
QUANTIZE = layout("Quantize", "x y images extremes parts height row padded_height before_rows before after low")
