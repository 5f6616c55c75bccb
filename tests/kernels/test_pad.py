"""PAD, PADV2, MIRROR_PAD."""

import numpy as np
import pytest

from minitfl.kernels.layout import MOVED
from minitfl.kernels.pad import PADDED, PADDINGS
from tests.cases import RANGES, check
from tests.kernels.one_op import Arg, contents, each_case, maybe, one_op, run, sample, several, sides
from tests.sweep import TYPES, sweep

QUANTIZED = ("int8", "uint8", "int16")


def numbers(rng, type):
    """Quantization that tells the zero point from 0; none for half of the cases where that is allowed."""
    if type not in QUANTIZED or (type != "uint8" and rng.random() < 0.5):
        return {}
    return {"scale": 0.5, "zero_point": 0 if type == "int16" else int(rng.integers(*RANGES[type]))}


# ---- worked by hand


def test_pad_fills_with_the_zero_point():
    (y,) = run("PAD", [Arg(np.int8([[5]]), scale=0.5, zero_point=-3), np.int32([[0, 1], [2, 0]])], [
        ("int8", {"scale": 0.5, "zero_point": -3})
    ])  # fmt: skip
    assert y.tolist() == [[-3, -3, 5], [-3, -3, -3]]


def test_reflect_leaves_the_border_out_and_symmetric_repeats_it():
    x = Arg(np.float32([1, 2, 3]))
    (y,) = run("MIRROR_PAD", [x, np.int32([[2, 1]])], ["float32"], mode="REFLECT")
    assert y.tolist() == [3, 2, 1, 2, 3, 2]
    (y,) = run("MIRROR_PAD", [x, np.int32([[2, 1]])], ["float32"], mode="SYMMETRIC")
    assert y.tolist() == [2, 1, 1, 2, 3, 3]


# ---- against the official runtime


@pytest.mark.parametrize("type", sorted(PADDED))
def test_pad(official, type):
    """PAD and PADV2 by paddings of every type."""

    def case(rng):
        shape = sides(rng, 0, 5, 4, least=0)
        pairs = rng.integers(0, 4, (len(shape), 2))
        if len(shape) == 4 and rng.integers(2):
            pairs[0] = pairs[3] = 0  # an image: a path of its own
        q = numbers(rng, type)
        x, y = contents(rng, type, shape, special=True), [(type, q)]
        value = maybe(rng, contents(rng, type, (1,) * int(rng.integers(2))), type, **q)
        parts = []
        for kind in sorted(PADDINGS):
            paddings = maybe(rng, (pairs % 2 if kind == "bool" else pairs).astype(kind), chance=0.75)
            parts.append(("PAD", [maybe(rng, x, type, 0.2, **q), paddings], y, {"version": 2}))
            parts.append(("PADV2", [Arg(x, type, **q), paddings, value], y, {"version": 2}))
        check(*several(*parts))

    each_case(case)


@pytest.mark.parametrize("type", sorted(MOVED))
@pytest.mark.parametrize("mode", ("REFLECT", "SYMMETRIC"))
def test_mirror_pad(official, type, mode):
    def case(rng):
        shape = sides(rng, 0, 6, 4)
        pairs = np.array([rng.integers(0, n + (mode == "SYMMETRIC"), 2) for n in shape]).reshape(-1, 2)
        q = numbers(rng, type)
        x = Arg(contents(rng, type, shape), type, **q)
        parts = [
            ("MIRROR_PAD", [x, maybe(rng, pairs.astype(kind), chance=0.75)], [(type, q)], {"mode": mode})
            for kind in ("int32", "int64")
        ]
        check(*several(*parts))

    each_case(case, 100)  # of each mode


def test_shapes_that_change(official):
    x = Arg(np.zeros((2, 3), np.float32))
    content, _ = several(
        ("PAD", [x, np.int32([[1, 0], [0, 2]])], ["float32"], {}),
        ("MIRROR_PAD", [x, np.int32([[1, 0], [0, 1]])], ["float32"], {"mode": "REFLECT"}),
    )
    check(content, [[sample("float32", s)] * 2 for s in ((2, 3), (4, 2), (3, 5))], sequence=True)


# ---- refusals

