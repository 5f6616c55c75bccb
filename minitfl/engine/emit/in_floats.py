"""Sums and products of stored bytes in float32, with factors for which every result is that of the integer rule.

A rescaling in integers is dear: two products of 64 bits for each number. A float32 has 24 bits, so that a result of 8
bits is found in it unless the real number is within some 2**-14 of the middle between two whole ones. Of bytes there
are so few that all that come near a middle are known. They are tried here, with factors some steps above and below the
real ones; where none makes all of them right, the integer kernels have to do.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from minitfl.kernels.fixedpoint import rescale_twice
from minitfl.kernels.tables import stored_values

STEPS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6)  # between neighbouring float32 numbers
# how far away from zero, and up; the latter where halves are frequent, as the rule moves numbers below 0 less
PUSHES = ((1, 0), (0.95, 0), (1, 0.5), *((part, 0) for part in (0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0)))
MOST_NEAR = 2000  # more are no chance


@lru_cache(1024)
def sum_factors(type, zeros, factors, left, sign, factor_y, y_zero, low, high):
    """(a, b, c), floats: x1 + sign * x2 is clip(rint(a * x1 + (b * x2 + c)) + y_zero), each sum rounded once; or None.

    See kernels.arithmetic.add_int.
    """
    values = stored_values(type)
    parts = [rescale_twice((values - zero) << left, *factor) for zero, factor in zip(zeros, factors)]
    parts[1] = sign * parts[1]
    unit = real(factor_y)
    a, b = (real(factor) * 2.0**left * unit for factor in factors)
    b *= sign
    reach = (abs(a) + abs(b)) * 255
    window = reach * 2.0**-20 + 4 * unit  # what STEPS, float32 and the roundings of the rule come to, and as much again
    if window > 2.0**-6 or min(abs(a), abs(b)) < 2.0**-16:
        return None
    z = np.add.outer(parts[0] * unit, parts[1] * unit)
    near = np.abs(np.abs(z - np.rint(z)) - 0.5) < window
    near &= (z > low - y_zero - 1) & (z < high - y_zero + 1)
    first, second = np.nonzero(near)
    if len(first) > MOST_NEAR:
        return None
    wanted = np.clip(rescale_twice(parts[0][first] + parts[1][second], *factor_y) + y_zero, low, high)
    x1, x2 = (values[i].astype(np.float64) for i in (first, second))
    for step1, step2 in product(STEPS, STEPS):
        a32, b32 = stepped(a, step1), stepped(b, step2)
        c = float(np.float32(-(a32 * zeros[0] + b32 * zeros[1])))
        # in float64 products and sums of these are exact
        found = np.rint(rounded(a32 * x1 + rounded(b32 * x2 + c)))
        if (np.clip(found + y_zero, low, high) == wanted).all():
            return a32, b32, c
    return None


@lru_cache(1024)
def product_factors(reach, factor, y_zero, low, high):
    """(a, push, up), floats: y is clip(rint(a * total + (up ± push)) + y_zero) with the sign of total; or None.

    total: the product of two distances from the zero points, at most `reach`; factor: (multiplier, shift). Results go
    up with the total, so they are right if they are so on both sides of each total where another one begins. The rule's
    second rounding is of a number that the first one has moved away from zero: `push`.
    """
    a = real(factor)
    edges = np.arange(low - y_zero + 1, high - y_zero + 1)
    if not edges.size or a < 2.0**-20:
        return None
    around = np.floor((edges[:, None] - 0.5) / a) + np.arange(-3, 5)
    around = np.clip(around, -reach, reach).astype(np.int64)
    results = rescale_twice(around, *factor)
    below, above = results[:, 0] < edges, results[:, -1] >= edges
    if not ((below | (around[:, 0] == -reach)) & (above | (around[:, -1] == reach))).all():
        return None
    total, wanted = around.astype(np.float64), np.clip(results + y_zero, low, high)
    most = 2.0 ** -(1 + max(-factor[1], 0))
    for step, parts in product(STEPS[:9], PUSHES):
        a32, (push, up) = stepped(a, step), (float(np.float32(most * part)) for part in parts)
        found = np.rint(rounded(a32 * total + rounded(np.where(total < 0, up - push, up + push))))
        if (np.clip(found + y_zero, low, high) == wanted).all():
            return a32, push, up
    return None


def real(factor) -> float:
    """What a (multiplier, shift) stands for."""
    return factor[0] * 2.0 ** (factor[1] - 31)


def rounded(x):
    """float64 numbers rounded to float32."""
    return x.astype(np.float32).astype(np.float64)


def stepped(x: float, steps: int) -> float:
    """The float32 next to x, and some steps on."""
    x32 = np.float32(x)
    for _ in range(abs(steps)):
        x32 = np.nextafter(x32, np.float32(np.inf if steps > 0 else -np.inf))
    return float(x32)
