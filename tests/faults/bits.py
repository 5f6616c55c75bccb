"""Faults: bits, plain arithmetic, and what quantization would do."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a shift may take all bits",
        "kernels/bits.py",
        "np.clip(x2, 0, 8 * y.dtype.itemsize - 1)",
        "np.clip(x2, 0, 8 * y.dtype.itemsize)",
        "kernels/test_bits.py::test_a_shift_keeps_the_sign_and_ends_at_the_last_bit",
    ),
    Fault(
        "a number is split along the first axis",
        "kernels/bits.py",
        "shape = (*shape, x.dtype.itemsize // y.dtype.itemsize)",
        "shape = (x.dtype.itemsize // y.dtype.itemsize, *shape)",
        "kernels/test_bits.py::test_bitcast_splits_and_joins_the_last_axis",
    ),
    Fault(
        "the second wins over NaN",
        "kernels/stablehlo.py",
        "y[...] = np.where(x1 < x2, x2, x1)",
        "y[...] = np.where(x1 >= x2, x1, x2)",
        "kernels/test_stablehlo.py::test_the_first_stays_where_one_is_nan",
    ),
    Fault(
        "a sum of many is clamped at its end alone",
        "kernels/add_n.py",
        "        np.clip(y, low, high, out=y)",
        "    np.clip(y, low, high, out=y)",
        "kernels/test_add_n.py::test_add_n[float32]",
    ),
    Fault(
        "zero need not be a step",
        "kernels/fake_quant.py",
        "return -zero * scale, (steps - zero) * scale, scale",
        "return low, high, scale",
        "kernels/test_fake_quant.py::test_zero_is_made_a_step",
    ),
    Fault(
        "a reference that is too large passes",
        "kernels/fake_quant.py",
        "wrong = np.abs(y) > most",
        "wrong = y > most",
        "kernels/test_fake_quant.py::test_tolerance[int8]",
    ),
    Fault(
        "the last pair of halves is left out",
        "kernels/hadamard.py",
        "while half < n:",
        "while 2 * half < n:",
        "kernels/test_hadamard.py::test_four_numbers",
    ),
    Fault(
        "a comparison gives the type that the file says",
        "kernels/elementwise.py",
        '"bool" if site.op in COMPARISONS else y.type',
        "y.type",
        "kernels/test_elementwise.py::test_results[LESS]",
    ),
    Fault(
        "constants of a wrong type are told of too late",
        "kernels/broadcast.py",
        "if all(t.data is not None for t in read):",
        "if False:",
        "kernels/test_elementwise.py::test_constants_of_a_refused_type[MUL]",
    ),
]
