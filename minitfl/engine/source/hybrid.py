"""Floats brought to 8 bits, an image at a time: how kernels.hybrid does it. Threads share the parts and rows of one."""

import math

import numpy as np
from numba import types
from numba.extending import register_jitable

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.hybrid import EXTREMES, EXTREMES_NBYTES, IMAGE, IMAGE_NBYTES, MEASURE, QUANTIZE
from minitfl.engine.source.elementwise import store_first
from minitfl.engine.source.ir import (
    F32,
    I8,
    I32,
    add,
    address,
    clamp,
    constant,
    fill,
    first_lanes,
    fma,
    fold,
    inline,
    load,
    load_f32,
    load_masked,
    loop,
    number,
    real,
    same,
    splat,
    store,
    store_f32,
    store_i32,
    vector,
    word,
)

LANES = compiled().lanes
UNROLL = 4
FLOATS = vector(F32, LANES)
NEARLY_HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))  # 0.5 itself would take the number below it up to 1


# ---- the numbers of an image


def _extremes(b, x, count, target):
    """min(x, 0), max(x, 0) and what is 0 unless there is an infinity or NaN, three float32 at target."""
    zero = constant(FLOATS, 0.0)

    def take(values, kept):
        low, high, odd = kept
        low = b.select(b.fcmp_ordered("<", values, low), values, low)
        high = b.select(b.fcmp_ordered(">", values, high), values, high)
        return [low, high, fma(b, values, zero, odd)]

    def many(i, kept):
        at = b.add(x, b.shl(i, number(2)))
        made = []
        for n in range(UNROLL):
            made += take(load(b, add(b, at, 4 * LANES * n), FLOATS, 4), kept[3 * n : 3 * n + 3])
        return made

    def one(i, kept):
        at = b.add(x, b.shl(b.add(whole, i), number(2)))
        mask = first_lanes(b, b.sub(b.sub(count, whole), i), LANES)
        return take(load_masked(b, at, FLOATS, mask), kept)

    whole = b.and_(count, number(-UNROLL * LANES))
    kept = loop(b, whole, [zero] * 3 * UNROLL, many, step=UNROLL * LANES)
    low, high, odd = loop(b, b.sub(count, whole), kept[:3], one, step=LANES)
    for n in range(1, UNROLL):
        low = same(b, "minnum", low, kept[3 * n])
        high = same(b, "maxnum", high, kept[3 * n + 1])
        odd = b.fadd(odd, kept[3 * n + 2])
    parts = ((EXTREMES.low, "minnum", low), (EXTREMES.high, "maxnum", high), (EXTREMES.odd, None, odd))
    for i, name, value in parts:
        combine = (lambda p, q: b.fadd(p, q)) if name is None else (lambda p, q, name=name: same(b, name, p, q))
        store(b, fold(b, value, combine), add(b, target, 4 * i), 4)


extremes = inline(types.void(types.int64, types.int64, types.int64), _extremes)


def measure(block, slots, first, last):
    """The extremes of parts of images: see layouts.hybrid."""
    x, found = address(block, slots, MEASURE.x), address(block, slots, MEASURE.extremes)
    count, parts, part = word(block, MEASURE.count), word(block, MEASURE.parts), word(block, MEASURE.part)
    for unit in range(first, last):
        image = unit // parts
        start = (unit - image * parts) * part
        extremes(x + (image * count + start) * 4, min(part, count - start), found + unit * EXTREMES_NBYTES)
    return 0


