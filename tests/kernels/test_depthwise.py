"""DEPTHWISE_CONV_2D."""

from functools import partial

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.kernels import windows
from tests.cases import check, ours
from tests.kernels import convolutions
from tests.kernels.convolutions import hold, typed
from tests.oracle import Died
from tests.sweep import TYPES, sweep

OP = "DEPTHWISE_CONV_2D"
KINDS = {
    "float32": {"x_type": "float32"},
    "uint8": {"x_type": "uint8"},
    "int8": {"x_type": "int8"},
    "int8 per channel": {"x_type": "int8", "per_channel": True},
    "int8 with int4": {"x_type": "int8", "w_type": "int4", "per_channel": True},
    "int16": {"x_type": "int16"},
    "int16 per channel": {"x_type": "int16", "per_channel": True},
    "hybrid per channel": {"x_type": "float32", "w_type": "int8", "per_channel": True},
}


one, plain = partial(convolutions.one, OP), partial(convolutions.plain, OP)


# ---- worked by hand


def test_float_by_hand():
    x = np.float32([[1, 2], [3, 4]]).reshape(1, 1, 2, 2)  # columns (1, 2) and (3, 4)
    w = np.float32([[1, 10, 100, 1000], [2, 20, 200, 2000]]).reshape(1, 1, 2, 4)
    (y,) = ours(*one(x, w, np.float32([0, 0, 0, 0.5]), depth_multiplier=2))
    # channels 0 and 1 are made of channel 0 (1, then 3), channels 2 and 3 of channel 1 (2, then 4)
    assert y.ravel().tolist() == [1 + 6, 10 + 60, 200 + 800, 2000 + 8000 + 0.5]


def test_the_depth_multiplier_follows_from_the_shapes():
    x, w = np.ones((1, 1, 1, 2), np.float32), np.float32([1, 2, 3, 4]).reshape(1, 1, 1, 4)
    (y,) = ours(*one(x, w, np.zeros(4, np.float32), depth_multiplier=7))
    assert y.ravel().tolist() == [1, 2, 3, 4]


# ---- against the official runtime


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", (True, False), ids=("", "no bias"))
@pytest.mark.parametrize("block", (windows.BLOCK, 40), ids=("", "small blocks"))
def test_differential(official, monkeypatch, kind, bias, block):
    monkeypatch.setattr(windows, "BLOCK", block)
    hold(OP, 200 if block > 40 else 40, bias=bias, **KINDS[kind])


@pytest.mark.parametrize("type", ("float32", "int8", "uint8"))
def test_large_filters(official, type):
    """More taps than float32 can sum exactly: 23 * 23 * 255 * 128 is beyond 2**24."""
    rng = np.random.default_rng(7)
    shape = (1, 25, 23, 3)
    if type == "float32":
        x, w = rng.normal(size=shape).astype(np.float32), rng.normal(size=(1, 23, 23, 3)).astype(np.float32)
        check(*one(x, w, np.zeros(3, np.float32)), bound=600 * 2.0**-24 * 529 * 4)
        return
    low, high = (-128, 127) if type == "int8" else (0, 255)
    x = np.full(shape, high, type)
    w = np.full((1, 23, 23, 3), 127 if type == "int8" else 255, type)
    w[0, 0, 0] = [1, 2, 3]
    x[0, 3:6] = low
    numbers = {"scale": 1.0, "zero_point": low}
    w_numbers = {"scale": [1.0], "zero_point": [0]}
    y = (type, {"scale": 200000.0, "zero_point": 0})
    bias_numbers = {"scale": 1.0, "zero_point": 0}
    check(*one(x, w, np.int32([1, 2, 3]), x_numbers=numbers, w_numbers=w_numbers, y=y, bias_numbers=bias_numbers))


def test_a_dilation_beyond_the_image(official):
    x = np.random.default_rng(0).normal(size=(1, 3, 2, 2)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(1, 3, 3, 2)).astype(np.float32)
    options = {"padding": "SAME", "dilation_h_factor": 20000, "dilation_w_factor": 20000}
    check(*one(x, w, np.zeros(2, np.float32), **options), bound=1e-6)


# ---- where the official runtime is wrong


