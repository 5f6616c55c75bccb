"""Words of source.lstm. Sums lie gate after gate, each in whole vectors of cells; sums_nbytes are those of one row."""

from minitfl.engine.blocks import layout

# `rows` rows of x through a stack of weights, to which rows of `added` are added; units are vectors of sums by rows,
# all rows of the first vector first
PRODUCTS = layout(
    "Products",
    "x row_nbytes rows depth weights weights_nbytes added added_start added_nbytes sums sums_nbytes",
)

# the gates of a step; units are rows of the state, c and h. input_gate: 0 where it is 1 less the forget gate. y: h once
# more. clip: of the cell state, 0 for none
_GATES = "sums sums_nbytes gate_nbytes input_gate cells c h y y_start y_nbytes clip"
GATES = layout("Gates", _GATES)

# logistic, tanh, tanh_cell: tables of int16 for -32768..32767, see kernels.gates; cell_shift: from products of gates to
# the cell state; multiplier, shift, zero: from Q30 to h
STORED_GATES = layout("StoredGates", f"{_GATES} logistic tanh tanh_cell cell_shift multiplier shift zero")
