"""CONV_2D."""

from functools import partial

import numpy as np
import pytest

from minitfl.kernels import windows
from tests.cases import check, ours
from tests.kernels import convolutions
from tests.kernels.convolutions import hold, typed
from tests.sweep import TYPES, sweep

OP = "CONV_2D"
KINDS = {
    "float32": {"x_type": "float32"},
    "uint8": {"x_type": "uint8"},
    "int8": {"x_type": "int8"},
    "int8 per unit": {"x_type": "int8", "per_channel": True},
    "int8 with int4": {"x_type": "int8", "w_type": "int4", "per_channel": True},
    "int16": {"x_type": "int16", "per_channel": True},
    "int16 with int32 bias": {"x_type": "int16", "bias_type": "int32", "said": "INT32", "per_channel": True},
    "int16 with int4": {"x_type": "int16", "w_type": "int4"},
    "hybrid": {"x_type": "float32", "w_type": "int8"},
    "hybrid per unit": {"x_type": "float32", "w_type": "int8", "per_channel": True},
    "int16 with int4 and int32 bias": {"x_type": "int16", "w_type": "int4", "bias_type": "int32", "said": "INT32"},
    "hybrid uint8": {"x_type": "float32", "w_type": "uint8"},
    "hybrid int4": {"x_type": "float32", "w_type": "int4"},
    "hybrid int4 per unit": {"x_type": "float32", "w_type": "int4", "per_channel": True},
}


one, plain = partial(convolutions.one, OP), partial(convolutions.plain, OP)


# ---- worked by hand


