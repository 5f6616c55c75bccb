"""REAL IMAG COMPLEX_ABS."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import array, check, differential, shapes
from tests.kernels.elementwise import model, zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

OPS = ("REAL", "IMAG", "COMPLEX_ABS")
PARTS = {"complex64": "float32", "complex128": "float64"}


def test_parts_by_hand():
    x = Arg(np.complex64([3 + 4j, -5 - 12j, complex(np.nan, np.inf)]))
    for op, wanted in zip(OPS, ([3, -5, np.nan], [4, -12, np.inf], [5, 13, np.inf])):
        np.testing.assert_array_equal(run(op, [x], ["float32"])[0], np.float32(wanted))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("type", PARTS)
@differential()
@given(data=st.data())
def test_parts(op, type, data):
    """A root may be rounded otherwise by another library."""
    shape = data.draw(shapes(0, 5, 4, min_side=0))
    x = array(data.draw, type, shape, special=True)
    check(model(op, [(type, shape, {})], (PARTS[type], shape, {})), [x], ulps=1 if op == "COMPLEX_ABS" else None)


@pytest.mark.parametrize("op", OPS)
def test_types(official, op):
    def make(type, result):
        return one_op(op, [Arg(zeros(type, (2, 3)), type)], [result])

    assert sweep(make, (TYPES, TYPES)) == set(PARTS.items())


@pytest.mark.parametrize("op", OPS)
def test_refused(official, op):
    x = Arg(np.ones(2, np.complex64))
    for arguments, version in (([x, x], 1), ([x], 2)):
        content, arrays = one_op(op, arguments, ["float32"], version=version)
        assert check(content, arrays, must_run=False).startswith("error")
