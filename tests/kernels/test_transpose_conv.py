"""TRANSPOSE_CONV."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels import transpose_conv, windows
from tests.cases import OursFailed, check, differential, ours
from tests.kernels.convolutions import bound, draw_case, drawn

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


def one(x, w, shape, bias=None, *, y=("float32", {}), x_numbers=None, w_numbers=None, bias_numbers=None, **options):
    """(content, inputs) of one TRANSPOSE_CONV; `shape` a constant, or an input where it is a list."""
    m = Model()
    data = m.input(x.shape, x.dtype.name, **(x_numbers or {}))
    size = m.input((len(shape),), "int32") if isinstance(shape, list) else m.constant(np.asarray(shape, np.int32))
    handles = [size, m.constant(w, **(w_numbers or {})), data]
    if bias is not None:
        handles.append(m.constant(bias, **(bias_numbers or {})))
    out = m.tensor((), y[0], **y[1])
    m.op(OP, handles, [out], **{"padding": "VALID", "stride_h": 1, "stride_w": 1, **options})
    m.output(out)
    return m.content(), [x, np.int32(shape)] if isinstance(shape, list) else [x]


# ---- worked by hand


def test_float_by_hand():
    x = np.float32([1, 2]).reshape(1, 1, 2, 1)
    w = np.float32([10, 20, 30]).reshape(1, 1, 3, 1)
    (y,) = ours(*one(x, w, (1, 1, 5, 1), np.float32([0.5]), stride_w=2))
    # 1 spreads over columns 0 to 2, 2 over columns 2 to 4
    assert y.ravel().tolist() == [10.5, 20.5, 30 + 20 + 0.5, 40.5, 60.5]
    # SAME: the border of 1 falls behind
    (y,) = ours(*one(x, w, (1, 1, 4, 1), stride_w=2, padding="SAME"))
    assert y.ravel().tolist() == [10, 20, 30 + 20, 40]


def test_a_stride_beyond_the_filter_leaves_gaps():
    x = np.float32([1, 2]).reshape(1, 2, 1, 1)
    (y,) = ours(*one(x, np.float32([[[[10]]]]), (1, 4, 1, 1), np.float32([1]), stride_h=3))
    assert y.ravel().tolist() == [11, 1, 1, 21]


# ---- against the official runtime


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", (windows.BLOCK, 40), ids=("", "small blocks"))
def test_differential(official, monkeypatch, kind, block):
    monkeypatch.setattr(transpose_conv, "BLOCK", block)

    @differential(200 if block > 40 else 40)
    @given(st.data())
    def run(data):
        case = draw_case(drawn(data), OP, **KINDS[kind])
        check(case.content, case.arrays, bound=bound(OP, case) if KINDS[kind]["x_type"] == "float32" else None)

    run()


@pytest.mark.parametrize("kind", ("float32", "uint8", "int8 per unit", "int16", "hybrid"))
def test_deep(official, kind):
    @differential(12)
    @given(st.data())
    def run(data):
        rng = drawn(data)
        case = draw_case(rng, OP, depth=int(rng.choice((300, 700, 2000))), **KINDS[kind])
        check(case.content, case.arrays, bound=bound(OP, case) if KINDS[kind]["x_type"] == "float32" else None)

    run()


def test_a_shape_computed_while_running(official):
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 3)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(2, 3, 3, 3)).astype(np.float32)
    check(*one(x, w, [2, 6, 4, 2], stride_h=2, stride_w=2, padding="SAME"), bound=1e-5)


# ---- refusals


def refused(change, **types):
    x, w, bias, y = ({"x": "int8", "w": "int8", "bias": "int32", "y": "int8"} | types).values()
    numbers = {"scale": 0.5, "zero_point": 0}
    parts = {
        "x": np.zeros((1, 3, 3, 2), x),
        "w": np.zeros((4, 2, 2, 2), w),
        "shape": (1, 4, 4, 4),
        "bias": np.zeros(4, bias),
        "x_numbers": numbers,
        "w_numbers": {"scale": [0.5], "zero_point": [0]},
        "bias_numbers": {"scale": 0.25, "zero_point": 0},
        "y": (y, dict(numbers)),
    }
    parts.update(change)
    return one(**parts)


REFUSALS = {
    "rank of x": {"x": np.zeros((3, 3, 2), np.int8)},
    "rank of w": {"w": np.zeros((4, 2, 4), np.int8)},
    "rank of shape": {"shape": ((1, 4), (4, 4))},
    "depth": {"w": np.zeros((4, 2, 2, 3), np.int8)},
    "bias length": {"bias": np.zeros(5, np.int32)},
    "bias type": {"bias": np.zeros(4, np.int64)},
    "bias zero": {"bias_numbers": {"scale": 0.25, "zero_point": 3}},
    "filter scales": {"w_numbers": {"scale": [0.5, 0.5], "zero_point": [0, 0], "axis": 1}},
    "filter without scale": {"w_numbers": {}},
    "input without scale": {"x_numbers": {}},
    "type of y": {"y": ("int16", {"scale": 0.5, "zero_point": 0})},
    "stride": {"stride_h": 0},
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
    assert check(*refused(REFUSALS[what]), must_run=False) == "error at allocate"


@pytest.mark.parametrize("what", SHAPES)
@pytest.mark.parametrize("late", (False, True), ids=("constant", "input"))
def test_refuses_a_shape_that_does_not_fit(official, what, late):
    shape, stage = SHAPES[what]
    outcome = check(*refused({"shape": list(shape) if late else shape}), must_run=False)
    assert outcome == f"error at {'invoke' if late else stage}"


@pytest.mark.parametrize("late", (False, True), ids=("constant", "input"))
def test_refuses_a_shape_of_another_length(official, late):
    shape = [1, 4, 4] if late else (1, 4, 4)
    assert check(*refused({"shape": shape}), must_run=False) == "error at allocate"


@pytest.mark.parametrize("types", [("float32", "float16"), ("int8", "uint8"), ("int16", "int16"), ("uint8", "int8")])
def test_refuses_types_that_do_not_go_together(types):
    x, w = types
    bias = {"float32": "float32", "int16": "int64"}.get(x, "int32")
    with pytest.raises(OursFailed, match=f"a filter of type {w} with an input of type {x}"):
        ours(*refused({}, x=x, w=w, bias=bias, y=x))
