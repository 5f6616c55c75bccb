"""CAST, QUANTIZE, DEQUANTIZE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import array, check, differential, ours, quantization, scales, shapes

CASTS = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool", "float16", "float64")


def model(op, shape, x_type, y_type, x_numbers=None, y_numbers=None, version=1, **options):
    m = Model()
    x = m.input(shape, x_type, **(x_numbers or {}))
    y = m.tensor((), y_type, **(y_numbers or {}))
    m.op(op, [x], [y], version=version, **options)
    m.output(y)
    return m.content()


# ---- worked by hand


def test_halves_are_rounded_away_from_zero():
    numbers = {"scale": 0.5, "zero_point": 1}
    (y,) = ours(model("QUANTIZE", (4,), "float32", "int8", y_numbers=numbers), [np.float32([0.25, -0.25, 0.74, 100])])
    # 0.5 -> 1, -0.5 -> -1, 1.48 -> 1, 200 -> saturates; plus zero 1
    assert y.tolist() == [2, 0, 2, 127]


def test_just_below_one_half_is_rounded_down():
    """In float32 0.49999997 + 0.5 is 1."""
    content = model("QUANTIZE", (2,), "float32", "int8", y_numbers={"scale": 1.0, "zero_point": 0})
    assert ours(content, [np.float32([0.49999997, -0.49999997])])[0].tolist() == [0, 0]


def test_int8_and_uint8_differ_by_128():
    content = model(
        "QUANTIZE", (3,), "int8", "uint8", {"scale": 0.1, "zero_point": 0}, {"scale": 0.1, "zero_point": 128}
    )
    assert ours(content, [np.int8([-128, 0, 127])])[0].tolist() == [0, 128, 255]


def test_a_cast_to_integers_saturates():
    x = np.float32([3e9, -3e9, 1.9, -1.9])
    assert ours(model("CAST", (4,), "float32", "int8"), [x])[0].tolist() == [127, -128, 1, -1]
    assert ours(model("CAST", (4,), "float32", "int32"), [x])[0].tolist() == [2**31 - 1, -(2**31), 1, -1]


def test_bfloat16_ties_go_to_the_even_number():
    """bfloat16 has 7 bits after the point; 1 + 2**-8 lies in the middle of two, and so does 1 + 3 * 2**-8."""
    m = Model()
    x, half, y = m.input((2,), "float32"), m.tensor((), "bfloat16"), m.tensor((), "float32")
    m.op("CAST", [x], [half], version=8)
    m.op("CAST", [half], [y], version=8)
    m.output(y)
    tied = np.float32([1 + 2.0**-8, 1 + 3 * 2.0**-8])
    assert ours(m.content(), [tied])[0].tolist() == [1, 1 + 2.0**-6]
    check(m.content(), [tied])


def test_dequantize_per_channel():
    numbers = {"scale": [0.5, 2.0], "zero_point": [0, 1], "axis": 1}
    (y,) = ours(model("DEQUANTIZE", (1, 2), "int8", "float32", numbers), [np.int8([[4, 4]])])
    assert y.tolist() == [[2.0, 6.0]]


# ---- against the official runtime


@pytest.mark.parametrize("source", CASTS)
@pytest.mark.parametrize("target", CASTS)
def test_cast(official, source, target):
    @differential(40)
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 3, 5))
        x = array(data.draw, source, shape)
        if source.startswith("float") and target.startswith(("int", "uint")):
            x = np.clip(x, 0 if target[0] == "u" else -100, 100)
        check(model("CAST", shape, source, target), [x])

    run()


@pytest.mark.parametrize("target", ("int8", "uint8", "int16"))
@pytest.mark.parametrize("channels", (False, True))
def test_quantize(official, target, channels):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 5))
        numbers = data.draw(quantization(target))
        if channels:
            axis = data.draw(st.integers(0, len(shape) - 1))
            many = [data.draw(scales()) for _ in range(shape[axis])]
            numbers = {"scale": many, "zero_point": [numbers["zero_point"]] * len(many), "axis": axis}
        x = array(data.draw, "float32", shape)
        if data.draw(st.booleans()):  # ties
            x = (np.round(x * 8) / 2 * np.float32(np.ravel(numbers["scale"])[0])).astype(np.float32)
        check(model("QUANTIZE", shape, "float32", target, y_numbers=numbers, version=2), [x])

    run()


@pytest.mark.parametrize(
    "source, target",
    [("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("int16", "int8")]
    + [("int16", "int16"), ("int16", "int32"), ("int32", "int8"), ("int32", "int16")],
)
def test_requantize(official, source, target):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 3, 6))
        x_numbers = data.draw(quantization(source))
        y_numbers = data.draw(quantization(target))
        if data.draw(st.integers(0, 3)) == 0:
            y_numbers["scale"] = x_numbers["scale"]
        low, high = (-(2**20), 2**20) if source == "int32" else (None, None)
        x = array(data.draw, source, shape, low, high)
        check(model("QUANTIZE", shape, source, target, x_numbers, y_numbers, version=2), [x])

    run()


@pytest.mark.parametrize("source", ("int8", "uint8", "int16", "int4"))
@pytest.mark.parametrize("channels", (False, True))
def test_dequantize(official, source, channels):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 5))
        numbers = data.draw(quantization(source))
        if channels:
            axis = data.draw(st.integers(0, len(shape) - 1))
            many = [data.draw(scales()) for _ in range(shape[axis])]
            numbers = {"scale": many, "zero_point": [numbers["zero_point"]] * len(many), "axis": axis}
        x = array(data.draw, source, shape)
        outcome = check(model("DEQUANTIZE", shape, source, "float32", numbers, version=2), [x], must_run=False)
        refused = source == "int16" and channels and np.size(numbers["scale"]) > 1
        assert outcome == ("error at invoke" if refused else "equal")

    run()


def test_dequantize_float16(official):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 3, 5))
        check(
            model("DEQUANTIZE", shape, "float16", "float32", version=3),
            [array(data.draw, "float16", shape, special=True)],
        )

    run()


# ---- refusals


@pytest.mark.parametrize(
    "content, x",
    [
        (model("QUANTIZE", (2,), "float32", "int8"), np.float32([1, 2])),
        (model("QUANTIZE", (2,), "int64", "int8", y_numbers={"scale": 1.0, "zero_point": 0}), np.int64([1, 2])),
        (model("DEQUANTIZE", (2,), "int32", "float32", {"scale": 1.0, "zero_point": 0}), np.int32([1, 2])),
        (
            model("QUANTIZE", (2,), "int16", "int16", {"scale": 1.0, "zero_point": 3}, {"scale": 1.0, "zero_point": 0}),
            np.int16([1, 2]),
        ),
    ],
)
def test_refused(official, content, x):
    assert check(content, [x], must_run=False) == "error at allocate"
