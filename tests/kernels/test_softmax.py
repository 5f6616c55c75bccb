"""SOFTMAX LOG_SOFTMAX."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import array, check, differential, ours, shapes
from tests.kernels.elementwise import model, numbers, zeros
from tests.oracle import official
from tests.sweep import TYPES, sweep

BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
OUTPUT = {
    "int8": {"scale": 1 / 256, "zero_point": -128},
    "uint8": {"scale": 1 / 256, "zero_point": 0},
    "int16": {"scale": 1 / 32768, "zero_point": 0},
}


def one(op, type, shape, q1=(), q2=(), result=None, **options):
    return model(op, [(type, shape, dict(q1))], (result or type, shape, dict(q2)), **options)


def rows(draw):
    """Shapes with a last axis of up to 300."""
    return (*draw(shapes(0, 3, 4)), draw(st.integers(1, 9) | st.integers(1, 300)))


# ---- worked by hand


def test_softmax_by_hand():
    """exp(0), exp(ln 3): a quarter and three quarters."""
    y = ours(one("SOFTMAX", "float32", (2,), beta=1.0), [np.float32([0, np.log(3)])])[0]
    np.testing.assert_allclose(y, [0.25, 0.75], rtol=1e-6)
    y = ours(one("LOG_SOFTMAX", "float32", (2,)), [np.float32([0, np.log(3)])])[0]
    np.testing.assert_allclose(y, np.log([0.25, 0.75]), rtol=1e-6)


def test_softmax_int8_by_hand():
    """Four equal numbers: a quarter each, 64 steps above -128."""
    content = one("SOFTMAX", "int8", (4,), {"scale": 0.1, "zero_point": 5}, OUTPUT["int8"], beta=1.0)
    np.testing.assert_array_equal(ours(content, [np.int8([7, 7, 7, 7])])[0], [-64] * 4)


# ---- against the official runtime


@pytest.mark.parametrize("op", ["SOFTMAX", "LOG_SOFTMAX"])
@differential()
@given(data=st.data())
def test_float(op, data):
    """exp of both sides is within 4 ULP, and a sum of `depth` terms within depth ULP."""
    draw = data.draw
    shape = rows(draw)
    x = array(draw, "float32", shape)
    unit = 2.0**-24
    chosen = {"beta": draw(st.sampled_from([1.0, 0.5, 2.0, 0.1]))} if op == "SOFTMAX" else {}
    if op == "SOFTMAX":
        reach = 4 * unit * np.ptp(x, -1, keepdims=True) * chosen["beta"] if x.size else 0
        bound = lambda y: (2 * (shape[-1] + 8) * unit + reach) * y + 1e-37  # noqa: E731
    else:
        bound = lambda y: 2 * (shape[-1] + 8) * unit + 4 * unit * (np.abs(y) + np.abs(x).max(initial=0))  # noqa: E731
    check(one(op, "float32", shape, **chosen), [x], bound=bound)


@differential()
@given(data=st.data())
def test_float16(data):
    shape = rows(data.draw)
    x = array(data.draw, "float16", shape)
    check(one("SOFTMAX", "float16", shape, beta=data.draw(st.sampled_from([1.0, 0.5]))), [x], ulps=1, resolver=BUILTIN)


@pytest.mark.parametrize("type,result", [("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16")])
@differential()
@given(data=st.data())
def test_quantized(type, result, data):
    draw = data.draw
    shape = rows(draw)
    q = numbers(draw, type, 2.0**-10, 2.0**3)
    content = one("SOFTMAX", type, shape, q, OUTPUT[result], result, beta=draw(st.sampled_from([1.0, 0.5, 3.0])))
    check(content, [array(draw, type, shape)])


@differential()
@given(data=st.data())
def test_int16(data):
    draw = data.draw
    shape = rows(draw)
    q = numbers(draw, "int16", 2.0**-15, 2.0**15)
    content = one("SOFTMAX", "int16", shape, q, OUTPUT["int16"], beta=draw(st.sampled_from([1.0, 0.5, 3.0])))
    check(content, [array(draw, "int16", shape)])


@pytest.mark.parametrize("type", ["int8", "uint8"])
@differential()
@given(data=st.data())
def test_log_quantized(type, data):
    draw = data.draw
    shape = rows(draw)
    q = numbers(draw, type, 2.0**-10, 2.0**2)
    output = {"scale": 1 / 16, "zero_point": np.iinfo(type).max}
    check(one("LOG_SOFTMAX", type, shape, q, output), [array(draw, type, shape)])


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_large_sums(type):
    """From 512 on the reference kernel ends the process; the optimised one does not, and ours is equal to it."""
    rng = np.random.default_rng(5)
    x = np.concatenate([np.full((1, 1500), 3), rng.integers(0, 20, (3, 1500)), rng.integers(0, 120, (2, 1500))])
    content = one("SOFTMAX", type, x.shape, {"scale": 0.05, "zero_point": 0}, OUTPUT[type], beta=1.0)
    check(content, [x.astype(type)], resolver=BUILTIN)
    with pytest.raises(official.Died):
        official.run(content, [x.astype(type)])


@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_log_of_large_sums(type):
    """5000 equal numbers: -ln 5000 = -8.52, 136 steps of 1/16; officially the 32-bit sum overflows from 4096 on."""
    output = {"scale": 1 / 16, "zero_point": np.iinfo(type).max}
    content = one("LOG_SOFTMAX", type, (5000,), {"scale": 0.1, "zero_point": 0}, output)
    y = ours(content, [np.full(5000, 7, type)])[0]
    assert (y == np.iinfo(type).max - 136).all()


def test_small_scale():
    """Below 2**-26 all exponentials are 1; the reference kernel ends the process."""
    content = one("SOFTMAX", "int8", (4,), {"scale": 1e-9, "zero_point": 0}, OUTPUT["int8"], beta=1.0)
    np.testing.assert_array_equal(ours(content, [np.int8([-128, 0, 5, 127])])[0], [-64] * 4)


def test_types():
    def make(type, result):
        q = {"scale": 0.1, "zero_point": 0} if type.startswith(("int", "uint")) else {}
        return one("SOFTMAX", type, (2, 3), q, OUTPUT.get(result, {}), result, beta=1.0), [zeros(type, (2, 3))]

    results = ("float32", "float16", "int8", "uint8", "int16")
    known = {(x, y): "officially written as another type" for x in results[:2] for y in results if x != y}
    known |= {("int16", y): "officially written as another type" for y in ("float32", "float16", "uint8")}
    same = {(type, type) for type in results}
    assert sweep(make, (TYPES, results), known=known, ulps=4) == same | {("int8", "int16"), ("uint8", "int16")}


def test_versions():
    for version in range(1, 6):
        content = one("SOFTMAX", "float32", (2, 3), version=version, beta=1.0)
        outcome = check(content, [np.ones((2, 3), np.float32)], must_run=False, ulps=4, resolver=BUILTIN)
        assert (outcome == "equal") == (version <= 4)


def test_a_large_scale_of_int16():
    """A step of 8 is 0.8 * 2**16 * 10 / 65535. A distance of -3 * 2**14 times 2**16 is 2**30 in 32 bits: above 0."""
    content = one("SOFTMAX", "int16", (3,), {"scale": 8.0, "zero_point": 0}, OUTPUT["int16"], beta=1.0)
    y = ours(content, [np.int16([-16385, 32767, 32766])])[0]
    np.testing.assert_allclose(y / 32768, [1 / 2, 1 / 2, 0], atol=1e-3)


# ---- refusals


@pytest.mark.parametrize("op,type,scale,zero", [
    ("SOFTMAX", "int8", 1 / 255, -128),
    ("SOFTMAX", "int8", 1 / 256, 0),
    ("SOFTMAX", "int16", 1 / 65536, 0),
    ("LOG_SOFTMAX", "int8", 1 / 8, 127),
    ("LOG_SOFTMAX", "uint8", 1 / 16, 0),
])  # fmt: skip
def test_refused_quantization(op, type, scale, zero):
    content = one(op, type, (2,), {"scale": 0.5, "zero_point": 0}, {"scale": scale, "zero_point": zero})
    assert check(content, [np.zeros(2, type)], must_run=False) == "error at allocate"


def test_refused_result():
    content = one("SOFTMAX", "int8", (2,), {"scale": 0.5, "zero_point": 0}, OUTPUT["uint8"], "uint8", beta=1.0)
    assert check(content, [np.zeros(2, np.int8)], must_run=False, resolver=BUILTIN) == "error at invoke"


@pytest.mark.parametrize("op,type", [("SOFTMAX", "int32"), ("SOFTMAX", "float64"), ("LOG_SOFTMAX", "float16")])
def test_refused_type(op, type):
    assert check(one(op, type, (2,)), [zeros(type, (2,))], must_run=False) == "error at invoke"


def test_refused_scalar():
    assert check(one("SOFTMAX", "float32", ()), [np.float32(1)], must_run=False) == "error at allocate"
