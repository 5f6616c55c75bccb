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

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.broadcast import fail, refuse
from minitfl.kernels.custom_options import read_options
from minitfl.op import Call, Kernel, op

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
    corners, scores = _decode(encodings, predictions, anchors, numbers, unit, background)
    chosen = _suppress(corners, np.fmax.reduce(scores, axis=1), score_threshold, overlap, most)
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
    corners, scores = _decode(encodings, predictions, anchors, numbers, unit, background)
    found = [_suppress(corners, column, score_threshold, overlap, per_class) for column in scores.T]
    boxes = np.concatenate([np.zeros(0, np.intp), *found])
    classes = np.repeat(np.arange(len(found)), [len(chosen) for chosen in found])
    best = np.argsort(-scores[boxes, classes], kind="stable")[:most]  # of equals, the lower class comes first
    y_boxes, y_classes, y_scores, y_count = results
    for y in results:
        y[...] = 0
    y_boxes[0, : len(best)] = corners[boxes[best]]
    y_classes[0, : len(best)] = classes[best]
    y_scores[0, : len(best)] = scores[boxes[best], classes[best]]
    y_count[...] = len(best)


def _decode(encodings, predictions, anchors, numbers, unit, background):
    """Corners (boxes, 4) and scores (boxes, classes), without the background; computed as the official kernel does."""
    encodings, predictions, anchors = (
        (x.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        for x, (scale, zero) in zip((encodings[0, :, :4], predictions[0], anchors), numbers, strict=True)
    )
    encodings = encodings.astype(np.float64) / unit
    anchors = anchors.reshape(-1)[: encodings.size].reshape(encodings.shape).astype(np.float64)
    centre = (encodings[:, :2] * anchors[:, 2:] + anchors[:, :2]).astype(np.float32)
    half = (0.5 * np.exp(encodings[:, 2:]) * anchors[:, 2:]).astype(np.float32)
    return np.concatenate([centre - half, centre + half], axis=1), predictions[:, background:]


def _suppress(corners, scores, score_threshold, overlap, most):
    """At most `most` boxes, best first, none of which shares more than `overlap` of its union with a better one."""
    backwards = (corners[:, :2] > corners[:, 2:]).any(axis=1)
    if backwards.any():
        raise ModelError(f"box {np.argmax(backwards)} has its corners the wrong way round")
    order = np.flatnonzero(scores >= score_threshold)
    order = order[np.argsort(-scores[order], kind="stable")]
    top, left, bottom, right = np.ascontiguousarray(corners[order].T)
    areas = (bottom - top) * (right - left)
    left_over = np.ones(order.size, bool)
    chosen = []
    place = 0
    while place < order.size and len(chosen) < most:
        chosen.append(place)
        rest = slice(place + 1, None)
        shared = np.maximum(np.minimum(bottom[place], bottom[rest]) - np.maximum(top[place], top[rest]), 0)
        shared *= np.maximum(np.minimum(right[place], right[rest]) - np.maximum(left[place], left[rest]), 0)
        # a box without area shares nothing: 0 / 0 is not larger than overlap
        left_over[rest] &= ~(shared / (areas[place] + areas[rest] - shared) > overlap)
        following = np.flatnonzero(left_over[rest])
        place = place + 1 + following[0] if following.size else order.size
    return order[chosen]


def _best_classes(scores, count):
    """The `count` best classes, falling. Of equals, those that the official partial sort happens to take."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order[: count + 1]]
    if count == 1 or (falling[1:] < falling[:-1]).all():
        return order[:count]
    return _partial_sort(scores, count)


def _partial_sort(scores, count):
    """The best `count` positions by a heap with the worst at its root, as the C++ library of GNU does.

    Only the order of equals depends on the way; a place is filled by moving the worse child up as far as the leaves,
    then the new entry sinks back to where it belongs.
    """
    heap = list(range(count))

    def fill(place, entry, size):
        start = place
        while 2 * place + 1 < size:
            child = 2 * place + 2
            if child >= size or scores[heap[child]] > scores[heap[child - 1]]:
                child -= 1
            heap[place] = heap[child]
            place = child
        while place > start and scores[heap[(place - 1) // 2]] > scores[entry]:
            heap[place] = heap[(place - 1) // 2]
            place = (place - 1) // 2
        heap[place] = entry

    for place in reversed(range(count // 2)):
        fill(place, heap[place], count)
    for entry in range(count, len(scores)):
        if scores[entry] > scores[heap[0]]:
            fill(0, entry, count)
    for size in reversed(range(1, count)):
        entry, heap[size] = heap[size], heap[0]
        fill(0, entry, size)
    return heap


# ---- preparation


@op("TFLite_Detection_PostProcess")
def detection_post_process(site):
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
    background = predictions.shape[2] - options["num_classes"]
    thresholds = (options["nms_score_threshold"], options["nms_iou_threshold"])
    numbers = tuple((t.scale, t.zero) if t.type == "uint8" else (1.0, 0) for t in (encodings, predictions, anchors))
    inputs = (encodings, predictions, anchors, numbers, unit, background, *thresholds, most)
    if options["use_regular_nms"]:
        per_class = min(options["detections_per_class"], most)
        return Call(detect_regular, (*inputs, per_class, *outputs), outputs)
    return Call(detect_fast, (*inputs, per_box, *outputs), outputs)


def _faults(options, encodings, predictions, anchors):
    """(kernel that raises, message): what the official kernel refuses when it runs, in its order."""
    boxes, classes = encodings.shape[1], options["num_classes"]
    if encodings.shape[0] != 1 or predictions.shape[0] != 1:
        yield fail, f"batches of {encodings.shape[0]} and {predictions.shape[0]}, not 1"
    if encodings.shape[2] < 4:
        yield fail, f"boxes of {encodings.shape[2]} numbers, not 4"
    if encodings.type not in ("uint8", "float32"):
        yield refuse, f"boxes of type {encodings.type}"
    if anchors.type != encodings.type:
        yield fail, f"boxes of type {encodings.type} and anchors of type {anchors.type}"
    if anchors.size < 4 * boxes:
        yield fail, f"anchors {anchors.shape} for {boxes} boxes"
    if predictions.shape[1] != boxes:
        yield fail, f"scores of {predictions.shape[1]} boxes, there are {boxes}"
    if not classes <= predictions.shape[2] <= classes + 1:
        yield fail, f"scores of {predictions.shape[2]} classes, num_classes is {classes}"
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
