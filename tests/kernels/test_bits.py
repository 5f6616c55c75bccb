"""BITWISE_XOR RIGHT_SHIFT BITCAST."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.elementwise import model, shape_of, two_shapes, zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
BYTES = {
    1: ("int8", "uint8", "bool"),
    2: ("int16", "uint16", "float16", "bfloat16"),
    4: ("int32", "uint32", "float32"),
    8: ("int64", "uint64", "float64", "complex64"),
    16: ("complex128",),
}
WIDTH = {type: n for n, types in BYTES.items() for type in types}


# ---- worked by hand


def test_xor():
    (y,) = run("BITWISE_XOR", [Arg(np.uint8([[0b1100], [0b0011]])), Arg(np.uint8([0b1010, 255]))], ["uint8"])
    assert y.tolist() == [[0b0110, 0b11110011], [0b1001, 0b11111100]]


def test_a_shift_keeps_the_sign_and_ends_at_the_last_bit():
    (y,) = run("RIGHT_SHIFT", [Arg(np.int8([-128, -1, 127, 96, 5])), Arg(np.int8([3, 100, 7, 5, -2]))], ["int8"])
    assert y.tolist() == [-16, -1, 0, 3, 5]
    (y,) = run("RIGHT_SHIFT", [Arg(np.uint8([128, 255])), Arg(np.uint8([200, 4]))], ["uint8"])
    assert y.tolist() == [1, 15]


def test_bitcast_splits_and_joins_the_last_axis():
    (y,) = run("BITCAST", [Arg(np.uint32([0x04030201, 255]))], ["uint8"])
    assert y.tolist() == [[1, 2, 3, 4], [255, 0, 0, 0]]
    (y,) = run("BITCAST", [Arg(np.uint8([[1, 2, 3, 4], [255, 0, 0, 0]]))], ["uint32"])
    assert y.tolist() == [0x04030201, 255]
    (y,) = run("BITCAST", [Arg(np.float32(1))], ["int32"])
    assert y == 0x3F800000


# ---- against the official runtime


@pytest.mark.parametrize("op", ["BITWISE_XOR", "RIGHT_SHIFT"])
@pytest.mark.parametrize("type", INTEGERS)
@differential()
@given(data=st.data())
def test_integers(op, type, data):
    shape1, shape2 = data.draw(two_shapes())
    x1, x2 = array(data.draw, type, shape1), array(data.draw, type, shape2)
    if op == "RIGHT_SHIFT" and data.draw(st.booleans()):
        x2 = x2 % x2.dtype.type(40)
    check(model(op, [(type, shape1, {}), (type, shape2, {})], (type, shape_of(shape1, shape2), {})), [x1, x2])


@pytest.mark.parametrize("source", [type for type in WIDTH if type != "bfloat16"])
@differential()
@given(data=st.data())
def test_bitcast(source, data):
    """To every type at once. What the official API can't show, bfloat16, is taken on to uint16."""
    m, arrays = Model(), []
    for last in (1, 2, 4, 8, 16):
        lead = data.draw(st.sampled_from([(), (3,), (2, 1), (0,), (1, 2, 3)]))
        x = array(data.draw, source, (*lead, last), special=True)
        handle = m.input(x.shape, source)
        arrays.append(x)
        for type, width in WIDTH.items():
            if width <= WIDTH[source] if last == 1 else width == WIDTH[source] * last:
                y = m.tensor((), type)
                m.op("BITCAST", [handle], [y])
                if type == "bfloat16":
                    bits = m.tensor((), "uint16")
                    m.op("BITCAST", [y], [bits])
                    y = bits
                m.output(y)
    check(m.content(), arrays)


