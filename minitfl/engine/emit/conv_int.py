"""CONV_2D and FULLY_CONNECTED of 8-bit integers: panels of channels, packed once with all that finishes them.

What kernels sum up is x' * (w - w_zero), x' being x or, where the instruction set asks for it, x with its highest bit
turned over. The bias makes up for the zero point of x', and carries what a rescaling wants to be added. Where
w - w_zero don't fit into 8 bits they are w' - less, w' being w or, of uint8, w - 128: from the sums of x' * w' those of
x' * less are taken, which all channels share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.borders import bordered, padded_size
from minitfl.engine.emit.rescale import Rescaling, channels, numbers, picked, rescaling
from minitfl.engine.emit.runs import add_runs, merged
from minitfl.engine.layouts.conv_int import CONV_INT, SHAPES
from minitfl.engine.layouts.hybrid import EXTREMES_NBYTES, IMAGE_NBYTES, MEASURE, QUANTIZE
from minitfl.graph import Tensor
from minitfl.kernels.fixedpoint import INT32_MAX, RANGES, float_activation_range
from minitfl.memory import aligned

CLAMPS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
BYTES = ("int8", "uint8")
MOST_GROUPS = 64
LEAST_PART = 8192  # floats that are measured at a time: more of them than it takes to share the work
MOST_PARTS = 12
TOGETHER_NBYTES = 1 << 19  # of panels that stay in the second cache
AMX_PLACES = 32  # in two tiles
AMX_LEAST = 8  # pixels; fewer are done sooner without tiles


@dataclass(frozen=True, slots=True)
class Product:
    """What is multiplied, and how it ends: "real" with a factor, "twice" with multiplier and shift, (units,)."""

    x: Tensor
    x_zero: int
    w: Tensor
    w_zero: int
    bias: Tensor | np.ndarray
    rule: str
    numbers: tuple
    y_zero: int
    low: float
    high: float
    flip: int  # of "hybrid" alone: see source.finish
    y: Tensor


@emits("conv.conv_int")
def conv_int(
    e, x, x_zero, w, w_zero, bounds, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y
):
    w = e.input(1)
    product = Product(x, x_zero, w, w_zero, bias, rule, (multiplier, shift), y_zero, low, high, 0, y)
    if not takes(e, product):
        return False
    batch, height, width, channels = x.known_shape
    source = e.tensor(x)
    padded = padded_size(x, y, w.known_shape[1:3], stride, dilation, pad)
    if padded != (height, width):
        source = bordered(e, source, (batch, height, width), padded, pad, channels, x_zero)
    elif w.known_shape[1:3] == (1, 1) and max(stride) > 1:
        source, padded, stride = picked_pixels(e, source, x, y, stride), y.known_shape[1:3], (1, 1)
    return convolve(e, product, source, source, padded, channels, stride, dilation)


def picked_pixels(e, source, x, y, stride):
    """The slot of a copy of the pixels that a window of one pixel meets; now they are neighbours."""
    _, height, width, channels = x.known_shape
    counts = (*y.known_shape[:3], channels)
    target = e.scratch(math.prod(counts))
    row = width * channels
    strides = (height * row, stride[0] * row, stride[1] * channels, 1)
    y_row = counts[2] * channels
    nbytes, axes = merged(counts, strides, (counts[1] * y_row, y_row, channels, 1), 1)
    add_runs(e, source, target, nbytes, axes, 0, 0)
    return target


def convolve(e, p: Product, source, numbers, size, channels: int, stride, dilation):
    """Adds the instructions for images of 8 bits, of a size that needs no border."""
    _, taps_down, taps_across, depth = p.w.known_shape
    count = channels // depth
    if count > MOST_GROUPS:
        return False
    height, width = size
    along = dilation[1] == 1 and count == 1  # neighbouring taps are neighbours in memory
    taps, depth = (1, taps_across * depth) if along else (taps_across, depth)
    window = Window(taps_down, dilation[0] * width * channels, taps, dilation[1] * channels, depth)
    lines = lines_of(e.isa, p.y.known_shape[1:3], stride, width, channels)
    image = {"images": p.y.known_shape[0], "image_nbytes": height * width * channels, "image_numbers": numbers}
    for group in range(count):
        if panels(e, p, source, group, count, window, lines, image) is False:
            return False


@emits("dense_rows.dense_int")
def dense_int(e, x, x_zero, w, w_zero, bounds, bias, factor, y_zero, low, high, y):
    return dense(e, x, x_zero, w_zero, bias, "real", (factor,), y_zero, low, high, y)


@emits("dense_rows.dense_fixed")
def dense_fixed(e, x, x_zero, w, w_zero, bounds, bias, multiplier, shift, y_zero, low, high, rule, y):
    return dense(e, x, x_zero, w_zero, bias, rule, (multiplier, shift), y_zero, low, high, y)


def dense(e, x, x_zero, w_zero, bias, rule, numbers, y_zero, low, high, y):
    if e.node.op != "FULLY_CONNECTED":
        return False
    product = Product(x, x_zero, e.input(1), w_zero, bias, rule, numbers, y_zero, low, high, 0, y)
    if not takes(e, product):
        return False
    batch, depth = x.known_shape
    lines = Lines(1, 0, batch, depth, batch, batch)
    images = {"images": 1, "image_nbytes": 0, "image_numbers": e.tensor(x)}
    return panels(e, product, e.tensor(x), 0, 1, Window(1, 0, 1, 0, depth), lines, images)


@emits("conv.conv_hybrid")
def conv_hybrid(e, x, w, w_scale, bounds, bias, asymmetric, stride, dilation, pad, low, high, y):
    w = e.input(1)
    limits = (low, high, 1 if asymmetric else 0)
    p = Product(x, 0, w, 0, bias, "hybrid", (w_scale, np.asarray(e.contents(bias))), 0, *limits, y)
    if not takes(e, p):
        return False
    batch, height, width, channels = x.known_shape
    padded = padded_size(x, y, w.known_shape[1:3], stride, dilation, pad)
    source, numbers = quantized(e, x, (batch, height, width * channels), padded, pad, channels, asymmetric)
    return convolve(e, p, source, numbers, padded, channels, stride, dilation)


@emits("dense_rows.dense_hybrid")
def dense_hybrid(e, x, w, w_scale, bounds, bias, asymmetric, activation, y):
    w = e.input(1)
    blockwise = w.quantization is not None and w.quantization.block_size > 0
    if activation not in CLAMPS or blockwise or e.node.op != "FULLY_CONNECTED":
        return False
    low, high = float_activation_range(activation)
    limits = (low, high, 0 if activation == "NONE" else 2)
    p = Product(x, 0, w, 0, bias, "hybrid", (w_scale, np.asarray(e.contents(bias))), 0, *limits, y)
    if not takes(e, p):
        return False
    batch, depth = x.known_shape
    source, numbers = quantized(e, x, (batch, 1, depth), (1, depth), (0, 0), 1, asymmetric)
    lines = Lines(1, 0, 1, depth, 1, 1)
    images = {"images": batch, "image_nbytes": depth, "image_numbers": numbers}
    return panels(e, p, source, 0, 1, Window(1, 0, 1, 0, depth), lines, images)


def quantized(e, x, images, padded, before, channels: int, asymmetric):
    """(copy, numbers): slots of images (batch, height, row) in 8 bits with a border, and of their numbers."""
    batch, height, row = images
    numbers = e.scratch(batch * IMAGE_NBYTES)
    target = e.scratch(batch * padded[0] * padded[1] * channels)
    source, count = e.tensor(x), height * row
    part = max(LEAST_PART, -(-count // MOST_PARTS))
    parts = max(1, -(-count // part))
    extremes = e.scratch(batch * parts * EXTREMES_NBYTES)
    e.add("hybrid.measure", batch * parts, MEASURE, x=source, extremes=extremes, count=count, parts=parts, part=part)
    e.add(
        "hybrid.quantize_asymmetric" if asymmetric else "hybrid.quantize",
        batch * padded[0],
        QUANTIZE,
        x=source,
        y=target,
        images=numbers,
        extremes=extremes,
        parts=parts,
        height=height,
        row=row,
        padded_height=padded[0],
        before_rows=before[0],
        before=before[1] * channels,
        after=(padded[1] - before[1]) * channels - row,
        low=-128.0 if asymmetric else -127.0,
    )
    return target, numbers


def takes(e, p: Product) -> bool:
    if p.rule != "hybrid" and (p.x.type not in BYTES or p.y.type not in BYTES):
        return False
    if p.w.type == "int16" or p.rule == "wide":
        return False
    return e.contents(p.w) is not None and e.contents(p.bias) is not None and p.y.size > 0


# ---- geometry


@dataclass(frozen=True, slots=True)
class Window:
    """`rows` times `taps` runs of `depth` bytes."""

    rows: int
    row_nbytes: int
    taps: int
    tap_nbytes: int
    depth: int


@dataclass(frozen=True, slots=True)
class Lines:
    """How the pixels of an image lie: see layouts.conv_int."""

    lines: int
    line_nbytes: int
    length: int
    step: int
    pitch: int
    width: int


def lines_of(isa, size, stride, x_width, pixel_nbytes) -> Lines:
    """Rows of y, or one line of all of them and what lies between, whichever makes less work."""
    height, width = size
    step = stride[1] * pixel_nbytes
    rows = Lines(height, stride[0] * x_width * pixel_nbytes, width, step, width, width)
    pitch, odd = divmod(stride[0] * x_width, stride[1])
    if odd or pitch < width:
        return rows
    if pitch == width:  # nothing lies between
        return Lines(1, 0, height * width, step, height * width, height * width)
    whole = Lines(1, 0, (height - 1) * pitch + width, step, pitch, width)
    return min(whole, rows, key=lambda lines: lines.lines * _work(isa, lines.length))


def _work(isa, length: int) -> float:
    if isa.dot != "amx":
        shapes = SHAPES[isa.dot, isa.lanes]
        most = shapes[max(shapes)]
        return -(-length // most) * most
    groups = -(-length // AMX_PLACES)
    height = -(-length // (2 * groups))
    return groups * max(height, 12.5)  # lower tiles take no less time


# ---- instructions


def panels(e, p: Product, source, group: int, count: int, window: Window, lines: Lines, images):
    """Adds the instructions of one of `count` groups of channels."""
    units = p.w.known_shape[0] // count
    some = slice(group * units, (group + 1) * units)
    hybrid = p.rule == "hybrid"
    stored = e.contents(p.w)[some]
    if hybrid:
        stored = stored.view(np.int8)  # bytes of uint8 are meant so
    w_range = [n - p.w_zero for n in RANGES["int8" if hybrid else p.w.type]]
    if w_range[0] < -128 or w_range[1] > 127:
        w_range = [int(n) - p.w_zero for n in (stored.min(), stored.max())]
    less = 0 if w_range[0] >= -128 and w_range[1] <= 127 else p.w_zero - (128 if p.w.type == "uint8" else 0)
    finish = finish_of(p, some, stored, e.contents(p.bias)[some], max(w_range[1], -w_range[0]))
    if finish is None or not -128 <= less <= 127:
        return False
    amx = e.isa.dot == "amx" and lines.length * lines.lines * images["images"] >= AMX_LEAST
    x_type = "int8" if hybrid else p.x.type
    turned = (x_type == "int8") == (e.isa.dot in ("amx", "vnni")) and not amx
    seen_zero = p.x_zero + (0 if not turned else 128 if x_type == "int8" else -128)
    y_nbytes = 4 if hybrid else 1
    y_turn = -128 if p.y.type == "uint8" else 0
    whole = not hybrid and (p.low, p.high, p.y.type) == (-128, 127, "int8")
    kind = f"{finish.rule}_less" if less else f"{finish.rule}_whole" if whole else finish.rule
    chunk = 64 if amx else 4
    for start, stop, vectors in split(e.isa, amx, units):
        form = Form(vectors, e.isa.lanes, chunk, window.rows * window.taps, window.depth, less)
        if amx:
            height = -(-lines.length // (2 * -(-lines.length // AMX_PLACES)))
            places, config, name = 2 * height, e.constant(tile_configuration(height)), f"amx_{x_type}"
        else:
            places, config = 1 if lines.length == 1 else SHAPES[e.isa.dot, e.isa.lanes][vectors], e.tensor(p.y)
            name = f"{vectors}x{places}"
        groups = -(-lines.length // places)
        number = -(-(stop - start) // form.width)
        packed = packed_panels(e, p, finish, slice(some.start + start, some.start + stop), seen_zero, form)
        e.add(
            f"conv_int.{kind}{name}",
            number * images["images"] * lines.lines * groups,
            CONV_INT,
            x=source,
            x_start=group * window.depth,
            x_flip=0x80808080 if turned else 0,
            y=e.tensor(p.y),
            y_start=y_nbytes * (some.start + start),
            config=config,
            less=e.constant(alike(less, e.isa.lanes, chunk, window.depth)) if less else e.tensor(p.y),
            weights=packed,
            panels=number,
            together=min(number, max(1, TOGETHER_NBYTES // form.panel_nbytes(finish))),
            panel_nbytes=form.panel_nbytes(finish),
            numbers_start=form.panel_nbytes(None),
            **images,
            lines=lines.lines,
            line_nbytes=lines.line_nbytes,
            line_y_nbytes=y_nbytes * p.y.size // (images["images"] * lines.lines),
            length=lines.length,
            step=lines.step,
            pitch=lines.pitch,
            width=lines.width,
            groups=groups,
            places=places,
            rows=window.rows,
            row_nbytes=window.row_nbytes,
            taps=window.taps,
            tap_nbytes=window.tap_nbytes,
            chunks=-(-window.depth // form.chunk),
            pixel_y_nbytes=y_nbytes * p.w.known_shape[0],
            channels=stop - start,
            low=p.low + y_turn,
            high=p.high + y_turn,
            flip=p.flip if hybrid else y_turn,
        )


def split(isa, amx: bool, units: int) -> list[tuple[int, int, int]]:
    """(start, stop, vectors): the channels that are done in panels of so many vectors."""
    if amx:
        return [(0, units, 2)]
    shapes = SHAPES[isa.dot, isa.lanes]
    widest = max(shapes)
    whole = units - units % (widest * isa.lanes)
    narrow = next(v for v in sorted(shapes) if whole + v * isa.lanes >= units)
    return [(a, b, v) for a, b, v in ((0, whole, widest), (whole, units, narrow)) if a < b]


# ---- from sums to bytes


@dataclass(frozen=True, slots=True, eq=False)
class Finish:
    """A name of source.finish.FINISHES, and for each unit what is added to the bias, and the numbers of the rule."""

    rule: str
    start: int  # the first unit
    bias: np.ndarray
    arrays: tuple[np.ndarray, ...]

    def table(self, units: np.ndarray, lanes: int) -> np.ndarray:
        """Bytes (vectors, nbytes) for units in their places."""
        if self.rule in ("twice", "clamped"):
            return numbers(Rescaling(*self.arrays), units - self.start, lanes)
        parts = [picked(array, units - self.start, lanes) for array in self.arrays]
        return np.concatenate([np.ascontiguousarray(p).view(np.uint8) for p in parts], axis=1)


def finish_of(p: Product, some: slice, stored, bias, w_most: int) -> Finish | None:
    """None where sums may not fit into 32 bits."""
    rule = [np.ascontiguousarray(n[some]) for n in p.numbers]
    if p.rule == "hybrid":
        return hybrid_finish(some.start, stored.reshape(len(bias), -1), *rule)
    bias = bias.astype(np.int64)
    x_low, x_high = RANGES[p.x.type]
    reach = max(x_high - p.x_zero, p.x_zero - x_low)
    zero = p.y_zero - 128 if p.y.type == "uint8" else p.y_zero
    most = np.abs(bias) + stored[0].size * reach * w_most
    short = rescaling(most, rule[0], rule[1], zero) if p.rule == "twice" else None
    if most.max() > INT32_MAX or (short is None and p.rule == "twice"):  # look closer
        w = stored.reshape(len(bias), -1).astype(np.int32) - p.w_zero
        most = np.abs(bias) + reach * np.abs(w).sum(1, dtype=np.int64)
        if most.max() > INT32_MAX:
            return None
        short = rescaling(most, rule[0], rule[1], zero) if p.rule == "twice" else None
    if p.rule == "real":
        return Finish("real", some.start, bias, (rule[0], np.full(len(bias), zero, np.float64)))
    if short is None:
        arrays = tuple(np.asarray(n, np.int32) for n in (*rule, np.full(len(bias), zero)))
        return Finish("any", some.start, bias, arrays)
    arrays = (short.most, short.multiplier, short.constant, short.edge, short.shift)
    return Finish("clamped" if p.low >= p.y_zero else "twice", some.start, bias + short.most, arrays)


def hybrid_finish(start: int, stored, w_scale, bias) -> Finish | None:
    if 255 * 128 * stored.shape[1] > INT32_MAX:
        return None
    total = stored.sum(1, dtype=np.int32)
    return Finish("hybrid", start, np.zeros(len(bias), np.int64), (total, w_scale, bias))


# ---- packed weights


@dataclass(frozen=True, slots=True)
class Form:
    """Panels of `vectors` vectors: for each its biases, for each run and chunk of depths the weights, then its numbers.

    Weights of a chunk: (vectors, chunk / 4, lanes, 4). They are greater by `less`.
    """

    vectors: int
    lanes: int
    chunk: int
    runs: int
    depth: int
    less: int

    @property
    def width(self) -> int:
        return self.vectors * self.lanes

    def panel_nbytes(self, finish: Finish | None) -> int:
        """Up to the numbers, or with those of a finish."""
        chunks = self.runs * -(-self.depth // self.chunk)
        table = 0 if finish is None else finish.table(np.arange(self.lanes), self.lanes).size
        return self.width * (4 + chunks * self.chunk) + self.vectors * table


def packed_panels(e, p: Product, finish: Finish, units: slice, seen_zero: int, form: Form):
    def make(stored):
        return pack(stored, p.w_zero, finish, units, seen_zero, form)

    content = (finish.rule, finish.start, finish.bias.tobytes(), *(a.tobytes() for a in finish.arrays))
    return e.packed(p.w, ("conv_int", form, units.start, units.stop, seen_zero, p.w_zero, hash(content)), make)


def pack(stored, w_zero: int, finish: Finish, units: slice, seen_zero: int, form: Form):
    """Bytes: the panels of some units of stored weights (units, ...)."""
    count = -(-(units.stop - units.start) // form.width)
    places = np.arange(form.width) if finish.rule == "hybrid" else channels(form.vectors, form.lanes)
    order = units.start + np.arange(0, count * form.width, form.width)[:, None] + places
    order = order.reshape(-1)
    there = order < units.stop
    chosen = np.minimum(order, units.stop - 1)
    w = stored.reshape(len(stored), -1)[chosen]
    if finish.rule == "hybrid":
        w = w.view(np.int8)
    if w_zero:
        w = w.astype(np.int16) - w_zero
    w = np.where(there[:, None], w, w.dtype.type(0))
    total = w.sum(1, dtype=np.int64)
    bias = np.where(there, finish.bias[chosen - finish.start] - seen_zero * total, 0).astype(np.int32)
    chunks = -(-form.depth // form.chunk)
    quads = np.zeros((len(order), form.runs, chunks * form.chunk), np.int8)
    if form.less:
        w = np.where(there[:, None], w + np.int16(form.less), np.int16(0))
    quads[:, :, : form.depth] = w.astype(np.int8).reshape(len(order), form.runs, form.depth)
    quads = quads.view(np.int32).reshape(count, form.vectors, form.lanes, form.runs, chunks, form.chunk // 4)
    table = finish.table(np.where(there, order, -1), form.lanes).reshape(count, -1)
    packed = aligned(count * form.panel_nbytes(finish)).reshape(count, -1)
    start, end = 4 * form.width, form.panel_nbytes(None)
    packed[:, :start] = bias.view(np.uint8).reshape(count, -1)
    packed[:, start:end] = np.ascontiguousarray(quads.transpose(0, 3, 4, 1, 5, 2)).view(np.uint8).reshape(count, -1)
    packed[:, end:] = table
    return packed


def alike(weight: int, lanes: int, chunk: int, depth: int):
    """Bytes: the biases, a chunk and the last chunk of weights that are all the same, a vector wide."""
    packed = aligned(lanes * (4 + 2 * chunk)).view(np.int8)
    packed[: 4 * lanes] = 0
    chunks = packed[4 * lanes :].reshape(2, chunk // 4, lanes, 4)
    chunks[...] = weight
    chunks[1] = np.where(np.arange(chunk) < (depth - 1) % chunk + 1, weight, 0).reshape(-1, 1, 4)
    return packed.view(np.uint8)


def tile_configuration(height: int):
    """What AMX is told: sums and x in tiles of `height` rows, w in 16, all of 64 bytes."""
    packed = aligned(64)
    packed[0] = 1
    packed[16:32].view(np.uint16)[...] = 64
    packed[48:54] = height
    packed[54:56] = 16
    return packed
