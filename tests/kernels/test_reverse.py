"""REVERSE_V2, REVERSE_SEQUENCE."""

import numpy as np
import pytest

from minitfl.kernels.reverse import REVERSED, SEQUENCES
from tests.cases import OursFailed, check
from tests.kernels.one_op import Arg, contents, each_case, one_op, run, sample, sides
from tests.sweep import TYPES, sweep

# ---- worked by hand


def test_neighbouring_axes_are_reversed_together():
    x = Arg(np.int32([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]))
    (y,) = run("REVERSE_V2", [x, np.int32([-1, 1])], ["int32"])
    assert y.tolist() == [[[4, 3], [2, 1]], [[8, 7], [6, 5]]]


def test_the_rest_of_a_row_stays():
    x = Arg(np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    (y,) = run("REVERSE_SEQUENCE", [x, np.int64([2, 0, 3])], ["float32"], seq_dim=1, batch_dim=0)
    assert y.tolist() == [[2, 1, 3], [4, 5, 6], [9, 8, 7]]
    (y,) = run("REVERSE_SEQUENCE", [x, np.int64([2, 0, 3])], ["float32"], seq_dim=0, batch_dim=1)
    assert y.tolist() == [[4, 2, 9], [1, 5, 6], [7, 8, 3]]


def test_every_length_is_checked():
    """The official kernel looks at the first one and reads past the end for the others."""
    x = Arg(np.zeros((2, 3), np.float32))
    with pytest.raises(OursFailed, match="a sequence of 4 along an axis of 3"):
        run("REVERSE_SEQUENCE", [x, Arg(np.int32([1, 4]))], ["float32"], seq_dim=1)


def test_without_axes_or_values_nothing_moves():
    """The official kernel dies."""
    for shape, axes in (((2, 3), []), ((2, 0), [0]), ((), [])):
        (y,) = run("REVERSE_V2", [Arg(sample("int8", shape)), np.array(axes, np.int32)], ["int8"])
        assert np.array_equal(y, sample("int8", shape))
    (y,) = run(
        "REVERSE_SEQUENCE", [Arg(np.zeros((0, 3), np.float32)), Arg(np.zeros(0, np.int32))], ["float32"], seq_dim=1
    )
    assert y.shape == (0, 3)


# ---- against the official runtime


@pytest.mark.parametrize("type", sorted(REVERSED))
def test_reverse_v2(official, type):
    def case(rng):
        shape = list(sides(rng, 1, 8, 3))
        first = int(rng.integers(len(shape)))
        shape[first] *= int(rng.random() > 0.05)  # the official kernel dies where another axis is empty
        axes = np.arange(first, rng.integers(first, len(shape)) + 1, dtype=np.int32)
        axes -= len(shape) * rng.integers(0, 2, axes.size, dtype=np.int32)
        axes = Arg(rng.permutation(axes), constant=bool(rng.integers(2)))
        check(*one_op("REVERSE_V2", [Arg(contents(rng, type, shape), type), axes], [type], version=4))

    each_case(case)


@pytest.mark.parametrize("lengths", ("int32", "int64"))
@pytest.mark.parametrize("type", sorted(SEQUENCES))
def test_reverse_sequence(official, type, lengths):
    def case(rng):
        shape = list(sides(rng, 2, 6))
        sequence, batch = (int(a) for a in rng.permutation(len(shape))[:2])
        shape[sequence] *= int(rng.random() > 0.05)
        rows = Arg(rng.integers(-1, shape[sequence] + 1, shape[batch]).astype(lengths), constant=bool(rng.integers(2)))
        x = Arg(contents(rng, type, shape))
        check(*one_op("REVERSE_SEQUENCE", [x, rows], [type], seq_dim=sequence, batch_dim=batch))

    each_case(case)


def test_shapes_that_change(official):
    axes = np.int32([1])
    content, _ = one_op("REVERSE_V2", [Arg(np.zeros((2, 3), np.float32)), axes], ["float32"])
    turns = [[sample("float32", shape)] for shape in ((2, 3), (4, 2), (1, 5))]
    check(content, turns, sequence=True)


# ---- refusals and types

X = Arg(np.zeros((2, 3, 2), np.float32))


@pytest.mark.parametrize(
    "op, arguments, options",
    [
        ("REVERSE_V2", [X, np.int32([0, 2])], {}),
        ("REVERSE_V2", [X, np.int32([1, 1])], {}),
        ("REVERSE_V2", [X, np.int32([3])], {}),
        ("REVERSE_V2", [X, np.int32([-4])], {}),
        ("REVERSE_V2", [X, np.int32([[0]])], {}),
        ("REVERSE_V2", [X, np.int32([0, 1, 2, 0])], {}),
        ("REVERSE_V2", [X, np.int64([0])], {}),
        ("REVERSE_V2", [Arg(np.zeros((1,) * 9, np.float32)), np.int32([0])], {}),
        ("REVERSE_SEQUENCE", [X, np.int32([1, 1])], {"seq_dim": 1, "batch_dim": 1}),
        ("REVERSE_SEQUENCE", [X, np.int32([1, 1])], {"seq_dim": 3, "batch_dim": 1}),
        ("REVERSE_SEQUENCE", [X, np.int32([1, 1])], {"seq_dim": -1, "batch_dim": 0}),
        ("REVERSE_SEQUENCE", [X, np.int32([1, 1, 1])], {"seq_dim": 1, "batch_dim": 0}),
        ("REVERSE_SEQUENCE", [X, np.int32([4, 1])], {"seq_dim": 1, "batch_dim": 0}),
        ("REVERSE_SEQUENCE", [X, np.int32([[1, 1]])], {"seq_dim": 1, "batch_dim": 0}),
        ("REVERSE_SEQUENCE", [X, np.int16([1, 1])], {"seq_dim": 1, "batch_dim": 0}),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_refused(official, op, arguments, options, late):
    arguments = [a if isinstance(a, Arg) else Arg(a, constant=not late) for a in arguments]
    outcome = check(*one_op(op, arguments, ["float32"], **options), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def test_types(official):
    def reversed(x, axes):
        return one_op("REVERSE_V2", [Arg(sample(x, (2, 3)), x), Arg(sample(axes, (1,)), axes)], [x])

    def sequences(x, lengths):
        rows = Arg(sample(lengths, (2,)), lengths)
        return one_op("REVERSE_SEQUENCE", [Arg(sample(x, (2, 3)), x), rows], [x], seq_dim=1)

    assert sweep(reversed, (TYPES, TYPES)) == {(x, "int32") for x in REVERSED}
    assert sweep(sequences, (TYPES, TYPES)) == {(x, n) for x in SEQUENCES for n in ("int32", "int64")}