@pytest.mark.parametrize("target", WIDTH)
@differential()
@given(data=st.data())
def test_bitcast_of_bfloat16(target, data):
    """The official API can't set bfloat16 either."""
    ratio = max(1, WIDTH[target] // 2)
    x = array(data.draw, "uint16", (*data.draw(st.sampled_from([(), (3,), (2, 1), (0,), (1, 2, 3)])), ratio))
    m = Model()
    a, b, c = m.input(x.shape, "uint16"), m.tensor((), "bfloat16"), m.tensor((), target)
    m.op("BITCAST", [a], [b])
    m.op("BITCAST", [b], [c])
    if target == "bfloat16":
        a = m.tensor((), "uint16")
        m.op("BITCAST", [c], [a])
        c = a
    m.output(c)
    check(m.content(), [x])


@differential()
@given(data=st.data())
def test_bitcast_of_four_bits(data):
    shape = data.draw(shapes(0, 4, 5))
    check(*one_op("BITCAST", [Arg(array(data.draw, "int4", shape), "int4")], ["int4"]))


def test_bitcast_follows_a_resize(official):
    content, _ = one_op("BITCAST", [Arg(np.zeros((1, 4), np.uint8))], ["float32"])
    x = np.arange(24, dtype=np.uint8)
    check(content, [[x[:4].reshape(1, 4)], [x.reshape(6, 4)], [x[:4]]], sequence=True)


@pytest.mark.parametrize("op", ["BITWISE_XOR", "RIGHT_SHIFT"])
def test_types(official, op):
    def make(type, result):
        x = zeros(type, (2, 3))
        return one_op(op, [Arg(x, type), Arg(x, type)], [result])

    taken = sweep(make, (TYPES, TYPES))
    assert {type for type, _ in taken} == set(INTEGERS)


def test_types_of_bitcast(official):
    def make(type, result):
        if result == "bfloat16":  # the official API can't show it
            return None
        return one_op("BITCAST", [Arg(zeros(type, (3, 4)), type)], [result])

    widths = WIDTH | {"int4": 1}
    fitting = {(x, y) for x, n in widths.items() for y, m in widths.items() if n >= m or m == 4 * n}
    fitting = {pair for pair in fitting if pair[1] != "bfloat16"}
    known = {pair: "half the bytes are garbage" for pair in fitting if (pair[0] == "int4") != (pair[1] == "int4")}
    assert sweep(make, (TYPES, TYPES), known=known) == fitting - set(known)


# ---- refusals


@pytest.mark.parametrize("op", ["BITWISE_XOR", "RIGHT_SHIFT"])
@pytest.mark.parametrize("types,shapes", [(("int8", "uint8"), ((2,), (2,))), (("int8", "int8"), ((2,), (3,)))])
def test_refused_operands(official, op, types, shapes):
    content, arrays = one_op(op, [Arg(np.ones(shape, type)) for type, shape in zip(types, shapes)], ["int8"])
    assert check(content, arrays, must_run=False) == "error at allocate"


@pytest.mark.parametrize("x,target", [
    (np.zeros((2, 3), np.int8), "int32"), (np.zeros((4, 1), np.int16), "int32"), (np.int8(1), "int16"),
    (np.array([b"a"], object), "int8"), (np.int8([1]), "string"), (np.zeros(4, np.float32), "complex64"),
])  # fmt: skip
def test_refused_bitcast(official, x, target):
    content, arrays = one_op("BITCAST", [Arg(x)], [target])
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_four_bits_are_not_taken_for_eight():
    """Officially the packed bytes are, and as many more from beyond the end."""
    with pytest.raises(OursFailed, match="int4 taken for int8"):
        ours(*one_op("BITCAST", [Arg(np.zeros(4, np.int8), "int4")], ["int8"]))
    (y,) = run("BITCAST", [Arg(np.int8([1, -8]), "int4")], ["int4"])
    assert y.tolist() == [1, -8]


@pytest.mark.parametrize("op", ["BITWISE_XOR", "RIGHT_SHIFT"])
def test_refused_version(official, op):
    content, arrays = one_op(op, [Arg(np.ones(2, np.int8))] * 2, ["int8"], version=2)
    assert check(content, arrays, must_run=False).startswith("error")