def make_numbers(asymmetric):
    @register_jitable
    def numbers_of(found, parts):
        """(scale, inverse, zero) of an image, from the extremes of its parts. The scale is NaN where there is an
        infinity or NaN."""
        low, high, odd = np.float32(0), np.float32(0), np.float32(0)
        for part in range(parts):
            at = found + part * EXTREMES_NBYTES
            low = min(low, load_f32(at + 4 * EXTREMES.low))
            high = max(high, load_f32(at + 4 * EXTREMES.high))
            odd += load_f32(at + 4 * EXTREMES.odd)
        scale, inverse, zero = np.float32(1), np.float32(0), 0
        if asymmetric:
            width = np.float64(high - low) / 255.0  # the difference is rounded to float32
            if odd != 0 or width == math.inf:
                scale = np.float32(math.nan)
            elif width != 0:
                scale = np.float32(width)
                inverse = np.float32(1) / scale
                below, above = np.float64(low) / width, np.float64(high) / width
                # the end whose error is smaller decides where zero lies
                place = -128.0 - below if 128.0 + abs(below) < 127.0 + abs(above) else 127.0 - above
                place = min(max(place, -128.0), 127.0)
                zero = int(place + math.copysign(0.49999999999999994, place))
        else:
            largest = max(high, -low)
            if odd != 0:
                scale = np.float32(math.nan)
            elif largest != 0:
                scale, inverse = largest / np.float32(127), np.float32(127) / largest
        return scale, inverse, zero

    return numbers_of


# ---- bytes


def _quantized(b, x, count, inverse, zero, low, y):
    """y = clip(zero + round(x * inverse), low, 127), halves away from zero and NaN 0; count values."""
    bytes, whole = vector(I8, LANES), vector(I32, LANES)
    inverse, zero, low = splat(b, inverse, LANES), splat(b, zero, LANES), splat(b, low, LANES)
    half, high = constant(FLOATS, NEARLY_HALF), constant(FLOATS, 127.0)

    def some(values):
        q = b.fmul(values, inverse)
        q = b.fadd(same(b, "trunc", b.fadd(q, same(b, "copysign", half, q))), zero)
        q = clamp(b, q, low, high)
        q = b.select(b.fcmp_ordered("ord", q, q), q, constant(FLOATS, 0.0))
        return b.trunc(b.fptosi(q, whole), bytes)

    def many(i, _):
        store(b, some(load(b, b.add(x, b.shl(i, number(2))), FLOATS, 4)), b.add(y, i))
        return []

    def rest(i, _):
        left = b.sub(b.sub(count, full), i)
        at = b.add(full, i)
        values = load_masked(b, b.add(x, b.shl(at, number(2))), FLOATS, first_lanes(b, left, LANES))
        store_first(b, some(values), b.add(y, at), left)
        return []

    full = b.and_(count, number(-LANES))
    loop(b, full, [], many, step=LANES)
    loop(b, b.sub(count, full), [], rest, step=LANES)


AT = types.int64
quantized = inline(types.void(AT, AT, types.float32, types.float32, types.float32, AT), _quantized)


def make_quantize(asymmetric):
    numbers_of = make_numbers(asymmetric)

    def quantize(block, slots, first, last):
        """Rows of images in 8 bits, with a border around them. The first one of an image stores its numbers, too."""
        x, y = address(block, slots, QUANTIZE.x), address(block, slots, QUANTIZE.y)
        images, found = address(block, slots, QUANTIZE.images), address(block, slots, QUANTIZE.extremes)
        height, row, low = word(block, QUANTIZE.height), word(block, QUANTIZE.row), real(block, QUANTIZE.low)
        padded_height, before_rows = word(block, QUANTIZE.padded_height), word(block, QUANTIZE.before_rows)
        before, after = word(block, QUANTIZE.before), word(block, QUANTIZE.after)
        parts, padded = word(block, QUANTIZE.parts), before + row + after
        known, scale, inverse, zero = -1, np.float32(1), np.float32(0), 0
        for unit in range(first, last):
            image = unit // padded_height
            if image != known:
                scale, inverse, zero = numbers_of(found + image * parts * EXTREMES_NBYTES, parts)
                known = image
            if unit == image * padded_height:
                numbers = images + image * IMAGE_NBYTES
                store_f32(numbers + 4 * IMAGE.scale, scale)
                store_i32(numbers + 4 * IMAGE.zero, np.int32(zero))
            at, line = y + unit * padded, unit - image * padded_height - before_rows
            if line < 0 or line >= height:
                fill(at, np.int64(zero), padded)
                continue
            fill(at, np.int64(zero), before)
            source = x + (image * height + line) * row * 4
            quantized(source, row, inverse, np.float32(zero), low, at + before)
            fill(at + before + row, np.int64(zero), after)
        return 0

    return quantize


KERNELS = {"measure": measure, "quantize": make_quantize(False), "quantize_asymmetric": make_quantize(True)}
