"""Words of source.softmax."""

from minitfl.engine.blocks import layout

# units are rows of `depth` values
SOFTMAX = layout("Softmax", "x y depth beta")
