"""NON_MAX_SUPPRESSION_V4, NON_MAX_SUPPRESSION_V5: the best boxes, without those that overlap a better one.

    boxes    (n, 4) float32     y, x of one corner, y, x of the opposite one
    scores   (n,) float32       only what is above the least score counts
    most     int32              how many boxes are looked for; overlap, least, sigma: float32; all four of rank 0
    indices  (most,) int32      the boxes, best first
    scores   (most,) float32    with sigma only
    count    () int32           how many of them mean something; the others are 0

A box is left out if it shares at least `overlap` of its union with a better one. With sigma > 0 each better box lowers
the score by exp(-share**2 / (2 * sigma)): Bodla et al., arXiv:1704.04503.

The official kernel holds a chosen box against itself as against any other, so that one without area, which shares
nothing even with itself, is chosen again and again. So it is here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.heap import pop, push
from minitfl.op import Call, Kernel, Site, op


@Kernel
def suppress(boxes, scores, most, overlap, least, sigma, *results):
    """sigma: an array of one number, or None. results: indices, scores where sigma is given, count."""
    overlap, least, sigma = overlap[()], least[()], np.float32(0) if sigma is None else sigma[()]
    if sigma < 0:
        raise ModelError(f"Invalid sigma value for soft NMS: {sigma}")
    found = np.flatnonzero(scores > least)
    low, high = _smaller(boxes[:, :2], boxes[:, 2:]), _larger(boxes[:, :2], boxes[:, 2:])
    sides = (low, high, (high - low).prod(axis=1))
    wanted = min(found.size, most)
    if sigma > 0 or np.unique(scores[found]).size < found.size:
        chosen, kept = _one_by_one(sides, scores, found, wanted, overlap, least, sigma)
    else:
        chosen = _in_order(sides, found[np.argsort(-scores[found])], wanted, overlap)
        kept = scores[chosen]
    for y in results:
        y[...] = 0
    for y, values in zip(results, (chosen, kept) if len(results) == 3 else (chosen,), strict=False):
        y[: len(chosen)] = values
    results[-1][...] = len(chosen)


def _in_order(sides, order, wanted, overlap):
    """The chosen of boxes whose scores differ and fall; a box leaves out what follows it."""
    chosen = []
    left = order
    while left.size and len(chosen) < wanted:
        clear = ~(_shares(sides, left, left[0]) >= overlap)
        if clear[0]:  # of itself
            return chosen + [left[0]] * (wanted - len(chosen))
        chosen.append(left[0])
        left = left[clear]
    return chosen


def _one_by_one(sides, scores, found, wanted, overlap, least, sigma):
    """(chosen, their scores), where scores change or are equal: the queue's own order decides between equals."""
    scores, seen = scores.copy(), np.zeros(len(scores), np.intp)  # seen: of the chosen, by each box
    factor = np.float32(-0.5 / float(sigma)) if sigma > 0 else None
    queue, chosen, kept = [], [], []
    for box in found:
        push(queue, scores, box)
    while queue and len(chosen) < wanted:
        box = pop(queue, scores)
        score = scores[box]
        new = np.array(chosen[seen[box] :][::-1], np.intp)
        shares = _shares(sides, box, new)
        out = shares >= overlap
        if factor is not None and new.size:
            weights = np.exp((factor * shares * shares).astype(np.float64)).astype(np.float32)
            falling = np.multiply.accumulate(np.append(score, weights))[1:]
            ends = np.flatnonzero(out | (falling <= least))
            end = ends[0] if ends.size else len(new) - 1
            out, scores[box] = out[end], falling[end]
        else:
            out = out.any()
        seen[box] = len(chosen)
        if out:
            continue
        if scores[box] == score:
            chosen.append(box)
            kept.append(score)
        if scores[box] > least:
            push(queue, scores, box)
    return chosen, kept


def _shares(sides, a, b):
    """What boxes a and b have in common, as a part of their union; 0 where one has no area."""
    low, high, areas = sides
    reach = _larger(_smaller(high[a], high[b]) - _larger(low[a], low[b]), np.float32(0))
    common = reach[..., 0] * reach[..., 1]
    return np.where((areas[a] <= 0) | (areas[b] <= 0), np.float32(0), common / (areas[a] + areas[b] - common))


def _smaller(a, b):
    """Of a and NaN: a."""
    return np.where(b < a, b, a)


def _larger(a, b):
    return np.where(a < b, b, a)


# ---- preparations


@op("NON_MAX_SUPPRESSION_V4")
def non_max_suppression_v4(site: Site) -> Call:
    return _suppression(site)


@op("NON_MAX_SUPPRESSION_V5")
def non_max_suppression_v5(site: Site) -> Call:
    return _suppression(site)


def _suppression(site: Site) -> Call:
    """The two operators are one; a sixth input is sigma."""
    soft = len(site.inputs) == 6
    site.arity((5, 6), 3 if soft else 2)
    boxes, scores, most = (site.input(i) for i in range(3))
    numbers = [site.input(i) for i in range(3, len(site.inputs))]
    site.expect(most.type == "int32", f"the number of boxes is {most.type}")
    for t, rank in ((boxes, 2), (scores, 1), *((t, 0) for t in numbers)):
        site.expect(t.type == "float32", f"'{t.name}' is {t.type}, not float32")
        site.expect(t.rank == rank, f"'{t.name}' has {t.rank} axes, not {rank}")
    site.expect(most.rank == 0, f"the number of boxes has {most.rank} axes")
    fits = boxes.known_shape == (*scores.known_shape, 4)
    site.expect(fits, f"boxes {boxes.shape} and scores {scores.shape}")
    length = site.value(most).item()
    site.expect(length >= 0, f"the number of boxes is {length}")
    kinds = (("int32", (length,)), *([("float32", (length,))] if soft else []), ("int32", ()))
    outputs = tuple(replace(site.output(i), type=kind).reshaped(shape) for i, (kind, shape) in enumerate(kinds))
    args = (boxes, scores, length, *numbers, *([] if soft else [None]), *outputs)
    return Call(suppress, args, outputs, workspace=24 * 8 * (scores.size + 1))
