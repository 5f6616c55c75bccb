"""EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR LOGICAL_NOT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.elementwise import model, numbers, shape_of, two_shapes, zeros
from tests.oracle import official

PLAIN = {
    "EQUAL": "bool float32 float16 int16 int32 int64 string",
    "NOT_EQUAL": "bool float32 float16 int32 int64 string",
    "LESS": "float32 float16 bfloat16 int16 int32 int64",
    "LESS_EQUAL": "float32 float16 int16 int32 int64",
    "GREATER": "float32 float16 bfloat16 int16 int32 int64",
    "GREATER_EQUAL": "float32 float16 int16 int32 int64",
}
QUANTIZED = {op: "int8 uint8 int16" if "EQUAL" in (op, op[4:]) else "int8 uint8" for op in PLAIN}


def pair(op, type, shape1, shape2, q1=(), q2=()):
    operands = [(type, shape1, dict(q1)), (type, shape2, dict(q2))]
    return model(op, operands, ("bool", shape_of(shape1, shape2), {}))


# ---- worked by hand


def test_quantized_by_hand():
    """0.5 * (10 - 2) = 4 and 0.25 * (12 + 4) = 4 are equal; 0.25 * 17 is more."""
    q1, q2 = {"scale": 0.5, "zero_point": 2}, {"scale": 0.25, "zero_point": -4}
    x = [np.int8([10, 10]), np.int8([12, 13])]
    for op, wanted in {"EQUAL": [1, 0], "LESS": [0, 1], "LESS_EQUAL": [1, 1], "GREATER": [0, 0]}.items():
        np.testing.assert_array_equal(ours(pair(op, "int8", (2,), (2,), q1, q2), x)[0], np.array(wanted, bool))


def test_equal_strings():
    x = [np.array(b"ab", object), np.array([b"ab", b"a", b"ab\x00"], object)]
    np.testing.assert_array_equal(ours(pair("EQUAL", "string", (), (3,)), x)[0], [True, False, False])


def test_nan_equals_nothing():
    x = np.float32([np.nan])
    for op in PLAIN:
        assert ours(pair(op, "float32", (1,), (1,)), [x, x])[0] == (op == "NOT_EQUAL")


def test_not_equal_of_plain_int16():
    """The official kernel writes nothing here."""
    x = [np.int16([1, 2]), np.int16([1, 3])]
    np.testing.assert_array_equal(ours(pair("NOT_EQUAL", "int16", (2,), (2,)), x)[0], [False, True])


def test_a_scale_of_one_or_more():
    """The official process ends where a scale is exactly 1, and compares garbage above."""
    q = {"scale": 1.0, "zero_point": 0}
    content = pair("LESS", "int8", (2,), (2,), q, {"scale": 4.0, "zero_point": 0})
    x = [np.int8([5, 3]), np.int8([1, 1])]
    np.testing.assert_array_equal(ours(content, x)[0], [False, True])
    with pytest.raises(official.Died):
        official.run(content, x)


# ---- against the official runtime


def near(draw, x, shape):
    """Numbers that often equal those of x."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.asarray(rng.choice(x.ravel(), shape), x.dtype) if x.size and draw(st.booleans()) else None


@pytest.mark.parametrize("op,type", [(op, type) for op, types in PLAIN.items() for type in types.split()])
@differential()
@given(data=st.data())
def test_plain(op, type, data):
    draw = data.draw
    shape1, shape2 = draw(two_shapes())
    if type == "string":  # of a scalar the official API takes the address
        shape1, shape2 = shape1 or (1,), shape2 or (1,)
    special = type in ("float32", "float16", "bfloat16") and draw(st.booleans())
    x1 = array(draw, type, shape1, special=special)
    x2 = near(draw, x1, shape2)
    x2 = array(draw, type, shape2, special=special) if x2 is None else x2
    check(pair(op, type, shape1, shape2), [x1, x2])


@pytest.mark.parametrize("op,type", [(op, type) for op, types in QUANTIZED.items() for type in types.split()])
@differential()
@given(data=st.data())
def test_quantized(op, type, data):
    draw = data.draw
    shape1, shape2 = draw(two_shapes())
    q1, q2 = (numbers(draw, type, high=0.99) for _ in range(2))
    if draw(st.booleans()):
        q2 = q1
    x1, x2 = array(draw, type, shape1), array(draw, type, shape2)
    check(pair(op, type, shape1, shape2, q1, q2), [x1, x2])


@pytest.mark.parametrize("op", ["LOGICAL_AND", "LOGICAL_OR"])
@differential()
@given(data=st.data())
def test_logical(op, data):
    shape1, shape2 = data.draw(two_shapes())
    check(pair(op, "bool", shape1, shape2), [array(data.draw, "bool", shape) for shape in (shape1, shape2)])


@differential()
@given(data=st.data())
def test_logical_not(data):
    shape = data.draw(shapes(0, 5, 5, min_side=0))
    check(model("LOGICAL_NOT", [("bool", shape, {})], ("bool", shape, {})), [array(data.draw, "bool", shape)])


# ---- refusals


@pytest.mark.parametrize(
    "op,types,shapes",
    [
        ("EQUAL", ("float32", "int32"), ((2,), (2,))),
        ("EQUAL", ("float32", "float32"), ((2,), (3,))),
        ("EQUAL", ("uint32", "uint32"), ((2,), (2,))),
        ("LESS", ("bool", "bool"), ((2,), (2,))),
        ("LESS", ("string", "string"), ((2,), (2,))),
        ("GREATER_EQUAL", ("bfloat16", "bfloat16"), ((2,), (2,))),
        ("LOGICAL_AND", ("int32", "int32"), ((2,), (2,))),
    ],
)
def test_refused(op, types, shapes):
    content = model(op, [(type, shape, {}) for type, shape in zip(types, shapes)], ("bool", shapes[0], {}))
    x = [zeros(type, shape) for type, shape in zip(types, shapes)]
    assert check(content, x, must_run=False).startswith("error")


def test_refused_version():
    content = model("EQUAL", [("int32", (1,), {})] * 2, ("bool", (1,), {}), version=6)
    assert check(content, [np.zeros(1, np.int32)] * 2, must_run=False).startswith("error")


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_without_quantization(type):
    """Official: the process ends."""
    x = [np.zeros(1, type)] * 2
    with pytest.raises(OursFailed, match="quantization"):
        ours(pair("EQUAL", type, (1,), (1,)), x)
    with pytest.raises(official.Died):
        official.run(pair("EQUAL", type, (1,), (1,)), x)
