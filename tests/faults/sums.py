"""Faults: exact sums."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "parts of weights are too long for float32",
        "kernels/exact.py",
        "if all(int(total) * x_most < 2**24 for total in sums):",
        "if all(int(total) * x_most < 2**26 for total in sums):",
        "kernels/test_requantize.py::test_exact_weights",
    ),
    Fault(
        "blocks of depth are too long for float32",
        "kernels/exact.py",
        "block = (2**24 - 1) // max(x_most * w_most, 1)",
        "block = (2**28 - 1) // max(x_most * w_most, 1)",
        "kernels/test_matmul.py::test_every_product_of_a_deep_row_counts",
    ),
    Fault(
        "the last block of depth is left out",
        "kernels/exact.py",
        "for start in range(0, depth, block):",
        "for start in range(0, depth - block + 1, block):",
        "kernels/test_matmul.py::test_every_product_of_a_deep_row_counts",
    ),
    Fault(
        "the last part of a deep filter is left out",
        "kernels/conv.py",
        "for start, stop in pairwise(cuts[1:]):",
        "for start, stop in pairwise(cuts[1:-1]):",
        "kernels/test_conv.py::test_every_product_of_a_deep_filter_counts",
    ),
]
