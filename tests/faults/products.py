"""Faults: sums of products."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "the bias is dropped",
        "kernels/dense.py",
        "rescale_real(np.add(total, bias, dtype=np.float64), factor)",
        "rescale_real(total, factor)",
        "kernels/test_dense.py::test_int8_by_hand",
    ),
    Fault(
        "the weights' zero point has the wrong sign",
        "kernels/dense.py",
        "w_zero = int(w_zero[0])",
        "w_zero = -int(w_zero[0])",
        "kernels/test_dense.py::test_integers[uint8-uint8-int32]",
    ),
    Fault(
        "the axes of x are not kept",
        "kernels/dense.py",
        "return (*shape[:-1], units)",
        "return x.size // depth, units",
        "kernels/test_dense.py::test_float",
    ),
    Fault(
        "all units are scaled like the first",
        "kernels/dense.py",
        "factor = np.broadcast_to(product / y_scale, units)",
        "factor = np.broadcast_to(product[0] / y_scale, units)",
        "kernels/test_dense.py::test_integers[int8-int8-int32]",
    ),
    Fault(
        "the last rows of a batch are left out",
        "kernels/dense.py",
        "for start in range(0, len(x), step):",
        "for start in range(0, len(x) - step + 1, step):",
        "kernels/test_dense.py::test_blocks_change_nothing",
    ),
    Fault(
        "negative numbers do not count for a row's scale",
        "kernels/hybrid.py",
        "np.maximum(x.max(-1, initial=0), -x.min(-1, initial=0))",
        "x.max(-1, initial=0)",
        "kernels/test_dense.py::test_hybrid[int8-]",
    ),
    Fault(
        "a row's range does not hold 0",
        "kernels/hybrid.py",
        "low, high = x.min(-1, initial=0), x.max(-1, initial=0)",
        "low, high = x.min(-1), x.max(-1)",
        "kernels/test_dense.py::test_hybrid[int8-]",
    ),
    Fault(
        "the zero point of the second operand is left out",
        "kernels/matmul.py",
        "total = exact_matmul(x, x_zero, w, w_zero)",
        "total = exact_matmul(x, x_zero, w, 0)",
        "kernels/test_matmul.py::test_int8_by_hand",
    ),
    Fault(
        "a part of a volume starts where the volume does",
        "kernels/conv3d.py",
        "block[n].start * stride[n] + tap[n]",
        "tap[n]",
        "kernels/test_conv3d.py::test_differential[small blocks-bias-CONV_3D]",
    ),
    Fault(
        "dilations are those of the height",
        "kernels/conv3d.py",
        'f"dilation_{axis}_factor"',
        '"dilation_h_factor"',
        "kernels/test_conv3d.py::test_differential[-bias-CONV_3D_TRANSPOSE]",
    ),
    Fault(
        "the places inside a block are not stretched over its dimension",
        "kernels/sparse.py",
        "by_dimension[dimension] += at * block[dimension]",
        "by_dimension[dimension] += at",
        "kernels/test_sparse.py::test_by_hand",
    ),
    Fault(
        "blocks of weights have the scales of other units",
        "kernels/dense.py",
        "scales.reshape(blocks))",
        "scales.reshape(blocks, order='F'))",
        "kernels/test_dense.py::test_blockwise[]",
    ),
    Fault(
        "shuffled weights are taken as they lie",
        "kernels/dense.py",
        "4, 16).swapaxes(1, 2).reshape(units, depth)",
        "4, 16).reshape(units, depth)",
        "kernels/test_dense.py::test_shuffled",
    ),
    Fault(
        "sums of sparse products are rounded once",
        "kernels/dense.py",
        '"wide" if w.type == "int16" else "twice"',
        '"wide" if w.type == "int16" else "once"',
        "kernels/test_dense.py::test_sparse_int8",
    ),
]
