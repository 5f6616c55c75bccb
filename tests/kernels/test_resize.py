"""RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, OursFailed, array, check, compare, differential, ours, quantization
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op
from tests.sweep import TYPES, sweep

INTEGERS = ("int8", "uint8", "int16")
NEAREST = (*INTEGERS, "float32", "int32", "bool", "float16", "bfloat16", "uint16", "uint32")
MODES = ((False, False), (True, False), (False, True), (True, True))


def resize(op, x, size, corners=False, centers=False, y=None, version=4):
    size = size if isinstance(size, Arg) else np.int32(size)
    options = {"align_corners": corners, "half_pixel_centers": centers}
    return one_op(op, [x, size], [y or (x.type, x.quantization)], version=version, **options)


def one_row(op, row, type, width, **options):
    x = Arg(np.array(row, type).reshape(1, 1, -1, 1))
    return ours(*resize(op, x, [1, width], **options))[0].ravel().tolist()


# ---- worked by hand


def test_where_columns_lie():
    # places 0, 0.5, 1, 1.5 of two columns; -0.25, 0.25, 0.75, 1.25; 0, 1/3, 2/3, 1
    assert one_row("RESIZE_BILINEAR", [0, 12], "float32", 4) == [0, 6, 12, 12]
    assert one_row("RESIZE_BILINEAR", [0, 12], "float32", 4, centers=True) == [0, 3, 9, 12]
    np.testing.assert_allclose(
        one_row("RESIZE_BILINEAR", [0, 12], "float32", 4, corners=True), [0, 4, 8, 12], rtol=1e-6
    )
    # places 0, 0.75, 1.5, 2.25 of three columns; 0.375, 1.125, 1.875, 2.625; 0, 2/3, 4/3, 2 rounded
    assert one_row("RESIZE_NEAREST_NEIGHBOR", [1, 2, 3], "int8", 4) == [1, 1, 2, 3]
    assert one_row("RESIZE_NEAREST_NEIGHBOR", [1, 2, 3], "int8", 4, centers=True) == [1, 2, 2, 3]
    assert one_row("RESIZE_NEAREST_NEIGHBOR", [1, 2, 3], "int8", 4, corners=True) == [1, 2, 2, 3]


def test_integers_are_rounded_half_away_from_zero():
    assert one_row("RESIZE_BILINEAR", [-1, 0, 1], "int8", 6) == [-1, -1, 0, 1, 1, 1]
    assert one_row("RESIZE_BILINEAR", [0, 1, 4], "uint8", 6) == [0, 1, 1, 3, 4, 4]


# ---- against the official runtime


def drawn(draw, type, special=False):
    """(x, size, align_corners, half_pixel_centers): a constant size or an input, up and down, and to one."""
    rng = np.random.default_rng(draw(SEEDS))
    sides = rng.choice([1, 2, 3, 4, 5, 7, 10, 13], 2).tolist()
    shape = (int(rng.integers(1, 3)), *sides, int(rng.choice([1, 2, 3, 9])))
    size = [
        int(n * rng.choice([2, 3])) if rng.random() < 0.2 else int(rng.choice([1, 2, 3, 6, 11, 17, 40])) for n in sides
    ]
    numbers = draw(quantization(type)) if type in INTEGERS else {}
    x = Arg(array(draw, type, shape, special=special), type, **numbers)
    return x, Arg(np.int32(size), constant=bool(rng.integers(4)))


@pytest.mark.parametrize("type", INTEGERS)
def test_bilinear_integers(official, type):
    @differential(300)
    @given(st.data())
    def run(data):
        x, size = drawn(data.draw, type)
        check(*resize("RESIZE_BILINEAR", x, size, *MODES[data.draw(st.integers(0, 2))]))

    run()


def test_bilinear_floats(official):
    """Four products and three sums of weights that add up to 1, but for places beyond the border: there to 2 * 1.5."""

    @differential(300)
    @given(st.data())
    def run(data):
        x, size = drawn(data.draw, "float32")
        content, arrays = resize("RESIZE_BILINEAR", x, size, *MODES[data.draw(st.integers(0, 2))])
        check(content, arrays, bound=8 * 2.0**-24 * float(np.abs(x.array).max()) * 1.5**2)

    run()


@pytest.mark.parametrize("type", NEAREST)
def test_nearest(official, type):
    @differential()
    @given(st.data())
    def run(data):
        x, size = drawn(data.draw, type, special=True)
        check(*resize("RESIZE_NEAREST_NEIGHBOR", x, size, *MODES[data.draw(st.integers(0, 3))]))

    run()


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_images_in_blocks(official, op):
    rng = np.random.default_rng(2)
    for type in ("float32", *INTEGERS):
        x = rng.integers(0, 100, (2, 70, 50, 40)).astype(type)
        for size in ([140, 100], [31, 47], [1, 300]):
            check(*resize(op, Arg(x), size, False, True), bound=8 * 2.0**-24 * 100 * 1.5**2)


@pytest.mark.parametrize("type", INTEGERS)
def test_a_rounded_scale_stays_inside(type):
    """150 * 1024 / 20000 is rounded up to 8: officially the last rows are read beyond the image."""
    x = np.arange(150).astype(type).reshape(1, 150, 1, 1)
    (y,) = ours(*resize("RESIZE_BILINEAR", Arg(x), [20000, 1]))
    assert y.ravel()[-1] == x.ravel()[-1]


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_empty(official, op):
    for shape in ((0, 2, 2, 1), (1, 2, 2, 0)):
        check(*resize(op, Arg(np.zeros(shape, np.float32)), [3, 3]))
    if op == "RESIZE_NEAREST_NEIGHBOR":
        check(*resize(op, Arg(np.zeros((1, 2, 2, 1), np.float32)), [0, 3]))
    with pytest.raises(OursFailed, match="an input of shape"):
        ours(*resize(op, Arg(np.zeros((1, 0, 2, 1), np.float32)), [3, 3]))


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_the_output_takes_the_type_of_the_input(official, op):
    content, arrays = resize(op, Arg(np.ones((1, 2, 2, 1), np.uint8)), [3, 3], y="float32")
    compare(ours(content, arrays), official.run(content, arrays))


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("size", [[2**31 - 1, 2**31 - 1], [2**31 - 1, 1]])
def test_sizes_that_no_memory_holds(op, size):
    for channels in (0, 1):
        with pytest.raises(OursFailed, match="can't count beyond"):
            ours(*resize(op, Arg(np.zeros((1, 2, 2, channels), np.float32)), size))


# ---- refusals

X = np.ones((1, 2, 2, 3), np.float32)


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "x, size, options",
    [
        (X[0], np.int32([2, 2]), {}),
        (X[None], np.int32([2, 2]), {}),
        (X, np.int32([2, 2, 2]), {}),
        (X, np.int32([[2, 2]]), {}),
        (X, np.int64([2, 2]), {}),
        (X, np.float32([2, 2]), {}),
        (X, np.int32([-1, 2]), {}),
        (X, np.int32([0, 2]), {}),
        (X, np.int32([2, 2]), {"corners": True, "centers": True}),
    ],
)
def test_refused(official, op, constant, x, size, options):
    check(*resize(op, Arg(x), Arg(size, constant=constant), **options), must_run=False)


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_other_shapes_each_time(official, op):
    turns = []
    for shape, size in (((1, 2, 2, 3), [4, 1]), ((1, 2, 2, 3), [3, 3]), ((2, 5, 1, 1), [3, 3]), ((1, 2, 2, 3), [1, 1])):
        turns.append([np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), np.int32(size)])
    content, _ = resize(op, Arg(turns[0][0]), Arg(turns[0][1]))
    check(content, turns, sequence=True)


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_versions(official, op):
    for version in range(1, 5):
        check(*resize(op, Arg(X), [3, 3], version=version))
    assert check(*resize(op, Arg(X), [3, 3], version=5), must_run=False).startswith("error")


@pytest.mark.parametrize("constant", [True, False])
def test_types(official, constant):
    def bilinear(x, size):
        return resize("RESIZE_BILINEAR", Arg(zeros(x, X.shape), x), Arg(np.array([3, 3], size), constant=constant))

    def nearest(x, size):
        return resize(
            "RESIZE_NEAREST_NEIGHBOR", Arg(zeros(x, X.shape), x), Arg(np.array([3, 3], size), constant=constant)
        )

    sizes = ("int32", "int64", "int16")
    assert sweep(bilinear, (TYPES, sizes)) == {(x, "int32") for x in ("float32", *INTEGERS)}
    assert sweep(nearest, (TYPES, sizes)) == {(x, "int32") for x in NEAREST}
