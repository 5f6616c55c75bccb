"""aeq.hadamard_rotation, which the reference resolver lacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import OursFailed, array, check, differential
from tests.kernels.convolutions import drawn
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.oracle import official
from tests.sweep import TYPES, sweep

OP = "aeq.hadamard_rotation"
BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


def options(n):
    return {"hadamard_size": n, "random_binary_vector": [1, 1]}


def rotated(x, n, result="float32"):
    return one_op(OP, [Arg(x)], [result], custom=options(n), shape=x.shape)


# ---- worked by hand


def test_four_numbers():
    """Sums with the signs ++++, +-+-, ++--, +--+, over 2; the second four likewise."""
    x = np.float32([[1, 2, 3, 6, 0, 0, 0, 2]])
    (y,) = run(OP, [Arg(x)], ["float32"], custom=options(4), shape=x.shape)
    assert y.tolist() == [[6, -2, -3, 1, 1, -1, -1, 1]]


def test_its_own_inverse():
    x = np.random.default_rng(1).normal(size=(3, 512)).astype(np.float32)
    for _ in range(2):
        (y,) = run(OP, [Arg(x)], ["float32"], custom=options(256), shape=x.shape)
        x, first = y, x
    np.testing.assert_allclose(run(OP, [Arg(y)], ["float32"], custom=options(256), shape=x.shape)[0], first, atol=1e-5)


# ---- against the official runtime


@pytest.mark.parametrize("result", ["float32", "int32"])
@pytest.mark.parametrize("type", ["float32", "int32"])
@differential()
@given(data=st.data())
def test_rotation(type, result, data):
    """Sums in the same order, and so equal. int32 holds the bits of float32 numbers."""
    rng = drawn(data)
    n = int(rng.choice([1, 2, 4, 8, 16, 32, 64, 128, 256, 512]))
    depth = n * int(rng.integers(0, 4)) if rng.random() < 0.8 else int(rng.integers(1, 70))
    shape = tuple(int(side) for side in rng.integers(1, 4, rng.integers(1, 3))) + (depth,)
    if rng.random() < 0.1:
        shape, n = (2, 3, 2, 4), int(rng.choice([1, 2]))
    if rng.random() < 0.1:  # neither is rotated
        n = int(rng.choice([3, 12, -4, 1 << 20]))
    x = array(data.draw, "float32", shape)
    check(*rotated(x.view(type) if x.ndim else x, n, result), resolver=BUILTIN)


def test_options_that_are_not_used(official):
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    for custom in ({"hadamard_size": 4}, {"hadamard_size": 4, "random_binary_vector": [-1, 1, -1, 1]}):
        check(*one_op(OP, [Arg(x)], ["float32"], custom=custom, shape=x.shape), resolver=BUILTIN)


def test_types(official):
    def make(type, result):
        return one_op(OP, [Arg(zeros(type, (2, 4)), type)], [result], custom=options(4), shape=(2, 4))

    taken = sweep(make, (TYPES, ("float32", "int32")), resolver=BUILTIN)
    assert taken == {(x, y) for x in ("float32", "int32") for y in ("float32", "int32")}


# ---- refusals


@pytest.mark.parametrize("custom", [{"hadamard_size": 0}, {}, b""])
def test_without_a_size(custom):
    """Officially the process ends."""
    content, arrays = one_op(OP, [Arg(np.zeros((1, 4), np.float32))], ["float32"], custom=custom, shape=(1, 4))
    with pytest.raises(official.Died):
        official.run(content, arrays, resolver=BUILTIN)
    with pytest.raises(OursFailed, match=r"hadamard_size is 0|can't be read"):
        run(OP, [Arg(np.zeros((1, 4), np.float32))], ["float32"], custom=custom, shape=(1, 4))


@pytest.mark.parametrize("shape,result", [((4,), (4,)), ((), ()), ((2, 4), (2, 2))])
def test_refused_shapes(shape, result):
    """Officially it reads sides that are not there, and writes beyond the end."""
    with pytest.raises(OursFailed, match=r"axes|output of shape"):
        run(OP, [Arg(np.zeros(shape, np.float32))], ["float32"], custom=options(2), shape=result)


def test_refused_result():
    """Officially bytes of 4 are written to it, whatever it is."""
    with pytest.raises(OursFailed, match="output of type int8"):
        run(OP, [Arg(np.zeros((1, 4), np.float32))], ["int8"], custom=options(2), shape=(1, 4))


def test_refused_count(official):
    x = Arg(np.zeros((1, 4), np.float32))
    content, arrays = one_op(OP, [x, x], ["float32"], custom=options(2), shape=(1, 4))
    assert check(content, arrays, must_run=False, resolver=BUILTIN) == "error at allocate"
