"""Hybrid arithmetic: float activations, stored 8-bit weights, sums of products in integers.

Each row of x is brought to 8 bits when it is met, x ~ scale * (q - zero) with a scale (and a zero) of its own, so that

    x @ w.T  ~  scale * w_scale * ((q - zero) @ stored_w.T)

"Row" is what shares a scale: a batch row of FULLY_CONNECTED, LSTM and SVDF, a whole image of CONV_2D.
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.fixedpoint import exact_matmul

HALF = np.nextafter(np.float32(0.5), np.float32(0))  # |x| + HALF, cut off, is |x| rounded half up in float32


def quantize_rows(x, asymmetric):
    """(q, scale, zero): q int8 like x, scale float32 (rows,), zero int64 (rows,), where x ~ scale * (q - zero).

    x (rows, depth) float32. Symmetric: -127..127 spans +-max|x|, zero is 0. Asymmetric: -128..127 spans the row's range,
    widened to hold 0. A row of zeros has scale 1. A row that holds inf or NaN has such a scale, and q of 0.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return _quantize_asymmetric(x) if asymmetric else _quantize_symmetric(x)


def hybrid_matmul(q, scale, zero, w, w_scale):
    """scale * w_scale * ((q - zero) @ w.T), float32 (rows, units), for what quantize_rows gives.

    w (units, depth) stored int8, w_scale a float32 or (units,). The sum of products is exact; rounded are the product of
    the two scales, the sum to float32, and the product of both.
    """
    total = exact_matmul(q, zero[:, None], w.T, 0).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        total *= scale[:, None] * np.asarray(w_scale, np.float32)
    return total


def _quantize_symmetric(x):
    largest = np.abs(x).max(-1, initial=0)
    empty = largest == 0
    largest[empty] = 127
    q = _rounded(x * (np.float32(127) / largest)[:, None], np.isfinite(largest))
    np.clip(q, -127, 127, out=q)
    return q.astype(np.int8), largest / np.float32(127), np.zeros(len(x), np.int64)


def _quantize_asymmetric(x):
    low, high = x.min(-1, initial=0), x.max(-1, initial=0)
    width = high - low
    empty = width == 0
    finite = np.isfinite(width)
    exact = np.where(empty | ~finite, 1.0, width.astype(np.float64) / 255)
    # the end whose error is smaller decides where zero lies
    below, above = low / exact, high / exact
    nearer = 128 + np.abs(below) < 127 + np.abs(above)
    zero = np.where(nearer, -128 - below, 127 - above)
    zero = np.clip(np.where(finite, zero, 0), -128, 127)
    zero = np.where(empty, 0, np.copysign(np.floor(np.abs(zero) + 0.5), zero)).astype(np.int64)
    scale = np.where(finite, exact, width).astype(np.float32)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    q = _rounded(x * inverse[:, None], finite)
    q += zero[:, None]
    np.clip(q, -128, 127, out=q)
    return q.astype(np.int8), scale, zero


def _rounded(x, finite):
    """x rounded half away from zero, in place; rows that are not finite become 0."""
    x += np.copysign(HALF, x)
    np.trunc(x, out=x)
    if not finite.all():
        x[~finite] = 0
    return x
