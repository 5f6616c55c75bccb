"""The numbers with which source.rescale brings sums of products to 8 bits: their proof, their order and their place.

rescale_twice of a sum A is, with s = -shift >= 0 and half = 2**s >> 1,

    h = (A * multiplier + 2**30) >> 31,    (h + half - (1 where h < 0 < s)) >> s

Kernels sum up u = A + most, where |A| <= most, so that u is not negative and its product with 2 * multiplier one of
unsigned 32-bit numbers. All else that is added goes into one constant of 64 bits, whose upper half then is what is left
to shift: h + half + (zero << s).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitfl.kernels.fixedpoint import INT32_MAX, INT32_MIN


@dataclass(frozen=True, slots=True)
class Rescaling:
    """What a channel is rescaled with: arrays (channels,). `most` is to be added to its bias."""

    most: np.ndarray  # int64
    multiplier: np.ndarray  # uint32: 2 * multiplier
    constant: np.ndarray  # int64
    edge: np.ndarray  # int32: what is less came of a negative h, and loses 1
    shift: np.ndarray  # int32


def rescaling(most, multiplier, shift, zero: int) -> Rescaling | None:
    """For sums whose absolute values are at most `most` (channels,); None where 32 bits would not do."""
    most, multiplier, right = (np.asarray(a, np.int64) for a in (most, multiplier, -np.asarray(shift)))
    if most.max(initial=0) > INT32_MAX or right.min(initial=0) < 0:
        return None
    largest = (most * multiplier >> 31) + 1  # of |h|
    nothing = 2 * largest < np.left_shift(np.int64(1), right)
    multiplier, right, largest = (np.where(nothing, n, a) for n, a in ((0, multiplier), (1, right), (1, largest)))
    half = np.left_shift(np.int64(1), right) >> 1
    base = half + np.left_shift(np.int64(zero), right)
    if (largest + np.abs(base) > INT32_MAX).any():
        return None
    double = (2 * multiplier).astype(np.uint64)
    # modulo 2**64
    constant = (base.astype(np.uint64) << np.uint64(32)) + np.uint64(1 << 31) - most.astype(np.uint64) * double
    edge = np.where(right > 0, base, INT32_MIN)
    numbers = (constant.view(np.int64), edge.astype(np.int32), right.astype(np.int32))
    return Rescaling(most, double.astype(np.uint32), *numbers)


def channels(vectors: int, lanes: int) -> np.ndarray:
    """The channel in each place of `vectors` vectors side by side, (vectors * lanes,).

    It is such that they come out in order where source.rescale narrows them to bytes, 4 lanes of each in turn.
    """
    vector, lane = np.divmod(np.arange(vectors * lanes), lanes)
    return lane // 4 * 4 * vectors + 4 * vector + lane % 4


def numbers(r: Rescaling, units: np.ndarray, lanes: int) -> np.ndarray:
    """Bytes (vectors, 20 * lanes) for the channels `units` (vectors * lanes,) in their places; no channel gives 0.

    For each vector: its multipliers, the constants of even lanes, of odd lanes, edges, shifts.
    """
    constant = picked(r.constant, units, lanes)
    narrow = [picked(array, units, lanes) for array in (r.multiplier, r.edge, r.shift)]
    parts = (narrow[0], constant[:, 0::2], constant[:, 1::2], *narrow[1:])
    return np.concatenate([np.ascontiguousarray(p).view(np.uint8) for p in parts], axis=1)


def picked(array, units: np.ndarray, lanes: int) -> np.ndarray:
    """The numbers of channels, (vectors, lanes); 0 for what is no channel."""
    there = (units >= 0) & (units < len(array))
    return np.where(there, array[np.where(there, units, 0)], array.dtype.type(0)).reshape(-1, lanes)
