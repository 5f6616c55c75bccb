"""The fast forms of SOFTMAX and LOG_SOFTMAX against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
TYPES = [("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16")]
seeds = st.integers(0, 2**32 - 1)


def model(op, shape, **options):
    m = Model()
    x, y = m.input(shape), m.tensor(shape)
    m.op(op, [x], [y], **options)
    m.output(y)
    return m.content()


def stored(shape, type, y_type, scale, beta=1.0):
    m = Model()
    x = m.input(shape, type, scale=scale, zero_point=3)
    zero = {"int8": -128, "uint8": 0, "int16": -32768}[y_type]
    y = m.tensor(shape, y_type, scale=1 / 65536 if y_type == "int16" else 1 / 256, zero_point=zero)
    m.op("SOFTMAX", [x], [y], beta=beta)
    m.output(y)
    return m.content()


@given(st.integers(1, 5), st.integers(1, 200), st.sampled_from([0.1, 1.0, 3.0, 40.0]), seeds)
def test_floats(rows, depth, beta, seed):
    assert between(model("SOFTMAX", (rows, depth), beta=beta), seed=seed)["numba"] == ["SOFTMAX"]
    assert between(model("LOG_SOFTMAX", (rows, depth)), seed=seed)["numba"] == ["LOG_SOFTMAX"]


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, -87.4, -1e38])
@pytest.mark.parametrize("depth", [1, 5, 40])
def test_numbers_at_the_edge(special, depth):
    x = np.linspace(-90, 0, 2 * depth, dtype=np.float32).reshape(2, depth)
    x[0, 0] = special
    x[1, :] = special
    with np.errstate(invalid="ignore"):
        assert between(model("SOFTMAX", x.shape, beta=1.0), [x])["numba"] == ["SOFTMAX"]


@given(
    st.integers(1, 5),
    st.integers(1, 300),
    st.sampled_from(TYPES),
    st.floats(1e-4, 2),
    seeds,
)
def test_stored(rows, depth, types, scale, seed):
    assert between(stored((rows, depth), *types, scale), seed=seed)["numba"] == ["SOFTMAX"]


@given(st.integers(1, 5), st.integers(1, 300), st.sampled_from(TYPES), st.sampled_from([1e-9, 3e-8]), seeds)
def test_stored_with_a_scale_too_small_for_fixed_point(rows, depth, types, scale, seed):
    assert between(stored((rows, depth), *types, scale), seed=seed)["numba"] == ["SOFTMAX"]


@pytest.mark.parametrize("types", TYPES)
def test_more_than_fixed_point_holds(types):
    x = np.zeros((3, 5000), types[0])
    x[1] += np.arange(5000).astype(types[0]) % 3
    x[2, 0] = 100
    assert between(stored(x.shape, *types, 0.1), [x])["numba"] == ["SOFTMAX"]
