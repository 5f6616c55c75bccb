"""Hybrid arithmetic: float activations, stored 8-bit weights, sums of products in integers.

Each row of x is brought to 8 bits when it is met, x ~ scale * (q - zero) with a scale (and a zero) of its own, so that

    x @ w.T  ~  scale * w_scale * ((q - zero) @ stored_w.T)

"Row" is what shares a scale: a batch row of FULLY_CONNECTED, LSTM and SVDF, a whole image of CONV_2D.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.exact import exact_matmul, exact_product, exact_weights
from minitfl.kernels.fixedpoint import round_away
from minitfl.op import Site


def quantize_rows(x, asymmetric):
    """(q, scale, zero): q int8 like x, scale float32 (rows,), zero int64 (rows,), where x ~ scale * (q - zero).

    x (rows, depth) float32. Symmetric: -127..127 spans +-max|x|, zero is 0. Asymmetric: -128..127 spans the row's
    range, widened to hold 0. A row of zeros has scale 1. A row that holds inf or NaN has such a scale, and q of 0.
    """
    scale, inverse, zero = row_scales(x, asymmetric)
    q = np.empty(x.shape, np.int8)
    quantize_into(x, inverse[:, None], zero[:, None], asymmetric, q)
    return q, scale, zero


def row_scales(x, asymmetric):
    """(scale, inverse, zero) of quantize_rows: float32, float32, int64 (rows,). The inverse is rounded on its own."""
    if not asymmetric:
        largest = np.maximum(x.max(-1, initial=0), -x.min(-1, initial=0))
        finite = np.isfinite(largest)
        empty = largest == 0
        spans = np.where(empty | ~finite, np.float32(127), largest)
        with np.errstate(over="ignore"):
            inverse = np.where(finite & ~empty, np.float32(127) / spans, np.float32(0))
        scale = np.where(empty, np.float32(1), largest / np.float32(127))
        return scale, inverse, np.zeros(len(x), np.int64)
    low, high = x.min(-1, initial=0), x.max(-1, initial=0)
    with np.errstate(invalid="ignore", over="ignore"):
        width = (high - low).astype(np.float64) / 255  # the difference is rounded to float32
    finite = np.isfinite(width)
    empty = width == 0
    exact = np.where(empty | ~finite, 1.0, width)
    # the end whose error is smaller decides where zero lies
    with np.errstate(invalid="ignore"):
        below, above = low / exact, high / exact
        zero = np.where(128 + np.abs(below) < 127 + np.abs(above), -128 - below, 127 - above)
        zero = np.clip(np.where(finite & ~empty, zero, 0), -128, 127)
    zero = round_away(zero).astype(np.int64)
    scale = np.where(finite, exact, width).astype(np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(finite & ~empty, np.float32(1) / scale, np.float32(0))
    return scale, inverse, zero


def quantize_into(x, inverse, zero, asymmetric, out):
    """out = zero + (x * inverse rounded half away from zero), within -128..127, or -127..127 if symmetric."""
    with np.errstate(invalid="ignore", over="ignore"):
        q = np.multiply(x, inverse)
        round_away(q, out=q)
        q += np.asarray(zero, np.float32)
        np.clip(q, -128 if asymmetric else -127, 127, out=q)
        if np.isnan(q.sum()):
            np.nan_to_num(q, copy=False)
        np.copyto(out, q, casting="unsafe")


def quantized_images(x, asymmetric):
    """(scale, load): images are brought to 8 bits where a part of one is met; the scale of each, float32 (batch,).

    load(out, part, image), as `windows` takes it: out = q - zero, whole numbers held as floats.
    """
    scale, inverse, zero = row_scales(x.reshape(x.shape[0], math.prod(x.shape[1:])), asymmetric)

    def load(out, part, image):
        quantize_into(part, inverse[image], zero[image], asymmetric, out)
        out -= zero[image]

    return scale, load


def hybrid_matmul(q, scale, zero, w, w_scale):
    """scale * w_scale * ((q - zero) @ w.T), float32 (..., rows, units), for what quantize_rows gives.

    q (..., rows, depth), scale and zero (..., rows), w (..., units, depth) stored int8, w_scale (units,) or what
    broadcasts to the result. The sum of products is exact; rounded are the product of the two scales, the sum to
    float32, and the product of both.
    """
    total = exact_matmul(q, zero[..., None], np.swapaxes(w, -1, -2), 0).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        total *= scale[..., None] * np.asarray(w_scale, np.float32)
    return total


# ---- weights that are packed once, for kernels that meet them at every step of time


def hybrid_stack(stored, scales):
    """(floats, bounds, scales): 8-bit weights (units, depth) and the scale of each row, ready for hybrid_product.

    uint8 weights hold the bits of int8 ones, as the oldest converters wrote them.
    """
    return (*exact_weights(stored.view(np.int8), 0, 255), np.broadcast_to(np.float32(scales), len(stored)))


def hybrid_weights(site: Site, w: Tensor) -> Any:
    """The hybrid_stack of a node's weights with one scale, packed once for a graph."""
    scale = w.numbers[0]
    return site.packed(w, ("hybrid", scale), lambda stored: hybrid_stack(stored, scale))


def hybrid_product(x, stack, asymmetric):
    """hybrid_matmul of the rows of x, brought to 8 bits here, and a hybrid_stack: float32 (rows, units)."""
    floats, bounds, scales = stack
    q, scale, zero = quantize_rows(x, asymmetric)
    total = exact_product(np.subtract(q, zero[:, None], dtype=floats.dtype), floats, bounds).astype(np.float32)
    total *= scale[:, None] * scales
    return total
