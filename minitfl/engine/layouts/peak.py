"""Words of source.peak."""

from minitfl.engine.blocks import layout

# x: what the registers begin with, or what is read; y: a place for the result. units: rounds of `loops` loops
PEAK = layout("Peak", "x y loops")
CHAINS = 12  # sums that do not wait for each other
TILES = 4  # the same of AMX
