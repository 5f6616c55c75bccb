"""TFLite_Detection_PostProcess."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import results
from tests.cases import SEEDS, check, compare, differential, ours
from tests.kernels.one_op import Arg, one_op

NAME = "TFLite_Detection_PostProcess"
USUAL = {
    "max_detections": 3,
    "max_classes_per_detection": 1,
    "num_classes": 2,
    "nms_score_threshold": 0.1,
    "nms_iou_threshold": 0.5,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}
ANCHORS = np.float32([[0.5, 0.5, 1, 1], [0.5, 0.5, 1, 1], [0.5, 2.5, 1, 1]])


def detection(encodings, predictions, anchors, outputs=("float32",) * 4, **options):
    arguments = [a if isinstance(a, Arg) else Arg(np.asarray(a)) for a in (encodings, predictions, anchors)]
    return one_op(NAME, arguments, outputs, custom=USUAL | options)


# ---- worked by hand


@pytest.mark.parametrize("regular", [False, True])
def test_a_box_gives_way_to_a_better_one_at_its_place(regular):
    # box 0 covers (0, 0)..(1, 1); box 1 is 0.1 lower: they share 0.9 of 1.1, 0.82 > 0.5; box 2 is apart
    encodings = np.zeros((1, 3, 4), np.float32)
    encodings[0, 1, 0] = 1  # 1 / y_scale * height of the anchor = 0.1
    predictions = np.float32([[[0, 0.6, 0.2], [0, 0.9, 0.05], [0, 0.0, 0.3]]])  # the first is the background
    content, arrays = detection(encodings, predictions, ANCHORS, use_regular_nms=regular)
    boxes, classes, scores, count = ours(content, arrays)
    found = 3 if regular else 2
    assert count.tolist() == [found]
    assert boxes[0, 0] == pytest.approx([0.1, 0, 1.1, 1])
    assert boxes[0, 1].tolist() == [0, 2, 1, 3]
    assert classes[0].tolist() == [0, 1, 1 if regular else 0]  # class 1 of box 0 has no better one in its way
    assert scores[0].tolist() == [np.float32(0.9), np.float32(0.3), np.float32(0.2) if regular else 0]


def test_quantized_inputs():
    encodings = Arg(np.full((1, 1, 4), 100, np.uint8), scale=0.1, zero_point=100)
    anchors = Arg(np.uint8([[50, 50, 100, 100]]), scale=0.01, zero_point=0)
    predictions = Arg(np.uint8([[[0, 128, 255]]]), scale=1 / 256, zero_point=0)
    boxes, classes, scores, count = ours(*detection(encodings, predictions, anchors))
    assert boxes[0, 0] == pytest.approx([0, 0, 1, 1], abs=1e-6)
    assert classes[0, 0] == 1 and scores[0, 0] == np.float32(255 / 256) and count == 1


# ---- against the official runtime


def held(content, arrays, per_box, classes, regular):
    """Compares what means something: the official kernel leaves the other places of the fast way unwritten."""
    from tests.oracle import official

    mine, theirs = ours(content, arrays), official.run(content, arrays)
    count = int(theirs[3][0])
    compare(mine[3:], theirs[3:])
    if regular:
        used = np.arange(mine[1].size) < mine[1].size // per_box
    else:
        used = np.zeros((mine[1].size // per_box, per_box), bool)
        used[:count, : min(per_box, classes)] = True
    used = used.reshape(-1)
    assert not mine[1][0, ~used].any() and not mine[2][0, ~used].any() and not mine[0][0, ~used].any()
    compare([y[0, used] for y in mine[:3]], [y[0, used] for y in theirs[:3]], ulps=4)
    if results.wanted():
        results.note(content, results.RAN)
    return count


def drawn(draw, quantized, ties):
    rng = np.random.default_rng(draw(SEEDS))
    boxes, classes, background = int(rng.integers(1, 40)), int(rng.integers(1, 9)), int(rng.integers(2))
    width = 4 + int(rng.integers(3)) * (rng.random() < 0.3)
    grid = np.stack(np.meshgrid(np.arange(boxes) % 4, [0.5], indexing="ij"), -1).reshape(-1, 2) / 4
    anchors = np.concatenate([grid + rng.normal(size=(boxes, 2)) * 0.1, rng.uniform(0.1, 0.6, (boxes, 2))], 1)
    encodings = rng.normal(size=(1, boxes, width)) * rng.choice([0.1, 1, 3])
    scores = rng.random((1, boxes, classes + background))
    if ties:
        scores = np.round(scores * 4) / 4
        if rng.random() < 0.5:
            encodings[0, 1:] = encodings[0, rng.integers(0, boxes, boxes - 1)]
            anchors[1:] = anchors[rng.integers(0, boxes, boxes - 1)]
    options = {
        "max_detections": int(rng.integers(1, 12)),
        "max_classes_per_detection": int(rng.integers(1, 5)),
        "num_classes": classes,
        "nms_score_threshold": float(rng.choice([0.0, 1e-8, 0.25, 0.5, 2.0])),
        "nms_iou_threshold": float(rng.choice([1e-3, 0.3, 0.5, 0.6, 1.0])),
        "h_scale": float(rng.choice([1.0, 5.0])),
    }
    if rng.random() < 0.5:
        options["detections_per_class"] = int(rng.integers(1, 12))
    if quantized & 1:
        low = encodings.min()
        scale = max(float(encodings.max() - low), 1e-3) / 255
        zero = int(np.clip(round(-low / scale), 0, 255))
        stored = np.clip(np.round(encodings / scale) + zero, 0, 255).astype(np.uint8)
        encodings = Arg(stored, scale=scale, zero_point=zero)
        stored = np.clip(np.round(anchors * 200) + 40, 0, 255).astype(np.uint8)
        anchors = Arg(stored, scale=1 / 200, zero_point=30)
    else:
        encodings, anchors = Arg(encodings.astype(np.float32)), Arg(anchors.astype(np.float32), constant=True)
    if quantized & 2:
        predictions = Arg(np.uint8(scores * 255), scale=1 / 256, zero_point=0)
    else:
        predictions = Arg(scores.astype(np.float32))
    return (encodings, predictions, anchors), options


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("quantized", [0, 1, 2, 3])
@pytest.mark.parametrize("regular", [False, True])
def test_detection(official, regular, quantized, ties):
    @differential()
    @given(st.data())
    def run(data):
        inputs, options = drawn(data.draw, quantized, ties)
        content, arrays = detection(*inputs, use_regular_nms=regular, **options)
        held(content, arrays, options["max_classes_per_detection"], options["num_classes"], regular)

    run()


@pytest.mark.parametrize("regular", [False, True])
def test_as_large_as_a_network(official, regular):
    rng = np.random.default_rng(5)
    boxes, classes = 1917, 90
    anchors = np.concatenate([rng.random((boxes, 2)), rng.uniform(0.05, 0.5, (boxes, 2))], 1).astype(np.float32)
    encodings = rng.normal(size=(1, boxes, 4)).astype(np.float32)
    predictions = np.round(rng.random((1, boxes, classes + 1)) ** 8, 3).astype(np.float32)
    options = {"max_detections": 100, "max_classes_per_detection": 3, "num_classes": classes, "nms_iou_threshold": 0.6}
    content, arrays = detection(encodings, predictions, anchors, use_regular_nms=regular, **options)
    assert held(content, arrays, 3, classes, regular) == 100


# ---- refusals

ENCODINGS, PREDICTIONS = np.zeros((1, 3, 4), np.float32), np.ones((1, 3, 3), np.float32)


@pytest.mark.parametrize("regular", [False, True])
@pytest.mark.parametrize(
    "encodings, predictions, anchors, options",
    [
        (ENCODINGS[0], PREDICTIONS, ANCHORS, {}),
        (ENCODINGS, PREDICTIONS[0], ANCHORS, {}),
        (ENCODINGS, PREDICTIONS, ANCHORS[0], {}),
        (np.zeros((2, 3, 4), np.float32), PREDICTIONS, ANCHORS, {}),
        (np.zeros((1, 3, 3), np.float32), PREDICTIONS, ANCHORS, {}),
        (ENCODINGS, np.ones((2, 3, 3), np.float32), ANCHORS, {}),
        (ENCODINGS, np.ones((1, 2, 3), np.float32), ANCHORS, {}),
        (ENCODINGS, PREDICTIONS, ANCHORS, {"num_classes": 1}),
        (ENCODINGS, PREDICTIONS, ANCHORS, {"num_classes": 4}),
        (ENCODINGS, PREDICTIONS, ANCHORS, {"nms_iou_threshold": 0.0}),
        (ENCODINGS, PREDICTIONS, ANCHORS, {"nms_iou_threshold": 1.5}),
        (ENCODINGS, PREDICTIONS, -ANCHORS, {}),
        (ENCODINGS, PREDICTIONS, Arg(np.ones((3, 4), np.uint8), scale=0.1), {}),
        (Arg(np.zeros((1, 3, 4), np.int8), scale=0.1), PREDICTIONS, Arg(np.ones((3, 4), np.int8), scale=0.1), {}),
        (ENCODINGS, Arg(np.ones((1, 3, 3), np.int8), scale=0.1), ANCHORS, {}),
        (ENCODINGS.astype(np.float64), PREDICTIONS, ANCHORS.astype(np.float64), {}),
    ],
)
def test_refused(official, encodings, predictions, anchors, options, regular):
    content, arrays = detection(encodings, predictions, anchors, use_regular_nms=regular, **options)
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


def test_no_class_of_a_box(official):
    content, arrays = detection(ENCODINGS, PREDICTIONS, ANCHORS, max_classes_per_detection=0)
    assert check(content, arrays, must_run=False) == "error at invoke"
    content, arrays = detection(ENCODINGS, PREDICTIONS, ANCHORS, detections_per_class=0, use_regular_nms=True)
    assert check(content, arrays, must_run=False) == "error at invoke"


def test_options_that_are_none():
    """The official kernel reads what is not there."""
    for options in (b"", b"\x01\x02"):
        arguments = [Arg(a) for a in (ENCODINGS, PREDICTIONS, ANCHORS)]
        with pytest.raises(Exception, match="options"):
            ours(*one_op(NAME, arguments, ["float32"] * 4, custom=options))
