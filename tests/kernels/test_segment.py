"""CUMSUM, SEGMENT_SUM, UNSORTED_SEGMENT_SUM, _PROD, _MAX, _MIN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, check, differential
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

UNSORTED = ("UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN")
NOT_IN_REFERENCE = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"  # of SEGMENT_SUM


def drawn(data):
    return np.random.default_rng(data.draw(SEEDS))


def drawn_shape(rng, least, most, side=5):
    return tuple(rng.integers(0 if rng.random() < 0.1 else 1, side, rng.integers(least, most + 1)).tolist())


def drawn_values(rng, type, shape):
    if type == "float32":
        values = (rng.normal(size=shape) * 10.0 ** rng.integers(-2, 3)).astype(np.float32)
        odd = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38])
        return np.where(rng.random(shape) < 0.05, rng.choice(odd, shape), values) if rng.random() < 0.3 else values
    limits = np.iinfo(type)
    low, high = (limits.min, limits.max) if rng.random() < 0.5 else (-9, 9)
    return rng.integers(low, high, shape, endpoint=True, dtype=type)


# ---- worked by hand


def test_sums_of_all_before():
    x = Arg(np.int32([[1, 2, 3], [4, 5, 6]]))
    (y,) = run("CUMSUM", [x, np.int32(1)], ["int32"])
    assert y.tolist() == [[1, 3, 6], [4, 9, 15]]
    (y,) = run("CUMSUM", [x, np.int32(-1)], ["int32"], exclusive=True)
    assert y.tolist() == [[0, 1, 3], [0, 4, 9]]
    (y,) = run("CUMSUM", [x, np.int32(0)], ["int32"], reverse=True)
    assert y.tolist() == [[5, 7, 9], [4, 5, 6]]
    (y,) = run("CUMSUM", [x, np.int32(1)], ["int32"], exclusive=True, reverse=True)
    assert y.tolist() == [[5, 3, 0], [11, 6, 0]]


def test_rows_of_one_segment_are_added():
    x = Arg(np.float32([[1, 2], [3, 4], [5, 6]]))
    (y,) = run("SEGMENT_SUM", [x, np.int32([0, 0, 1])], ["float32"])
    assert y.tolist() == [[4, 6], [5, 6]]


def test_segments_in_any_order():
    x, ids, count = Arg(np.int32([5, -7, 3, 4])), np.int32([2, 0, 2, -1]), np.int32(4)
    low, high = -(2**31), 2**31 - 1
    expected = ([-7, 0, 8, 0], [-7, 1, 15, 1], [-7, low, 5, low], [-7, high, 3, high])
    for op, y in zip(UNSORTED, expected, strict=True):
        assert run(op, [x, ids, count], ["int32"])[0].tolist() == y


def test_ids_may_cover_several_axes():
    x = Arg(np.arange(8, dtype=np.int32).reshape(2, 2, 2))
    (y,) = run("UNSORTED_SEGMENT_SUM", [x, np.int32([[0, 1], [1, 1]]), np.int32([2])], ["int32"])
    assert y.tolist() == [[0, 1], [2 + 4 + 6, 3 + 5 + 7]]


# ---- against the official runtime


@pytest.mark.parametrize("type", ("float32", "int32", "int64"))
def test_cumsum(official, type):
    @differential()
    @given(st.data())
    def run(data):
        rng = drawn(data)
        shape = drawn_shape(rng, 1, 6)
        axis = np.full((1,) * rng.integers(3), rng.integers(-len(shape), len(shape)), np.int32)
        options = {"exclusive": bool(rng.integers(2)), "reverse": bool(rng.integers(2))}
        x = Arg(drawn_values(rng, type, shape), constant=rng.random() < 0.2)
        check(*one_op("CUMSUM", [x, Arg(axis, constant=rng.random() < 0.7)], [type], **options))

    run()


def drawn_ids(rng, count):
    """Ids that go up by 0 or 1, from 0."""
    return np.cumsum(np.r_[0, rng.integers(0, 2, max(count - 1, 0))])[:count].astype(np.int32)


@pytest.mark.parametrize("type", ("float32", "int32"))
def test_segment_sum(official, type):
    @differential()
    @given(st.data())
    def run(data):
        rng = drawn(data)
        shape = (int(rng.integers(0, 12)), *drawn_shape(rng, 0, 3))
        x = Arg(drawn_values(rng, type, shape), constant=rng.random() < 0.2)
        ids = Arg(drawn_ids(rng, shape[0]), constant=rng.random() < 0.5)
        check(*one_op("SEGMENT_SUM", [x, ids], [type]), resolver=NOT_IN_REFERENCE)

    run()


@pytest.mark.parametrize("type", ("float32", "int32"))
@pytest.mark.parametrize("op", UNSORTED)
def test_unsorted(official, op, type):
    @differential()
    @given(st.data())
    def run(data):
        rng = drawn(data)
        outer, rest = drawn_shape(rng, 0, 2), drawn_shape(rng, 0, 2)
        ids = rng.integers(-1, rng.integers(1, 6), outer, dtype=np.int32)
        count = int(ids.max(initial=-1)) + 1 + int(rng.integers(3))
        count = np.full((1,) * rng.integers(2), count, np.int32)
        x = Arg(drawn_values(rng, type, outer + rest), constant=rng.random() < 0.2)
        held = rng.random() < 0.5
        arguments = [x, Arg(ids, constant=held), Arg(count, constant=rng.random() < (0.9 if held else 0.5))]
        check(*one_op(op, arguments, [type]))

    run()


@pytest.mark.parametrize("op", ("CUMSUM", "SEGMENT_SUM", *UNSORTED))
def test_other_shapes_each_time(official, op):
    rng = np.random.default_rng(7)
    turns = []
    for rows, rest in ((4, (3,)), (7, (3,)), (0, (3,)), (5, (2,)), (5, (2,))):
        given = [drawn_values(rng, "int32", (rows, *rest))]
        given.append(np.int32(rng.integers(-2, 2)) if op == "CUMSUM" else drawn_ids(rng, rows))
        if op in UNSORTED:
            given.append(np.int32(rows + rng.integers(3)))
        turns.append(given)
    content, _ = one_op(op, [Arg(a) for a in turns[0]], ["int32"])
    check(content, turns, sequence=True, resolver=NOT_IN_REFERENCE if op == "SEGMENT_SUM" else "BUILTIN_REF")


# ---- refusals

X = np.zeros((3, 2), np.float32)
IDS, COUNT = np.int32([0, 1, 1]), np.int32(2)


@pytest.mark.parametrize("constant", ("nothing", "x", "ids", "ids and count", "all"))
@pytest.mark.parametrize(
    "op, arguments",
    [
        ("CUMSUM", [X, np.int32(2)]),
        ("CUMSUM", [X, np.int32(-3)]),
        ("CUMSUM", [X, np.int32([0, 1])]),
        ("CUMSUM", [X, np.int64(0)]),
        ("CUMSUM", [np.zeros((3, 0), np.float32), np.int32(2)]),
        ("CUMSUM", [np.float32(1), np.int32(0)]),
        ("SEGMENT_SUM", [X, np.int32([0, 1])]),
        ("SEGMENT_SUM", [X, np.int32([[0, 1, 1]])]),
        ("SEGMENT_SUM", [X, np.int32([0, 2, 2])]),
        ("SEGMENT_SUM", [X, np.int32([0, 1, 0])]),
        ("SEGMENT_SUM", [X, np.int32([1, 1, 1])]),
        ("SEGMENT_SUM", [X, np.int32([-1, 0, 0])]),
        ("SEGMENT_SUM", [X, np.int32([0, 2**31 - 1, -(2**31)])]),
        ("SEGMENT_SUM", [np.float32(1), np.int32([0])]),
        *((op, [X, IDS, np.int32(1)]) for op in UNSORTED),
        ("UNSORTED_SEGMENT_SUM", [X, IDS, np.int32(-1)]),
        ("UNSORTED_SEGMENT_SUM", [X, np.int32([-1, -1, -1]), np.int32(-1)]),
        ("UNSORTED_SEGMENT_SUM", [X, IDS, np.int32([[2]])]),
        ("UNSORTED_SEGMENT_SUM", [X, IDS, np.int32([2, 2])]),
        ("UNSORTED_SEGMENT_SUM", [X, np.int32([0, 1]), COUNT]),
        ("UNSORTED_SEGMENT_SUM", [X, np.int32([[[0, 1]]]), COUNT]),
        ("UNSORTED_SEGMENT_SUM", [X, np.int64([0, 1, 1]), COUNT]),
        ("UNSORTED_SEGMENT_SUM", [X, IDS, np.int64(2)]),
    ],
)
def test_refused(official, op, arguments, constant):
    constants = {"nothing": (), "x": (0,), "ids": (1,), "ids and count": (1, 2), "all": (0, 1, 2)}[constant]
    given = [Arg(a, constant=i in constants) for i, a in enumerate(arguments)]
    content, arrays = one_op(op, given, [arguments[0].dtype.name])
    resolver = NOT_IN_REFERENCE if op == "SEGMENT_SUM" else "BUILTIN_REF"
    outcome = check(content, arrays, must_run=False, resolver=resolver)
    assert outcome in ("error at allocate", "error at invoke")


@pytest.mark.parametrize("op", ("CUMSUM", "SEGMENT_SUM", *UNSORTED))
def test_types(official, op):
    second = np.int32([0]) if op == "CUMSUM" else IDS

    def make(x, ids):
        arguments = [Arg(zeros(x, X.shape), x), Arg(second.astype(ids), ids)]
        return one_op(op, arguments + ([COUNT] if op in UNSORTED else []), [x])

    resolver = NOT_IN_REFERENCE if op == "SEGMENT_SUM" else "BUILTIN_REF"
    taken = sweep(make, (TYPES, ("int32", "int64", "int16", "float32")), resolver=resolver)
    assert taken == {(x, "int32") for x in ("float32", "int32", *(("int64",) if op == "CUMSUM" else ()))}
