"""Words of source.conv_int."""

from minitfl.engine.blocks import layout

# sums of products of windows, a panel of channels wide. Units are panels: `together` of them (in the end what is left)
# at each group of places, of all groups of a line, all lines, all images; then the next ones. A line is a run of
# `length` places that lie `step` bytes apart in x; in every `pitch` of them the first `width` are pixels of y. `less`
# are weights that all channels meet alike: their sums are taken from those of the panels.
CONV_INT = layout(
    "ConvInt",
    "x x_start x_flip y y_start config image_numbers less weights panels together panel_nbytes numbers_start"
    " images image_nbytes lines line_nbytes line_y_nbytes length step pitch width groups places"
    " rows row_nbytes taps tap_nbytes chunks pixel_y_nbytes channels low high flip",
)

# places of a tile whose sums are held in registers, by its width in vectors, for each isa.dot and isa.lanes
SHAPES = {
    ("amx", 16): {4: 6, 2: 12, 1: 24},
    ("vnni", 16): {4: 6, 2: 12, 1: 24},
    ("vnni", 8): {2: 6, 1: 12},
    ("pairs", 8): {2: 4, 1: 8},
    ("sdot", 4): {4: 5, 2: 10, 1: 20},
    ("widen", 4): {4: 4, 2: 8, 1: 16},
}