X = Arg(np.zeros((2, 3), np.float32))
X8 = Arg(np.zeros((2, 3), np.int8), scale=0.5, zero_point=1)
Q8 = ("int8", {"scale": 0.5, "zero_point": 1})
PAIRS = [[1, 1], [0, 2]]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "op, arguments, output, options",
    [
        ("PAD", [X, [[1, 1]]], "float32", {}),
        ("PAD", [X, [1, 1, 0, 0]], "float32", {}),
        ("PAD", [X, [[1, 1, 1], [1, 1, 1]]], "float32", {}),
        ("PAD", [X, [[1, -1], [0, 0]]], "float32", {}),
        ("PAD", [X, PAIRS], "int32", {}),
        ("PADV2", [X, PAIRS, np.int32(1)], "float32", {}),
        ("PADV2", [X, PAIRS, np.float32([1, 2])], "float32", {}),
        ("PADV2", [X8, PAIRS, Arg(np.int8(1), constant=True, scale=0.25, zero_point=1)], Q8, {}),
        ("PADV2", [X8, PAIRS, Arg(np.int8(1), constant=True, scale=0.5, zero_point=2)], Q8, {}),
        ("MIRROR_PAD", [X, [[2, 0], [0, 0]]], "float32", {"mode": "REFLECT"}),
        ("MIRROR_PAD", [X, [[3, 0], [0, 0]]], "float32", {"mode": "SYMMETRIC"}),
        ("MIRROR_PAD", [X, [[-1, 0], [0, 0]]], "float32", {"mode": "SYMMETRIC"}),
        ("MIRROR_PAD", [X, [[1, 0]]], "float32", {}),
        ("MIRROR_PAD", [X, PAIRS], "int32", {}),
        ("MIRROR_PAD", [X8, PAIRS], ("int8", {"scale": 0.25, "zero_point": 1}), {}),
        ("MIRROR_PAD", [X8, PAIRS], ("int8", {"scale": 0.5, "zero_point": 0}), {}),
    ],
)
def test_refused(official, op, arguments, output, options, constant):
    x, pairs, *rest = arguments
    arguments = [x, Arg(np.array(pairs, np.int32), constant=constant), *rest]
    outcome = check(*one_op(op, arguments, [output], **options), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def test_a_zero_point_that_the_type_lacks(official):
    q = {"scale": 0.5, "zero_point": 300}
    content, arrays = one_op("PAD", [Arg(np.zeros((2, 3), np.int8), **q), np.int32(PAIRS)], [("int8", q)])
    assert check(content, arrays, must_run=False) == "error at invoke"


def test_scales_along_an_axis_count_as_none(official):
    q = {"scale": [0.5, 0.25, 0.125], "zero_point": [0, 0, 0], "axis": 1}
    x = Arg(np.ones((2, 3), np.int8), **q)
    check(*one_op("PAD", [x, np.int32(PAIRS)], [("int8", q)]))
    check(*one_op("MIRROR_PAD", [x, np.int32(PAIRS)], [("int8", q)]))


def test_types(official):
    def made(op, *rest, **options):
        def make(x, paddings):
            pairs = Arg(sample(paddings, (2, 2)), paddings)
            q = {"scale": 0.5, "zero_point": 0} if x == "uint8" else {}
            more = [Arg(sample(x, ()), x, **q) for _ in rest]
            return one_op(op, [Arg(sample(x, (5, 5)), x, **q), pairs, *more], [(x, q)], **options)

        return make

    padded = {(x, paddings) for x in PADDED for paddings in PADDINGS}
    index = [t for t in TYPES if t != "string"]
    assert sweep(made("PAD"), (TYPES, index)) == padded
    assert sweep(made("PADV2", "value"), ([t for t in TYPES if t != "string"], index)) == padded
    mirrored = {(x, paddings) for x in MOVED & {*TYPES} for paddings in ("int32", "int64")}
    assert sweep(made("MIRROR_PAD", mode="SYMMETRIC"), (TYPES, index)) == mirrored


@pytest.mark.parametrize("rank", range(1, 9))
def test_ranks(official, rank):
    x = Arg(np.arange(2**rank, dtype=np.float32).reshape((2,) * rank))
    pairs = np.int32([[0, 1]] * rank)
    outcome = check(*one_op("PAD", [x, pairs], ["float32"]), must_run=False)
    assert outcome == ("equal" if rank <= 5 else "error at allocate")
    check(*one_op("MIRROR_PAD", [x, pairs], ["float32"]))
