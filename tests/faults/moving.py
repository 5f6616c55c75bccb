"""Faults: operators that move values."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "SPACE_TO_DEPTH takes blocks column by column",
        "kernels/layout.py",
        "    split = (batch, height // block, block, width // block, block, channels)\n"
        "    return Call(rearrange, (x, split, (0, 1, 3, 2, 4, 5), y), (y,))",
        "    split = (batch, height // block, block, width // block, block, channels)\n"
        "    return Call(rearrange, (x, split, (0, 1, 3, 4, 2, 5), y), (y,))",
        "kernels/test_layout.py::test_space_to_depth_takes_blocks_row_by_row",
    ),
    Fault(
        "SPACE_TO_BATCH_ND pads with 0 instead of the zero point",
        "kernels/layout.py",
        "zero = x.zero if x.quantization is not None else 0",
        "zero = 0",
        "kernels/test_layout.py::test_space_to_batch_pads_with_the_zero_point",
    ),
    Fault(
        "a negative axis of EXPAND_DIMS counts from the rank",
        "kernels/layout.py",
        "at += x.rank + 1 if at < 0 else 0",
        "at += x.rank if at < 0 else 0",
        "kernels/test_layout.py::test_squeeze_and_expand_dims",
    ),
    Fault(
        "crops are taken from the wrong end",
        "kernels/layout.py",
        "slice(before, before + n) for n, (before, _) in zip(kept, crops, strict=True)",
        "slice(before, before + n) for n, (_, before) in zip(kept, crops, strict=True)",
        "kernels/test_layout.py::test_batch_and_space",
    ),
    Fault(
        "uint8 CONCATENATION keeps the scale of its inputs",
        "kernels/join.py",
        "if (x_scale, x_zero) == (y_scale, y_zero):",
        "if True:",
        "kernels/test_join.py::test_uint8_inputs_come_to_the_output_scale",
    ),
    Fault(
        "a negative axis of PACK counts from the rank",
        "kernels/join.py",
        "axis += first.rank + 1 if axis < 0 else 0",
        "axis += first.rank if axis < 0 else 0",
        "kernels/test_join.py::test_pack_and_unpack",
    ),
    Fault(
        "RANGE multiplies instead of adding up",
        "kernels/shape.py",
        "        np.cumsum(steps, out=y)",
        "        y[...] = start + np.arange(y.size, dtype=y.dtype) * delta",
        "kernels/test_shape.py::test_range",
    ),
]
