"""MATRIX_DIAG, MATRIX_SET_DIAG."""

import numpy as np
import pytest

from tests.cases import OursFailed, check
from tests.kernels.one_op import Arg, contents, each_case, one_op, run, sample, sides

# the official kernels move everything else as if it were float32
SOUND = ("float32", "int64", "int32", "int16", "int8", "uint8")
OTHERS = "float16 bfloat16 float64 int4 uint16 uint32 uint64 bool complex64 complex128 uint4 float8_e5m2".split()

# ---- worked by hand


def test_a_diagonal_makes_a_matrix():
    (y,) = run("MATRIX_DIAG", [Arg(np.int16([[1, 2], [3, 4]]))], ["int16"])
    assert y.tolist() == [[[1, 0], [0, 2]], [[3, 0], [0, 4]]]


def test_a_diagonal_is_set():
    x, diagonal = Arg(np.full((2, 3), 9, np.int8)), Arg(np.int8([1, 2]))
    (y,) = run("MATRIX_SET_DIAG", [x, diagonal], ["int8"])
    assert y.tolist() == [[1, 9, 9], [9, 2, 9]]


@pytest.mark.parametrize("type", OTHERS)
def test_every_type(type):
    """Against NumPy: the official kernels move four bytes at a time, and so a part of the values or too much."""
    values, whole = sample(type, (2, 3)), sample(type, (2, 4, 3))
    (y,) = run("MATRIX_DIAG", [Arg(values, type)], [type])
    assert np.array_equal(y, np.where(np.eye(3, dtype=bool), values[:, np.newaxis], np.zeros_like(values[0, 0])))
    (y,) = run("MATRIX_SET_DIAG", [Arg(whole, type), Arg(values[:, ::-1], type)], [type])
    whole[:, [0, 1, 2], [0, 1, 2]] = values[:, ::-1]
    assert np.array_equal(y, whole)


# ---- against the official runtime


@pytest.mark.parametrize("type", SOUND)
def test_matrix_diag(official, type):
    def case(rng):
        x = Arg(contents(rng, type, sides(rng, 1, 5, 5, least=0)))
        check(*one_op("MATRIX_DIAG", [x], [type]))

    each_case(case)


@pytest.mark.parametrize("type", SOUND)
def test_matrix_set_diag(official, type):
    def case(rng):
        shape = sides(rng, 2, 6, 4, least=0)
        x = Arg(contents(rng, type, shape))
        diagonal = Arg(
            contents(rng, type, (*shape[:-2], min(shape[-2:]))), constant=0 not in shape and rng.random() < 0.3
        )
        check(*one_op("MATRIX_SET_DIAG", [x, diagonal], [type]))

    each_case(case)


def test_shapes_that_change(official):
    content, _ = one_op("MATRIX_DIAG", [Arg(np.zeros(3, np.float32))], ["float32"])
    check(content, [[sample("float32", shape)] for shape in ((3,), (2, 2), (1,))], sequence=True)


# ---- refusals


@pytest.mark.parametrize(
    "op, arguments",
    [("MATRIX_DIAG", [Arg(np.float32(1))]), ("MATRIX_SET_DIAG", [Arg(np.zeros(3, np.float32))] * 2)],
)
def test_refused(official, op, arguments):
    assert check(*one_op(op, arguments, ["float32"]), must_run=False) == "error at allocate"


@pytest.mark.parametrize(
    "x, diagonal", [(np.zeros((2, 2, 2), np.int8), np.int8([1, 2])), (np.zeros((2, 2), np.int8), np.int16([1, 2]))]
)
def test_a_diagonal_that_does_not_fit(x, diagonal):
    """The official kernel reads past its end, or its bytes as another type."""
    with pytest.raises(OursFailed) as caught:
        run("MATRIX_SET_DIAG", [Arg(x), Arg(diagonal)], ["int8"])
    assert caught.value.stage == "allocate"


def test_strings_are_refused():
    """The official kernels die."""
    for op, count in (("MATRIX_DIAG", 1), ("MATRIX_SET_DIAG", 2)):
        with pytest.raises(OursFailed):
            run(op, [Arg(sample("string", (2, 2)))] * count, ["string"])
