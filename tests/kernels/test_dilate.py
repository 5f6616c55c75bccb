"""DILATE, STABLEHLO_PAD."""

import numpy as np
import pytest

from tests.cases import check
from tests.kernels.one_op import Arg, contents, each_case, one_op, run, sample, sides
from tests.sweep import TYPES, sweep

PACKED = ("int4", "uint4", "int2")  # the official kernels take their bytes for values
MOVED = [t for t in TYPES if t not in (*PACKED, "string")]
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")


def pad(x, value, low, high, interior):
    return one_op(
        "STABLEHLO_PAD",
        [x, value],
        [x.type],
        edge_padding_low=low,
        edge_padding_high=high,
        interior_padding=interior,
    )


# ---- worked by hand


def test_dilate_puts_the_value_between():
    (y,) = run("DILATE", [Arg(np.int8([[1, 2], [3, 4]])), np.int32([2, 3]), np.int8(9)], ["int8"])
    assert y.tolist() == [[1, 9, 9, 2], [9, 9, 9, 9], [3, 9, 9, 4]]


def test_negative_padding_cuts_off():
    # 1 0 0 2 0 0 3 without its first value and with one more at the end
    x, value = Arg(np.int32([1, 2, 3])), Arg(np.int32(0))
    options = {"edge_padding_low": [-1], "edge_padding_high": [1], "interior_padding": [2]}
    (y,) = run("STABLEHLO_PAD", [x, value], ["int32"], **options)
    assert y.tolist() == [0, 0, 2, 0, 0, 3, 0]


@pytest.mark.parametrize("type", PACKED)
def test_packed_types_are_spread_value_by_value(type):
    """The official kernels move whole bytes."""
    x, value = (
        Arg(sample(type, (5,)), type, constant=True),
        Arg(np.ones((), sample(type, ()).dtype), type, constant=True),
    )
    expected = np.stack([x.array, np.ones_like(x.array)], axis=1).ravel()[:-1]
    assert np.array_equal(run("DILATE", [x, np.int32([2]), value], [type])[0], expected)
    options = {"edge_padding_low": [0], "edge_padding_high": [0], "interior_padding": [1]}
    assert np.array_equal(run("STABLEHLO_PAD", [x, value], [type], **options)[0], expected)


# ---- against the official runtime


@pytest.mark.parametrize("type", (*MOVED, *FLOAT8))
def test_dilate(official, type):
    def case(rng):
        shape = sides(rng, 1, 6, 4)
        steps = Arg(rng.integers(1, 4, len(shape), dtype=np.int32), constant=bool(rng.integers(2)))
        value = Arg(values(rng, type, ()), type, constant=may_be_constant(rng, type))
        check(*one_op("DILATE", [Arg(values(rng, type, shape), type), steps, value], [type]))

    each_case(case)


@pytest.mark.parametrize("type", (*MOVED, *FLOAT8))
def test_stablehlo_pad(official, type):
    def case(rng):
        shape = sides(rng, 1, 6, 4, least=0)
        low, high = rng.integers(-3, 4, (2, len(shape)))
        if rng.random() < 0.7:  # else, often, nothing is left
            low, high = np.maximum(low, -1), np.maximum(high, 0)
        interior = rng.integers(0, 3, len(shape)).tolist()
        value = Arg(values(rng, type, (1,) * int(rng.integers(3))), type, constant=may_be_constant(rng, type))
        check(*pad(Arg(values(rng, type, shape), type), value, low.tolist(), high.tolist(), interior))

    each_case(case)


def values(rng, type, shape):
    if type in FLOAT8:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    return contents(rng, type, shape)


def may_be_constant(rng, type):
    return type not in FLOAT8 and rng.random() < 0.5


def test_shapes_that_change(official):
    content, _ = pad(Arg(np.zeros((2, 3), np.float32)), Arg(np.float32(7), constant=True), [1, -1], [0, 2], [2, 0])
    check(content, [[sample("float32", shape)] for shape in ((2, 3), (4, 2), (1, 1), (3, 5))], sequence=True)


def test_lists_that_are_longer_or_shorter_than_the_rank(official):
    for low, high, interior in ([1], [2], [1]), ([1, 0, 5], [1, 1, 5], [0, 1, 5]):
        x, value = Arg(sample("float32", (2, 3))), Arg(np.float32(7))
        check(*pad(x, value, low, high, interior))


# ---- refusals and types

X, VALUE = Arg(np.zeros((2, 3), np.float32)), Arg(np.float32(1))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "x, steps, value",
    [
        (X, np.int32([0, 1]), VALUE),
        (X, np.int32([-1, 1]), VALUE),
        (X, np.int32([1, -9]), VALUE),
        (X, np.int32([1]), VALUE),
        (X, np.int32([[1, 1]]), VALUE),
        (X, np.int64([1, 2]), VALUE),
        (X, np.int32([1, 2]), Arg(np.int32(1))),
        (Arg(np.float32(1)), np.zeros(0, np.int32), VALUE),
        (Arg(np.zeros((0, 3), np.float32)), np.int32([2, 1]), VALUE),
    ],
)
def test_dilate_refuses(official, x, steps, value, late):
    content, arrays = one_op("DILATE", [x, Arg(steps, constant=not late), value], ["float32"])
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


@pytest.mark.parametrize(
    "x, value, interior",
    [
        (X, VALUE, [-1, 0]),
        (X, Arg(np.float32([1, 2])), [0, 0]),
        (X, Arg(np.int32(1)), [0, 0]),
        (Arg(np.float32(1)), VALUE, []),
    ],
)
def test_pad_refuses(official, x, value, interior):
    content, arrays = pad(x, value, [1] * len(interior), [0] * len(interior), interior)
    assert check(content, arrays, must_run=False) == "error at allocate"


@pytest.mark.parametrize(
    "low, high, interior", [([1], [1, 1], [1, 1]), ([1], [1], []), ([0] * 9, [0] * 9, [0] * 9), (None, None, None)]
)
def test_lists_refused(official, low, high, interior):
    """While the model is read."""
    options = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": interior}
    options = {"no_options": True} if low is None else options
    content, arrays = one_op("STABLEHLO_PAD", [X, VALUE], ["float32"], **options)
    assert check(content, arrays, must_run=False) == "error at construct"


def test_types(official):
    def dilated(x, steps, value):
        arguments = [Arg(sample(x, (2, 3)), x), Arg(sample(steps, (2,)) * 0 + 1, steps), Arg(sample(value, ()), value)]
        return one_op("DILATE", arguments, [x])

    def padded(x, value):
        return pad(Arg(sample(x, (2, 3)), x), Arg(sample(value, ()), value), [1, 0], [0, 2], [1, 0])

    swept = [t for t in TYPES if t not in PACKED]
    assert sweep(lambda x, value: dilated(x, "int32", value), (swept, swept)) == {(t, t) for t in MOVED}
    kinds = [t for t in swept if t != "string"]
    assert sweep(lambda steps: dilated("int8", steps, "int8"), (kinds,)) == {("int32",)}
    assert sweep(padded, (swept, swept)) == {(t, t) for t in MOVED}
