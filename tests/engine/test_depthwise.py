"""The fast forms of DEPTHWISE_CONV_2D against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


@st.composite
def geometries(draw):
    """(batch, sizes, channels, multiplier, options of the op) with a filter (down, across)."""
    square = draw(st.booleans())
    side = draw(st.sampled_from([3, 5, 7]))
    filter = (side, side) if square else (draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    stride = (draw(st.integers(1, 3)),) * 2 if square else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (1, 1) if max(stride) > 1 else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    least = [(f - 1) * d + 1 if padding == "VALID" else 1 for f, d in zip(filter, dilation)]
    size = [draw(st.integers(n, n + 18)) for n in least]
    multiplier = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels = draw(st.integers(1, 130 // multiplier))
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1], "depth_multiplier": multiplier,
               "dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1],
               "fused_activation_function": draw(ACTIVATIONS)}  # fmt: skip
    return draw(st.integers(1, 2)), size, channels, channels * multiplier, filter, options


@given(geometries(), st.integers(0, 2**32 - 1))
def test_floats(drawn, seed):
    batch, size, channels, units, filter, options = drawn
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((batch, *size, channels))
    w = m.constant(chance.uniform(-1, 1, (1, *filter, units)).astype(np.float32))
    bias = m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    y = m.tensor((1, 1, 1, units))
    m.op("DEPTHWISE_CONV_2D", [x, w, bias], [y], **options)
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["DEPTHWISE_CONV_2D"]


@given(geometries(), st.sampled_from(["int8", "int8 per tensor", "uint8", "int4"]), st.integers(0, 2**32 - 1))
def test_integers(drawn, kind, seed):
    batch, size, channels, units, filter, options = drawn
    chance = np.random.default_rng(seed)
    type, (low, high) = ("uint8", (0, 255)) if kind == "uint8" else ("int8", (-128, 127))
    w_low, w_high = {"uint8": (0, 255), "int4": (-8, 7)}.get(kind, (-128, 127))
    m = Model()
    x_scale, y_scale = chance.uniform(0.01, 0.02), chance.uniform(0.05, 3)
    count = 1 if kind in ("uint8", "int8 per tensor") else units
    w_scale = chance.uniform(0.001, 0.02, count)
    w_zero = int(chance.integers(0, 255, endpoint=True)) if kind == "uint8" else 0
    x = m.input((batch, *size, channels), type, scale=x_scale, zero_point=int(chance.integers(low, high)))
    w = m.constant(chance.integers(w_low, w_high, (1, *filter, units), endpoint=True).astype(type),
                   "int4" if kind == "int4" else None, scale=w_scale, zero_point=[w_zero] * count, axis=3)  # fmt: skip
    bias = m.constant(chance.integers(-9999, 9999, units).astype(np.int32), scale=x_scale * w_scale,
                      zero_point=[0] * count)  # fmt: skip
    y = m.tensor((1, 1, 1, units), type, scale=y_scale, zero_point=int(chance.integers(low, high)))
    m.op("DEPTHWISE_CONV_2D", [x, w, bias], [y], **options)
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["DEPTHWISE_CONV_2D"]


@given(geometries(), st.sampled_from(["int8", "uint8"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_integers_that_grow(drawn, type, near, seed):
    """Factors above 1, which shift sums to the left; near: few of the results are clamped."""
    batch, size, channels, units, filter, options = drawn
    chance = np.random.default_rng(seed)
    low, high = (0, 255) if type == "uint8" else (-128, 127)
    m = Model()
    count = 1 if type == "uint8" else units
    w_scale = chance.uniform(0.4, chance.choice([2, 100]), count)
    w_scale[0] = max(w_scale[0], 1)
    x_zero, w_zero = int(chance.integers(low, high)), int(chance.integers(0, 255)) if type == "uint8" else 0
    reach = 1 if near else 255
    stored = np.clip(chance.integers(w_zero - reach, w_zero + reach, (1, *filter, units), endpoint=True), low, high)
    x = m.input((batch, *size, channels), type, scale=1, zero_point=x_zero)
    w = m.constant(stored.astype(type), scale=w_scale, zero_point=[w_zero] * count, axis=3)
    bias = m.constant(chance.integers(-9 * reach, 9 * reach, units).astype(np.int32), scale=w_scale,
                      zero_point=[0] * count)  # fmt: skip
    y = m.tensor((1, 1, 1, units), type, scale=1, zero_point=int(chance.integers(low, high)))
    m.op("DEPTHWISE_CONV_2D", [x, w, bias], [y], **options)
    m.output(y)
    image = np.clip(x_zero + chance.integers(-2 * reach, 2 * reach, (batch, *size, channels)), low, high).astype(type)
    assert between(m.content(), inputs=[image])["numba"] == ["DEPTHWISE_CONV_2D"]


@pytest.mark.parametrize(("factor", "layer"), [(255.0, "numba"), (256.0, "numpy")])
def test_weights_that_grow_out_of_words(factor, layer):
    """Shifted with its sums, a weight of -128 fits into 16 bits up to a shift by 8: factors below 256."""
    m = Model()
    x = m.input((1, 4, 5, 3), "int8", scale=1, zero_point=0)
    w = m.constant(np.full((1, 3, 3, 3), -128, np.int8), scale=[factor] * 3, zero_point=[0] * 3, axis=3)
    bias = m.constant(np.arange(3, dtype=np.int32), scale=[factor] * 3, zero_point=[0] * 3)
    y = m.tensor((1, 1, 1, 3), "int8", scale=1, zero_point=0)
    m.op("DEPTHWISE_CONV_2D", [x, w, bias], [y], padding="SAME", stride_h=1, stride_w=1, depth_multiplier=1,
         dilation_h_factor=1, dilation_w_factor=1, fused_activation_function="NONE")  # fmt: skip
    m.output(y)
    assert between(m.content())[layer] == ["DEPTHWISE_CONV_2D"]


@given(geometries(), st.booleans(), st.integers(0, 2**32 - 1))
def test_hybrid(drawn, per_channel, seed):
    batch, size, channels, units, filter, options = drawn
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((batch, *size, channels))
    count = units if per_channel else 1
    w = m.constant(chance.integers(-127, 127, (1, *filter, units), endpoint=True).astype(np.int8),
                   scale=chance.uniform(0.001, 0.02, count), zero_point=[0] * count, axis=3 * per_channel)  # fmt: skip
    bias = m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    y = m.tensor((1, 1, 1, units))
    m.op("DEPTHWISE_CONV_2D", [x, w, bias], [y], **options)
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["DEPTHWISE_CONV_2D"]
