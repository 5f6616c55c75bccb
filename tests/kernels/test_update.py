"""DYNAMIC_UPDATE_SLICE, SPARSE_TO_DENSE."""

import numpy as np
import pytest

from minitfl.kernels.update import DENSE
from tests.cases import OursFailed, check
from tests.kernels.one_op import Arg, contents, each_case, one_op, run, sample, sides
from tests.sweep import TYPES, sweep

UPDATED = [t for t in TYPES if t != "string"]
INDICES = ("int32", "int64")

# ---- worked by hand


def test_an_update_is_moved_inwards():
    x, update = Arg(np.int32([1, 2, 3, 4])), Arg(np.int32([8, 9]))
    for start, expected in ((1, [1, 8, 9, 4]), (3, [1, 2, 8, 9]), (-5, [8, 9, 3, 4])):
        (y,) = run("DYNAMIC_UPDATE_SLICE", [x, update, np.int32([start])], ["int32"])
        assert y.tolist() == expected


def test_values_lie_where_indices_say():
    arguments = [
        Arg(np.int32([[0, 1], [1, 0], [0, 1]])),
        np.int32([2, 2]),
        Arg(np.float32([1, 2, 3])),
        Arg(np.float32(-1)),
    ]
    (y,) = run("SPARSE_TO_DENSE", arguments, ["float32"])
    assert y.tolist() == [[-1, 3], [2, -1]]


# ---- against the official runtime


@pytest.mark.parametrize("start", INDICES)
@pytest.mark.parametrize("type", UPDATED)
def test_dynamic_update_slice(official, type, start):
    def case(rng):
        shape = sides(rng, 0, 8, 3, least=0)
        part = tuple(int(rng.integers(0 if rng.random() < 0.05 else 1, n + 1)) if n else 0 for n in shape)
        x, update = (
            Arg(contents(rng, type, s), type, constant=rng.random() < 0.3 and 0 not in s) for s in (shape, part)
        )
        begins = rng.integers(-2, 4, len(shape)) * (1 if rng.random() < 0.9 else 2**30)
        arguments = [x, update, Arg(begins.astype(start), constant=bool(shape) and rng.random() < 0.5)]
        check(*one_op("DYNAMIC_UPDATE_SLICE", arguments, [type], version=2))

    each_case(case)


@pytest.mark.parametrize("shape_type", INDICES)
@pytest.mark.parametrize("type", INDICES)
@pytest.mark.parametrize("values", sorted(DENSE))
def test_sparse_to_dense(official, values, type, shape_type):
    def case(rng):
        shape = sides(rng, 1, 4)
        count = int(rng.integers(0, 6))
        picked = (rng.random((count, len(shape))) * shape).astype(type)
        if len(shape) == 1 and rng.integers(2):
            picked = picked[0, 0] if count == 1 else picked[:, 0]
        given = contents(rng, values, () if rng.random() < 0.3 else (count,))
        default = contents(rng, values, (1,) * int(rng.integers(3)))
        arguments = [
            Arg(a, constant=rng.random() < 0.3 and a.size > 0)
            for a in (picked, np.array(shape, shape_type), given, default)
        ]
        check(*one_op("SPARSE_TO_DENSE", arguments, [values], version=3))

    each_case(case)


def test_shapes_that_change(official):
    arguments = [Arg(np.zeros((3, 4), np.float32)), Arg(np.zeros((1, 2), np.float32)), Arg(np.int32([1, 1]))]
    content, _ = one_op("DYNAMIC_UPDATE_SLICE", arguments, ["float32"])
    turns = [
        [sample("float32", shape), -sample("float32", part), np.int32([1, 2])]
        for shape, part in (((3, 4), (1, 2)), ((2, 5), (2, 1)), ((3, 4), (3, 4)))
    ]
    check(content, turns, sequence=True)


# ---- refusals and types

