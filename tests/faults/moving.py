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
        "np.array(y.numbers[1] if x.dtype.itemsize < 4 else 0)",
        "np.array(0)",
        "kernels/test_layout.py::test_space_to_batch_pads_with_the_zero_point",
    ),
    Fault(
        "a negative axis of EXPAND_DIMS counts from the rank",
        "kernels/layout.py",
        "axis_of(site, int(value.reshape(-1)[0]), x.rank + 1)",
        "axis_of(site, int(value.reshape(-1)[0]), x.rank)",
        "kernels/test_layout.py::test_another_shape",
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
        "axis_of(site, axis, first.rank + 1)",
        "axis_of(site, axis, first.rank)",
        "kernels/test_join.py::test_pack_and_unpack",
    ),
    Fault(
        "RANGE multiplies instead of adding up",
        "kernels/shape.py",
        "        np.cumsum(steps, out=y)",
        "        y[...] = start + np.arange(y.size, dtype=y.dtype) * delta",
        "kernels/test_shape.py::test_range",
    ),
    Fault(
        "padding by a negative number cuts off the wrong side",
        "kernels/layout.py",
        "part = [slice(max(-before, 0), max(n + min(after, 0), 0))",
        "part = [slice(max(-after, 0), max(n + min(before, 0), 0))",
        "kernels/test_layout.py::test_negative_padding_cuts_off",
    ),
    Fault(
        "types are refused before they run",
        "kernels/broadcast.py",
        "    if all(t.data is not None for t in read):",
        "    if any(t.data is not None for t in read):",
        "kernels/test_join.py::test_types",
    ),
]
