"""FAKE_QUANT, NumericVerify."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import OursFailed, array, check, differential, ours, quantization, shapes
from tests.kernels.convolutions import drawn
from tests.kernels.elementwise import model, zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

STRICT = {"tolerance": 5.0, "log_if_failed": True}


# ---- worked by hand


def test_fake_quant_by_hand():
    """Two bits are the steps -1, 0, 1, 2; 0.5 goes up."""
    x = Arg(np.float32([-7, -0.4, 0.5, 1.2, 9, np.nan]))
    (y,) = run("FAKE_QUANT", [x], ["float32"], min=-1.0, max=2.0, num_bits=2)
    assert y.tolist() == [-1, 0, 1, 1, 2, -1]


def test_zero_is_made_a_step():
    """-0.9..2.1 in steps of 1 becomes -1..2."""
    (y,) = run("FAKE_QUANT", [Arg(np.float32([-7, 0, 7]))], ["float32"], min=-0.9, max=2.1, num_bits=2)
    np.testing.assert_allclose(y, [-1, 0, 2], rtol=1e-6)


def test_numeric_verify_by_hand():
    """0.5 * (3 - 1) = 1, 0.75 less the reference's 1.75."""
    x = Arg(np.int8([3, 3]), scale=0.5, zero_point=1)
    (y,) = run("NumericVerify", [x, Arg(np.float32([1, 1.75]))], ["float32"], custom=STRICT)
    assert y.tolist() == [0, -0.75]


def test_a_large_difference_is_an_error():
    x = Arg(np.int8([3, 7]), scale=0.5, zero_point=1)
    with pytest.raises(OursFailed, match=r"Mismatch: 7 stands for 0.0, off by 3.0, more than 2.5"):
        run("NumericVerify", [x, Arg(np.float32([1, 0]))], ["float32"], custom=STRICT)


# ---- against the official runtime


@differential()
@given(data=st.data())
def test_fake_quant(data):
    rng = drawn(data)
    shape = data.draw(shapes(0, 4, 5, min_side=0))
    x = array(data.draw, "float32", shape, special=True)
    low, high = -abs(rng.normal()), abs(rng.normal())
    if rng.random() < 0.3:  # ranges without 0, the wrong way round, of one number, not finite
        low, high = rng.choice([-3.0, 0.0, 1.5, 1e-38, np.nan, np.inf, -np.inf], 2)
    scale = 10.0 ** rng.integers(-2, 3)
    chosen = {"min": float(np.float32(low * scale)), "max": float(np.float32(high * scale))}
    chosen["num_bits"] = int(rng.integers(2, 17)) if rng.random() < 0.8 else int(rng.integers(0, 32))
    version = int(rng.integers(1, 3))
    check(model("FAKE_QUANT", [("float32", shape, {})], ("float32", shape, {}), version=version, **chosen), [x])


@pytest.mark.parametrize("type", ["int8", "uint8", "int16", "float16"])
@differential()
@given(data=st.data())
def test_numeric_verify(type, data):
    rng = drawn(data)
    shape = data.draw(shapes(0, 4, 5, min_side=0))
    numbers = {} if type == "float16" else data.draw(quantization(type))
    if type in ("int8", "uint8") and shape and 0 not in shape and rng.random() < 0.3:
        axis = int(rng.integers(len(shape)))
        numbers = {"scale": rng.uniform(0.01, 1, shape[axis]), "axis": axis}
        numbers["zero_point"] = rng.integers(0, 9, shape[axis])
    x, reference = array(data.draw, type, shape), array(data.draw, "float32", shape, special=True)
    custom = [{}, {"tolerance": 0.05, "log_if_failed": True}, {"tolerance": 5.0}][rng.integers(3)]
    check(*one_op("NumericVerify", [Arg(x, type, **numbers), Arg(reference)], ["float32"], custom=custom))


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
def test_tolerance(official, type):
    """The largest difference that passes is tolerance * scale, in float32."""
    x = np.array([3, 5, 7], type)
    outcomes = set()
    for scale in (0.5, 0.1):
        real = np.float32(scale) * x.astype(np.float32)
        for off in (0.0, 0.0999, 0.1, 0.10001, 0.5):
            given = [Arg(x, type, scale=scale, zero_point=0), Arg(real + np.float32([0, off * scale, 0]))]
            content, arrays = one_op(
                "NumericVerify", given, ["float32"], custom={"tolerance": 0.1, "log_if_failed": True}
            )
            outcomes.add(check(content, arrays, must_run=False))
    assert outcomes == {"equal", "error at invoke"}


