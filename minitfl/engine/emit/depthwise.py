"""DEPTHWISE_CONV_2D: blocks of channels, whose weights are packed once; the images are read as they are."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.rescale import channels as places_of
from minitfl.engine.emit.rescale import numbers, rescaling
from minitfl.engine.layouts.depthwise import DEPTHWISE, SIDES, float_tile, int_tile, places
from minitfl.engine.layouts.move import REPEAT
from minitfl.memory import aligned

GROUP_NBYTES = 1024  # of a pixel, which a tile takes before the next tile begins


@emits("depthwise.depthwise_float")
def depthwise_float(e, x, w, bias, stride, dilation, pad, low, high, y):
    if e.contents(w) is None or e.contents(bias) is None or y.size == 0:
        return False
    stored, lanes = e.contents(bias), e.isa.lanes
    tiles(
        e,
        "depthwise_float",
        float_tile(e.isa),
        x,
        w,
        y,
        (stride, dilation, pad),
        lanes,
        weights=e.packed(w, ("vectors", stored.tobytes()), lambda weights: vectors(weights, stored, lanes)),
        block_nbytes=4 * lanes * (1 + w.known_shape[1] * w.known_shape[2]),
        outside=0,
        low=low,
        high=high,
        turn_x=0,
        turn_y=0,
    )


@emits("depthwise.depthwise_int")
def depthwise_int(
    e, x, x_zero, w, w_zero, exact, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y
):
    stored = e.input(1)
    weights, bias = e.contents(stored), e.contents(bias)
    if x.type not in ("int8", "uint8") or rule != "twice" or weights is None or bias is None or y.size == 0:
        return False
    turn_x, turn_y = 128 if x.type == "int8" else 0, 0 if x.type == "int8" else 128
    centered = weights.astype(np.int64) - w_zero
    zero = x_zero + turn_x
    most = np.abs(bias.astype(np.int64)) + np.abs(centered).sum((0, 1, 2)) * max(zero, 255 - zero)
    scaled = rescaling(most, multiplier, shift, y_zero - turn_y)
    if scaled is None:
        return False
    lanes = e.isa.lanes
    wide = e.isa.dot not in ("vnni", "amx") or centered.min() < -128 or centered.max() > 127
    start = bias + most - zero * centered.sum((0, 1, 2))
    if is_tiled(weights.shape[1:3], stride, dilation):
        tile = int_tile(e.isa, weights.shape[1], stride[0])
        quads = list(places(tile[0], weights.shape[1], stride[0]).values())
        taps = [(quad, k) for k in range(weights.shape[2]) for quad in quads]
    else:
        tile, wide = (1, 1), True
        quads = [
            tuple(k if k < weights.shape[1] else None for k in range(i, i + 4)) for i in range(0, weights.shape[1], 4)
        ]
        taps = [(quad, k) for quad in quads for k in range(weights.shape[2])]
    key = ("blocks", *taps, wide, w_zero, start.tobytes(), most.tobytes(), multiplier.tobytes(), shift.tobytes())
    tiles(
        e,
        "depthwise_int",
        tile,
        x,
        stored,
        y,
        (stride, dilation, pad),
        4 * lanes,
        ("w" if wide else "") + ("u" if low >= y_zero else ""),
        weights=e.packed(stored, key, lambda _: blocks(centered, start, scaled, taps, wide, lanes)),
        block_nbytes=4 * lanes * (4 + len(taps) * (8 if wide else 4)) + 80 * lanes,
        outside=x_zero % 256,
        low=low - turn_y,
        high=high - turn_y,
        turn_x=turn_x,
        turn_y=turn_y,
    )


def tiles(e, module, tile, x, w, y, window, channels, kind="", *, outside, **words):
    """Adds the instruction, by tiles where there are some for the filter's size, and else pixel by pixel.

    window: stride, dilation and padding; channels: of a block; outside: the byte that lies outside the image.
    """
    stride, dilation, pad = window
    taps = w.known_shape[1:3]
    size = 4 if x.type == "float32" else 1
    batch, height, width, depth = x.known_shape
    _, out_height, out_width, units = y.known_shape
    source = e.tensor(x)
    if depth < units:
        source = repeated(e, source, x.size, units // depth, size)
    tiled = is_tiled(taps, stride, dilation)
    phases = dilation if tiled else (1, 1)
    rows = tile[0] if tiled else 1
    nbytes = size * ((width + taps[1] * dilation[1]) * units + channels)
    blocks = -(-units // channels)
    group = max(1, GROUP_NBYTES // (size * channels))
    groups = -(-blocks // group)
    tall = -(-out_height // phases[0])
    bands = -(-tall // rows)
    e.add(
        f"{module}.tiles{taps[0]}s{stride[0]}{kind}" if tiled else f"{module}.pixels",
        batch * phases[0] * bands * groups,
        DEPTHWISE,
        x=source,
        y=e.tensor(y),
        outside=e.packed(w, ("row", outside, nbytes), lambda _: row_of(outside, nbytes)),
        height=height,
        width=width,
        pixel_nbytes=size * units,
        out_height=out_height,
        out_width=out_width,
        y_pixel_nbytes=size * units,
        taps_down=taps[0],
        taps_across=taps[1],
        stride_down=stride[0],
        stride_across=stride[1],
        dilation_down=dilation[0],
        dilation_across=dilation[1],
        pad_down=pad[0],
        pad_across=pad[1],
        phases_down=phases[0],
        phases_across=phases[1],
        groups=groups,
        group_blocks=group,
        blocks=blocks,
        channels=units,
        **words,
    )


def is_tiled(taps, stride, dilation):
    square = taps[0] == taps[1] and stride[0] == stride[1]
    return square and taps[0] in SIDES and stride[0] <= 2 and (stride[0] == 1 or max(dilation) == 1)


def repeated(e, x, count, times, size):
    """The slot of a copy of `count` values of `size` bytes, each of which is there as often as `times` says."""
    target = e.scratch(count * times * size)
    e.add(f"move.repeat{size}", count, REPEAT, x=x, y=target, times=times)
    return target


def row_of(byte, nbytes):
    row = aligned(nbytes)
    row[...] = byte
    return row


def vectors(w, bias, lanes):
    """float32 (vectors, 1 + taps, lanes): the bias, then the weights; w (1, down, across, units), bias (units,)."""
    units = w.shape[3]
    count = -(-units // lanes)
    values = np.zeros((1 + w.shape[1] * w.shape[2], count * lanes), np.float32)
    values[0, :units] = bias
    values[1:, :units] = w.reshape(-1, units)
    packed = aligned(values.nbytes).view(np.float32).reshape(count, -1, lanes)
    packed[...] = values.reshape(-1, count, lanes).swapaxes(0, 1)
    return packed


def blocks(w, start, scaled, taps, wide, lanes):
    """Bytes (blocks, size of one): see source.depthwise_int. w (1, down, across, units).

    taps: pairs of four taps down, some None, and the one across; in the order of their weights.
    """
    units = w.shape[3]
    count = -(-units // (4 * lanes))
    order = places_of(4, lanes)
    padded = np.zeros((w.shape[1], w.shape[2], count * 4 * lanes), np.int64)
    padded[..., :units] = w[0]
    made = []
    for block in range(count):
        there = block * 4 * lanes + order
        begun = np.where(there < units, start[np.minimum(there, units - 1)], 0)
        parts: list[np.ndarray] = [(begun & 0xFFFFFFFF).astype(np.uint32)]
        for rows, k in taps:
            four = np.stack([0 * there if row is None else padded[row, k, there] for row in rows], 1)
            four = four.reshape(4, lanes, 4)
            parts.append(
                np.stack([four[..., 0::2], four[..., 1::2]], 1).astype(np.int16) if wide else four.astype(np.int8)
            )
        parts.append(numbers(scaled, there, lanes))
        made.append(np.concatenate([np.ascontiguousarray(p).reshape(-1).view(np.uint8) for p in parts]))
    packed = aligned(sum(a.size for a in made)).reshape(count, -1)
    packed[...] = made
    return packed
