"""Words of source.softmax."""

from minitfl.engine.blocks import layout

# units are rows of `depth` values
ROWS = layout("Rows", "x y depth beta")

# rows of stored bytes; powers, terms, reals: int32, int32 and float32 by the distance from a row's largest, see
# kernels.softmax.softmax_int. turn: 128 where x is signed.
STORED = layout("Stored", "x y depth powers terms reals turn low high scale rounding zero")
UP, AWAY = 0, 1  # how reals are rounded: halves up, or away from zero
