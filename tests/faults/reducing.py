"""Faults: pooling and reductions."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "an average counts the border",
        "kernels/pool.py",
        "np.minimum(starts + filter[axis], x.shape[axis + 1]) - np.maximum(starts, 0)",
        "np.full(len(starts), filter[axis])",
        "kernels/test_pool.py::test_an_average_counts_only_what_lies_inside",
    ),
    Fault(
        "a negative average rounds half up",
        "kernels/pool.py",
        "np.copysign(count // 2, total)",
        "count // 2",
        "kernels/test_pool.py::test_an_integer_average_rounds_half_away_from_zero",
    ),
    Fault(
        "NaN is the largest",
        "kernels/pool.py",
        "np.fmax, lowest",
        "np.maximum, lowest",
        "kernels/test_pool.py::test_maximum_of_floats",
    ),
    Fault(
        "each block of windows counts from the top",
        "kernels/pool.py",
        "row = (row + len(block)) % y.shape[1]",
        "row = 0",
        "kernels/test_pool.py::test_images_in_blocks[AVERAGE_POOL_2D]",
    ),
    Fault(
        "a mean is over one too many",
        "kernels/reduce.py",
        "(multiplier << bits) // count",
        "(multiplier << bits) // (count + 1)",
        "kernels/test_reduce.py::test_a_mean_of_stored_integers",
    ),
    Fault(
        "a negative axis counts from the front",
        "kernels/reduce.py",
        "axes.add(axis % x.rank)",
        "axes.add(axis % x.rank if axis >= 0 else -axis - 1)",
        "kernels/test_reduce.py::test_axes_count_from_either_end_and_once",
    ),
    Fault(
        "keep_dims is ignored",
        "kernels/reduce.py",
        "keep = bool(site.options.keep_dims)",
        "keep = False",
        "kernels/test_reduce.py::test_sums_of_floats[SUM]",
    ),
    Fault(
        "a mean of whole numbers goes down",
        "kernels/fixedpoint.py",
        "quotient + ((rest != 0) & (a < 0))",
        "quotient",
        "kernels/test_reduce.py::test_whole_means_are_cut",
    ),
    Fault(
        "the zero point is taken off once for all values",
        "kernels/reduce.py",
        "total - x_zero * count",
        "total - x_zero",
        "kernels/test_reduce.py::test_a_mean_of_stored_integers",
    ),
]
