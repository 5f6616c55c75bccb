"""Faults: rounding and rescaling."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a shift to the right rounds negative halves up",
        "kernels/fixedpoint.py",
        "return np.right_shift(x + (half + down), exponent)",
        "return np.right_shift(x + half, exponent)",
        "kernels/test_arithmetic.py::test_powers_of_two[ADD]",
    ),
    Fault(
        "reals are rounded half to even",
        "kernels/fixedpoint.py",
        "return np.trunc(np.add(x, np.copysign(half, x), out=out), out=out)",
        "return np.rint(x, out=out)",
        "kernels/test_dense.py::test_a_negative_tie_goes_away_from_zero",
    ),
    Fault(
        "the number below one half is rounded up",
        "kernels/fixedpoint.py",
        "half = np.nextafter(x.dtype.type(0.5), x.dtype.type(0))",
        "half = x.dtype.type(0.5)",
        "kernels/test_requantize.py::test_rounding_by_hand",
    ),
    Fault(
        "a rescaling rounds half down",
        "kernels/fixedpoint.py",
        "return np.right_shift(np.asarray(total, np.int64) * multiplier + half, right)",
        "return np.right_shift(np.asarray(total, np.int64) * multiplier + half - 1, right)",
        "kernels/test_requantize.py::test_requantize[int16-once]",
    ),
    Fault(
        "sums of convolutions are rescaled with one rounding",
        "kernels/requantize.py",
        "                lines += 0.5\n                np.floor(lines, out=lines)\n                lines *= second",
        "                lines *= second",
        "kernels/test_conv.py::test_int8_rounds_twice",
    ),
    Fault(
        "a 15-bit multiplier is cut off",
        "kernels/fixedpoint.py",
        "np.minimum(shift_half_up(multiplier, 16), 0x7FFF)",
        "np.minimum(multiplier >> 16, 0x7FFF)",
        "kernels/test_requantize.py::test_requantize[int16-wide]",
    ),
    Fault(
        "a multiplier that rounds up to 1 keeps its shift",
        "kernels/fixedpoint.py",
        "        multiplier //= 2\n        shift += 1\n",
        "        multiplier //= 2\n",
        "kernels/test_requantize.py::test_multipliers_by_hand",
    ),
    Fault(
        "the last rows of a block are not rescaled",
        "kernels/requantize.py",
        "    if whole < rows:\n        yield total[whole:], 1\n",
        "",
        "kernels/test_requantize.py::test_requantize[int8-twice]",
    ),
    Fault(
        "large shifts take the bias of the first channels",
        "kernels/requantize.py",
        "picked = (bias[odd], ",
        "picked = (bias[: odd.size], ",
        "kernels/test_requantize.py::test_requantize[int8-twice]",
    ),
    Fault(
        "a fused activation forgets the zero point",
        "kernels/fixedpoint.py",
        "high = min(high, quantize_one(real_high, scale, zero))",
        "high = min(high, quantize_one(real_high, scale, 0))",
        "kernels/test_arithmetic.py::test_quantized[ADD-int8]",
    ),
    Fault(
        "int8 stops at 128",
        "kernels/fixedpoint.py",
        '"int8": (-128, 127)',
        '"int8": (-128, 128)',
        "kernels/test_convert.py::test_halves_are_rounded_away_from_zero",
    ),
    Fault(
        "a shift of 16 bits by 16 leaves nothing",
        "kernels/fixedpoint.py",
        "return np.where(np.asarray(x) < 0, np.int64(-1), np.int64(1))",
        "return rounding_shift(x, exponent)",
        "kernels/test_activation.py::test_hard_swish_of_small_steps_by_hand",
    ),
    Fault(
        "distances in a row saturate instead of wrapping",
        "kernels/softmax.py",
        "rescale_wrapped(distance, *factor)",
        "rescale_twice(distance, *factor)",
        "kernels/test_softmax.py::test_a_large_scale_of_int16",
    ),
]