def test_without_bias(official):
    """The reference kernel takes it; the optimised ones die."""
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    content, arrays = one(x, np.ones((1, 2, 2, 2), np.float32), None)
    check(content, arrays, bound=1e-5)
    with pytest.raises(Died):
        official.run(content, arrays, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def test_hybrid_with_one_scale(official):
    """One scale stands for every channel; officially the second is read from beyond the array."""
    x = np.float32([[1, -1], [0.5, 2]]).reshape(1, 1, 2, 2)
    w = np.int8([[100, 50], [-100, 127]]).reshape(1, 1, 2, 2)
    numbers = {"scale": [0.25], "zero_point": [0]}
    (y,) = ours(*one(x, w, np.zeros(2, np.float32), w_numbers=numbers))
    exact = np.float32([1 * 25 - 0.5 * 25, -1 * 12.5 + 2 * 31.75])
    # x is stored in steps of 3 / 255
    assert np.abs(y.ravel() - exact).max() < 3 / 255 / 2 * (25 + 31.75)
    numbers = {"scale": [0.25, 0.25], "zero_point": [0, 0], "axis": 3}
    content, arrays = one(x, w, np.zeros(2, np.float32), w_numbers=numbers)
    assert np.array_equal(ours(content, arrays)[0], y)
    check(content, arrays, ulps=2)


def test_int16_with_an_int4_filter(official):
    """The official kernel takes the packed bytes for a filter of int8."""
    rng = np.random.default_rng(4)
    x, w = rng.integers(-99, 99, (1, 3, 3, 2)).astype(np.int16), rng.integers(-8, 8, (1, 2, 2, 2)).astype(np.int8)
    numbers = {"scale": 0.5, "zero_point": 0}
    results, contents = [], []
    for type in ("int4", "int8"):
        m = Model()
        y = m.tensor((), "int16", **numbers)
        m.op(OP, [m.input(x.shape, "int16", **numbers), m.constant(w, type, **numbers)], [y], stride_h=1, stride_w=1)
        m.output(y)
        contents.append(m.content())
        results.append(ours(contents[-1], [x])[0])
    np.testing.assert_array_equal(*results)
    assert (official.run(contents[0], [x])[0] != results[0]).any()


def test_the_latest_version(official):
    """The reference resolver lacks it, the other one needs a bias."""
    content, arrays = plain({"version": 7, "x": np.int8(np.arange(18)).reshape(1, 3, 3, 2)})
    check(content, arrays, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES")


# ---- refusals


REFUSALS = convolutions.REFUSALS | {
    "first of w": {"w": np.zeros((2, 2, 2, 4), np.int8)},
    "channels": {"w": np.zeros((1, 2, 2, 3), np.int8), "bias": np.zeros(3, np.int32)},
    "bias rank": {"bias": np.zeros((1, 4), np.int32)},
    "largest stride": {"stride_h": 32768},
    "dilation": {"dilation_w_factor": 0},
    "largest dilation": {"dilation_w_factor": 32768},
    "window too large": {"dilation_h_factor": 7},
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refuses(official, what):
    assert check(*plain(REFUSALS[what]), must_run=False) == "error at allocate"


def test_refuses_16_bits_with_a_zero_point_or_a_narrow_bias(official):
    parts = {"x": "int16", "y": "int16"}
    numbers = {"x_numbers": {"scale": 0.5, "zero_point": 2}}
    assert check(*plain(numbers, bias="int64", **parts), must_run=False) == "error at allocate"
    assert check(*plain({}, bias="int32", **parts), must_run=False) == "error at allocate"


TAKEN = {"float32": {"float32"}, "uint8": {"uint8"}, "int8": {"int8", "int4"}, "int16": {"int8"}}
UNTRUE = {  # filters that are read as another type, or with scales that are not there
    "float32": ("int8",),
    "uint8": ("int4",),
    "int16": ("int4", *(type for type in (*TYPES, "int2") if "int" in type and type not in ("int4", "int8"))),
}


@pytest.mark.parametrize("x", TAKEN)
@pytest.mark.parametrize("biased", (True, False))
def test_types(official, x, biased):
    bias = {"float32": "float32", "int16": "int64"}.get(x, "int32") if biased else None
    known = {(w, x): "wrong officially" for w in UNTRUE.get(x, ())}
    assert sweep(lambda w, y: typed(OP, x, w, bias, y), ((*TYPES, "int2"), TYPES), known) == {(w, x) for w in TAKEN[x]}


FLOATS = {"x": "float32", "bias": "float32", "y": "float32"}


def test_hybrid_scales_must_be_those_of_their_axis(official):
    change = {"w_numbers": {"scale": [0.5], "zero_point": [0], "axis": 3}}
    assert check(*plain(change, **FLOATS), must_run=False) == "error at allocate"


def test_hybrid_without_images(official):
    change = {"x": np.zeros((0, 3, 3, 2), np.float32)}
    change["w_numbers"] = {"scale": [0.5] * 4, "zero_point": [0] * 4, "axis": 3}
    assert check(*plain(change, **FLOATS), must_run=False) == "error at invoke"
    check(*plain({"x": change["x"]}, w="float32", **FLOATS))


def test_another_shape_in_a_later_run(official):
    content, _ = plain()
    turns = [[np.ones((n, size, 4, 2), np.int8)] for n, size in ((1, 3), (2, 5), (1, 3))]
    check(content, turns, sequence=True)
