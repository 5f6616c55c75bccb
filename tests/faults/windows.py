"""Faults: windows and convolutions."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "an odd border lies before",
        "kernels/windows.py",
        "return out_size, border // 2, border - border // 2",
        "return out_size, border - border // 2, border // 2",
        "kernels/test_windows.py::test_window_by_hand",
    ),
    Fault(
        "a dilated window reaches no further",
        "kernels/windows.py",
        "reach = (filter - 1) * dilation + 1",
        "reach = filter",
        "kernels/test_windows.py::test_window_by_hand",
    ),
    Fault(
        "the dilation along the width is taken for both",
        "kernels/windows.py",
        "(down * self.dilation[0], ",
        "(down * self.dilation[1], ",
        "kernels/test_windows.py::test_windows_are_all_there_and_hold_what_they_meet",
    ),
    Fault(
        "the border on the right holds what was there before",
        "kernels/windows.py",
        "held[low:high, :near], held[low:high, far:])",
        "held[low:high, :near])",
        "kernels/test_windows.py::test_windows_are_all_there_and_hold_what_they_meet",
    ),
    Fault(
        "the last rows of windows are left out",
        "kernels/windows.py",
        "for top in range(0, out_height, tall):",
        "for top in range(0, max(out_height - tall, 0) + 1, tall):",
        "kernels/test_windows.py::test_windows_are_all_there_and_hold_what_they_meet",
    ),
    Fault(
        "all channels are scaled like the first",
        "kernels/sums.py",
        "np.broadcast_to(x.scale * scales / y.scale, channels)",
        "np.broadcast_to(x.scale * scales[0] / y.scale, channels)",
        "kernels/test_conv.py::test_differential[-int8 per unit]",
    ),
    Fault(
        "units are dealt out to the groups in turn",
        "kernels/conv.py",
        "matrix = used.reshape(groups, units // groups, length).swapaxes(1, 2)",
        "matrix = used.reshape(units // groups, groups, length).transpose(1, 2, 0)",
        "kernels/test_conv.py::test_groups_by_hand",
    ),
    Fault(
        "all images are scaled like the first",
        "kernels/conv.py",
        "block *= scale[image] * w_scale",
        "block *= scale[0] * w_scale",
        "kernels/test_conv.py::test_differential[-hybrid]",
    ),
    Fault(
        "an input's zero point is left out",
        "kernels/sums.py",
        'np.subtract(part, x_zero, out=out, dtype=out.dtype, casting="unsafe")',
        'np.copyto(out, part, casting="unsafe")',
        "kernels/test_depthwise.py::test_differential[--int8]",
    ),
    Fault(
        "border is added where it is to be cut",
        "kernels/transpose_conv.py",
        "k - pad[0] - top",
        "k + pad[0] - top",
        "kernels/test_transpose_conv.py::test_differential[--float32]",
    ),
    Fault(
        "the stride along the height is taken for both",
        "kernels/transpose_conv.py",
        "meeting(width, stride[1], ",
        "meeting(width, stride[0], ",
        "kernels/test_transpose_conv.py::test_differential[--float32]",
    ),
]
