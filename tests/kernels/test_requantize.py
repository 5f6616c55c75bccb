"""requantize against its definition in whole numbers of any size, and exact.exact_weights."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.kernels.exact import exact_weights
from minitfl.kernels.fixedpoint import (
    INT32_MAX,
    OBSERVER,
    quantize_multiplier,
    rescale_twice,
    rescale_wrapped,
    round_away,
    round_away_finite,
)
from minitfl.kernels.requantize import requantize
from tests.cases import differential


def half_up(n, shift):
    return n if shift == 0 else (n + (1 << (shift - 1))) >> shift


def away(n, shift):
    return half_up(n, shift) if n >= 0 else -half_up(-n, shift)


def defined(total, multiplier, shift, rule):
    """One rescaled total, in Python's whole numbers."""
    if rule == "wide":
        reduced = min((multiplier + (1 << 15)) >> 16, 0x7FFF)
        return half_up(total * reduced, 15 - shift)
    if rule == "once":
        return half_up(total * multiplier, 31 - shift)
    return away(half_up((total << max(shift, 0)) * multiplier, 31), max(-shift, 0))


def draw_totals(rng, multiplier, shift, rows, limit):
    """Totals near those that land on halves, where rules and errors show, and others of all sizes."""
    near = (rng.integers(-300, 300, rows) + 0.5) * 2.0 ** (31 - shift) / max(multiplier, 1)
    totals = np.where(rng.random(rows) < 0.8, near + rng.integers(-2, 3, rows), rng.integers(-limit, limit, rows))
    return np.clip(np.rint(totals), -limit, limit).astype(np.int64)


def test_multipliers_by_hand():
    """real = multiplier * 2**(shift - 31)"""
    assert quantize_multiplier(0.75) == (3 << 29, 0)
    assert quantize_multiplier(1.0) == (1 << 30, 1)
    assert quantize_multiplier(1 - 2.0**-40) == (1 << 30, 1)  # rounds up to a multiplier of 2**31: halved
    assert quantize_multiplier(3 * 2.0**-33) == (3 << 29, -31)
    assert quantize_multiplier(2.0**-33) == (0, 0)
    assert quantize_multiplier(2.0**31) == (INT32_MAX, 30)


def test_an_observer_is_told_of_each_rescaling():
    """Of the rules that a rule itself uses it is not told, and of nothing once it is gone."""
    told = []
    token = OBSERVER.set(lambda *what: told.append(what))
    try:
        y = np.empty((1, 1), np.int16)
        requantize(np.array([[5.0]]), np.array([1]), np.array([3 << 29]), np.array([0]), 0, -9, 9, "twice", y)
        assert y.tolist() == [[5]]  # 6 * 0.75, rounded away from zero
        assert rescale_wrapped(6, 1 << 30, 2) == 12
    finally:
        OBSERVER.reset(token)
    rescale_twice(6, 1 << 30, 2)
    assert [name for name, _, _ in told] == ["requantize", "rescale_wrapped"]
    assert told[1][1:] == (6, (1 << 30, 2))


@pytest.mark.parametrize("rounding", (round_away, round_away_finite))
@pytest.mark.parametrize("type", (np.float32, np.float64))
def test_rounding_by_hand(rounding, type):
    """Halves go away from zero; adding 0.5 would take the number just below 0.5 up to 1."""
    below = np.nextafter(type(0.5), type(0))
    x = np.array([0.5, 1.5, 2.5, below, 0.49, 7, 2.0**22 + 0.5], type)
    wanted = [1, 2, 3, 0, 0, 7, 2**22 + 1]
    assert rounding(x.copy()).tolist() == wanted
    assert rounding(-x).tolist() == [-n for n in wanted]


@pytest.mark.parametrize("rule", ("once", "twice", "wide"))
@pytest.mark.parametrize("type", ("int8", "uint8", "int16"))
def test_requantize(rule, type):
    @differential(300)
    @given(st.integers(0, 2**32 - 1))
    def run(seed):
        rng = np.random.default_rng(seed)
        rows, channels = int(rng.integers(1, 40)), int(rng.integers(1, 6))
        rows += 0 if rng.integers(20) else 700  # many rows are taken in lines of several, and some are left
        multiplier = rng.integers(2**30, 2**31, channels)
        multiplier[rng.random(channels) < 0.2] = 2**30  # powers of two: many ties
        multiplier[rng.random(channels) < 0.05] = 0
        shift = rng.integers(-14, 1, channels) if rng.integers(2) else rng.integers(-31, 3, channels)
        limit = 2**28
        bias = rng.integers(-(2**24), 2**24, channels)
        columns = [draw_totals(rng, int(m), int(s), rows, limit) for m, s in zip(multiplier, shift, strict=True)]
        total = np.stack(columns, 1)
        info = np.iinfo(type)
        zero = int(rng.integers(info.min, info.max, endpoint=True)) if type != "int16" else 0
        low, high = sorted(rng.integers(info.min, info.max, 2, endpoint=True).tolist())
        if rng.integers(2):
            low, high = info.min, info.max
        y = np.empty(total.shape, type)
        requantize((total - bias).astype(np.float64), bias, multiplier, shift, zero, low, high, rule, y)
        for u in range(channels):
            exact = [defined(int(t), int(multiplier[u]), int(shift[u]), rule) for t in total[:, u]]
            assert y[:, u].tolist() == [min(max(n + zero, low), high) for n in exact]

    run()


@differential(100)
@given(st.integers(0, 2**32 - 1))
def test_exact_weights(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in (*rng.integers(1, 4, 3), rng.choice((1, 20, 700))))
    w = rng.integers(-128, 128, shape).astype(np.int8) if rng.integers(2) else rng.choice(np.int8([-127, 127]), shape)
    zero, most = int(rng.integers(0, 2)) * 5, int(rng.choice((127, 255, 32768)))
    floats, bounds = exact_weights(w, zero, most)
    assert np.array_equal(floats, w.astype(int) - zero)
    assert bounds[0] == 0 and bounds[-1] == w[0].size and list(bounds) == sorted(bounds)
    flat = np.abs(floats.astype(np.float64)).reshape(len(w), -1)
    sums = [flat[:, a:b].sum(1).max() * most for a, b in pairwise(bounds)]
    assert max(sums) < (2**24 if floats.dtype == np.float32 else 2**53)
    assert floats.dtype == np.float32 or flat.sum(1).max() * most >= 8 * 2**23
