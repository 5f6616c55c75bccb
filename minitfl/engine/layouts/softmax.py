"""Words of source.softmax."""

from minitfl.engine.blocks import layout

# units are rows of `depth` values
ROWS = layout("Rows", "x y depth beta")

# rows of stored bytes; powers, terms: int32 by the distance from a row's largest, see kernels.softmax.softmax_int.
# turn: 128 where x is signed. nbytes: 1 or 2 of an element of y
STORED = layout("Stored", "x y depth powers terms turn nbytes low high")
