"""Faults: operators that reverse, spread and replace values, and read or write them where indices say."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "REVERSE_SEQUENCE reverses whole rows",
        "kernels/reverse.py",
        "source = np.where(i < lengths[:, np.newaxis], lengths[:, np.newaxis] - 1 - i, i)",
        "source = np.where(i < lengths[:, np.newaxis], n - 1 - i, i)",
        "kernels/test_reverse.py::test_the_rest_of_a_row_stays",
    ),
    Fault(
        "MATRIX_DIAG sets the last rows of flat matrices",
        "kernels/diagonal.py",
        'np.einsum("...ii->...i", y[..., : min(y.shape[-2:]), : min(y.shape[-2:])])',
        'np.einsum("...ii->...i", y[..., -min(y.shape[-2:]) :, : min(y.shape[-2:])])',
        "kernels/test_diagonal.py::test_matrix_set_diag",
    ),
    Fault(
        "what STABLEHLO_PAD cuts off rounds down",
        "kernels/dilate.py",
        "first = -(min(low, 0) // step)",
        "first = -min(low, 0) // step",
        "kernels/test_dilate.py::test_negative_padding_cuts_off",
    ),
    Fault(
        "an update past the end is cut instead of moved",
        "kernels/update.py",
        "begins = np.clip(start, 0, most).tolist()",
        "begins = np.maximum(start, 0).tolist()",
        "kernels/test_update.py::test_an_update_is_moved_inwards",
    ),
    Fault(
        "a window that does not fit is read past the end",
        "kernels/positions.py",
        "start = np.clip(starts[axes.index(axis)], 0, n - sizes[axis]) if axis in axes else 0",
        "start = np.clip(starts[axes.index(axis)], 0, n - 1) if axis in axes else 0",
        "kernels/test_positions.py::test_a_window_is_moved_inwards",
    ),
    Fault(
        "STABLEHLO_SCATTER lets NaN win a maximum",
        "kernels/positions.py",
        "inside &= ~np.isnan(updates)",
        "inside &= True",
        "kernels/test_positions.py::test_scatter",
    ),
]
