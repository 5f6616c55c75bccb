"""The fast forms of sums of products of float32 against NumPy."""

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
    groups = draw(st.sampled_from([1, 1, 1, 2, 5]))
    channels, units = groups * draw(st.integers(1, 20)), groups * draw(st.integers(1, 130 // groups))
    filter, stride, dilation = ((draw(st.integers(1, n)), draw(st.integers(1, n))) for n in (4, 3, 2))
    if max(stride) > 1:
        dilation = (1, 1)
    size = [draw(st.integers((f - 1) * d + 1, 12)) for f, d in zip(filter, dilation)]
    activation = draw(st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
    seed = draw(st.integers(0, 2**32 - 1))
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((draw(st.integers(1, 2)), *size, channels))
    weights = chance.uniform(-1, 1, (units, *filter, channels // groups)).astype(np.float32)
    w = m.constant(weights.astype(np.float16).astype(np.float32) if draw(st.booleans()) else weights)
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


@given(st.integers(1, 20), st.integers(1, 130), st.integers(1, 70), st.booleans(), st.integers(0, 2**32 - 1))
def test_dense(batch, units, depth, half, seed):
    weights = np.random.default_rng(seed).uniform(-1, 1, (units, depth)).astype(np.float16 if half else np.float32)
    m = Model()
    x = m.input((batch, depth))
    w = m.constant(weights.astype(np.float32))
    y = m.tensor((batch, units))
    m.op("FULLY_CONNECTED", [x, w, None], [y])
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["FULLY_CONNECTED"]


@st.composite
def transposed(draw):
    depth, units = draw(st.integers(1, 20)), draw(st.integers(1, 70))
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    filter = [s + draw(st.integers(0, 3)) for s in stride]
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    wanted = [f + draw(st.integers(0, 9)) for f in filter]
    size = [-(-n // s) if padding == "SAME" else (n - f) // s + 1 for n, f, s in zip(wanted, filter, stride)]
    seed = draw(st.integers(0, 2**32 - 1))
    chance = np.random.default_rng(seed)
    batch = draw(st.integers(1, 2))
    m = Model()
    x = m.input((batch, *size, depth))
    w = m.constant(chance.uniform(-1, 1, (units, *filter, depth)).astype(np.float32))
    inputs = [m.constant(np.array([batch, *wanted, units], np.int32)), w, x]
    if draw(st.booleans()):
        inputs.append(m.constant(chance.uniform(-1, 1, units).astype(np.float32)))
    y = m.tensor((batch, *wanted, units))
    m.op("TRANSPOSE_CONV", inputs, [y], padding=padding, stride_h=stride[0], stride_w=stride[1],
         fused_activation_function=draw(st.sampled_from(["NONE", "RELU"])))  # fmt: skip
    m.output(y)
    return m.content(), seed


@given(transposed())
def test_transposed_convolutions(drawn):
    content, seed = drawn
    assert between(content, seed=seed)["numba"] == ["TRANSPOSE_CONV"]


@given(
    st.sampled_from([((), ()), ((3,), (3,)), ((2, 3), ()), ((), (3,)), ((2, 1), (1,)), ((1, 4), (1, 4))]),
    st.tuples(st.integers(8, 40), st.integers(1, 70), st.integers(1, 70)),
    st.tuples(*[st.booleans()] * 3),
    st.integers(0, 2**32 - 1),
)
def test_matrices(stacks, sizes, flags, seed):
    rows, depth, units = sizes
    adj_x, adj_y, constant = flags
    shapes = [(*stacks[0], rows, depth), (*stacks[1], depth, units)]
    shapes = [(*s[:-2], s[-1], s[-2]) if adj else s for s, adj in zip(shapes, (adj_x, adj_y))]
    m = Model()
    x = m.input(shapes[0])
    chance = np.random.default_rng(seed)
    w = m.constant(chance.uniform(-1, 1, shapes[1]).astype(np.float32)) if constant else m.input(shapes[1])
    y = m.tensor((1,))
    m.op("BATCH_MATMUL", [x, w], [y], adj_x=adj_x, adj_y=adj_y)
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["BATCH_MATMUL"]


@given(st.integers(8, 20), st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_computed_weights(batch, units, depth, seed):
    m = Model()
    x, w, y = m.input((batch, depth)), m.input((units, depth)), m.tensor((batch, units))
    m.op("FULLY_CONNECTED", [x, w, None], [y])
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["FULLY_CONNECTED"]
