"""From sums of products to stored values, many at a time: y = clip(rescaled(total + bias) + zero, low, high).

The rules are those of fixedpoint; here they are taken through large arrays in blocks, 8-bit results by way of float64.
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.fixedpoint import (
    observed,
    rescale,
    rescale_twice,
    rescale_twice_one,
    rescale_wide,
    rescale_wide_one,
    wrap_int32,
    wrap_int32_one,
)
from minitfl.op import scalar

RULES = {"once": rescale, "twice": rescale_twice, "wide": rescale_wide}


@observed
def requantize(total, bias, multiplier, shift, zero, low, high, rule, y):
    """y = clip(rescale(total + bias) + zero, low, high), for whole numbers `total` (rows, channels) held as floats.

    bias, multiplier, shift (channels,). rule: "once" is rescale, "twice" rescale_twice, "wide" rescale_wide.
    |total + bias| < 2**31, or 2**47 for "wide".

    8-bit results are computed in float64, to the bit, where -12 <= shift <= 0. Let t = total + bias, and all of
    |t * multiplier * 2**(shift - 31)| < 512, as the rest is clipped either way. "once": this product is a multiple of
    2**-43, found within 2**-45; 0.5 + zero is added within 2**-44; so floor can't err, and what is whole after the
    addition is found exactly. "twice": the product is at first left multiplied by 2**-shift, and then below 2**21, a
    multiple of 2**-31, found with 0.5 added within 2**-31. The second rounding is of multiples of 2**-12; to go away
    from zero, halves are first made longer by 2**-40 of themselves.
    """
    if rule == "wide" or low < -256 or high > 255:
        _requantize_integers(total, bias, multiplier, shift, zero, low, high, rule, y)
        return
    rows, channels = total.shape
    again = rows_in_line(rows, channels)
    bias64 = np.tile(np.asarray(bias, np.float64), again)
    exponent = shift - 31 if rule == "once" else -31
    first = np.tile(np.ldexp(np.asarray(multiplier, np.float64), exponent), again)
    second = np.tile(np.ldexp(1 + 2.0**-40, shift), again)
    step = max(1, (1 << 15) // max(again * channels, 1)) * again
    memory = np.empty(min(step, rows) * channels)
    for start in range(0, rows, step):
        part = total[start : start + step]
        out = memory[: part.size].reshape(part.shape)
        np.copyto(out, part)
        for lines, n in in_lines(out):
            lines += bias64[: n * channels]
            lines *= first[: n * channels]
            if rule == "twice":
                lines += 0.5
                np.floor(lines, out=lines)
                lines *= second[: n * channels]
            lines += 0.5 + zero
            np.floor(lines, out=lines)
        np.clip(out, low, high, out=out)
        np.copyto(y[start : start + step], out, casting="unsafe")
    odd = np.flatnonzero((shift < -12) | (shift > 0))
    if odd.size:
        few = np.empty((rows, odd.size), y.dtype)
        picked = (bias[odd], multiplier[odd], shift[odd])
        _requantize_integers(total[:, odd], *picked, zero, low, high, rule, few)
        y[:, odd] = few


def _requantize_integers(total, bias, multiplier, shift, zero, low, high, rule, y):
    step = max(1, (1 << 15) // max(total.shape[1], 1))
    for start in range(0, len(total), step):
        part = total[start : start + step].astype(np.int64) + bias
        part = wrap_int32(RULES[rule](part, multiplier, shift)) + zero
        np.copyto(y[start : start + step], np.clip(part, low, high), casting="unsafe")


@scalar
def requantize_one(total, multiplier, shift, zero, low, high, wide):
    """requantize for one sum, its bias included. wide: is the rule "wide"?"""
    rescaled = rescale_wide_one(total, multiplier, shift) if wide else rescale_twice_one(total, multiplier, shift)
    return min(max(wrap_int32_one(rescaled) + zero, low), high)


def rows_in_line(rows, channels):
    """How many rows are worth taking as one: NumPy is slow where lines are short."""
    return min(rows, max(1, 512 // max(channels, 1)))


def in_lines(total):
    """Yields (part, n): views of the rows of total, first those that are taken n in line, then the rest one by one."""
    rows, channels = total.shape
    again = rows_in_line(rows, channels)
    if again <= 1 or not total.flags.c_contiguous:
        yield total, 1
        return
    whole = rows - rows % again
    yield total[:whole].reshape(whole // again, again * channels), again
    if whole < rows:
        yield total[whole:], 1
