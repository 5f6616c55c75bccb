"""ARG_MAX, ARG_MIN, TOPK_V2, UNIQUE, BUCKETIZE."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, array, check, differential, ours
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

NAN, INF = np.nan, np.inf
NUMBERS = ("float32", "uint8", "int8", "int32")

# ---- worked by hand


def test_the_first_of_equals_wins():
    x = Arg(np.float32([[3, 7, 7], [-1, -1, -2]]))
    assert run("ARG_MAX", [x, np.int32(1)], ["int32"], output_type="INT32")[0].tolist() == [1, 0]
    assert run("ARG_MIN", [x, np.int32(0)], ["int64"], output_type="INT64")[0].tolist() == [1, 1, 1]
    values, indices = run("TOPK_V2", [x, np.int32(2)], ["float32", "int32"])
    assert values.tolist() == [[7, 7], [-1, -1]] and indices.tolist() == [[1, 2], [0, 1]]


def test_nan_is_behind_everything():
    x = Arg(np.float32([[NAN, -INF, NAN, -INF], [NAN, NAN, NAN, NAN], [2, NAN, 2, 5]]))
    assert run("ARG_MAX", [x, np.int32(1)], ["int32"], output_type="INT32")[0].tolist() == [1, 0, 3]
    _, indices = run("TOPK_V2", [x, np.int32(4)], ["float32", "int32"])
    assert indices.tolist() == [[1, 3, 0, 2], [0, 1, 2, 3], [3, 0, 2, 1]]


def test_unique_values_in_the_order_they_come_in():
    values, indices = run("UNIQUE", [Arg(np.int32([7, 3, 7, 9, 3]))], ["int32", "int32"])
    assert values.tolist() == [7, 3, 9] and indices.tolist() == [0, 1, 0, 2, 1]


def test_nan_joins_the_smallest_before_it():
    values, indices = run("UNIQUE", [Arg(np.float32([4, 2, NAN, 1, NAN]))], ["float32", "int32"])
    assert values.tolist() == [4, 2, 1] and indices.tolist() == [0, 1, 1, 2, 2]


def test_a_boundary_belongs_to_the_bucket_above():
    x = Arg(np.float32([-5, 0, 1, 2.5, 10, NAN]))
    (y,) = run("BUCKETIZE", [x], ["int32"], boundaries=[0.0, 2.5, 2.5, 10.0])
    assert y.tolist() == [0, 1, 1, 3, 4, 4]


def test_what_counts_is_of_its_own_type_whatever_the_file_says():
    x = Arg(np.float32([3, 1]))
    assert run("ARG_MIN", [x, np.int32(0)], ["float32"], output_type="INT64")[0].dtype == np.int64
    assert run("BUCKETIZE", [x], ["float32"], boundaries=[2.0])[0].dtype == np.int32


# ---- against the official runtime


def drawn_values(rng, type, shape):
    """Values among which equals are common; floats may be NaN and infinite."""
    if type == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    low, high = (-(2.0**31), 2.0**31 - 1) if type[0] == "f" else (np.iinfo(type).min, np.iinfo(type).max)
    if rng.random() < 0.5:
        low, high = max(low, -2), 3
    values = rng.integers(int(low), int(high), shape, endpoint=True, dtype=np.int64).astype(type)
    if type == "float32" and rng.random() < 0.5:
        odd = np.float32([NAN, INF, -INF, -0.0, 1e-40, 3e38])
        values = np.where(rng.random(shape) < 0.3, rng.choice(odd, shape), values / 2).astype(type)
    return values


def drawn_shape(rng, least, most):
    return rng.integers(0 if rng.random() < 0.1 else 1, 5, rng.integers(least, most + 1)).tolist()


@pytest.mark.parametrize("result", ("int32", "int64"))
@pytest.mark.parametrize("axis_type", ("int32", "int64"))
@pytest.mark.parametrize("type", (*NUMBERS, "bool"))
@pytest.mark.parametrize("op", ("ARG_MAX", "ARG_MIN"))
def test_arg(official, op, type, axis_type, result):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape = drawn_shape(rng, 1, 5)
        axis = int(rng.integers(-len(shape), len(shape)))
        shape[axis] = int(rng.integers(1, 40))
        x = drawn_values(rng, type, shape)
        if math.prod(shape[axis:]) == shape[axis] >= 4:
            x[x != x] = 0  # see test_nan_in_a_long_row
        axis = np.full((1,) * rng.integers(2), axis, axis_type)
        check(*one_op(op, [Arg(x), Arg(axis, constant=rng.random() < 0.7)], [result], version=2, output_type=result))

    run()


@pytest.mark.parametrize("op, expected", [("ARG_MAX", [2, 3]), ("ARG_MIN", [1, 0])])
def test_nan_in_a_long_row(official, op, expected):
    """The official kernels lose values of rows of 4 and more that hold NaN."""
    x = np.float32([[NAN, -1, 2, NAN], [-4, NAN, NAN, 4]])
    content, arrays = one_op(op, [Arg(x), np.int32(1)], ["int32"], output_type="INT32")
    assert ours(content, arrays)[0].tolist() == expected
    assert official.run(content, arrays, resolver="BUILTIN_REF")[0].tolist() != expected


@pytest.mark.parametrize("result", ("int32", "int16"))
@pytest.mark.parametrize("k_type", ("int32", "int16"))
@pytest.mark.parametrize("type", (*NUMBERS, "int16", "int64"))
def test_top_k(official, type, k_type, result):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape = [*drawn_shape(rng, 0, 3), int(rng.integers(0, 40))]
        k = Arg(np.array(rng.integers(-1, shape[-1], endpoint=True), k_type), constant=rng.random() < 0.5)
        check(*one_op("TOPK_V2", [Arg(drawn_values(rng, type, shape), type), k], [type, result], version=3))

    run()


@pytest.mark.parametrize("type", ("float32", "uint8", "int16", "int64"))
def test_top_k_of_long_rows(official, type):
    @differential(20)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = (draw(st.integers(1, 3)), draw(st.integers(4096, 9000)))
        x = array(draw, type, shape, special=True)
        k = np.int32(draw(st.integers(1, 900)))
        check(*one_op("TOPK_V2", [Arg(x, type), k], [type, "int32"], version=2))

    run()


@pytest.mark.parametrize("result", ("int32", "int64"))
@pytest.mark.parametrize("type", ("float32", "uint8", "int8", "int16", "int32", "int64"))
def test_unique(official, type, result):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        x = rng.integers(-4 if type[0] != "u" else 0, rng.choice([4, 100]), rng.integers(0, 30)).astype(type)
        if type == "float32":
            odd = np.float32([NAN, INF, -INF, 0.0, -0.0, 1e-40, -1e-40])
            x = np.where(rng.random(x.shape) < 0.3, rng.choice(odd, x.shape), x / 2).astype(np.float32)
        x = Arg(x, constant=rng.random() < 0.2)
        check(*one_op("UNIQUE", [x], [type, result], idx_out_type=result))

    run()


@pytest.mark.parametrize("type", ("float32", "float64", "int32", "int64"))
def test_bucketize(official, type):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape = tuple(rng.integers(0 if rng.random() < 0.1 else 1, 5, rng.integers(0, 6)))
        boundaries = np.sort(rng.integers(-9, 9, rng.integers(0, 12)) * 2.0 ** rng.integers(-2, 30)).astype(np.float32)
        near = rng.choice(boundaries, shape) if boundaries.size else rng.integers(-9, 9, shape)
        x = near.astype(np.float64) + rng.integers(-2, 3, shape)
        if type[0] == "f":
            odd = rng.choice([INF, -INF, NAN], shape)
            x = np.where(rng.random(shape) < 0.2, odd, x * rng.choice([1, 1 - 2.0**-40], shape))
        else:
            x = np.clip(x, -(2**31), 2**31 - 1)
        x = Arg(np.asarray(x).astype(type), constant=rng.random() < 0.2)
        check(*one_op("BUCKETIZE", [x], ["int32"], boundaries=boundaries.tolist()))

    run()


def test_unique_of_other_lengths_each_time(official):
    turns = [[np.int32(v)] for v in ([1, 2, 1], [5, 5, 5, 5], [3], [4, 5, 6])]
    content, _ = one_op("UNIQUE", [Arg(turns[0][0])], ["int32", "int32"])
    check(content, turns, sequence=True)


@pytest.mark.parametrize("op", ("ARG_MAX", "ARG_MIN", "TOPK_V2"))
def test_other_shapes_each_time(official, op):
    """The axis, or k, is an input."""
    turns = []
    for shape, number in (((3, 4), 1), ((3, 4), 0), ((2, 5, 3), -1), ((6,), 0)):
        number = abs(number) if op == "TOPK_V2" else number
        turns.append([np.arange(math.prod(shape), dtype=np.int32).reshape(shape) % 5, np.int32(number)])
    outputs, options = (["int32", "int32"], {}) if op == "TOPK_V2" else (["int32"], {"output_type": "INT32"})
    content, _ = one_op(op, [Arg(a) for a in turns[0]], outputs, **options)
    check(content, turns, sequence=True)


@pytest.mark.parametrize("op", ("ARG_MAX", "ARG_MIN", "TOPK_V2"))
def test_versions(official, op):
    """Version 3 of ARG_MAX and ARG_MIN is not in the reference resolver."""
    outputs, options = (["float32", "int32"], {}) if op == "TOPK_V2" else (["int32"], {"output_type": "INT32"})
    for version in range(1, 5):
        content, arrays = one_op(op, [X, np.int32(1)], outputs, version=version, **options)
        outcome = check(content, arrays, must_run=False, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES")
        assert (outcome == "equal") == (version < 4)


# ---- refusals

X = Arg(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "op, arguments, outputs, options",
    [
        ("ARG_MAX", [X, np.int32(2)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MIN", [X, np.int32(-3)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [X, np.int32([0, 1])], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [X, np.float32(0)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [X, np.int32(0)], ["float32"], {"output_type": "FLOAT32"}),
        ("ARG_MAX", [Arg(np.float32(1)), np.int32(0)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [Arg(np.zeros((2, 0), np.float32)), np.int32(1)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [Arg(np.zeros(3, np.int64)), np.int32(0)], ["int32"], {"output_type": "INT32"}),
        ("TOPK_V2", [X, np.int32(4)], ["float32", "int32"], {}),
        ("TOPK_V2", [X, np.int32([1, 1])], ["float32", "int32"], {}),
        ("TOPK_V2", [X, np.int64(1)], ["float32", "int32"], {}),
        ("TOPK_V2", [X, np.int32(1)], ["int32", "int32"], {}),
        ("TOPK_V2", [X, np.int32(1)], ["float32", "int64"], {}),
        ("TOPK_V2", [Arg(np.float32(1)), np.int32(1)], ["float32", "int32"], {}),
        ("TOPK_V2", [Arg(np.zeros(3, np.float64)), np.int32(1)], ["float64", "int32"], {}),
        ("UNIQUE", [X], ["float32", "int32"], {}),
        ("UNIQUE", [Arg(np.float32(1))], ["float32", "int32"], {}),
        ("UNIQUE", [Arg(np.zeros(3, np.float32))], ["int32", "int32"], {}),
        ("UNIQUE", [Arg(np.zeros(3, np.float32))], ["float32", "int64"], {}),
        ("UNIQUE", [Arg(np.zeros(3, np.float32))], ["float32", "int32"], {"idx_out_type": "INT64"}),
        ("UNIQUE", [Arg(np.zeros(3, np.float32))], ["float32", "int16"], {"idx_out_type": "INT16"}),
        ("BUCKETIZE", [X], ["int32"], {"boundaries": [1.0, 0.0]}),
    ],
)
def test_refused(official, op, arguments, outputs, options, constant):
    x, *others = arguments
    content, arrays = one_op(op, [x, *(Arg(a, constant=constant) for a in others)], outputs, **options)
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


def test_a_row_too_long_for_its_indices(official):
    x = Arg(np.zeros(32768, np.float32))
    content, arrays = one_op("TOPK_V2", [x, np.int32(1)], ["float32", "int16"])
    assert check(content, arrays, must_run=False) == "error at invoke"
    content, arrays = one_op("TOPK_V2", [Arg(np.zeros(32767, np.float32)), np.int32(1)], ["float32", "int16"])
    assert ours(content, arrays)[1].tolist() == [0]


# ---- types


@pytest.mark.parametrize("op", ("ARG_MAX", "ARG_MIN"))
def test_types_of_arg(official, op):
    def make(x, axis, result):
        return one_op(op, [Arg(zeros(x, (2, 3)), x), np.array(1, axis)], [result], output_type=result.upper())

    whole = ("int32", "int64")
    taken = sweep(make, (TYPES, (*whole, "int16"), (*whole, "float32", "int16")))
    assert taken == {(x, axis, result) for x in (*NUMBERS, "bool") for axis in whole for result in whole}


def test_types_of_top_k(official):
    def make(x, count, result):
        return one_op("TOPK_V2", [Arg(zeros(x, (2, 3)), x), np.array(1, count)], [x, result])

    taken = sweep(make, (TYPES, ("int32", "int64", "int16"), ("int32", "int64", "int16", "float32")))
    indices = [(k, i) for k in ("int32", "int16") for i in ("int32", "int16")]
    assert taken == {(x, *types) for x in (*NUMBERS, "int16", "int64") for types in indices}


def test_types_of_unique(official):
    def make(x, result):
        return one_op("UNIQUE", [Arg(zeros(x, (3,)), x)], [x, result], idx_out_type=result.upper())

    taken = sweep(make, (TYPES, ("int32", "int64", "int16")))
    assert taken == {(x, result) for x in (*NUMBERS, "int16", "int64") for result in ("int32", "int64")}


def test_types_of_bucketize(official):
    def make(x):
        return one_op("BUCKETIZE", [Arg(zeros(x, (3,)), x)], ["int32"], boundaries=[0.5])

    assert sweep(make, (TYPES,)) == {("float32",), ("float64",), ("int32",), ("int64",)}
