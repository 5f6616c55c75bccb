"""The fast forms of CONV_2D and FULLY_CONNECTED of float32 against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
SMALL = st.integers(1, 9)


@st.composite
def convolutions(draw):
    channels, units = draw(st.integers(1, 20)), draw(st.integers(1, 130))
    filter, stride, dilation = ((draw(st.integers(1, n)), draw(st.integers(1, n))) for n in (4, 3, 2))
    if max(stride) > 1:
        dilation = (1, 1)
    size = [draw(st.integers((f - 1) * d + 1, 12)) for f, d in zip(filter, dilation)]
    activation = draw(st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
    seed = draw(st.integers(0, 2**32 - 1))
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((draw(st.integers(1, 2)), *size, channels))
    w = m.constant(chance.uniform(-1, 1, (units, *filter, channels)).astype(np.float32))
    bias = m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    y = m.tensor((1, 1, 1, units))
    m.op("CONV_2D", [x, w, bias], [y], padding=draw(st.sampled_from(["SAME", "VALID"])), stride_h=stride[0],
         stride_w=stride[1], dilation_h_factor=dilation[0], dilation_w_factor=dilation[1],
         fused_activation_function=activation)  # fmt: skip
    m.output(y)
    return m.content(), seed


@given(convolutions())
def test_convolutions(drawn):
    content, seed = drawn
    assert between(content, seed=seed)["numba"] == ["CONV_2D"]


@given(st.integers(1, 20), st.integers(1, 130), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_dense(batch, units, depth, seed):
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((batch, depth))
    w = m.constant(chance.uniform(-1, 1, (units, depth)).astype(np.float32))
    y = m.tensor((batch, units))
    m.op("FULLY_CONNECTED", [x, w, None], [y])
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["FULLY_CONNECTED"]
