"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY, REDUCE_ALL."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import RANGES, SEEDS, OursFailed, array, check, differential, ours, quantization, scales, shapes
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES as ALL_TYPES
from tests.sweep import sweep

INTEGERS = ("int8", "uint8", "int16")
TYPES = ("float32", "int32", "int64", "bool", *INTEGERS)
OPTIMISED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
NEWEST = {"MEAN": 3, "SUM": 2, "REDUCE_MAX": 3, "REDUCE_MIN": 3, "REDUCE_PROD": 2, "REDUCE_ANY": 1, "REDUCE_ALL": 1}
OPS = tuple(NEWEST)


def reduce(op, x, axes, y=None, version=None, **options):
    return one_op(op, [x, axes], [y or (x.type, x.quantization)], version=version or NEWEST[op], **options)


def drawn_axes(draw, shape, empty=True):
    """Axes in any order, from either end, some twice, as a constant or an input of rank 0, 1 or 2; and keep_dims."""
    rng = np.random.default_rng(draw(SEEDS))
    rank = len(shape)
    count = int(rng.integers(0 if empty else 1, rank + 2)) if rank else int(rng.integers(2))
    axes = rng.integers(-rank, rank, count) if rank else np.full(count, 7)
    form = (axes.reshape(()) if count == 1 else axes.reshape(1, -1)) if rng.random() < 0.2 else axes
    return Arg(form.astype(np.int32), constant=bool(rng.integers(4))), bool(rng.integers(2))


def reduced(axes, shape):
    """How many values make one."""
    return math.prod(shape[axis] for axis in {int(a) % len(shape) for a in axes.array.ravel()}) if shape else 1


def without_zero(type, numbers):
    return {**numbers, "zero_point": 0} if type == "int16" else numbers


# ---- worked by hand


def test_axes_count_from_either_end_and_once():
    x = np.float32([[1, 2, 3], [4, 5, 9]])
    assert run("SUM", [x, np.int32([-1, 1])], ["float32"])[0].tolist() == [6, 18]
    assert run("MEAN", [x, np.int32([0])], ["float32"], keep_dims=True)[0].tolist() == [[2.5, 3.5, 6]]
    assert run("REDUCE_PROD", [x, np.int32([0, 1])], ["float32"])[0].tolist() == 1080
    assert run("REDUCE_MAX", [x, np.int32([])], ["float32"])[0].tolist() == x.tolist()


def test_whole_means_are_cut():
    # -7 / 3 and 7 / 3
    (y,) = run("MEAN", [np.int32([[-1, -2, -4], [1, 2, 4]]), np.int32([1])], ["int32"])
    assert y.tolist() == [-2, 2]


def test_a_mean_of_stored_integers():
    # real values 0.5 * (1 - 1, 4 - 1, 8 - 1) = 0, 1.5, 3.5; their mean 5 / 3 in steps of 0.25 is 6.67, + 2
    x = Arg(np.int8([1, 4, 8]), scale=0.5, zero_point=1)
    (y,) = run("MEAN", [x, np.int32([0])], [("int8", {"scale": 0.25, "zero_point": 2})])
    assert y == 9


def test_a_sum_and_a_product_of_stored_integers():
    x = Arg(np.int8([1, 4, 8]), scale=0.5, zero_point=0)
    # 0.5 + 2 + 4 = 6.5, in steps of 0.5 it is 13, + 3
    assert run("SUM", [x, np.int32([0])], [("int8", {"scale": 0.5, "zero_point": 3})])[0] == 16
    # each factor times 0.5 / 0.5 ** (1 / 3) = 0.63: 1 * 4 * 0.63 is 3, 3 * 8 * 0.63 is 15, 15 * 0.63 is 9, + 3
    assert run("REDUCE_PROD", [x, np.int32([0])], [("int8", {"scale": 0.5, "zero_point": 3})])[0] == 12


def test_any_and_all():
    x = np.array([[True, False], [True, True], [False, False]])
    assert run("REDUCE_ANY", [x, np.int32([1])], ["bool"])[0].tolist() == [True, True, False]
    assert run("REDUCE_ALL", [x, np.int32([1])], ["bool"])[0].tolist() == [False, True, False]


