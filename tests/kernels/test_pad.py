"""PAD, PADV2, MIRROR_PAD."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import array, check, differential, quantization, shapes
from tests.kernels.one_op import Arg, one_op, run

QUANTIZED = ("int8", "uint8", "int16")
TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")


def numbers(draw, type):
    """Quantization that tells the zero point from 0; none for half of the cases where that is allowed."""
    if type not in QUANTIZED or (type != "uint8" and draw(st.booleans())):
        return {}
    return {**draw(quantization(type)), **({"zero_point": 0} if type == "int16" else {})}


def index_array(draw, pairs, types):
    """The paddings in a type that holds them, as a constant or as an input."""
    type = draw(st.sampled_from(types))
    if type == "bool":
        pairs = [[n % 2 for n in pair] for pair in pairs]
    return Arg(np.array(pairs, type).reshape(-1, 2), constant=draw(st.integers(0, 3)) > 0)


# ---- worked by hand


def test_pad_fills_with_the_zero_point():
    (y,) = run("PAD", [Arg(np.int8([[5]]), scale=0.5, zero_point=-3), np.int32([[0, 1], [2, 0]])], [
        ("int8", {"scale": 0.5, "zero_point": -3})
    ])  # fmt: skip
    assert y.tolist() == [[-3, -3, 5], [-3, -3, -3]]


def test_reflect_leaves_the_border_out_and_symmetric_repeats_it():
    x = Arg(np.float32([1, 2, 3]))
    (y,) = run("MIRROR_PAD", [x, np.int32([[2, 1]])], ["float32"], mode="REFLECT")
    assert y.tolist() == [3, 2, 1, 2, 3, 2]
    (y,) = run("MIRROR_PAD", [x, np.int32([[2, 1]])], ["float32"], mode="SYMMETRIC")
    assert y.tolist() == [2, 1, 1, 2, 3, 3]


# ---- against the official runtime


@pytest.mark.parametrize("type", TYPES)
def test_pad(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(0, 5, 4))
        pairs = [[draw(st.integers(0, 3)), draw(st.integers(0, 3))] for _ in shape]
        q = numbers(draw, type)
        paddings = index_array(draw, pairs, ["int32", "int64"])
        check(*one_op("PAD", [Arg(array(draw, type, shape), type, **q), paddings], [(type, q)], version=2))

    run()


@pytest.mark.parametrize("type", TYPES)
def test_padv2(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 5, 4))
        pairs = [[draw(st.integers(0, 3)), draw(st.integers(0, 3))] for _ in shape]
        if len(shape) == 4 and draw(st.booleans()):
            pairs[0] = pairs[3] = [0, 0]  # an image: a path of its own
        q = numbers(draw, type)
        paddings = index_array(draw, pairs, ["int32", "int64"])
        x = Arg(array(draw, type, shape, special=True), type, **q)
        kind = draw(st.integers(0, 3))
        value = Arg(array(draw, type, (1,) if kind % 2 else ()), type, constant=kind > 1, **q)
        check(*one_op("PADV2", [x, paddings, value], [(type, q)], version=2))

    run()


@pytest.mark.parametrize("type", ("float32", "int8", "uint8", "int16", "int32", "int64"))
@pytest.mark.parametrize("mode", ("REFLECT", "SYMMETRIC"))
def test_mirror_pad(official, type, mode):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 5, 4))
        pairs = [[draw(st.integers(0, n - (mode == "REFLECT"))) for _ in range(2)] for n in shape]
        q = numbers(draw, type)
        paddings = index_array(draw, pairs, ["int32", "int64"])
        x = Arg(array(draw, type, shape), type, **q)
        check(*one_op("MIRROR_PAD", [x, paddings], [(type, q)], version=2, mode=mode))

    run()


# ---- refusals

X = Arg(np.zeros((2, 3), np.float32))
X8 = Arg(np.zeros((2, 3), np.int8), scale=0.5, zero_point=1)
Q8 = ("int8", {"scale": 0.5, "zero_point": 1})
PAIRS = [[1, 1], [0, 2]]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "op, arguments, output, options",
    [
        ("PAD", [X, [[1, 1]]], "float32", {}),
        ("PAD", [X, [1, 1, 0, 0]], "float32", {}),
        ("PAD", [X, [[1, 1, 1], [1, 1, 1]]], "float32", {}),
        ("PAD", [X, [[1, -1], [0, 0]]], "float32", {}),
        ("PAD", [X, PAIRS], "int32", {}),
        ("PADV2", [X, PAIRS, np.int32(1)], "float32", {}),
        ("PADV2", [X, PAIRS, np.float32([1, 2])], "float32", {}),
        ("PADV2", [X8, PAIRS, Arg(np.int8(1), constant=True, scale=0.25, zero_point=1)], Q8, {}),
        ("PADV2", [X8, PAIRS, Arg(np.int8(1), constant=True, scale=0.5, zero_point=2)], Q8, {}),
        ("MIRROR_PAD", [X, [[2, 0], [0, 0]]], "float32", {"mode": "REFLECT"}),
        ("MIRROR_PAD", [X, [[3, 0], [0, 0]]], "float32", {"mode": "SYMMETRIC"}),
        ("MIRROR_PAD", [X, [[-1, 0], [0, 0]]], "float32", {"mode": "SYMMETRIC"}),
        ("MIRROR_PAD", [X, [[1, 0]]], "float32", {}),
        ("MIRROR_PAD", [X, PAIRS], "int32", {}),
        ("MIRROR_PAD", [X8, PAIRS], ("int8", {"scale": 0.25, "zero_point": 1}), {}),
        ("MIRROR_PAD", [X8, PAIRS], ("int8", {"scale": 0.5, "zero_point": 0}), {}),
    ],
)
def test_refused(official, op, arguments, output, options, constant):
    x, pairs, *rest = arguments
    arguments = [x, Arg(np.array(pairs, np.int32), constant=constant), *rest]
    outcome = check(*one_op(op, arguments, [output], **options), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def zeros(type):
    return Arg(np.full((2, 3), b"a", object) if type == "string" else np.zeros((2, 3), type), type)


@pytest.mark.parametrize("type", ("string", "float64", "complex64", "uint16", "uint32", "uint64"))
def test_types_that_pad_refuses(official, type):
    content, arrays = one_op("PAD", [zeros(type), np.int32(PAIRS)], [type])
    assert check(content, arrays, must_run=False) == "error at invoke"


@pytest.mark.parametrize("type", ("float16", "float64", "bool", "uint16", "uint32", "uint64", "complex64"))
def test_further_types(official, type):
    """MIRROR_PAD moves values by their size alone."""
    x = Arg(np.arange(6).reshape(2, 3).astype(type), type)
    check(*one_op("MIRROR_PAD", [x, np.int32(PAIRS)], [type]))
    if type == "float16":
        check(*one_op("PAD", [x, np.int32(PAIRS)], [type]))


@pytest.mark.parametrize("type", ("string", "complex128"))
def test_types_that_mirror_pad_refuses(official, type):
    content, arrays = one_op("MIRROR_PAD", [zeros(type), np.int32(PAIRS)], [type])
    assert check(content, arrays, must_run=False) == "error at invoke"


@pytest.mark.parametrize("type", ("int8", "int16", "bool"))
def test_paddings_of_small_types(official, type):
    x = Arg(np.ones((2, 3), np.float32))
    check(*one_op("PAD", [x, np.array([[1, 0], [1, 1]], type)], ["float32"]))


@pytest.mark.parametrize("rank", range(1, 9))
def test_ranks(official, rank):
    x = Arg(np.arange(2**rank, dtype=np.float32).reshape((2,) * rank))
    pairs = np.int32([[0, 1]] * rank)
    outcome = check(*one_op("PAD", [x, pairs], ["float32"]), must_run=False)
    assert outcome == ("equal" if rank <= 5 else "error at allocate")
    check(*one_op("MIRROR_PAD", [x, pairs], ["float32"]))
