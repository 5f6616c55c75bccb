"""ADD_N."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import array, check, differential, shapes
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep


def test_three_are_added_up():
    (y,) = run("ADD_N", [Arg(np.int32([1, 2**31 - 1])), np.int32([10, 1]), Arg(np.int32([100, 0]))], ["int32"])
    assert y.tolist() == [111, -(2**31)]


def test_a_sum_stays_finite():
    big = Arg(np.float32([3e38, -np.inf]))
    limit = np.finfo(np.float32).max
    assert run("ADD_N", [big, big], ["float32"])[0].tolist() == [limit, -limit]


@pytest.mark.parametrize("type", ["float32", "int32"])
@differential()
@given(data=st.data())
def test_add_n(type, data):
    """Added in the order of the operands, as officially: equal."""
    shape = data.draw(shapes(0, 5, 4, min_side=0))
    count = data.draw(st.integers(2, 9))
    fixed = data.draw(st.sampled_from((0, 1, 2))) if 0 not in shape else 0
    args = [Arg(array(data.draw, type, shape, special=True), type, constant=i < fixed) for i in range(count)]
    check(*one_op("ADD_N", args, [type]))


def test_types(official):
    def make(type, result):
        return one_op("ADD_N", [Arg(zeros(type, (2, 3)), type)] * 3, [result])

    assert sweep(make, (TYPES, TYPES)) == {(type, y) for type in ("float32", "int32") for y in TYPES}


@pytest.mark.parametrize("types,shapes", [
    (("float32",), ((2,),)), (("float32", "int32"), ((2,), (2,))), (("int32",) * 3, ((2,), (2,), (1,))),
    (("int32",) * 2, ((2, 1), (2,))),
])  # fmt: skip
def test_refused(official, types, shapes):
    content, arrays = one_op("ADD_N", [Arg(np.ones(s, t)) for t, s in zip(types, shapes)], ["float32"])
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_refused_version(official):
    content, arrays = one_op("ADD_N", [Arg(np.ones(2, np.int32))] * 2, ["int32"], version=2)
    assert check(content, arrays, must_run=False).startswith("error")
