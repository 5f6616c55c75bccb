"""Faults: conversions."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "QUANTIZE rounds half to even",
        "kernels/convert.py",
        "whole = round_away_finite(quotient)",
        "whole = np.rint(quotient)",
        "kernels/test_convert.py::test_halves_are_rounded_away_from_zero",
    ),
    Fault(
        "a cast to an integer wraps",
        "kernels/convert.py",
        "np.where(whole <= low, low, high))",
        "whole.astype(np.int64).astype(y.dtype))",
        "kernels/test_convert.py::test_a_cast_to_integers_saturates",
    ),
    Fault(
        "a response sees one neighbour less",
        "kernels/normalise.py",
        "min(radius, depth - 1) + 1)",
        "min(radius, depth - 1))",
        "kernels/test_normalise.py::test_a_response_counts_its_neighbours_on_both_sides",
    ),
    Fault(
        "a row of zeros is divided by its length",
        "kernels/normalise.py",
        "np.maximum(norm, np.float32(LEAST_NORM))",
        "norm",
        "kernels/test_normalise.py::test_rows_get_length_1",
    ),
    Fault(
        "pixel centers are not moved back",
        "kernels/resize.py",
        "* scale - np.float32(0.5) if centers",
        "* scale if centers",
        "kernels/test_resize.py::test_where_columns_lie",
    ),
    Fault(
        "mixed integers are rounded half up",
        "kernels/resize.py",
        "rounding_shift(total, 2 * FRACTION)",
        "(total + (1 << 19)) >> 20",
        "kernels/test_resize.py::test_integers_are_rounded_half_away_from_zero",
    ),
    Fault(
        "a rounded scale leads past the image",
        "kernels/resize.py",
        "lower = np.clip(place >> FRACTION, 0, size - 1)",
        "lower = np.maximum(place >> FRACTION, 0)",
        "kernels/test_resize.py::test_a_rounded_scale_stays_inside",
    ),
    Fault(
        "a tie of bfloat16 goes up",
        "kernels/fixedpoint.py",
        "np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))",
        "np.uint32(0x8000)",
        "kernels/test_convert.py::test_bfloat16_ties_go_to_the_even_number",
    ),
]
