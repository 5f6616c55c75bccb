"""RFFT2D."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, array, check, compare, differential, ours
from tests.kernels.one_op import Arg, blank, one_op
from tests.sweep import TYPES, sweep


def transform(x, sides, constant=True, type="int32", output="complex64"):
    x = x if isinstance(x, Arg) else Arg(x)
    return one_op("RFFT2D", [x, Arg(np.array(sides, type), constant=constant)], [output])


def bound(x):
    """Both sides compute in float64, with an error of a few roundings of all terms in each of log2(n) stages.

    Then they round to float32, where they may fall on either side: `ulps=1` beside it.
    """
    total = np.abs(x.astype(np.float64)).sum(axis=(-1, -2)).max(initial=0)
    return 100 * 2.0**-53 * total


# ---- worked by hand


def test_a_wave_along_the_rows():
    (y,) = ours(*transform(np.float32([[1, 0, -1, 0], [1, 0, -1, 0]]), [2, 4]))  # cos(2 pi j / 4)
    compare([y], [np.complex64([[0, 4, 0], [0, 0, 0]])])


def test_cut_and_filled_up():
    x = np.float32([[1, 2, 9], [3, 4, 9], [9, 9, 9]])
    (y,) = ours(*transform(x, [2, 2]))
    compare([y], [np.complex64([[10, -2], [-4, 0]])])  # 1 + 2 + 3 + 4; 1 - 2 + 3 - 4; 1 + 2 - 3 - 4; 1 - 2 - 3 + 4
    (y,) = ours(*transform(np.float32([[5]]), [2, 4]))
    compare([y], [np.full((2, 3), 5, np.complex64)])


def test_a_width_of_one():
    """Officially the last number of the row then stands as an imaginary part."""
    (y,) = ours(*transform(np.float32([[1, 9], [2, 9]]), [2, 1]))
    compare([y], [np.complex64([[3], [-1]])])


# ---- against the official runtime


def test_rfft2d(official):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        outer = tuple(rng.integers(0 if rng.random() < 0.1 else 1, 4, rng.integers(0, 3)))
        x = array(data.draw, "float32", (*outer, *rng.integers(rng.random() < 0.9, 20, 2)))
        check(
            *transform(x, [2 ** rng.integers(0, 6), 2 ** rng.integers(1, 6)], rng.random() < 0.5),
            ulps=1,
            bound=bound(x),
        )

    run()


def test_sides_that_change(official):
    content, _ = transform(np.zeros((3, 4), np.float32), [4, 4], constant=False)
    x = np.random.default_rng(0).normal(size=(2, 7, 9)).astype(np.float32)
    turns = [[x[0], np.int32([4, 8])], [x[1], np.int32([4, 8])], [x[1], np.int32([16, 2])], [x, np.int32([2, 8])]]
    check(content, turns, sequence=True, ulps=1, bound=bound(x))


def test_large_pictures(official):
    x = np.random.default_rng(0).normal(size=(3, 300, 200)).astype(np.float32)
    check(*transform(x, [256, 256]), ulps=1, bound=bound(x))


# ---- refusals


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("sides", [[3, 4], [4, 0], [0, 4], [-4, 4], [4], [4, 4, 4], [[4, 4]]])
def test_wrong_sides(official, sides, constant):
    content, arrays = transform(np.zeros((3, 4), np.float32), sides, constant)
    assert check(content, arrays, must_run=False).startswith("error at ")


def test_a_line_is_no_picture(official):
    content, arrays = transform(np.zeros(3, np.float32), [2, 2])
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_types(official):
    """The output becomes complex64, whatever the file says."""

    def make(x, length, y):
        sides = Arg(np.array([4, 4], length), constant=True)
        return one_op("RFFT2D", [blank(x, (4, 4)), sides], [y])

    taken = sweep(make, (TYPES, ["int32"], TYPES))
    assert taken == {("float32", "int32", y) for y in TYPES}
    assert sweep(make, (["float32"], ["int32", "int64", "int16", "float32"], ["complex64"])) == {
        ("float32", "int32", "complex64")
    }