# ---- against the official runtime


@pytest.mark.parametrize("type", INTEGERS)
def test_mean_of_integers(official, type):
    @differential(300)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(0, 5, 5))
        axes, keep = drawn_axes(draw, shape)
        x = Arg(array(draw, type, shape), type, **without_zero(type, draw(quantization(type))))
        same = draw(st.booleans())
        y = x.quantization if same else without_zero(type, draw(quantization(type)))
        check(*reduce("MEAN", x, axes, (type, y), keep_dims=keep))

    run()


@pytest.mark.parametrize("type", INTEGERS)
def test_mean_of_many_integers(official, type):
    """Ties, factors near 1 and counts that need many bits."""

    @differential(60)
    @given(st.data())
    def run(data):
        draw = data.draw
        rng = np.random.default_rng(draw(SEEDS))
        shape = (1, *rng.integers(1, 90, 2).tolist(), 3)
        x = Arg(array(draw, type, shape), type, **without_zero(type, draw(quantization(type))))
        y = (type, {**x.quantization, "scale": draw(scales())})
        check(*reduce("MEAN", x, np.int32([1, 2]), y, keep_dims=bool(rng.integers(2))))

    run()


@pytest.mark.parametrize("type", INTEGERS)
def test_sum_of_integers(official, type):
    """uint8 by the reference kernel; it reads int8 and int16 as uint8, so these by the optimised one."""

    @differential(300)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(0, 5, 5))
        axes, keep = drawn_axes(draw, shape)
        x = Arg(array(draw, type, shape), type, **without_zero(type, draw(quantization(type))))
        same = draw(st.booleans())
        y = x.quantization if same else without_zero(type, draw(quantization(type)))
        content, arrays = reduce("SUM", x, axes, (type, y), keep_dims=keep)
        check(content, arrays, resolver="BUILTIN_REF" if type == "uint8" else OPTIMISED)

    run()


def test_the_reference_sum_of_int8_is_still_wrong(official):
    """Fails once it is mended; then SUM of int8 and int16 has to follow it."""
    x = Arg(np.int8([-3, -2, 1]), scale=0.5, zero_point=0)
    content, arrays = reduce("SUM", x, np.int32([0]))
    assert official.run(content, arrays)[0] != -4
    assert ours(content, arrays)[0] == -4


@pytest.mark.parametrize("op", ["MEAN", "SUM"])
@pytest.mark.parametrize("type", ["int32", "int64"])
def test_sums_that_wrap(official, op, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 5, 5))
        axes, keep = drawn_axes(data.draw, shape)
        check(*reduce(op, Arg(array(data.draw, type, shape)), axes, keep_dims=keep))

    run()


@pytest.mark.parametrize("op", ["MEAN", "SUM"])
def test_sums_of_floats(official, op):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 5, 5))
        axes, keep = drawn_axes(data.draw, shape)
        x = array(data.draw, "float32", shape)
        terms = reduced(axes, shape)
        bound = (terms + 4) * 2.0**-24 * float(np.abs(x).max()) * (terms if op == "SUM" else 1)
        check(*reduce(op, Arg(x), axes, keep_dims=keep), bound=bound)

    run()


@pytest.mark.parametrize("op", ["REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize("type", TYPES)
def test_extremes(official, op, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(0, 5, 4))
        axes, keep = drawn_axes(draw, shape)
        numbers = without_zero(type, draw(quantization(type))) if type in INTEGERS and draw(st.booleans()) else {}
        check(*reduce(op, Arg(array(draw, type, shape, special=True), type, **numbers), axes, keep_dims=keep))

    run()


@pytest.mark.parametrize("type", TYPES)
def test_products(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 5, 4))
        axes, keep = drawn_axes(data.draw, shape)
        x = Arg(array(data.draw, type, shape), type)
        check(*reduce("REDUCE_PROD", x, axes, keep_dims=keep), ulps=2 * reduced(axes, shape))

    run()


@pytest.mark.parametrize("type", ["int8", "int16"])
def test_products_of_stored_integers(official, type):
    """The zero points and scales keep each step within 32 bits, beyond which C++ leaves it open."""

    @differential(300)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(0, 4, 4))
        axes, keep = drawn_axes(draw, shape)
        rng = np.random.default_rng(draw(SEEDS))
        most = int(RANGES[type][1])
        factor = 2.0 ** rng.uniform(-7 if type == "int8" else -14, -5 if type == "int8" else -12)
        terms = reduced(axes, shape)
        x_scale = float(np.float32(factor if rng.integers(2) else 2.0 ** round(math.log2(factor))))
        y_scale = float(np.float32(2.0 ** rng.uniform(-4, 4))) if terms > 1 else 1.0
        zero = int(rng.integers(-most, most)) if type == "int8" else 0
        x = Arg(array(draw, type, shape), type, scale=x_scale, zero_point=zero)
        y = (type, {"scale": y_scale, "zero_point": int(rng.integers(-most, most)) if type == "int8" else 0})
        check(*reduce("REDUCE_PROD", x, axes, y, keep_dims=keep))

    run()


