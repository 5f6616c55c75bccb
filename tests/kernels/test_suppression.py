"""NON_MAX_SUPPRESSION_V4, NON_MAX_SUPPRESSION_V5."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, check, differential
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import sweep

HARD, SOFT = ["int32", "int32"], ["int32", "float32", "int32"]
BOXES = np.float32(
    [[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [1, 11.1, 0, 10.1], [0, 20, 1, 21]]
)
SCORES = np.float32([0.9, 0.75, 0.6, 0.95, 0.5, 0.3])


def drawn_boxes(rng, count):
    """Few places and sides, so that boxes overlap, also exactly; corners in any order."""
    corners = rng.integers(0, 5, (count, 2)) * rng.choice([1.0, 0.3])
    sides = rng.integers(-3, 4, (count, 2)) if rng.random() < 0.3 else rng.integers(1, 4, (count, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1)
    if rng.random() < 0.5:
        boxes += rng.normal(size=boxes.shape) * 0.1
    if rng.random() < 0.1:
        boxes[rng.random(boxes.shape) < 0.1] = rng.choice([np.nan, np.inf, 1e30])
    return boxes.astype(np.float32)


def drawn_scores(rng, count):
    """Of a third of the cases many are equal."""
    scores = rng.random(count)
    if rng.random() < 0.33:
        scores = np.round(scores * 4) / 4
    if rng.random() < 0.1:
        scores[rng.random(count) < 0.2] = rng.choice([np.nan, np.inf, -np.inf])
    return scores.astype(np.float32)


def drawn_case(rng, sigma):
    """The arguments, with or without sigma."""
    count = int(rng.integers(0, 30))
    numbers = [rng.choice([0.5, 0.3, 1.0, 0.0, 1.5, rng.random()]), rng.choice([0, -1, 0.3, 0.5, -np.inf])]
    if sigma:
        numbers.append(rng.choice([0, 0.5, 0.1, 5, rng.random()]))
    held = rng.random() < 0.6
    most = Arg(np.int32(rng.integers(0, 12)), constant=rng.random() < 0.6)
    boxes, scores = Arg(drawn_boxes(rng, count)), Arg(drawn_scores(rng, count))
    return [boxes, scores, most, *(Arg(np.float32(n), constant=held) for n in numbers)]


# ---- worked by hand


def test_boxes_that_overlap_a_better_one_are_left_out():
    given = [Arg(BOXES), Arg(SCORES), np.int32(4), np.float32(0.5), np.float32(0.4)]
    indices, count = run("NON_MAX_SUPPRESSION_V4", given, HARD)
    assert indices.tolist() == [3, 0, 0, 0] and count == 2


def test_scores_fall_with_the_square_of_what_is_shared():
    given = [Arg(BOXES), Arg(SCORES), np.int32(6), np.float32(1), np.float32(0), np.float32(0.5)]
    indices, scores, count = run("NON_MAX_SUPPRESSION_V5", given, SOFT)
    assert indices.tolist() == [3, 0, 1, 5, 4, 2] and count == 6
    share = 0.9 / 1.1
    assert np.isclose(scores[2], 0.75 * np.exp(-(share**2))) and scores[3] == np.float32(0.3)


def test_of_equals_the_heap_decides():
    boxes = np.float32([[0, i, 1, i + 0.5] for i in range(6)])
    given = [Arg(boxes), Arg(np.full(6, 0.5, np.float32)), np.int32(6), np.float32(0.5), np.float32(0)]
    indices, _ = run("NON_MAX_SUPPRESSION_V4", given, HARD)
    assert indices.tolist() == [0, 2, 5, 4, 1, 3]


# ---- against the official runtime


@pytest.mark.parametrize("outputs", (HARD, SOFT), ids=("hard", "soft"))
@pytest.mark.parametrize("op", ("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"))
def test_suppression(official, op, outputs):
    """Either name takes either form. Scores are products of C's expf, which is not always rounded to the nearest."""

    @differential(400)
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        check(*one_op(op, drawn_case(rng, outputs is SOFT), outputs), ulps=4)

    run()


def test_many_boxes(official):
    rng = np.random.default_rng(5)
    boxes = (rng.random((2000, 4)) * 0.1 + rng.random((2000, 1))).astype(np.float32)
    for scores in (rng.random(2000), np.round(rng.random(2000), 2)):
        given = [Arg(boxes), Arg(np.float32(scores)), np.int32(300), np.float32(0.5), np.float32(0.01)]
        check(*one_op("NON_MAX_SUPPRESSION_V4", given, HARD))
        check(*one_op("NON_MAX_SUPPRESSION_V5", [*given, np.float32(0.3)], SOFT), ulps=4)


def test_other_numbers_of_boxes_each_time(official):
    rng = np.random.default_rng(3)
    turns = []
    for count, most in ((6, 3), (9, 3), (0, 2), (9, 5)):
        turns.append([drawn_boxes(rng, count), drawn_scores(rng, count), np.int32(most), *np.float32([0.5, 0.1])])
    content, _ = one_op("NON_MAX_SUPPRESSION_V4", [*map(Arg, turns[0])], HARD)
    check(content, turns, sequence=True)


# ---- refusals

N = np.float32(0.5)


@pytest.mark.parametrize("constant", (True, False))
@pytest.mark.parametrize(
    "arguments, outputs",
    [
        ([BOXES, SCORES, np.int32(3), N], HARD),
        ([BOXES, SCORES, np.int32(3), N, N, N, N], SOFT),
        ([BOXES, SCORES, np.int32(3), N, N], SOFT),
        ([BOXES, SCORES, np.int32(3), N, N, N], HARD),
        ([BOXES[:5], SCORES, np.int32(3), N, N], HARD),
        ([BOXES[:, :3], SCORES, np.int32(3), N, N], HARD),
        ([BOXES[None], SCORES, np.int32(3), N, N], HARD),
        ([BOXES, SCORES[None], np.int32(3), N, N], HARD),
        ([BOXES, SCORES, np.int32([3]), N, N], HARD),
        ([BOXES, SCORES, np.int32(-1), N, N], HARD),
        ([BOXES, SCORES, np.int64(3), N, N], HARD),
        ([BOXES, SCORES, np.int32(3), N[None], N], HARD),
        ([BOXES, SCORES, np.int32(3), N, np.float64(0)], HARD),
        ([BOXES, SCORES, np.int32(3), N, N, np.float32([1])], SOFT),
        ([BOXES, SCORES, np.int32(3), N, N, np.float32(-1)], SOFT),
    ],
)
def test_refused(official, arguments, outputs, constant):
    given = [Arg(arguments[0]), *(Arg(a, constant=constant) for a in arguments[1:])]
    content, arrays = one_op("NON_MAX_SUPPRESSION_V5", given, outputs)
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


def test_types(official):
    def make(boxes, scores, most, number):
        given = [Arg(zeros(boxes, (2, 4)), boxes), Arg(zeros(scores, (2,)), scores)]
        numbers = [Arg(zeros(number, ()), number)] * 2
        return one_op("NON_MAX_SUPPRESSION_V4", [*given, Arg(zeros(most, ()), most), *numbers], HARD)

    some = ("float32", "float16", "float64", "int32", "int64", "int8", "uint8")
    assert sweep(make, (some, some, some, some)) == {("float32", "float32", "int32", "float32")}
