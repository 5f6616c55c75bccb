"""TRANSPOSE_CONV."""

from functools import partial

import numpy as np
import pytest

from minitfl.kernels import transpose_conv, windows
from tests.cases import check, ours
from tests.kernels import convolutions
from tests.kernels.convolutions import hold, typed
from tests.sweep import TYPES, sweep

OP = "TRANSPOSE_CONV"
KINDS = {
    "float32": {"x_type": "float32"},
    "uint8": {"x_type": "uint8"},
    "int8": {"x_type": "int8"},
    "int8 per unit": {"x_type": "int8", "per_channel": True},
    "int16": {"x_type": "int16", "per_channel": True},
    "int16 with int32 bias": {"x_type": "int16", "bias_type": "int32", "said": "INT32", "per_channel": True},
    "hybrid": {"x_type": "float32", "w_type": "int8"},
    "hybrid per unit": {"x_type": "float32", "w_type": "int8", "per_channel": True},
}


one, plain = partial(convolutions.one, OP), partial(convolutions.plain, OP)


# ---- worked by hand


def test_float_by_hand():
    x = np.float32([1, 2]).reshape(1, 1, 2, 1)
    w = np.float32([10, 20, 30]).reshape(1, 1, 3, 1)
    (y,) = ours(*one(x, w, np.float32([0.5]), (1, 1, 5, 1), stride_w=2))
    # 1 spreads over columns 0 to 2, 2 over columns 2 to 4
    assert y.ravel().tolist() == [10.5, 20.5, 30 + 20 + 0.5, 40.5, 60.5]
    # SAME: the border of 1 falls behind
    (y,) = ours(*one(x, w, None, (1, 1, 4, 1), stride_w=2, padding="SAME"))
    assert y.ravel().tolist() == [10, 20, 30 + 20, 40]


def test_a_stride_beyond_the_filter_leaves_gaps():
    x = np.float32([1, 2]).reshape(1, 2, 1, 1)
    (y,) = ours(*one(x, np.float32([[[[10]]]]), np.float32([1]), (1, 4, 1, 1), stride_h=3))
    assert y.ravel().tolist() == [11, 1, 1, 21]


# ---- against the official runtime


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", (True, False), ids=("", "no bias"))
@pytest.mark.parametrize("block", (windows.BLOCK, 40), ids=("", "small blocks"))
def test_differential(official, monkeypatch, kind, bias, block):
    monkeypatch.setattr(transpose_conv, "BLOCK", block)
    hold(OP, 200 if block > 40 else 40, bias=bias, **KINDS[kind])


@pytest.mark.parametrize("kind", ("float32", "uint8", "int8 per unit", "int16", "hybrid"))
def test_deep(official, kind):
    hold(OP, 12, (300, 700, 2000), **KINDS[kind])


def test_a_shape_computed_while_running(official):
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 3)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(2, 3, 3, 3)).astype(np.float32)
    check(*one(x, w, None, [2, 6, 4, 2], stride_h=2, stride_w=2, padding="SAME"), bound=1e-5)


# ---- refusals


REFUSALS = convolutions.REFUSALS | {
    "rank of shape": {"shape": ((1, 4), (4, 4))},
    "depth": {"w": np.zeros((4, 2, 2, 3), np.int8)},
    "largest stride": {"stride_h": 32768},
    "negative shape": {"shape": (1, -4, 4, 4)},
}
SHAPES = {  # what does not fit, and where the official runtime finds out if the shape is a constant
    "batch": ((2, 4, 4, 4), "invoke"),
    "units": ((1, 4, 4, 3), "invoke"),
    "height": ((1, 5, 4, 4), "allocate"),
    "width": ((1, 4, 6, 4), "allocate"),
    "empty": ((1, 4, 0, 4), "allocate"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refuses(official, what):
    assert check(*plain(REFUSALS[what]), must_run=False) == "error at allocate"


@pytest.mark.parametrize("what", SHAPES)
@pytest.mark.parametrize("late", (False, True), ids=("constant", "input"))
def test_refuses_a_shape_that_does_not_fit(official, what, late):
    shape, stage = SHAPES[what]
    outcome = check(*plain({"shape": list(shape) if late else shape}), must_run=False)
    assert outcome == f"error at {'invoke' if late else stage}"


@pytest.mark.parametrize("late", (False, True), ids=("constant", "input"))
def test_refuses_a_shape_of_another_length(official, late):
    shape = [1, 4, 4] if late else (1, 4, 4)
    assert check(*plain({"shape": shape}), must_run=False) == "error at allocate"


TAKEN = {"float32": {"float32", "int8"}, "uint8": {"uint8"}, "int8": {"int8"}, "int16": {"int8"}}


@pytest.mark.parametrize("x", TAKEN)
@pytest.mark.parametrize("biased", (True, False))
def test_types(official, x, biased):
    bias = {"float32": "float32", "int16": "int64"}.get(x, "int32") if biased else None
    taken = sweep(lambda w, y: typed(OP, x, w, bias, y), ((*TYPES, "int2"), TYPES), bound=1e-4)
    assert taken == {(w, x) for w in TAKEN[x]}


def test_int16_with_an_int32_bias_that_no_option_announces():
    """The official kernel then reads the bias as int64, beyond its end."""
    numbers = {"scale": 0.5, "zero_point": 0}
    parts = {
        "x": np.full((1, 1, 1, 1), 100, np.int16),
        "w": np.int8([[[[3]]]]),
        "bias": np.int32([4]),
        "shape": [1] * 4,
    }
    quantized = {"x_numbers": numbers, "w_numbers": numbers, "bias_numbers": {"scale": 0.25, "zero_point": 0}}
    (y,) = ours(*one(**parts, **quantized, y=("int16", numbers)))
    assert y.item() == (100 * 3 + 4) / 2


def test_hybrid_without_images(official):
    floats = {"x": "float32", "bias": "float32", "y": "float32"}
    change = {"x": np.zeros((0, 3, 3, 2), np.float32), "shape": (0, 4, 4, 4)}
    assert check(*plain(change, **floats), must_run=False) == "error at invoke"
    check(*plain(change, w="float32", **floats))


def test_the_zero_point_of_a_uint8_bias_is_passed_over(official):
    change = {"x": np.full((1, 3, 3, 2), 9, np.uint8), "bias_numbers": {"scale": 0.25, "zero_point": 3}}
    check(*plain(change, x="uint8", w="uint8", y="uint8"))


def test_another_shape_in_a_later_run(official):
    content, _ = plain({"shape": [1, 4, 4, 4]})
    turns = [[np.ones((n, 3, 3, 2), np.int8), np.int32([n, 4, 4, 4])] for n in (1, 3, 2)]
    check(content, turns, sequence=True)
