"""Words of source.hybrid."""

from minitfl.engine.blocks import layout

# how an image is brought to 8 bits, in 4 bytes each: float32, int32, float32
IMAGE = layout("Image", "scale zero inverse")
IMAGE_NBYTES = 4 * len(IMAGE)

# the numbers of images of `count` floats; units are images
MEASURE = layout("Measure", "x images count")

# a copy of images in 8 bits with a border around that stands for 0: units are rows of the copy, of all images; before
# and after are bytes, row and so on numbers of values
QUANTIZE = layout("Quantize", "x y images height row padded_height before_rows before after low")