def test_a_product_over_no_axis_takes_the_output_scale():
    """Officially one set of kernels copies the stored values, the other rescales them."""
    x = np.arange(-128, 128).astype(np.int8)
    numbers, result = {"scale": 0.5, "zero_point": 1}, {"scale": 0.75, "zero_point": -3}
    (y,) = run("REDUCE_PROD", [Arg(x, **numbers), np.int32([])], [("int8", result)])
    for stored, got in zip(x.tolist(), y.tolist(), strict=True):
        exact = Fraction(stored - 1) * Fraction(1, 2) / Fraction(3, 4) - 3
        assert abs(min(max(exact, -128), 127) - got) <= Fraction(1, 2) + Fraction(256, 2**15)


@pytest.mark.parametrize("op", ["REDUCE_ANY", "REDUCE_ALL", "SUM", "REDUCE_PROD"])
def test_bools(official, op):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 5, 4))
        axes, keep = drawn_axes(data.draw, shape)
        rng = np.random.default_rng(data.draw(SEEDS))
        x = Arg(rng.random(shape) < rng.choice([0.1, 0.5, 0.9]))
        check(*reduce(op, x, axes, keep_dims=keep))

    run()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("type", ["float32", "int32", "int64", "bool", "uint8"])
def test_of_no_values(official, op, type):
    if (type == "bool") == (op == "MEAN") or (op in ("REDUCE_ANY", "REDUCE_ALL") and type != "bool"):
        type = "bool" if op.startswith("REDUCE_A") else "float32"
    numbers = {"scale": 0.5, "zero_point": 3} if type == "uint8" and op != "REDUCE_PROD" else {}
    for shape in ((0, 3), (2, 0, 3), (0,)):
        for axes in ([0], [0, 1][: len(shape)], [-1], []):
            for keep in (False, True):
                x = Arg(np.zeros(shape, type), type, **numbers)
                check(*reduce(op, x, np.int32(axes), keep_dims=keep))


@pytest.mark.parametrize("type", ["int8", "int16"])
def test_of_no_stored_integers(type):
    """Officially whatever the memory held, but for MEAN."""
    numbers = {"scale": 0.5, "zero_point": 0}
    x = Arg(np.zeros((0, 3), type), type, **numbers)
    for op, expected in (("MEAN", 0), ("SUM", 0), ("REDUCE_PROD", 2)):
        assert run(op, [x, np.int32([0])], [(type, numbers)])[0].tolist() == [expected] * 3


def test_many_axes(official):
    for rank in (6, 8):
        x = Arg(np.arange(2**rank, dtype=np.float32).reshape((2,) * rank))
        for op in ("MEAN", "SUM", "REDUCE_MAX"):
            check(*reduce(op, x, np.int32([0, 3, rank - 1])), bound=2.0**-10)


@pytest.mark.parametrize("op", OPS)
def test_other_shapes_each_time(official, op):
    """Axes and values are inputs, of other ranks from turn to turn."""
    rng = np.random.default_rng(4)
    type = "bool" if op.startswith("REDUCE_A") else "int32"
    turns = []
    for shape, axes in (((3, 4), [1]), ((3, 4), [0, 1]), ((2, 5, 3), [-1, 0]), ((2, 5, 3), []), ((4,), [0])):
        turns.append([rng.integers(-3, 3, shape).astype(type), np.int32(axes)])
    for keep in (False, True):
        content, _ = reduce(op, Arg(turns[0][0]), Arg(turns[0][1]), keep_dims=keep)
        check(content, turns, sequence=True)


