"""CONV_2D."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels import windows
from tests.cases import OursFailed, check, differential, ours
from tests.kernels.convolutions import bound, draw_case, drawn

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
    "hybrid int4": {"x_type": "float32", "w_type": "int4"},
    "hybrid int4 per unit": {"x_type": "float32", "w_type": "int4", "per_channel": True},
}


def one(x, w, bias, *, y=("float32", {}), x_numbers=None, w_numbers=None, bias_numbers=None, **options):
    """(content, [x]) of one CONV_2D; arrays give the types."""
    m = Model()
    handles = [m.input(x.shape, x.dtype.name, **(x_numbers or {})), m.constant(w, **(w_numbers or {}))]
    if bias is not None:
        handles.append(m.constant(bias, **(bias_numbers or {})))
    out = m.tensor((), y[0], **y[1])
    m.op(OP, handles, [out], **{"padding": "VALID", "stride_h": 1, "stride_w": 1, **options})
    m.output(out)
    return m.content(), [x]


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

    @differential(200 if block > 40 else 40)
    @given(st.data())
    def run(data):
        kwargs = KINDS[kind]
        case = draw_case(drawn(data), OP, **kwargs)
        if kind in ("hybrid", "hybrid int4") and case.x.shape[3] != case.w.shape[3]:
            # grouped and with one scale: refused on both sides
            assert check(case.content, case.arrays, must_run=False) == "error at allocate"
            return
        check(case.content, case.arrays, bound=bound(OP, case) if kwargs["x_type"] == "float32" else None)

    run()


@pytest.mark.parametrize("kind", ("float32", "uint8", "int8 per unit", "int16", "hybrid per unit"))
def test_deep(official, kind):
    """Depths where float32 sums of products must be cut into parts, or are no longer exact."""

    @differential(12)
    @given(st.data())
    def run(data):
        rng = drawn(data)
        case = draw_case(rng, OP, depth=int(rng.choice((300, 700, 2000))), **KINDS[kind])
        if kind == "hybrid" and case.x.shape[3] != case.w.shape[3]:
            return
        check(case.content, case.arrays, bound=bound(OP, case) if KINDS[kind]["x_type"] == "float32" else None)

    run()


def test_hybrid_takes_minus_128():
    """Sixteen products with -128: the official kernel for x86 negates it in 8 bits, and gives -44.85."""
    x = np.linspace(-1, 0.5, 16, dtype=np.float32).reshape(1, 1, 1, 16)
    w = np.full((1, 1, 1, 16), -128, np.int8)
    (y,) = ours(*one(x, w, np.zeros(1, np.float32), w_numbers={"scale": [0.05], "zero_point": [0]}))
    assert abs(y.item() - (x * -6.4).sum()) < 16 * 6.4 / 254


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


def refused(change, *, x="int8", w="int8", bias="int32", y="int8"):
    """(content, arrays) of a sound CONV_2D after `change` has been at its parts."""
    numbers = {} if x == "float32" else {"scale": 0.5, "zero_point": 0}
    parts = {
        "x": np.zeros((1, 3, 3, 2), x),
        "w": np.zeros((4, 2, 2, 2), w),
        "bias": np.zeros(4, bias),
        "x_numbers": dict(numbers),
        "w_numbers": {"scale": [0.5], "zero_point": [0]} if w != "float32" else {},
        "bias_numbers": {"scale": 0.25, "zero_point": 0} if bias != "float32" else {},
        "y": (y, dict(numbers)),
    }
    parts.update(change)
    return one(**parts)


REFUSALS = {
    "rank of x": {"x": np.zeros((3, 3, 2), np.int8)},
    "rank of w": {"w": np.zeros((4, 2, 4), np.int8)},
    "depth": {"w": np.zeros((4, 2, 2, 3), np.int8)},
    "groups": {"w": np.zeros((3, 2, 2, 1), np.int8), "bias": np.zeros(3, np.int32)},
    "bias length": {"bias": np.zeros(5, np.int32)},
    "bias type": {"bias": np.zeros(4, np.int64)},
    "bias zero": {"bias_numbers": {"scale": 0.25, "zero_point": 3}},
    "no bias": {"bias": None},
    "filter zero": {"w_numbers": {"scale": [0.5], "zero_point": [1]}},
    "filter scales": {"w_numbers": {"scale": [0.5, 0.5], "zero_point": [0, 0], "axis": 1}},
    "filter without scale": {"w_numbers": {}},
    "input without scale": {"x_numbers": {}},
    "type of y": {"y": ("int16", {"scale": 0.5, "zero_point": 0})},
    "stride": {"stride_h": 0},
    "dilation": {"dilation_w_factor": 0},
    "window too large": {"dilation_h_factor": 7},
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refuses(official, what):
    assert check(*refused(REFUSALS[what]), must_run=False) == "error at allocate"


def test_refuses_16_bits_with_a_zero_point(official):
    numbers = {"x_numbers": {"scale": 0.5, "zero_point": 2}}
    parts = {"x": "int16", "bias": "int64", "y": "int16"}
    assert check(*refused(numbers, **parts), must_run=False) == "error at allocate"
    assert check(*refused({"quantized_bias_type": "INT32"}, **parts), must_run=False) == "error at allocate"


def test_refuses_a_bias_scale_of_its_own(official):
    numbers = {"bias_numbers": {"scale": 0.5, "zero_point": 0}}
    assert check(*refused(numbers, x="uint8", w="uint8", y="uint8"), must_run=False) == "error at allocate"


@pytest.mark.parametrize("types", [("float32", "float16"), ("int8", "uint8"), ("int16", "int16"), ("float32", "uint8")])
def test_refuses_types_that_do_not_go_together(types):
    """The official kernels take some of these filters for what they are not."""
    x, w = types
    bias = {"float32": "float32", "int16": "int64"}.get(x, "int32")
    with pytest.raises(OursFailed, match=f"a filter of type {w} with an input of type {x}"):
        ours(*refused({}, x=x, w=w, bias=bias, y=x))
