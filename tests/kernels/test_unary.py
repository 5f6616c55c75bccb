"""ABS NEG SQRT RSQRT SQUARE EXP LOG SIN COS CEIL FLOOR ROUND SIGN."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.elementwise import model, numbers, zeros
from tests.oracle import official

PLAIN = {
    "ABS": "float32 int16 int32",
    "NEG": "float32 float16 bfloat16 int8 int16 int32 int64",
    "SQRT": "float32",
    "RSQRT": "float32",
    "SQUARE": "float32",
    "EXP": "float32",
    "LOG": "float32",
    "SIN": "float32 float16",
    "COS": "float32 float16",
    "CEIL": "float32",
    "FLOOR": "float32 float16 bfloat16",
    "ROUND": "float32 float16 bfloat16",
    "SIGN": "float32 float64 int32",
}
ULPS = {"RSQRT": 2, "SQUARE": 2, "EXP": 4, "LOG": 4, "SIN": 4, "COS": 4}
NO_REFERENCE = ("CEIL", "ROUND")


def one(op, type, shape, q1=(), q2=(), version=1, **options):
    return model(op, [(type, shape, dict(q1))], (type, shape, dict(q2)), version=version, **options)


def resolver(op):
    return "BUILTIN_WITHOUT_DEFAULT_DELEGATES" if op in NO_REFERENCE else "BUILTIN_REF"


# ---- worked by hand


def test_abs_int8_by_hand():
    """|-6 - 2| * 0.5 = 4; 4 / 0.25 - 10 = 6."""
    content = one("ABS", "int8", (1,), {"scale": 0.5, "zero_point": 2}, {"scale": 0.25, "zero_point": -10})
    assert ours(content, [np.int8([-6])])[0] == 6


def test_sqrt_int8_cuts_off():
    """sqrt(2) / 0.5 = 2.8, 2 of them."""
    content = one("SQRT", "int8", (1,), {"scale": 1.0, "zero_point": 0}, {"scale": 0.5, "zero_point": 0})
    assert ours(content, [np.int8([2])])[0] == 2


def test_round_goes_to_the_even_number():
    x = np.float32([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 8388609])
    np.testing.assert_array_equal(ours(one("ROUND", "float32", (7,)), [x])[0], [0, 2, 2, 0, -2, 0, 8388609])


def test_exp_int8_saturates():
    """exp(127) is beyond int32 too; official: on x86 the lowest number."""
    q = {"scale": 1.0, "zero_point": 0}
    assert ours(one("EXP", "int8", (1,), q, q), [np.int8([127])])[0] == 127


# ---- against the official runtime


@pytest.mark.parametrize("op,type", [(op, type) for op, types in PLAIN.items() for type in types.split()])
@differential()
@given(data=st.data())
def test_plain(op, type, data):
    draw = data.draw
    shape = draw(shapes(0, 5, 5, min_side=0))
    special = type.startswith(("float", "bfloat")) and draw(st.booleans())
    x = array(draw, type, shape, special=special)
    if op in ("SIN", "COS"):  # where one float32 is more than a turn from the next, no library agrees with another
        x = np.clip(x, -60000, 60000)
    check(one(op, type, shape), [x], ulps=ULPS.get(op) if type == "float32" else 1, resolver=resolver(op))


@pytest.mark.parametrize("op,type", [("ABS", "int8"), ("ABS", "int16"), ("SQRT", "int8"), ("SQRT", "int16"),
                                     ("RSQRT", "int8"), ("RSQRT", "int16"), ("LOG", "int8"), ("LOG", "int16"),
                                     ("EXP", "int8"), ("EXP", "int16")])  # fmt: skip
@differential()
@given(data=st.data())
def test_quantized(op, type, data):
    draw = data.draw
    low = 2.0**-14 if type == "int16" else 2.0**-9
    q1, q2 = numbers(draw, type, low), numbers(draw, type, low)
    if op == "EXP" and type == "int8":  # what is beyond int32 is officially what the machine makes of it
        assume(q1["scale"] * 255 < 20 + np.log(q2["scale"]))
    if op == "ABS":
        assume(q1["scale"] / q2["scale"] < (2**14 if type == "int16" else 2**22))
    # all there are
    least = q1["zero_point"] if op in ("SQRT", "RSQRT") else np.iinfo(type).min
    x = np.arange(least, np.iinfo(type).max + 1).astype(type)
    if type == "int16":
        x = array(draw, type, (500,), low=least)
    check(one(op, type, x.shape, q1, q2), [x])


# ---- refusals


@pytest.mark.parametrize("op,type", [
    ("ABS", "uint8"), ("NEG", "uint8"), ("SQRT", "int32"), ("RSQRT", "float16"), ("SQUARE", "int32"), ("EXP", "uint8"),
    ("EXP", "int32"), ("LOG", "float16"), ("SIN", "int32"), ("COS", "float64"), ("CEIL", "float16"), ("FLOOR", "int32"),
    ("ROUND", "int8"), ("SIGN", "int64"), ("SIGN", "float16"),
])  # fmt: skip
def test_refused_type(op, type):
    outcome = check(one(op, type, (2,)), [zeros(type, (2,))], must_run=False, resolver=resolver(op))
    assert outcome.startswith("error")


@pytest.mark.parametrize("op", ["ABS", "SQRT", "RSQRT", "LOG", "EXP"])
def test_refused_zero_point(op):
    q, odd = {"scale": 0.5, "zero_point": 0}, {"scale": 0.5, "zero_point": 1}
    assert check(one(op, "int16", (1,), q, odd), [np.ones(1, np.int16)], must_run=False) == "error at allocate"
    assert check(one(op, "int16", (1,), odd, q), [np.ones(1, np.int16)], must_run=False) == "error at allocate"


@pytest.mark.parametrize("op", ["SQRT", "RSQRT"])
@pytest.mark.parametrize("type", ["int8", "int16"])
def test_refused_negative(op, type):
    q = {"scale": 0.5, "zero_point": 0}
    assert check(one(op, type, (2,), q, q), [np.array([1, -1], type)], must_run=False) == "error at invoke"


@pytest.mark.parametrize("op", ["SQRT", "RSQRT", "LOG"])
def test_int16_without_quantization(op):
    """Official: SQRT ends the process, the others look into a table that nobody filled."""
    content = one(op, "int16", (1,))
    with pytest.raises(OursFailed, match="quantization"):
        ours(content, [np.ones(1, np.int16)])
    if op == "SQRT":
        with pytest.raises(official.Died):
            official.run(content, [np.ones(1, np.int16)])


def test_refused_count():
    content = model("EXP", [("float32", (1,), {})] * 2, ("float32", (1,), {}))
    assert check(content, [np.zeros(1, np.float32)] * 2, must_run=False) == "error at allocate"