def test_a_constant_is_compared_each_time():
    """The official kernel compares constants once, and then gives what it found the first time."""
    x = Arg(np.int8([2, 4]), constant=True, scale=0.5, zero_point=0)
    content, _ = one_op("NumericVerify", [x, Arg(np.float32([1, 2]))], ["float32"], custom={})
    turns = ours(content, [[np.float32([1, 2])], [np.float32([0, 0])]], sequence=True)
    assert [y.tolist() for (y,) in turns] == [[0, 0], [1, 2]]


def test_a_reference_of_another_shape(official):
    x, reference = Arg(np.int8([[2, 4]]), scale=0.5, zero_point=0), Arg(np.float32([1, 2.5]))
    check(*one_op("NumericVerify", [x, reference], ["float32"], custom=STRICT))


def test_types_of_fake_quant(official):
    def make(type, result):
        return one_op("FAKE_QUANT", [Arg(zeros(type, (2, 3)), type)], [result], min=-1.0, max=1.0, num_bits=8)

    taken = sweep(make, (["float32"], TYPES))
    assert taken == {("float32", result) for result in TYPES}


@pytest.mark.parametrize("type", [type for type in TYPES if type != "float32"])
def test_fake_quant_of_other_types(type):
    """Officially their bytes are taken for float32 numbers, as far as they reach and beyond."""
    with pytest.raises(OursFailed, match=f"type {type}"):
        run("FAKE_QUANT", [Arg(zeros(type, (2, 3)), type)], ["float32"], min=-1.0, max=1.0, num_bits=8)


def test_types_of_numeric_verify(official):
    def make(type, reference, result):
        numbers = {} if type.startswith(("float", "bool", "string", "complex")) else {"scale": 0.5, "zero_point": 0}
        given = [Arg(zeros(type, (2, 3)), type, **numbers), Arg(zeros(reference, (2, 3)), reference)]
        return one_op("NumericVerify", given, [result], custom=STRICT)

    taken = sweep(make, (TYPES, ("float32", "float16"), ("float32", "int8")))
    assert taken == {(x, "float32", y) for x in ("uint8", "int8", "int16", "float16") for y in ("float32", "int8")}


# ---- refusals


def test_refused_fake_quant(official):
    x = Arg(np.zeros(2, np.float32))
    for arguments, more in (([x, x], {}), ([x], {"narrow_range": True}), ([x], {"version": 3})):
        content, arrays = one_op("FAKE_QUANT", arguments, ["float32"], min=-1.0, max=1.0, num_bits=8, **more)
        assert check(content, arrays, must_run=False).startswith("error")


@pytest.mark.parametrize("bits", [-1, 32])
def test_refused_bits(bits):
    """Officially a shift by too many bits."""
    with pytest.raises(OursFailed, match=f"num_bits is {bits}"):
        run("FAKE_QUANT", [Arg(np.zeros(2, np.float32))], ["float32"], min=-1.0, max=1.0, num_bits=bits)


@pytest.mark.parametrize("type", ["int16", "float16"])
def test_refused_channels(official, type):
    x = Arg(np.ones(2, type), type, scale=[0.5, 0.25], zero_point=[0, 0])
    content, arrays = one_op("NumericVerify", [x, Arg(np.ones(2, np.float32))], ["float32"], custom={})
    assert check(content, arrays, must_run=False) == "error at invoke"


def test_numeric_verify_without_what_it_needs():
    """Officially scale 0, memory beyond the end, and a crash."""
    x, reference = Arg(np.ones(2, np.int8), scale=0.5, zero_point=0), Arg(np.ones(2, np.float32))
    with pytest.raises(OursFailed, match="no quantization parameters"):
        run("NumericVerify", [Arg(np.ones(2, np.int8)), reference], ["float32"], custom={})
    with pytest.raises(OursFailed, match="shapes"):
        run("NumericVerify", [x, Arg(np.ones(1, np.float32))], ["float32"], custom={})
    with pytest.raises(OursFailed, match="can't be read"):
        run("NumericVerify", [x, reference], ["float32"], custom=b"")
