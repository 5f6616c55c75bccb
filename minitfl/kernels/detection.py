"""TFLite_Detection_PostProcess: the boxes that a detector has found, without those that overlap a better one.

    encodings    (1, boxes, at least 4)  y, x, height, width of each box, relative to its anchor
    predictions  (1, boxes, classes)     scores; with a background class in front, one more than num_classes
    anchors      (boxes, 4)              y, x, height, width
    y_boxes      (1, most, 4)            top, left, bottom, right
    y_classes, y_scores (1, most), y_count (1,): how many of them mean something; the others are 0

All float32, or encodings and anchors uint8, or predictions uint8; the outputs are float32. Single-shot detectors and
their boxes: Liu et al., arXiv:1512.02325.

    fast     each box has its best classes; boxes are suppressed by their best score, whatever the class
    regular  boxes are suppressed within each class; then the best of all classes are kept
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import fail, refuse
from minitfl.kernels.custom_options import read_options
from minitfl.kernels.heap import smallest
from minitfl.op import Call, Kernel, Site, op

PER_CLASS = 100  # detections of a class, where the options do not say
INTEGERS = ("max_detections", "max_classes_per_detection", "num_classes", "detections_per_class")
FLOATS = ("nms_score_threshold", "nms_iou_threshold", "y_scale", "x_scale", "h_scale", "w_scale")


@Kernel
def detect_fast(
    encodings, predictions, anchors, numbers, unit, background, score_threshold, overlap, most, per_box, *results
):
    """numbers: (scale, zero) of each input. unit: what an encoding's four parts are divided by.

    most: of boxes; per_box: classes of a box. results: y_boxes, y_classes, y_scores, y_count.
    """
    corners, scores = _decode(encodings, predictions, anchors, numbers, unit, background, score_threshold)
    chosen = _suppress(np.fmax.reduce(scores, axis=1), _covering(corners, overlap), score_threshold, most)
    kept = min(per_box, scores.shape[1])
    classes = [_best_classes(scores[box], kept) for box in chosen]
    y_boxes, y_classes, y_scores, y_count = results
    for y in results:
        y[...] = 0
    if len(chosen):
        shape, part = (most, per_box), (slice(len(chosen)), slice(kept))
        y_boxes.reshape(*shape, 4)[part] = corners[chosen][:, np.newaxis]
        y_classes.reshape(shape)[part] = classes
        y_scores.reshape(shape)[part] = np.take_along_axis(scores[chosen], np.array(classes), axis=1)
    y_count[...] = len(chosen)


@Kernel
def detect_regular(
    encodings, predictions, anchors, numbers, unit, background, score_threshold, overlap, most, per_class, *results
):
    """As detect_fast; per_class: boxes of a class."""
    corners, scores = _decode(encodings, predictions, anchors, numbers, unit, background, score_threshold)
    covered = _covering(corners, overlap)
    found = [_suppress(column, covered, score_threshold, per_class) for column in np.ascontiguousarray(scores.T)]
    boxes = np.concatenate(found)
    classes = np.repeat(np.arange(len(found)), [len(chosen) for chosen in found])
    best = np.argsort(-scores[boxes, classes], kind="stable")[:most]  # of equals, the lower class comes first
    y_boxes, y_classes, y_scores, y_count = results
    for y in results:
        y[...] = 0
    y_boxes[0, : len(best)] = corners[boxes[best]]
    y_classes[0, : len(best)] = classes[best]
    y_scores[0, : len(best)] = scores[boxes[best], classes[best]]
    y_count[...] = len(best)


def _decode(encodings, predictions, anchors, numbers, unit, background, score_threshold):
    """Corners (boxes, 4) and scores (boxes, classes), without the background, of boxes that reach the threshold.

    Computed as the official kernel does.
    """
    encodings, predictions, anchors = (
        (x.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        for x, (scale, zero) in zip((encodings[0, :, :4], predictions[0], anchors), numbers, strict=True)
    )
    encodings = encodings.astype(np.float64) / unit
    anchors = anchors.reshape(-1)[: encodings.size].reshape(encodings.shape).astype(np.float64)
    centre = (encodings[:, :2] * anchors[:, 2:] + anchors[:, :2]).astype(np.float32)
    half = (0.5 * np.exp(encodings[:, 2:]) * anchors[:, 2:]).astype(np.float32)
    corners, scores = np.concatenate([centre - half, centre + half], axis=1), predictions[:, background:]
    backwards = (corners[:, :2] > corners[:, 2:]).any(axis=1)
    if backwards.any():
        raise ModelError(f"box {np.argmax(backwards)} has its corners the wrong way round")
    near = (scores >= score_threshold).any(axis=1)
    return corners[near], scores[near]


def _covering(corners, overlap):
    """A function of a box: which boxes share more than `overlap` of their union with it. Worked out once for each."""
    top, left, bottom, right = np.ascontiguousarray(corners.T)
    areas = (bottom - top) * (right - left)

    @cache
    def covered(box):
        shared = np.maximum(np.minimum(bottom[box], bottom) - np.maximum(top[box], top), 0)
        shared *= np.maximum(np.minimum(right[box], right) - np.maximum(left[box], left), 0)
        # a box without area shares nothing: 0 / 0 is not larger than overlap
        return shared / (areas[box] + areas - shared) > overlap

    return covered


def _suppress(scores, covered, score_threshold, most):
    """At most `most` boxes, best first, none of which is covered by a better one."""
    order = np.flatnonzero(scores >= score_threshold)
    order = order[np.argsort(-scores[order], kind="stable")]
    chosen = []
    while order.size and len(chosen) < most:
        best, order = order[0], order[1:]
        chosen.append(best)
        order = order[~covered(best)[order]]
    return np.array(chosen, np.intp)


def _best_classes(scores, count):
    """The `count` best classes, falling. Of equals, those that the official partial sort happens to take."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order[: count + 1]]
    if count == 1 or (falling[1:] < falling[:-1]).all():
        return order[:count]
    return smallest(-scores, count)


