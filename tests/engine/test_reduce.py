"""The fast forms of reductions against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
TYPES = ("float32", "int8", "uint8")


def numbers(type, zero):
    return {} if type == "float32" else {"scale": 0.05, "zero_point": zero + (0 if type == "int8" else 128)}


@st.composite
def reductions(draw):
    op = draw(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX"]))
    type = draw(st.sampled_from(TYPES[:1] if op == "SUM" else TYPES))
    first, count = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    axes = list(range(first, min(first + count, 3)))
    shape = [draw(st.integers(1, n)) for n in (3, 12, 12, 150)]
    m = Model()
    parameters = numbers(type, draw(st.integers(-100, 100)))
    x, y = m.input(shape, type, **parameters), m.tensor(shape, type, **parameters)
    m.op(op, [x, m.constant(np.array(axes, np.int32))], [y], keep_dims=draw(st.booleans()))
    m.output(y)
    return op, m.content(), draw(st.integers(0, 2**32 - 1))


@given(reductions())
def test_reductions(drawn):
    op, content, seed = drawn
    assert between(content, seed=seed)["numba"] == [op]


@pytest.mark.parametrize("channels", [3, 16, 70])
@pytest.mark.parametrize("type", TYPES)
def test_long_means(type, channels):
    m = Model()
    x, y = m.input((2, 40, 50, channels), type, **numbers(type, 5)), m.tensor((2, channels), type, **numbers(type, -7))
    m.op("MEAN", [x, m.constant(np.array([1, 2], np.int32))], [y])
    m.output(y)
    assert between(m.content())["numba"] == ["MEAN"]


@given(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX"]), st.integers(2, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_reductions_of_rows(op, rank, count, seed):
    shape = np.random.default_rng(seed).integers(1, 40, rank).tolist()
    axes = list(range(max(rank - count, 0), rank))
    if len(axes) == rank:
        axes = axes[1:]  # the largest of all has rules of its own for NaN
    m = Model()
    x, y = m.input(shape), m.tensor(shape)
    m.op(op, [x, m.constant(np.array(axes, np.int32))], [y])
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == [op]


@given(st.integers(1, 20), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_unit_length(rows, depth, seed):
    m = Model()
    x, y = m.input((rows, depth)), m.tensor((rows, depth))
    m.op("L2_NORMALIZATION", [x], [y])
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["L2_NORMALIZATION"]
    zeros = np.zeros((rows, depth), np.float32)
    zeros[0, 0] = np.nan
    assert between(m.content(), [zeros])["numba"] == ["L2_NORMALIZATION"]


@given(st.sampled_from(TYPES), st.integers(1, 9), st.integers(1, 200), st.sampled_from(["int32", "int64"]), st.data())
def test_places_of_the_largest(type, rows, depth, y_type, data):
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = chance.integers(0, data.draw(st.sampled_from([1, 3, 100])), (rows, depth), endpoint=True).astype(type)
    if type == "float32":
        x[chance.random(x.shape) < 0.2] = np.nan
        x[chance.random(x.shape) < 0.2] = -np.inf
        x[0] = [-np.inf, np.nan][rows % 2]
    m = Model()
    a, y = m.input(x.shape, type), m.tensor((rows,), y_type)
    m.op("ARG_MAX", [a, m.constant(np.array(-1, np.int32))], [y], output_type=y_type.upper())
    m.output(y)
    assert between(m.content(), [x])["numba"] == ["ARG_MAX"]
