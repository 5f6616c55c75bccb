"""The fast forms of pooling against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
TYPES = ("float32", "int8", "uint8")
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def numbers(type, zero):
    return {} if type == "float32" else {"scale": 0.05, "zero_point": zero + (0 if type == "int8" else 128)}


@st.composite
def pools(draw):
    type, op = draw(st.sampled_from(TYPES)), draw(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
    filter, stride = ((draw(st.integers(1, n)), draw(st.integers(1, n))) for n in (4, 3))
    size = [draw(st.integers(f, 12)) for f in filter]
    channels, batch = draw(st.integers(1, 300)), draw(st.integers(1, 3))
    m = Model()
    parameters = numbers(type, draw(st.integers(-100, 100)))
    x = m.input((batch, *size, channels), type, **parameters)
    y = m.tensor((1, 1, 1, channels), type, **parameters)
    m.op(op, [x], [y], padding=draw(st.sampled_from(["SAME", "VALID"])), filter_height=filter[0],
         filter_width=filter[1], stride_h=stride[0], stride_w=stride[1],
         fused_activation_function=draw(st.sampled_from(ACTIVATIONS)))  # fmt: skip
    m.output(y)
    return op, m.content(), draw(st.integers(0, 2**32 - 1))


@given(pools())
def test_pools(drawn):
    op, content, seed = drawn
    assert between(content, seed=seed)["numba"] == [op]


def test_largest_passes_over_nan():
    x = np.full((1, 2, 3, 1), np.nan, np.float32)
    x[0, 0, 1] = 3
    m = Model()
    a, y = m.input(x.shape), m.tensor((1, 2, 2, 1))
    m.op("MAX_POOL_2D", [a], [y], padding="VALID", filter_height=1, filter_width=2, stride_h=1, stride_w=1)
    m.output(y)
    assert between(m.content(), [x])["numba"] == ["MAX_POOL_2D"]


@pytest.mark.parametrize("type", TYPES[1:])
@pytest.mark.parametrize("filter", [(3, 3), (8, 16), (9, 15), (60, 68)])
def test_means_of_all_quotients(type, filter):
    """Sums whose quotients lie on halves and next to them."""
    height, width = filter
    x = np.zeros((1, height, width, 511), type)
    flat = x.reshape(height * width, 511)
    for channel in range(511):
        total = (channel - 255) * (height * width) // 4 if type == "int8" else channel * (height * width) // 2
        flat[:, channel] = total // (height * width)
        flat[: total % (height * width), channel] += 1
    m = Model()
    a, y = m.input(x.shape, type), m.tensor((1, 1, 1, 511), type)
    m.op("AVERAGE_POOL_2D", [a], [y], padding="VALID", filter_height=height, filter_width=width, stride_h=1, stride_w=1)
    m.output(y)
    assert between(m.content(), [x])["numba"] == ["AVERAGE_POOL_2D"]