# ---- preparations


@op("TFLite_Detection_PostProcess")
def detection_post_process(site: Site) -> Call:
    site.arity(3, 4)
    encodings, predictions, anchors = (site.input(i) for i in range(3))
    for t, rank in ((encodings, 3), (predictions, 3), (anchors, 2)):
        site.expect(t.rank == rank, f"'{t.name}' has {t.rank} axes, not {rank}")
    options = read_options(site, INTEGERS, FLOATS, ["use_regular_nms"], detections_per_class=PER_CLASS)
    most, per_box = options["max_detections"], options["max_classes_per_detection"]
    site.expect(most * per_box >= 0, f"{most} detections of {per_box} classes")
    outputs = [site.output(i) for i in range(4)]
    for t in outputs:
        site.expect(t.type == "float32", f"'{t.name}' is {t.type}, not float32")
    places = most * per_box
    shapes = ((1, places, 4), (1, places), (1, places), (1,))
    outputs = tuple(t.reshaped(shape) for t, shape in zip(outputs, shapes, strict=True))
    for kernel, message in _faults(options, encodings, predictions, anchors):
        return Call(kernel, (message, outputs[0]), outputs)
    unit = np.array([options[f"{side}_scale"] for side in "yxhw"], np.float32).astype(np.float64)
    background = predictions.known_shape[2] - options["num_classes"]
    thresholds = (options["nms_score_threshold"], options["nms_iou_threshold"])
    numbers = tuple((t.scale, t.zero) if t.type == "uint8" else (1.0, 0) for t in (encodings, predictions, anchors))
    inputs = (encodings, predictions, anchors, numbers, unit, background, *thresholds, most)
    boxes, regular = encodings.known_shape[1], options["use_regular_nms"]
    # floats of the inputs, and of regular ways the rows of _covering
    workspace = 32 * (encodings.size + predictions.size + anchors.size) + boxes * (64 + (boxes if regular else most))
    if regular:
        per_class = min(options["detections_per_class"], most)
        return Call(detect_regular, (*inputs, per_class, *outputs), outputs, workspace=workspace)
    return Call(detect_fast, (*inputs, per_box, *outputs), outputs, workspace=workspace)


def _faults(
    options: dict[str, Any], encodings: Tensor, predictions: Tensor, anchors: Tensor
) -> Iterator[tuple[Kernel, str]]:
    """(kernel that raises, message): what the official kernel refuses when it runs, in its order."""
    boxes, classes = encodings.known_shape[1], options["num_classes"]
    if encodings.known_shape[0] != 1 or predictions.known_shape[0] != 1:
        yield fail, f"batches of {encodings.known_shape[0]} and {predictions.known_shape[0]}, not 1"
    if encodings.known_shape[2] < 4:
        yield fail, f"boxes of {encodings.known_shape[2]} numbers, not 4"
    if encodings.type not in ("uint8", "float32"):
        yield refuse, f"boxes of type {encodings.type}"
    if anchors.type != encodings.type:
        yield fail, f"boxes of type {encodings.type} and anchors of type {anchors.type}"
    if anchors.size < 4 * boxes:
        yield fail, f"anchors {anchors.shape} for {boxes} boxes"
    if predictions.known_shape[1] != boxes:
        yield fail, f"scores of {predictions.known_shape[1]} boxes, there are {boxes}"
    if not classes <= predictions.known_shape[2] <= classes + 1:
        yield fail, f"scores of {predictions.known_shape[2]} classes, num_classes is {classes}"
    if predictions.type not in ("uint8", "float32"):
        yield refuse, f"scores of type {predictions.type}"
    if options["use_regular_nms"] and min(options["detections_per_class"], options["max_detections"]) <= 0:
        yield fail, f"{options['detections_per_class']} detections of a class, {options['max_detections']} in all"
    if classes < 1 or options["max_classes_per_detection"] <= 0:
        yield fail, f"{options['max_classes_per_detection']} classes of a box, {classes} in all"
    if options["max_detections"] < 0:
        yield fail, f"max_detections is {options['max_detections']}"
    if not 0 < options["nms_iou_threshold"] <= 1:
        yield fail, f"nms_iou_threshold is {options['nms_iou_threshold']}"
