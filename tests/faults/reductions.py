"""Faults: segments, order, windows that reduce, suppression."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "exclusive sums are inclusive",
        "kernels/segment.py",
        "x, y = x[:-1], y[1:]",
        "x, y = x[1:], y[1:]",
        "kernels/test_segment.py::test_sums_of_all_before",
    ),
    Fault(
        "a negative id counts from the end",
        "kernels/segment.py",
        "counted = ids >= 0",
        "counted = ids >= -1",
        "kernels/test_segment.py::test_segments_in_any_order",
    ),
    Fault(
        "an empty segment's highest is infinite",
        "kernels/fixedpoint.py",
        'return (-FLOAT32_MAX, FLOAT32_MAX) if type == "float32"',
        'return (-math.inf, math.inf) if type == "float32"',
        "kernels/test_segment.py::test_unsorted[UNSORTED_SEGMENT_MAX-float32]",
    ),
    Fault(
        "different values come in rising order",
        "kernels/order.py",
        "places = np.argsort(first)",
        "places = np.arange(first.size)",
        "kernels/test_order.py::test_unique_values_in_the_order_they_come_in",
    ),
    Fault(
        "a boundary belongs to the bucket below",
        "kernels/order.py",
        'copy=False), side="right")',
        'copy=False), side="left")',
        "kernels/test_order.py::test_a_boundary_belongs_to_the_bucket_above",
    ),
    Fault(
        "NaN is never the larger",
        "kernels/reduce_window.py",
        "return np.where(a >= b, a, b)",
        "return np.fmax(a, b)",
        "kernels/test_reduce_window.py::test_nan_lasts_only_if_it_comes_last",
    ),
    Fault(
        "what is padded is 0",
        "kernels/reduce_window.py",
        "spread = np.full(shape, init.reshape(-1)[0], x.dtype)",
        "spread = np.zeros(shape, x.dtype)",
        "kernels/test_reduce_window.py::test_what_is_spread_and_padded_is_the_first_value",
    ),
    Fault(
        "of equal boxes the first comes first",
        "kernels/suppression.py",
        "if sigma > 0 or np.unique(scores[found]).size < found.size:",
        "if sigma > 0:",
        "kernels/test_suppression.py::test_of_equals_the_heap_decides",
    ),
    Fault(
        "a score falls again for boxes that it has fallen for",
        "kernels/suppression.py",
        "seen[box] = len(chosen)",
        "seen[box] = 0",
        "kernels/test_suppression.py::test_scores_fall_with_the_square_of_what_is_shared",
    ),
    Fault(
        "boxes may overlap as much as the limit",
        "kernels/suppression.py",
        "clear = ~(_shares(sides, left, left[0]) >= overlap)",
        "clear = ~(_shares(sides, left, left[0]) > overlap)",
        "kernels/test_suppression.py::test_suppression",
    ),
]