X = Arg(np.zeros((2, 3), np.float32))
ONE = Arg(np.zeros((1, 1), np.float32))
F = np.float32


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "op, arguments",
    [
        ("DYNAMIC_UPDATE_SLICE", [X, ONE, np.int32([0])]),
        ("DYNAMIC_UPDATE_SLICE", [X, ONE, np.int32([[0, 0]])]),
        ("DYNAMIC_UPDATE_SLICE", [X, ONE, np.int16([0, 0])]),
        ("DYNAMIC_UPDATE_SLICE", [X, Arg(F([1])), np.int32([0, 0])]),
        ("DYNAMIC_UPDATE_SLICE", [X, Arg(np.zeros((3, 1), F)), np.int32([0, 0])]),
        ("DYNAMIC_UPDATE_SLICE", [X, Arg(np.zeros((1, 1), np.int32)), np.int32([0, 0])]),
        ("DYNAMIC_UPDATE_SLICE", [Arg(np.zeros((1,) * 9, F))] * 2 + [np.zeros(9, np.int32)]),
        ("SPARSE_TO_DENSE", [np.int32([0, 2]), np.int32([2]), F([1, 2]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0, -1]), np.int32([2]), F([1, 2]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([[0, 2]]), np.int32([2, 2]), F(1), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0, 1]), np.int32([2]), F([1]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0, 1]), np.int32([2, 2]), F([1, 2]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([[[0]]]), np.int32([2]), F([1]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0]), np.int32([[2]]), F([1]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0]), np.int32([2]), F([[1]]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0]), np.int32([2]), F([1]), F([0, 0])]),
        ("SPARSE_TO_DENSE", [np.int32([0]), np.int32([-2]), F([1]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([[0] * 5]), np.int32([1] * 5), F([1]), F(0)]),
        ("SPARSE_TO_DENSE", [np.int32([0]), np.int32([2]), F([1]), np.int32(0)]),
    ],
)
def test_refused(official, op, arguments, late):
    arguments = [a if isinstance(a, Arg) else Arg(a, constant=not late) for a in arguments]
    outcome = check(*one_op(op, arguments, ["float32"]), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def test_types(official):
    def updated(x, update, start):
        arguments = [Arg(sample(x, (2, 3)), x), Arg(sample(update, (1, 2)), update), Arg(sample(start, (2,)), start)]
        return one_op("DYNAMIC_UPDATE_SLICE", arguments, [x])

    def dense(indices, shape, values):
        arguments = [Arg(sample(indices, (1,)), indices), Arg(np.ones(1, sample(shape, ()).dtype), shape)]
        arguments += [Arg(sample(values, (1,)), values), Arg(sample(values, ()), values)]
        return one_op("SPARSE_TO_DENSE", arguments, [values])

    assert sweep(lambda x, start: updated(x, x, start), (TYPES, TYPES)) == {(x, s) for x in UPDATED for s in INDICES}
    assert sweep(lambda x, update: updated(x, update, "int32"), (TYPES, TYPES)) == {(x, x) for x in UPDATED}
    few = [t for t in TYPES if t != "string"]
    assert sweep(lambda i, values: dense(i, "int32", values), (few, TYPES)) == {(i, v) for i in INDICES for v in DENSE}
    assert sweep(lambda shape: dense("int32", shape, "int8"), (few,)) == {(s,) for s in INDICES}


@pytest.mark.parametrize("type", ("int2", "uint4", "string"))
def test_types_that_an_update_refuses(official, type):
    x = Arg(sample(type, (2, 4)), type, constant=True)
    update = Arg(sample(type, (1, 4)), type, constant=True)
    content, arrays = one_op("DYNAMIC_UPDATE_SLICE", [x, update, Arg(np.int32([0, 0]))], [type])
    assert check(content, arrays, must_run=False) == "error at invoke"


def test_an_index_outside_is_named():
    with pytest.raises(OursFailed, match="sparse_to_dense index out of bounds: 7 of 2"):
        run("SPARSE_TO_DENSE", [Arg(np.int32([0, 7])), np.int32([2]), F([1, 2]), F(0)], ["float32"])
