"""Sums of products of float32: CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED and BATCH_MATMUL, all as panels of channels.

Weights are packed once, those that are computed before each use; a border is copied around the images.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.borders import bordered, padded_size
from minitfl.engine.layouts.conv_float import CONV, PACK, tiles
from minitfl.memory import aligned

PANEL_NBYTES = 3 << 18  # of weights, of which two such panels lie in the second-level cache
SMALL_NBYTES, CHUNK_NBYTES, LARGE_NBYTES = 1 << 16, 1 << 18, 1 << 20  # see at_once
FEWEST = 8  # rows by which computed weights are multiplied: for fewer it does not pay to pack them
MOST = 256  # instructions of a step
OPEN = (-np.inf, np.inf)


@emits("conv.conv_float")
def conv_float(e, x, w, bias, stride, dilation, pad, low, high, y):
    batch, height, width, channels = x.known_shape
    _, out_height, out_width, units = y.known_shape
    _, taps_down, taps_across, depth = w.known_shape
    groups = channels // depth if depth else 0
    biases = e.contents(bias)
    if e.contents(w) is None or biases is None or w.size == 0 or y.size == 0 or 2 * groups > MOST:
        return False
    padded = padded_size(x, y, (taps_down, taps_across), stride, dilation, pad)
    source = e.tensor(x)
    if padded != (height, width):
        source = bordered(e, source, (batch, height, width), padded, pad, 4 * channels, 0)
        height, width = padded
    pixel = 4 * channels
    along = dilation[1] == 1 and groups == 1  # neighbouring taps are neighbours in memory
    for group in range(groups):
        some = slice(group * (units // groups), (group + 1) * (units // groups))
        panels(
            e,
            Weights(e, w, lambda w, some=some: w[some], ("group", group, groups), biases[some]),
            (low, high),
            x=source,
            x_start=4 * depth * group,
            y=e.tensor(y),
            y_start=4 * some.start,
            y_step=4 * units,
            y_wrap=4 * units,
            pixels=out_height * out_width,
            images=batch,
            width=out_width,
            step=stride[1] * pixel,
            wrap=(stride[0] * width - (out_width - 1) * stride[1]) * pixel,
            image_nbytes=height * width * pixel,
            image_y_nbytes=4 * out_height * out_width * units,
            rows=taps_down,
            row_nbytes=dilation[0] * width * pixel,
            taps=1 if along else taps_across,
            tap_nbytes=dilation[1] * pixel,
            depth=taps_across * depth if along else depth,
        )
    return True


@emits("transpose_conv.transpose_float")
def transpose_float(e, x, w, bias, stride, pad, low, high, y):
    """Pixels of y whose position has the same remainder by the stride see the same taps: a convolution for each."""
    batch, height, width, depth = x.known_shape
    _, out_height, out_width, units = y.known_shape
    biases = e.contents(bias)
    phases = [[Phase(*axis, first) for first in range(axis[3])] for axis in zip(
        x.known_shape[1:3], y.known_shape[1:3], w.known_shape[1:3], stride, pad
    )]  # fmt: skip
    if e.contents(w) is None or biases is None or w.size == 0 or x.size == 0 or y.size == 0:
        return False
    if min(w.known_shape[i + 1] - stride[i] for i in (0, 1)) < 0 or 2 * stride[0] * stride[1] > MOST:
        return False
    before = [max(0, *(-p.start for p in axis)) for axis in phases]
    size = [max(n, *(p.stop for p in axis)) + b for n, axis, b in zip((height, width), phases, before)]
    source = e.tensor(x)
    if size != [height, width]:
        source = bordered(e, source, (batch, height, width), tuple(size), before, 4 * depth, 0)
    for down in phases[0]:
        for across in phases[1]:
            if not (down.count and across.count):
                continue
            cut = (slice(None), down.taps, across.taps)
            panels(
                e,
                Weights(e, w, lambda w, cut=cut: w[cut], ("phase", stride, down.first, across.first), biases),
                (low, high),
                x=source,
                x_start=4 * depth * ((before[0] + down.start) * size[1] + before[1] + across.start),
                y=e.tensor(y),
                y_start=4 * units * (down.offset * out_width + across.offset),
                y_step=4 * units * stride[1],
                y_wrap=4 * units * (stride[0] * out_width - (across.count - 1) * stride[1]),
                pixels=down.count * across.count,
                images=batch,
                width=across.count,
                step=4 * depth,
                wrap=4 * depth * (size[1] - across.count + 1),
                image_nbytes=4 * depth * size[0] * size[1],
                image_y_nbytes=4 * units * out_height * out_width,
                rows=down.reach,
                row_nbytes=4 * depth * size[1],
                taps=1,
                tap_nbytes=0,
                depth=across.reach * depth,
            )
    return True


class Phase:
    """Along one axis, the places of y with (place + pad) % stride == first: `count` from `offset` on.

    They see the taps first, first + stride, .., in `taps` backwards, which are `reach` many; the first of them sees the
    places of x from `start` on, the last one those before `stop`.
    """

    def __init__(self, size: int, out_size: int, filter: int, stride: int, pad: int, first: int):
        self.first = first
        self.offset = (first - pad) % stride
        self.count = max(0, -(-(out_size - self.offset) // stride))
        self.reach = max(0, -(-(filter - first) // stride))
        self.taps = slice(first + (self.reach - 1) * stride, first - 1 if first else None, -stride)
        self.start = (self.offset + pad - first) // stride - self.reach + 1
        self.stop = self.start + self.reach + self.count - 1 if self.count else 0


@emits("dense_rows.dense_float")
def dense_float(e, x, w, bias, low, high, y):
    biases = e.contents(bias)
    if biases is None or y.size == 0 or w.size == 0:
        return False
    if e.contents(w) is not None:
        weights = Weights(e, w, lambda w: w, "dense", biases)
    elif biases.any() or x.known_shape[0] < FEWEST:
        return False
    else:
        weights = Computed(e, w, w.known_shape, (4 * w.known_shape[1], 4), 1)
    products(e, weights, (low, high), x, y, x.known_shape[0], x.known_shape[1])
    return True


@emits("matmul.matmul_float")
def matmul_float(e, x, w, adj_x, adj_y, y):
    *batch, rows, units = y.known_shape
    depth = x.known_shape[-2 if adj_x else -1]
    images = math.prod(batch)
    stacks = [math.prod(t.known_shape[:-2]) for t in (x, w)]
    if y.size == 0 or depth == 0 or any(n not in (1, images) for n in stacks):
        return False
    if e.contents(w) is not None and stacks[1] == 1:
        w = w.reshaped(w.known_shape[-2:])
        weights = Weights(e, w, lambda w: w if adj_y else w.T, ("matmul", adj_y), np.zeros(units, np.float32))
    elif rows < FEWEST:
        return False
    else:
        weights = Computed(e, w, (units, depth), (4 * depth, 4) if adj_y else (4, 4 * units), stacks[1])
    products(e, weights, OPEN, x, y, rows, depth, images=images, x_images=stacks[0], transposed=adj_x)
    return True


def products(e, weights, limits, x, y, rows, depth, images=1, x_images=1, transposed=False):
    """x (images, rows, depth), or one image for all, or transposed, times weights."""
    panels(
        e,
        weights,
        limits,
        x=e.tensor(x),
        x_start=0,
        y=e.tensor(y),
        y_start=0,
        y_step=4 * weights.units,
        y_wrap=4 * weights.units,
        pixels=rows,
        images=images,
        width=rows,
        step=4 if transposed else 4 * depth,
        wrap=4 if transposed else 4 * depth,
        image_nbytes=0 if x_images == 1 else 4 * rows * depth,
        image_y_nbytes=4 * rows * weights.units,
        rows=1,
        row_nbytes=0,
        taps=depth if transposed else 1,
        tap_nbytes=4 * rows if transposed else 0,
        depth=1 if transposed else depth,
    )


# ---- panels


class Weights:
    """A constant, of which cut(contents) are weights (units, ...) with a bias. name: what tells it from other cuts.

    They are kept in 16 bits where they lose nothing by it, as those do that were widened from float16.
    """

    def __init__(self, e, w, cut, name, bias):
        self.units, self.image_nbytes = len(bias), 0
        self.half = survives(e.contents(w))
        self.widths = cut_up(e, self.units, cut(e.contents(w)).size // self.units, self.half)
        dtype = np.float16 if self.half else np.float32
        layout = ("panels", name, self.widths, bias.tobytes(), self.half)
        self.slot = e.packed(w, layout, lambda w: pack(cut(w).reshape(len(bias), -1), bias, self.widths, dtype))


def survives(values):
    """Are these float32 values float16 values too?"""
    with np.errstate(over="ignore", invalid="ignore"):
        return all((v.astype(np.float16) == v).all() for v in (values.reshape(-1)[:256], values))


class Computed:
    """Matrices (units, depth), whose values lie `strides` bytes from each other; packed each time, without bias."""

    def __init__(self, e, w, size, strides, images):
        self.units, depth = size
        self.half = False
        self.widths = cut_up(e, self.units, depth, False)
        each = 4 * sum(self.widths) * (1 + depth)
        self.image_nbytes = each if images > 1 else 0
        self.slot = e.scratch(images * each)
        for width, count, start in runs(self.widths):
            e.add(
                "conv_float.pack",
                images * count,
                PACK,
                x=e.tensor(w),
                x_start=start * strides[0],
                y=self.slot,
                y_start=4 * start * (1 + depth),
                panels=count,
                width=width,
                channels=self.units - start,
                depth=depth,
                channel_nbytes=strides[0],
                depth_nbytes=strides[1],
                image_nbytes=4 * self.units * depth,
                image_y_nbytes=each,
            )


def at_once(x_nbytes, y_nbytes, weights):
    """How many tiles go through all panels together, by what a tile reads and writes, and the number of weights.

    Few weights stay in the nearest cache: one tile, so that the output is written in order. A moderate number stays in
    the second-level cache, beside input and output. More of them come from afar: seldom, as long as the input stays.
    """
    if 4 * weights <= SMALL_NBYTES:
        return 1
    if 4 * weights <= LARGE_NBYTES:
        return max(1, CHUNK_NBYTES // (x_nbytes + y_nbytes))
    return max(1, LARGE_NBYTES // (x_nbytes + 1))


def cut_up(e, units, length, half):
    """The widths of panels for so many channels, widest first; of two widths at most, as each takes an instruction.

    A tile four vectors wide needs the fewest loads, one of three is nearly as good, a narrow one for what is left is
    not. Of long windows a panel is half as wide: two of them must fit the cache, the one in use and the next. So are
    those of halves, that more pixels share what it takes to widen them.
    """
    most = max(tiles(e.isa))
    if half or 4 * most * e.isa.lanes * length > PANEL_NBYTES:
        most = 2
    vectors = -(-units // e.isa.lanes)
    full, rest = divmod(vectors, most)
    widths = (most,) * full + (rest,) * bool(rest)
    if most == 4 and rest and vectors > 4:
        if vectors % 3 == 0:
            widths = (3,) * (vectors // 3)
        elif rest < 3:
            widths = (3, 2) if vectors == 5 else (4,) * (full - 3 + rest) + (3,) * (4 - rest)
    return tuple(v * e.isa.lanes for v in widths)


def runs(widths):
    """(width, how many panels have it, the first channel of those) for each width."""
    for width in sorted(set(widths), reverse=True):
        yield width, widths.count(width), sum(w for w in widths if w > width)


def panels(e, weights, limits, **words):
    """Adds the instructions of all panels: those of full width, then that of a narrower one.

    words: of CONV, what they say of x, y and a window.
    """
    lanes = e.isa.lanes
    words |= {"image_weights_nbytes": weights.image_nbytes}
    if words["wrap"] == words["step"] and words["y_wrap"] == words["y_step"]:  # all rows are evenly spaced, as one
        spans = (words["pixels"] * words["step"], words["pixels"] * words["y_step"], 0)
        if spans == (words["image_nbytes"], words["image_y_nbytes"], weights.image_nbytes):  # and images
            words |= {"pixels": words["images"] * words["pixels"], "images": 1}
        words["width"] = words["pixels"]
    length = words["rows"] * words["taps"] * words["depth"]
    form = "row" if words["pixels"] * words["images"] == 1 else "panels"
    channel_nbytes = 4 + (2 if weights.half else 4) * length
    y_start = words.pop("y_start")
    for width, count, start in runs(weights.widths):
        tile = tiles(e.isa)[width // lanes]
        each, big = tile.count(words["pixels"])
        spans = (tile.pixels * words["step"], tile.pixels * words["y_step"])
        e.add(
            f"conv_float.{form}{width // lanes}" + "half" * weights.half,
            count * words["images"] * each,
            CONV,
            y_start=y_start + 4 * start,
            weights=weights.slot,
            weights_start=start * channel_nbytes,
            tiles=each,
            big=big,
            chunk=at_once(*spans, sum(weights.widths) * length),
            panels=count,
            panel_nbytes=width * channel_nbytes,
            panel_y_nbytes=4 * width,
            last=min(weights.units - start, count * width) - count * width + lanes,
            low=limits[0],
            high=limits[1],
            **words,
        )


def pack(w, bias, widths, dtype):
    """Bytes: for each panel its bias, float32 (width,), then its weights (window's length, width) as dtype.

    w (units, window's length), bias (units,); what a panel is wider than there are units is 0.
    """
    length = w.shape[1]
    packed = aligned(sum(widths) * (4 + np.dtype(dtype).itemsize * length))
    at = unit = 0
    for width in widths:
        some = slice(unit, unit + width)
        count = len(bias[some])
        packed[at : at + 4 * width].view(np.float32)[:count] = bias[some]
        at += 4 * width
        panel = packed[at : at + np.dtype(dtype).itemsize * length * width].view(dtype).reshape(length, width)
        panel[:, :count] = w[some].T
        at += panel.nbytes
        unit += width
    return packed
