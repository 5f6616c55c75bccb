"""The fast forms of CONV_2D and FULLY_CONNECTED of 8-bit integers against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
SEEDS = st.integers(0, 2**32 - 1)
ZEROS = {"int8": st.integers(-128, 127), "uint8": st.integers(0, 255)}
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def weights(m, draw, chance, type, shape, many):
    """(w, its scales): constants of the type; w_zero for uint8 alone."""
    low, high = LIMITS[type]
    scales = chance.uniform(0.001, 0.02, shape[0] if many else 1)
    if draw(st.booleans()):
        scales *= 10.0 ** chance.integers(-7, 1, scales.size)
    zero = draw(ZEROS["uint8"]) if type == "uint8" else 0
    stored = chance.integers(low, high, shape, endpoint=True).astype(type)
    return m.constant(stored, scale=scales, zero_point=[zero] * scales.size), scales


def bias_of(m, chance, units, scales, x_scale):
    stored = chance.integers(-3000, 3000, units).astype(np.int32)
    return m.constant(stored, scale=scales * x_scale, zero_point=[0] * scales.size)


@st.composite
def convolutions(draw, type):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth, units = draw(st.integers(1, 130) if groups == 1 else st.integers(1, 9)), draw(st.integers(1, 130))
    units = -(-units // groups) * groups
    filter, stride, dilation = ((draw(st.integers(1, n)), draw(st.integers(1, n))) for n in (4, 3, 2))
    if max(stride) > 1:
        dilation = (1, 1)
    size = [draw(st.integers((f - 1) * d + 1, 20)) for f, d in zip(filter, dilation)]
    activation = draw(st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
    seed = draw(SEEDS)
    chance = np.random.default_rng(seed)
    m = Model()
    x_scale, y_scale = 0.05, float(10.0 ** chance.uniform(-3, 0))
    x = m.input((draw(st.integers(1, 2)), *size, depth * groups), type, scale=x_scale, zero_point=draw(ZEROS[type]))
    w, scales = weights(m, draw, chance, type, (units, *filter, depth), type == "int8" and draw(st.booleans()))
    y = m.tensor((1, 1, 1, units), type, scale=y_scale, zero_point=draw(ZEROS[type]))
    m.op("CONV_2D", [x, w, bias_of(m, chance, units, scales, x_scale)], [y], stride_h=stride[0], stride_w=stride[1],
         padding=draw(st.sampled_from(["SAME", "VALID"])), dilation_h_factor=dilation[0],
         dilation_w_factor=dilation[1], fused_activation_function=activation)  # fmt: skip
    m.output(y)
    return m.content(), seed


@given(convolutions("int8"))
def test_convolutions(drawn):
    content, seed = drawn
    assert between(content, seed=seed)["numba"] == ["CONV_2D"]


@given(convolutions("uint8"))
def test_convolutions_of_uint8(drawn):
    content, seed = drawn
    assert between(content, seed=seed)["numba"] == ["CONV_2D"]


@given(
    st.data(), st.sampled_from(["int8", "uint8"]), st.integers(1, 40), st.integers(1, 130), st.integers(1, 300), SEEDS
)
def test_dense(data, type, batch, units, depth, seed):
    chance = np.random.default_rng(seed)
    m = Model()
    x_scale, y_scale = 0.05, float(10.0 ** chance.uniform(-3, 0))
    x = m.input((batch, depth), type, scale=x_scale, zero_point=data.draw(ZEROS[type]))
    w, scales = weights(m, data.draw, chance, type, (units, depth), type == "int8" and data.draw(st.booleans()))
    y = m.tensor((batch, units), type, scale=y_scale, zero_point=data.draw(ZEROS[type]))
    bias = bias_of(m, chance, units, scales, x_scale) if data.draw(st.booleans()) else None
    m.op("FULLY_CONNECTED", [x, w, bias], [y], fused_activation_function=data.draw(st.sampled_from(["NONE", "RELU"])))
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["FULLY_CONNECTED"]


# ---- float activations


def odd_floats(m, chance, shape):
    """A graph input of floats, some of which are 0, infinite or NaN."""
    values = (chance.uniform(-4, 4, shape) * 10.0 ** chance.integers(-3, 4)).astype(np.float32)
    if chance.random() < 0.3:
        values[chance.integers(0, shape[0])] *= 0
    if chance.random() < 0.2:
        values.reshape(-1)[chance.integers(0, values.size)] = chance.choice([np.inf, -np.inf, np.nan])
    return values


@given(st.data(), st.sampled_from(["int8", "uint8"]), SEEDS)
def test_convolutions_of_floats(data, type, seed):
    draw, chance = data.draw, np.random.default_rng(seed)
    depth, units, groups = draw(st.integers(1, 70)), draw(st.integers(1, 130)), 1
    filter, stride = ((draw(st.integers(1, n)), draw(st.integers(1, n))) for n in (3, 2))
    if type == "int8" and draw(st.booleans()):
        groups, depth = 2, min(depth, 8)
        units += units % 2
    shape = (draw(st.integers(1, 3)), *(draw(st.integers(f, 12)) for f in filter), depth * groups)
    many = groups > 1 or (type == "int8" and draw(st.booleans()))
    m = Model()
    x = m.input(shape)
    scales = chance.uniform(0.001, 0.02, units if many else 1)
    stored = chance.integers(*LIMITS[type], (units, *filter, depth), endpoint=True).astype(type)
    w = m.constant(stored, scale=scales, zero_point=[0] * scales.size)
    bias = m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    y = m.tensor((1, 1, 1, units))
    m.op("CONV_2D", [x, w, bias], [y], stride_h=stride[0], stride_w=stride[1],
         padding=draw(st.sampled_from(["SAME", "VALID"])),
         fused_activation_function=draw(st.sampled_from(["NONE", "RELU6"])))  # fmt: skip
    m.output(y)
    assert between(m.content(), [odd_floats(m, chance, shape)])["numba"] == ["CONV_2D"]


@pytest.mark.parametrize("odd", [None, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("size", [(64, 128), (64, 129), (180, 611)])
def test_images_in_parts(size, asymmetric, odd):
    """Threads share what is measured of an image: 1 part, 2 parts, and as many as there may be; the last is a tail."""
    chance = np.random.default_rng(size[1])
    m = Model()
    x = m.input((2, *size, 1))
    w = m.constant(chance.integers(-127, 127, (3, 1, 1, 1), endpoint=True).astype(np.int8),
                   scale=[0.01, 0.01, 0.02 if asymmetric else 0.01], zero_point=[0] * 3)  # fmt: skip
    y = m.tensor((1, 1, 1, 3))
    m.op("CONV_2D", [x, w, m.constant(np.zeros(3, np.float32))], [y], stride_h=1, stride_w=1, padding="SAME")
    m.output(y)
    values = chance.uniform(-1, 1, (2, *size, 1)).astype(np.float32)
    for image, (low, high) in zip(values.reshape(2, -1), ((0, -1), (-1, 0))):
        image[low], image[high] = -9, 7  # one in the first part, one in the last
    if odd is not None:
        values.reshape(-1)[-1] = odd
    assert between(m.content(), [values])["numba"] == ["CONV_2D"]


@given(st.data(), st.booleans(), st.integers(1, 4), st.integers(1, 130), st.integers(1, 300), SEEDS)
def test_dense_of_floats(data, asymmetric, batch, units, depth, seed):
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((batch, depth))
    w = m.constant(chance.integers(-127, 127, (units, depth), endpoint=True).astype(np.int8), scale=[0.01])
    y = m.tensor((batch, units))
    m.op("FULLY_CONNECTED", [x, w, None], [y], asymmetric_quantize_inputs=asymmetric,
         fused_activation_function=data.draw(st.sampled_from(["NONE", "RELU", "RELU6"])))  # fmt: skip
    m.output(y)
    assert between(m.content(), [odd_floats(m, chance, (batch, depth))])["numba"] == ["FULLY_CONNECTED"]
