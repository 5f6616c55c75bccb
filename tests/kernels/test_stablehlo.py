"""STABLEHLO_ADD STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_AND STABLEHLO_SHIFT_LEFT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.elementwise import model, zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
NUMBERS = ("bool", "float16", "float32", "float64", *INTEGERS)
TAKEN = dict.fromkeys(("ADD", "MULTIPLY", "MAXIMUM", "MINIMUM"), NUMBERS)
TAKEN |= {"AND": ("bool", *INTEGERS), "SHIFT_LEFT": ("int8", "int16", "int32")}
RESOLVER = {"AND": BUILTIN, "SHIFT_LEFT": BUILTIN}  # not in the reference resolver


# ---- worked by hand


def test_sums_wrap_and_infinities_stay():
    (y,) = run("STABLEHLO_ADD", [Arg(np.int8([100, -100])), Arg(np.int8([100, -100]))], ["int8"])
    assert y.tolist() == [-56, 56]
    (y,) = run("STABLEHLO_MULTIPLY", [Arg(np.float32([1e30, -2])), Arg(np.float32([1e30, 3]))], ["float32"])
    assert y.tolist() == [np.inf, -6]


def test_the_first_stays_where_one_is_nan():
    a, b = Arg(np.float32([np.nan, 1, 2])), Arg(np.float32([1, np.nan, 3]))
    np.testing.assert_array_equal(run("STABLEHLO_MAXIMUM", [a, b], ["float32"])[0], np.float32([np.nan, 1, 3]))
    np.testing.assert_array_equal(run("STABLEHLO_MINIMUM", [a, b], ["float32"])[0], np.float32([np.nan, 1, 2]))


def test_and_of_bits_and_of_bools():
    assert run("STABLEHLO_AND", [Arg(np.uint16([0xF0F0])), Arg(np.uint16([0xFF00]))], ["uint16"])[0] == 0xF000
    flags = [Arg(np.array([True, True, False])), Arg(np.array([True, False, False]))]
    assert run("STABLEHLO_AND", flags, ["bool"])[0].tolist() == [True, False, False]


@pytest.mark.parametrize("type,bits", [("int8", 8), ("int16", 16), ("int32", 32)])
def test_a_shift_of_all_bits_leaves_none(type, bits):
    """From 32 on the official kernel shifts by 32 less, or leaves nothing, by the place of the number in memory."""
    x, by = np.full(4, 3, type), np.array([bits - 1, bits, bits + 1, -1], type)
    (y,) = run("STABLEHLO_SHIFT_LEFT", [Arg(x), Arg(by)], [type])
    assert y.tolist() == [-(2 ** (bits - 1)), 0, 0, 0]


# ---- against the official runtime


@pytest.mark.parametrize("op,type", [(op, type) for op, types in TAKEN.items() for type in types])
@differential()
@given(data=st.data())
def test_elementwise(op, type, data):
    """The results of float64 and float32 are rounded once, so they are equal; float16 by way of float32."""
    shape = data.draw(shapes(0, 5, 4, min_side=0))
    x1, x2 = (array(data.draw, type, shape, special=True) for _ in range(2))
    if op == "SHIFT_LEFT":  # numbers from 32 on count officially for others, see above
        x2 = x2 & 31
    content = model(f"STABLEHLO_{op}", [(type, shape, {})] * 2, (type, shape, {}))
    check(content, [x1, x2], resolver=RESOLVER.get(op, "BUILTIN_REF"))


@pytest.mark.parametrize("op", [*TAKEN])
def test_large(official, op):
    """More than one block."""
    rng = np.random.default_rng(5)
    x1, x2 = (rng.integers(0, 30, (3, 40000)).astype("int32") for _ in range(2))
    content, arrays = one_op(f"STABLEHLO_{op}", [Arg(x1), Arg(x2)], ["int32"])
    check(content, arrays, resolver=RESOLVER.get(op, "BUILTIN_REF"))


@pytest.mark.parametrize("op", [*TAKEN])
def test_types(official, op):
    def make(type):
        x = zeros(type, (2, 3))
        return one_op(f"STABLEHLO_{op}", [Arg(x, type), Arg(x, type)], [type])

    assert sweep(make, (TYPES,), resolver=RESOLVER.get(op, "BUILTIN_REF")) == {(type,) for type in TAKEN[op]}


def test_a_shift_gives_its_own_type(official):
    x = Arg(np.int8([1, 2]))
    assert run("STABLEHLO_SHIFT_LEFT", [x, x], ["float32"])[0].dtype == np.int8
    make = lambda result: one_op("STABLEHLO_SHIFT_LEFT", [x, x], [result])  # noqa: E731
    assert sweep(make, (TYPES,), resolver=BUILTIN) == {(type,) for type in TYPES}


# ---- refusals


@pytest.mark.parametrize("op", [op for op in TAKEN if op != "SHIFT_LEFT"])
@pytest.mark.parametrize("types,shapes", [(("int8", "uint8"), ((2,), (2,))), (("int8", "int8"), ((2,), (1,))),
                                          (("int8", "int8"), ((2, 1), (2,)))])  # fmt: skip
def test_refused_operands(official, op, types, shapes):
    content, arrays = one_op(f"STABLEHLO_{op}", [Arg(np.ones(s, t)) for t, s in zip(types, shapes)], ["int8"])
    assert check(content, arrays, must_run=False, resolver=RESOLVER.get(op, "BUILTIN_REF")) == "error at allocate"


def test_refused_shift(official):
    content, arrays = one_op("STABLEHLO_SHIFT_LEFT", [Arg(np.int8([1])), Arg(np.int16([1]))], ["int8"])
    assert check(content, arrays, must_run=False, resolver=BUILTIN) == "error at allocate"
    with pytest.raises(OursFailed, match="operands of shapes"):  # officially read beyond the end
        run("STABLEHLO_SHIFT_LEFT", [Arg(np.int8([1, 2])), Arg(np.int8([1]))], ["int8"])


@pytest.mark.parametrize("op", [op for op in TAKEN if op != "SHIFT_LEFT"])
def test_refused_result(op):
    """Officially the bytes are taken for numbers of the result's type, or written beyond its end."""
    with pytest.raises(OursFailed, match="the input is int32, the output int8"):
        ours(*one_op(f"STABLEHLO_{op}", [Arg(np.int32([1]))] * 2, ["int8"]))


@pytest.mark.parametrize("op", [*TAKEN])
def test_refused_version(official, op):
    content, arrays = one_op(f"STABLEHLO_{op}", [Arg(np.int8([1]))] * 2, ["int8"], version=2)
    assert check(content, arrays, must_run=False, resolver=BUILTIN).startswith("error")