@pytest.mark.parametrize("op", OPS)
def test_versions(official, op):
    x = Arg(X.astype(bool) if op.startswith("REDUCE_A") else X)
    for version in range(1, NEWEST[op] + 1):
        check(*reduce(op, x, np.int32([1]), version=version))
    outcome = check(*reduce(op, x, np.int32([1]), version=NEWEST[op] + 1), must_run=False)
    assert outcome.startswith("error")


# ---- refusals

X = np.ones((2, 3), np.float32)
Q = {"scale": 0.5, "zero_point": 1}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("axes", [[2], [-3], [0, 5], [2**31 - 1], [-(2**31)]])
@pytest.mark.parametrize("constant", [True, False])
def test_axes_out_of_range(official, op, axes, constant):
    x = Arg(X.astype(bool) if op.startswith("REDUCE_A") else X)
    outcome = check(*reduce(op, x, Arg(np.array(axes, np.int32), constant=constant)), must_run=False)
    assert outcome == ("error at allocate" if constant else "error at invoke")


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("op", OPS)
def test_types(official, op, constant):
    """Without scales, which MEAN and SUM of quantized integers need: see test_integers_need_scales."""

    def make(x, axes):
        if op in ("MEAN", "SUM") and x in INTEGERS:
            return None
        return reduce(op, Arg(zeros(x, (2, 3)), x), Arg(np.array([1], axes), constant=constant))

    taken = sweep(make, (ALL_TYPES, ("int32", "int64", "int16")))
    numbers = set(TYPES) - ({*INTEGERS, "bool"} if op == "MEAN" else set(INTEGERS) if op == "SUM" else set())
    assert taken == {(x, "int32") for x in ({"bool"} if op.startswith("REDUCE_A") else numbers)}


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "op, x, axes, y",
    [
        ("SUM", Arg(X), np.int64([0]), None),
        ("MEAN", Arg(X), np.int8([0]), None),
        ("REDUCE_ANY", Arg(X), np.int32([0]), None),
        ("REDUCE_ALL", Arg(X.astype(np.int8)), np.int32([0]), None),
        ("MEAN", Arg(X.astype(np.int16), **Q), np.int32([0]), None),
        ("REDUCE_MAX", Arg(X.astype(np.int16), scale=0.5, zero_point=0), np.int32([0]), ("int16", Q)),
        ("REDUCE_MAX", Arg(X.astype(np.int8), **Q), np.int32([0]), ("int8", {"scale": 0.25, "zero_point": 1})),
        ("REDUCE_MIN", Arg(X.astype(np.uint8), **Q), np.int32([0]), ("uint8", {"scale": 0.5, "zero_point": 2})),
        ("REDUCE_MAX", Arg(X.astype(np.int8), **Q), np.int32([0]), ("int8", {})),
        ("REDUCE_PROD", Arg(X.astype(np.uint8), **Q), np.int32([0]), None),
        ("REDUCE_PROD", Arg(X, **Q), np.int32([0]), None),
        ("REDUCE_PROD", Arg(X.astype(np.int32), **Q), np.int32([0]), None),
        ("REDUCE_PROD", Arg(X.astype(np.int8)), np.int32([0]), ("int8", Q)),
    ],
)
def test_refused(official, op, x, axes, y, constant):
    outcome = check(*reduce(op, x, Arg(axes, constant=constant), y), must_run=False)
    assert outcome.startswith("error"), outcome


@pytest.mark.parametrize("op", ["MEAN", "SUM"])
@pytest.mark.parametrize("type", INTEGERS)
def test_integers_need_scales(op, type):
    """Officially they come out as 0, or as anything."""
    with pytest.raises(OursFailed, match="quantization"):
        ours(*reduce(op, Arg(X.astype(type)), np.int32([0])))


def test_an_output_of_another_type():
    """Officially the bytes of one type are shown as the other."""
    with pytest.raises(OursFailed, match="the input is float32, the output int32"):
        ours(*reduce("SUM", Arg(X), np.int32([0]), "int32"))
