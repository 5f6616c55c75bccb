"""Rescaling in vectors against the rules of fixedpoint."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitfl.engine.emit.rescale import channels, numbers, rescaling
from minitfl.kernels import fixedpoint

pytest.importorskip("numba")
from numba import njit, types

from minitfl.engine.source import rescale as source
from minitfl.engine.source.ir import F64, I32, add, inline, load, splat, store, vector

LANES = source.LANES
AT = types.int64


def address(array):
    return array.__array_interface__["data"][0]


def rows_form(vectors, signed):
    rows = 4 // vectors

    def emit(b, sums, table, y, low, high, flip):
        n = [source.load_numbers(b, add(b, table, v * source.NUMBERS_NBYTES)) for v in range(vectors)]
        at = [[add(b, sums, (r * vectors + v) * 4 * LANES) for v in range(vectors)] for r in range(rows)]
        made = [[source.rescaled(b, load(b, a, vector(I32, LANES)), m, signed) for a, m in zip(row, n)] for row in at]
        limits = [source.byte_splat(b, v) for v in (low, high, flip)]
        for r, row in enumerate(source.rows_of_bytes(b, made, *limits)):
            store(b, row, add(b, y, r * vectors * LANES))

    return inline(types.void(*[AT] * 6), emit)


def apply(form):
    """A function for Python of six addresses and numbers."""
    return njit(lambda a, b, c, d, e, f: form(a, b, c, d, e, f))


FORMS = {(v, signed): apply(rows_form(v, signed)) for v in (1, 2, 4) for signed in (True, False)}
SEEDS = st.integers(0, 2**32 - 1)


@given(st.sampled_from([1, 2, 4]), st.booleans(), st.booleans(), st.integers(-128, 127), SEEDS)
def test_rows_of_bytes(vectors, signed, unsigned, zero, seed):
    chance = np.random.default_rng(seed)
    units = vectors * LANES
    flip, type = (128, np.uint8) if unsigned else (0, np.int8)
    most = chance.integers(0, 2 ** chance.integers(1, 25), units, endpoint=True)
    real = 2.0 ** chance.uniform(-14, 0, units) * chance.choice([1, 1, 1, 0], units)
    multiplier, shift = fixedpoint.quantize_multipliers(real)
    sums = chance.integers(-most, most, (4 // vectors, units), endpoint=True)
    near = np.floor(chance.integers(-130, 130, sums.shape) / 2 / np.maximum(real, 1e-9))
    sums = np.where(chance.random(sums.shape) < 0.5, np.clip(near, -most, most), sums).astype(np.int64)
    low, high = sorted(int(n) for n in chance.integers(-128, 127, 2, endpoint=True))
    low = low if signed else max(low, zero)
    high = max(low, high)
    wanted = np.clip(fixedpoint.rescale_twice(sums, multiplier, shift) + zero, low, high) + flip
    r = rescaling(most, multiplier, shift, zero)
    assert r is not None
    order = channels(vectors, LANES)
    table = numbers(r, order, LANES)
    y = np.empty(sums.shape, type)
    u = np.ascontiguousarray((sums + most)[:, order].astype(np.uint32))
    FORMS[vectors, signed](address(u), address(table), address(y), low, high, flip)
    np.testing.assert_array_equal(y, wanted)


def test_what_is_too_large_is_refused():
    one = np.ones(1, np.int64)
    assert rescaling(one << 20, one << 30, one, 0) is None  # a shift to the left
    assert rescaling(one << 31, one << 30, -one, 0) is None
    assert rescaling((one << 31) - 1, one << 30, -25 * one, 100) is None
    assert rescaling(one << 20, one << 30, -31 * one, 100) is not None  # all come to 0


def test_rescalings_of_nothing_else():
    r = rescaling(np.full(3, 100), np.full(3, 1 << 30), np.full(3, -31), -5)
    assert r is not None and not r.multiplier.any()


def twice_form(b, y, *at):
    store(b, source.rescale_twice(b, *(load(b, a, vector(I32, LANES)) for a in at[:3])), y)


TWICE = apply(inline(types.void(*[AT] * 6), twice_form))


def real_form(b, y, x, factor, numbers, *_):
    zero, low, high = (splat(b, load(b, add(b, numbers, i * 8), F64), LANES) for i in range(3))
    value = source.rescale_real(b, load(b, x, vector(I32, LANES)), load(b, factor, vector(F64, LANES)), zero, low, high)
    store(b, value, y)


REAL = apply(inline(types.void(*[AT] * 6), real_form))
WHOLE = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-70000, 70000))


@given(st.lists(st.tuples(WHOLE, st.integers(2**30, 2**31 - 1), st.integers(-31, 30)), min_size=1, max_size=LANES))
@example([(-(2**31), 2**31 - 1, -31), (2**31 - 1, 2**31 - 1, 30), (-(2**31), 2**31 - 1, 0), (-3, 2**30, 0)])
@example([(n, 2**30, -s) for n in (-12, -4, 4) for s in (0, 1, 2)][:LANES])
def test_rescale_twice(triples):
    x, multiplier, shift = np.resize(np.array(triples, np.int64), (LANES, 3)).T.astype(np.int32).copy()
    y = np.empty(LANES, np.int32)
    TWICE(address(y), address(x), address(multiplier), address(shift), 0, 0)
    np.testing.assert_array_equal(y, fixedpoint.rescale_twice(x, multiplier, shift))


@given(st.lists(st.tuples(WHOLE, st.floats(0, 1)), min_size=1, max_size=LANES), st.integers(-128, 127))
@example([(1, 0.5), (-1, 0.5), (3, 0.5), (-5, 0.5)][:LANES], 3)
@example([(1, 0.49999999999999994), (2**31 - 1, 1.0)], 0)
def test_rescale_real(pairs, zero):
    x = np.resize(np.array([p[0] for p in pairs], np.int32), LANES)
    factor = np.resize(np.array([p[1] for p in pairs]), LANES)
    limits = np.array([zero, -100, 90], np.float64)
    y = np.empty(LANES, np.int32)
    REAL(address(y), address(x), address(factor), address(limits), 0, 0)
    np.testing.assert_array_equal(y, np.clip(fixedpoint.rescale_real(x, factor) + zero, -100, 90))
