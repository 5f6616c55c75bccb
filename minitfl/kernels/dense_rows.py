"""The kernels of FULLY_CONNECTED, which BATCH_MATMUL by one constant matrix shares: each row of x times each row of w.

x (batch, depth), w (units, depth), bias (units,), y (batch, units). `dense` says which of them takes which types.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minitfl.kernels.exact import exact_matmul, exact_product, exact_weights
from minitfl.kernels.fixedpoint import rescale_real, rescale_real_one, rescale_twice
from minitfl.kernels.fused import activate
from minitfl.kernels.hybrid import quantize_into, row_scales
from minitfl.kernels.requantize import requantize, requantize_one
from minitfl.kernels.sums import MAGNITUDE, within
from minitfl.op import Kernel

BLOCK = 1 << 17  # elements that the temporaries of some rows may have
SMALL_NBYTES = 1 << 17  # more than all that depends on one side alone


@Kernel
def dense_float(x, w, bias, low, high, y):
    """y = clip(x @ w.T + bias, low, high); x (batch, depth), w (units, depth), y (batch, units)."""
    np.matmul(x, w.T, out=y)
    y += bias
    np.clip(y, low, high, out=y)


@dense_float.fast
def dense_float_loops(x, w, bias, low, high, y):
    for b in range(y.shape[0]):
        for u in range(y.shape[1]):
            total = np.float32(bias[u])
            for d in range(x.shape[1]):
                total += x[b, d] * w[u, d]
            y[b, u] = within(total, low, high)


@Kernel
def dense_int(x, x_zero, w, w_zero, bounds, bias, factor, y_zero, low, high, y):
    """dense_float on stored integers, where real = scale * (stored - zero).

    The bias is stored with scale x_scale * w_scale and zero 0, so it adds to the sum of products as it is.
    factor (units,): x_scale * w_scale / y_scale, float64. low, high: stored values. w: floats that hold w - w_zero with
    `bounds` as exact.exact_weights gives them; or the stored weights, bounds None.
    """
    for rows, total in _integer_sums(x, x_zero, w, w_zero, bounds):
        y[rows] = np.clip(rescale_real(np.add(total, bias, dtype=np.float64), factor) + y_zero, low, high)


@dense_int.fast
def dense_int_loops(x, x_zero, w, w_zero, bounds, bias, factor, y_zero, low, high, y):
    zero = w_zero if bounds is None else 0
    for b in range(y.shape[0]):
        for u in range(y.shape[1]):
            total = np.int64(bias[u])
            for d in range(x.shape[1]):
                total += (np.int64(x[b, d]) - x_zero) * (np.int64(w[u, d]) - zero)
            y[b, u] = min(max(rescale_real_one(total, factor[u]) + y_zero, low), high)


@Kernel
def dense_fixed(x, x_zero, w, w_zero, bounds, bias, multiplier, shift, y_zero, low, high, rule, y):
    """dense_int whose sums are rescaled by multiplier and shift (units,) and a rule, see requantize."""
    for rows, total in _integer_sums(x, x_zero, w, w_zero, bounds):
        requantize(total, bias, multiplier, shift, y_zero, low, high, rule, y[rows])


@dense_fixed.fast
def dense_fixed_loops(x, x_zero, w, w_zero, bounds, bias, multiplier, shift, y_zero, low, high, rule, y):
    zero = w_zero if bounds is None else 0
    wide = rule == "wide"
    for b in range(y.shape[0]):
        for u in range(y.shape[1]):
            total = np.int64(bias[u])
            for d in range(x.shape[1]):
                total += (np.int64(x[b, d]) - x_zero) * (np.int64(w[u, d]) - zero)
            y[b, u] = requantize_one(total, multiplier[u], shift[u], y_zero, low, high, wide)


@Kernel
def dense_shuffled(x, w, bias, multiplier, shift, low, high, y, shuffled):
    """dense_int on bytes with their highest bit turned over, which makes them signed numbers with zero 0.

    w is kept in that form, and 4 units by 16 depths together: (units / 4, depth / 16, 4, 16). The same is done to x;
    `shuffled` takes the result, (depth / 16, batch, 16).
    """
    units, depth = w.shape
    w = (w.reshape(units // 4, depth // 16, 4, 16).swapaxes(1, 2).reshape(units, depth)).view(np.int8)
    x = x ^ np.uint8(0x80)
    shuffled[...] = x.reshape(len(x), depth // 16, 16).swapaxes(0, 1).reshape(shuffled.shape)
    total = exact_matmul(x.view(np.int8), 0, w.T, 0) + bias
    y[...] = np.clip(rescale_twice(total, multiplier, shift), low, high)


@Kernel
def dense_hybrid(x, w, w_scale, bounds, bias, asymmetric, activation, y):
    """dense_float for float x, each of whose rows is brought to 8 bits, and stored w with w_scale float32 (units,).

    w, bounds: as in dense_int.
    """
    if bounds is None:
        w, bounds = exact_weights(w.view(np.int8), 0, MAGNITUDE["int8"])
    scale, inverse, zero = row_scales(x, asymmetric)
    scale, inverse, zero = scale[:, None], inverse[:, None], zero[:, None]

    def load(rows):
        q = np.empty(x[rows].shape, w.dtype)
        quantize_into(x[rows], inverse[rows], zero[rows], asymmetric, q)
        q -= zero[rows]
        return q

    for rows, total in _sums(x, w, bounds, load):
        total = total.astype(np.float32, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):
            total *= scale[rows] * w_scale
        np.add(total, bias, out=y[rows])
    activate(y, activation)


@Kernel
def dense_without_depth(y):
    """y = 0, whatever that stands for: of no products not even the bias is left."""
    y[...] = 0


# ---- sums of products


def _integer_sums(x, x_zero, w, w_zero, bounds):
    """_sums of (x - x_zero) @ (w - w_zero).T for what dense_int is given."""
    if bounds is None:
        w, bounds = exact_weights(w, w_zero, MAGNITUDE[x.dtype.name])

    def load(rows):
        return np.subtract(x[rows], x_zero, dtype=w.dtype, casting="unsafe")

    return _sums(x, w, bounds, load)


def _sums(x, w, bounds, load) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (rows, total): the exact_product of some rows after the other, floats (rows, units) to be used up.

    load(rows) gives rows of x in w's type.
    """
    step = _rows_together(len(x), *w.shape)
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        yield rows, exact_product(load(rows), w, bounds)


def _rows_together(batch: int, units: int, depth: int) -> int:
    return max(1, min(batch, BLOCK // max(depth + 4 * units, 1)))


def rows_workspace(batch: int, units: int, depth: int, computed: bool) -> int:
    """Bytes that bound the temporaries of a kernel that goes through _sums; computed: w is no constant."""
    rows = _rows_together(batch, units, depth) * (24 * depth + 64 * units)
    return rows + 128 * batch + (24 * units * depth if computed else 0) + SMALL_NBYTES
