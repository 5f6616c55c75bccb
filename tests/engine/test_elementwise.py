"""The fast forms of operations that go element by element against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.between import between
from tests.kernels.elementwise import model, shape_of

pytest.importorskip("numba")
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def operands(draw):
    """Shapes of two operands: the same, a number, rows that serve several, and what serves the images of a batch."""
    channels, pixels = draw(st.integers(1, 130)), draw(st.integers(1, 40))
    whole = (draw(st.integers(1, 3)), pixels, draw(st.integers(1, 3)), channels)
    kinds = [whole, (), (1,), (channels,), (1, 1, 1, channels), (*whole[:1], 1, 1, channels), (*whole[:3], 1)]
    pair = [whole, draw(st.sampled_from(kinds))]
    return pair if draw(st.booleans()) else pair[::-1]


@given(operands(), st.sampled_from(["ADD", "SUB", "MUL", "DIV"]), ACTIVATIONS, st.booleans(), SEEDS)
def test_clamped(pair, op, activation, constant, seed):
    data = np.random.default_rng(seed).uniform(-2, 2, pair[1]).astype(np.float32)
    second = ("float32", pair[1], {}, *([data] if constant else []))
    result = ("float32", shape_of(*pair), {})
    content = model(op, [("float32", pair[0], {}), second], result, fused_activation_function=activation)
    assert between(content, seed=seed)["numba"] == [op]


@given(operands(), st.sampled_from(["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"]), SEEDS)
def test_simple(pair, op, seed):
    content = model(op, [("float32", shape, {}) for shape in pair], ("float32", shape_of(*pair), {}))
    assert between(content, seed=seed)["numba"] == [op]


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
def test_special_numbers(op):
    """Every pair of infinities, NaN, zeros of both signs and denormals."""
    numbers = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3e38, -3e38, 5])
    x1, x2 = (part.reshape(-1) for part in np.meshgrid(numbers, numbers))
    content = model(op, [("float32", x1.shape, {})] * 2, ("float32", x1.shape, {}))
    assert between(content, [x1, x2])["numba"] == [op]