def test_float_by_hand():
    x = np.float32([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    w = np.float32([[1, 10], [100, 1000]]).reshape(1, 2, 2, 1)
    bias = np.float32([0.5])
    # 1 * 1 + 2 * 10 + 3 * 100 + 4 * 1000 + 0.5
    assert ours(*one(x, w, bias))[0].ravel().tolist() == [4321.5]
    # SAME puts the odd border behind: windows start at each pixel
    y = ours(*one(x, w, bias, padding="SAME"))[0]
    assert y.ravel().tolist() == [4321.5, 2 + 400 + 0.5, 3 + 40 + 0.5, 4.5]


def test_groups_by_hand():
    x = np.float32([1, 2, 3, 4]).reshape(1, 1, 1, 4)
    w = np.float32([[1, 10], [2, 20], [100, 1000], [200, 2000]]).reshape(4, 1, 1, 2)
    # units 0 and 1 see channels 0 and 1, units 2 and 3 channels 2 and 3
    assert ours(*one(x, w, np.zeros(4, np.float32)))[0].ravel().tolist() == [21, 42, 4300, 8600]


def test_every_product_of_a_deep_filter_counts():
    """1501 * 255 * 127 = 48609885 takes parts that float32 can sum; the bias leaves 3 or -2 of it."""
    numbers = {"scale": 1.0, "zero_point": 0}
    content, arrays = one(
        np.full((1, 1, 1, 1501), 127, np.int8),
        np.full((2, 1, 1, 1501), 127, np.int8),
        np.int32([3, -2]) - 1501 * 255 * 127,
        x_numbers={"scale": 1.0, "zero_point": -128},
        w_numbers=numbers,
        bias_numbers=numbers,
        y=("int8", numbers),
    )
    assert ours(content, arrays)[0].ravel().tolist() == [3, -2]


def test_int8_rounds_twice():
    # -24 * 1394023761 / 2**31 = -15.58 -> -16; -16 / 32 = -0.5 -> -1, where one rounding of -0.487 would give 0
    scale = float(np.float32(1394023761 / 2**36))
    numbers = {"scale": 1.0, "zero_point": 0}
    content, arrays = one(
        np.int8([-24]).reshape(1, 1, 1, 1),
        np.int8([1]).reshape(1, 1, 1, 1),
        np.int32([0]),
        x_numbers=numbers,
        w_numbers={"scale": [scale], "zero_point": [0]},
        y=("int8", {"scale": 1.0, "zero_point": 23}),
    )
    assert ours(content, arrays)[0].ravel().tolist() == [22]


# ---- against the official runtime


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", (windows.BLOCK, 40), ids=("", "small blocks"))
def test_differential(official, monkeypatch, kind, block):
    monkeypatch.setattr(windows, "BLOCK", block)
    grouped = 80 if kind.startswith("hybrid") else 0  # some of these are refused on both sides
    hold(OP, 200 + grouped if block > 40 else 40, **KINDS[kind])


@pytest.mark.parametrize("kind", ("float32", "uint8", "int8 per unit", "int16", "hybrid per unit"))
def test_deep(official, kind):
    """Depths where float32 sums of products must be cut into parts, or are no longer exact."""
    hold(OP, 12, (300, 700, 2000), **KINDS[kind])


def test_hybrid_takes_minus_128():
    """Sixteen products with -128: the official kernel for x86 negates it in 8 bits, and gives -44.85."""
    x = np.linspace(-1, 0.5, 16, dtype=np.float32).reshape(1, 1, 1, 16)
    w = np.full((1, 1, 1, 16), -128, np.int8)
    (y,) = ours(*one(x, w, np.zeros(1, np.float32), w_numbers={"scale": [0.05], "zero_point": [0]}))
    assert abs(y.item() - (x * -6.4).sum()) < 16 * 6.4 / 254


def test_hybrid_without_a_scale(official):
    """It counts as 0, so that the bias is all there is."""
    x = np.ones((1, 3, 3, 2), np.float32)
    content, arrays = one(x, np.ones((4, 2, 2, 2), np.int8), np.float32([1, 2, 3, 4]))
    check(content, arrays)
    assert ours(content, arrays)[0][0, 0, 0].tolist() == [1, 2, 3, 4]


def test_many_parts(official):
    """A depth of extremes that needs float64: 9 * 2000 * 255 * 127 is beyond 8 * 2**24."""
    rng = np.random.default_rng(1)
    x = rng.choice(np.int8([-128, 127]), (1, 3, 3, 2000))
    w = rng.choice(np.int8([-127, 127]), (2, 3, 3, 2000))
    w[0] = np.where(x[0] < 0, -127, 127)  # all products have one sign
    numbers = {"scale": 0.5, "zero_point": 127}
    content, arrays = one(
        x,
        w,
        np.int32([3, -3]),
        x_numbers=numbers,
        w_numbers={"scale": [0.25, 0.125], "zero_point": [0, 0], "axis": 0},
        y=("int8", {"scale": 400000.0, "zero_point": 0}),
    )
    check(content, arrays)


def test_a_dilation_beyond_the_image(official):
    """Taps that never meet the image cost nothing: a border for them would be 8 GB."""
    x = np.random.default_rng(0).normal(size=(1, 3, 2, 2)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(2, 3, 3, 2)).astype(np.float32)
    options = {"padding": "SAME", "dilation_h_factor": 20000, "dilation_w_factor": 20000}
    check(*one(x, w, np.zeros(2, np.float32), **options), bound=1e-6)


@pytest.mark.parametrize("shape", [(0, 4, 4, 2), (1, 2, 2, 2)], ids=("no image", "no window"))
@pytest.mark.parametrize("filter", (np.float32, np.int8))
def test_nothing_to_do(official, shape, filter):
    """A 3x3 window with stride 3 has (2 + 3 - 3) // 3 = 0 places in a 2x2 image."""
    w = np.ones((3, 3, 3, 2), filter)
    numbers = {} if filter is np.float32 else {"w_numbers": {"scale": [0.5], "zero_point": [0]}}
    content, arrays = one(np.ones(shape, np.float32), w, np.zeros(3, np.float32), stride_h=3, stride_w=3, **numbers)
    check(content, arrays)
    assert ours(content, arrays)[0].size == 0


# ---- refusals


REFUSALS = convolutions.REFUSALS | {
    "depth": {"w": np.zeros((4, 2, 2, 3), np.int8)},
    "groups": {"w": np.zeros((3, 2, 2, 1), np.int8), "bias": np.zeros(3, np.int32)},
    "no bias": {"bias": None},
    "filter zero": {"w_numbers": {"scale": [0.5], "zero_point": [1]}},
    "dilation": {"dilation_w_factor": 0},
    "window too large": {"dilation_h_factor": 7},
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refuses(official, what):
    assert check(*plain(REFUSALS[what]), must_run=False) == "error at allocate"


def test_refuses_16_bits_with_a_zero_point(official):
    numbers = {"x_numbers": {"scale": 0.5, "zero_point": 2}}
    parts = {"x": "int16", "bias": "int64", "y": "int16"}
    assert check(*plain(numbers, **parts), must_run=False) == "error at allocate"
    assert check(*plain({"quantized_bias_type": "INT32"}, **parts), must_run=False) == "error at allocate"


def test_refuses_a_bias_scale_of_its_own(official):
    numbers = {"bias_numbers": {"scale": 0.5, "zero_point": 0}}
    assert check(*plain(numbers, x="uint8", w="uint8", y="uint8"), must_run=False) == "error at allocate"


TAKEN = {"float32": {"float32", "int8", "uint8", "int4"}, "uint8": {"uint8"}, "int8": {"int8", "int4"}}
TAKEN |= {"int16": {"int8", "int4"}}


@pytest.mark.parametrize("x,bias", [("float32", "float32"), ("uint8", "int32"), ("int8", "int32"), ("int16", "int64")])
def test_types(official, x, bias):
    """The official kernels take some filters for what they are not."""
    known = dict.fromkeys(UNTRUE.get(x, ()), "read as another type")
    assert sweep(lambda w, y: typed(OP, x, w, bias, y), ((*TYPES, "int2"), TYPES), known) == {(w, x) for w in TAKEN[x]}


UNTRUE = {
    x: [(w, x) for w in (*TYPES, "int2") if w not in TAKEN[x] and (x == "float32" or "int" in w)]
    for x in ("float32", "uint8", "int16")
}


def test_another_shape_in_a_later_run(official):
    content, _ = plain(x="float32", w="float32", bias="float32", y="float32")
    turns = [[np.ones((n, size, 4, 2), np.float32)] for n, size in ((1, 3), (2, 5), (1, 3))]
    check(content, turns, sequence=True)
