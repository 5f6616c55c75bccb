"""quantize and dequantize, by hand and against QUANTIZE and DEQUANTIZE of the official runtime."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.graph import Quantization, Tensor
from minitfl.real import dequantize, is_quantized, quantize


def tensor(scale, zero, type="int8", axis=0, shape=(4,)):
    scales, zeros = np.atleast_1d(np.float32(scale)), np.atleast_1d(np.int64(zero))
    return Tensor(0, "t", type, shape, Quantization(scales, zeros, axis))


def test_halves_go_away_from_zero_and_ends_saturate():
    t = tensor(0.5, 3)
    assert quantize([0.25, -0.25, 0.2, 1000, -1000, np.inf], t).tolist() == [4, 2, 3, 127, -128, 127]
    assert dequantize(np.array([3, 4, -128], np.int8), t).tolist() == [0, 0.5, -65.5]


def test_scales_along_an_axis():
    t = tensor([1, 10], [0, 1], "uint8", axis=1, shape=(2, 2))
    stored = np.array([[1, 2], [3, 4]], np.uint8)
    assert dequantize(stored, t).tolist() == [[1, 10], [3, 30]]
    assert (quantize([[1, 10], [3, 30]], t) == stored).all()


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN has no place in the quantized tensor 0 't'"):
        quantize([1, np.nan], tensor(1, 0))


def test_only_integers_with_scales_are_quantized():
    assert is_quantized(tensor(1, 0))
    assert not is_quantized(Tensor(0, "t", "int8", (1,)))
    assert not is_quantized(tensor(1, 0, "float32"))


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20), st.floats(1e-3, 10), st.integers(-128, 127))
def test_stored_values_come_back(values, scale, zero):
    t = tensor(scale, zero)
    stored = quantize(values, t)
    assert (quantize(dequantize(stored, t), t) == stored).all()


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
def test_as_the_official_operators(official, type):
    rng = np.random.default_rng(1)
    for scale, zero in ((0.1, 0), (0.0371, 5), (3.0, 100)):
        zero = 0 if type == "int16" else zero
        values = np.concatenate([rng.normal(0, 60 * scale, 500), (np.arange(-200, 200) + 0.5) * scale]).astype(
            np.float32
        )
        m = Model()
        x = m.input(values.shape)
        q = m.tensor(values.shape, type, scale=scale, zero_point=zero)
        y = m.tensor(values.shape)
        m.op("QUANTIZE", [x], [q], version=3)
        m.op("DEQUANTIZE", [q], [y], version=3)
        m.output(q, y)
        stored, reals = official.run(m.content(), [values])
        t = tensor(scale, zero, type)
        assert (quantize(values, t) == stored).all()
        assert (dequantize(stored, t) == reals).all()
