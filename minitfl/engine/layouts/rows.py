"""Words of source.rows."""

from minitfl.engine.blocks import layout

# units are rows of `depth` values, of each of which come y_nbytes; factor: what a sum is multiplied by
ROWS = layout("Rows", "x depth factor y y_nbytes")
