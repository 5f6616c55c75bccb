"""The fast form of SOFTMAX against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")


def model(shape, type="float32", beta=1.0, **parameters):
    m = Model()
    x, y = m.input(shape, type, **parameters), m.tensor(shape, type, scale=1 / 256, zero_point=-128)
    m.op("SOFTMAX", [x], [y], beta=beta)
    m.output(y)
    return m.content()


@given(st.integers(1, 5), st.integers(1, 200), st.sampled_from([0.1, 1.0, 3.0, 40.0]), st.integers(0, 2**32 - 1))
def test_floats(rows, depth, beta, seed):
    assert between(model((rows, depth), beta=beta), seed=seed)["numba"] == ["SOFTMAX"]


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, -87.4, -1e38])
@pytest.mark.parametrize("depth", [1, 5, 40])
def test_numbers_at_the_edge(special, depth):
    x = np.linspace(-90, 0, 2 * depth, dtype=np.float32).reshape(2, depth)
    x[0, 0] = special
    x[1, :] = special
    assert between(model(x.shape), [x])["numba"] == ["SOFTMAX"]
