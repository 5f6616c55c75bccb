"""Faults: reading."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "the second nibble comes first",
        "contents.py",
        "[(used >> (bits * n)) & ((1 << bits) - 1) for n in range(per_byte)]",
        "[(used >> (bits * n)) & ((1 << bits) - 1) for n in reversed(range(per_byte))]",
        "test_load.py::test_four_bits",
    ),
    Fault(
        "4-bit integers lose their sign",
        "contents.py",
        'if kind.startswith("int"):',
        'if kind.startswith("uint"):',
        "test_load.py::test_four_bits",
    ),
    Fault(
        "sparse blocks are not multiplied out",
        "kernels/sparse.py",
        "by_dimension[dimension] += at * block[dimension]",
        "by_dimension[dimension] += at",
        "test_load.py::test_sparse_blocks",
    ),
    Fault(
        "string offsets are not checked against the buffer",
        "contents.py",
        "or ends[-1] > len(data)",
        "",
        "test_load.py::test_damaged_strings",
    ),
]
