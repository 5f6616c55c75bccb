"""DEPTHWISE_CONV_2D: blocks of channels, whose weights are packed once; the images are read as they are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.borders import padded_size
from minitfl.engine.emit.conv_int import quantized
from minitfl.engine.emit.rescale import channels as places_of
from minitfl.engine.emit.rescale import numbers, picked, rescaling
from minitfl.engine.layouts.depthwise import DEPTHWISE, INT_TILE, SIDES, float_tile, fours
from minitfl.engine.layouts.move import REPEAT
from minitfl.memory import aligned

GROUP_NBYTES = 1024  # of a pixel, which a tile takes before the next tile begins


class Windows(NamedTuple):
    """Where the windows of a node lie, and how many channels (of x, of y) there are."""

    images: tuple[int, int, int]
    outputs: tuple[int, int]
    channels: tuple[int, int]
    taps: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]

    @property
    def tiled(self) -> bool:
        """Are there kernels for the filter's size?"""
        square = self.taps[0] == self.taps[1] and self.stride[0] == self.stride[1]
        phases = self.stride[0] == 1 or max(self.dilation) == 1
        return square and self.taps[0] in SIDES and self.stride[0] <= 2 and phases

    def row_nbytes(self, size: int, block: int) -> int:
        """Of a row outside the image, for values of `size` bytes and blocks of channels."""
        return size * ((self.images[2] + self.taps[1] * self.dilation[1]) * self.channels[1] + block)


def windows_of(x, w, y, stride, dilation, pad):
    batch, height, width, depth = x.known_shape
    _, out_height, out_width, units = y.known_shape
    outputs = out_height, out_width
    return Windows((batch, height, width), outputs, (depth, units), w.known_shape[1:3], stride, dilation, pad)


@emits("depthwise.depthwise_float")
def depthwise_float(e, x, w, bias, stride, dilation, pad, low, high, y):
    if e.contents(w) is None or e.contents(bias) is None or y.size == 0:
        return False
    stored, lanes = e.contents(bias), e.isa.lanes
    source = windows_of(x, w, y, stride, dilation, pad)
    nbytes = source.row_nbytes(4, lanes)
    tiles(
        e,
        source,
        "depthwise_float",
        float_tile(e.isa),
        lanes,
        (4, 4),
        x=e.tensor(x),
        y=e.tensor(y),
        weights=e.packed(w, ("vectors", stored.tobytes()), lambda weights: vectors(weights, stored, lanes)),
        block_nbytes=4 * lanes * (1 + math.prod(source.taps)),
        outside=e.packed(w, ("row", 0, nbytes), lambda _: row_of(0, nbytes)),
        low=low,
        high=high,
    )


@emits("depthwise.depthwise_int")
def depthwise_int(
    e, x, x_zero, w, w_zero, exact, bias, multiplier, shift, y_zero, low, high, rule, stride, dilation, pad, y
):
    w = e.input(1)
    weights, bias = e.contents(w), e.contents(bias)
    if x.type not in ("int8", "uint8") or rule != "twice" or weights is None or bias is None or y.size == 0:
        return False
    turn_x, turn_y = (128, 0) if x.type == "int8" else (0, 128)
    left = np.maximum(np.asarray(shift, np.int64), 0)  # of sums that 32 bits hold; so their parts are shifted instead
    centered = (weights.astype(np.int64) - w_zero) << left
    bias = bias.astype(np.int64) << left
    zero = x_zero + turn_x
    most = np.abs(bias) + np.abs(centered).sum((0, 1, 2)) * max(zero, 255 - zero)
    scaled = rescaling(most, multiplier, np.minimum(shift, 0), y_zero - turn_y)
    if scaled is None or (centered.astype(np.int16) != centered).any():
        return False
    lanes = e.isa.lanes
    start = bias + most - zero * centered.sum((0, 1, 2))
    source = windows_of(x, w, y, stride, dilation, pad)
    taps, wide = taps_of_blocks(e.isa, source, centered)
    key = (taps, wide, w_zero, *(a.tobytes() for a in (start, most, multiplier, shift)))
    nbytes = source.row_nbytes(1, 4 * lanes)
    tiles(
        e,
        source,
        "depthwise_int",
        INT_TILE,
        4 * lanes,
        (1, 1),
        ("w" if wide and source.tiled else "") + ("u" if low >= y_zero else ""),
        x=e.tensor(x),
        y=e.tensor(y),
        weights=e.packed(
            w, key, lambda _: blocks(centered, start, taps, wide, lanes, lambda units: numbers(scaled, units, lanes))
        ),
        block_nbytes=block_nbytes(taps, wide, lanes) + 80 * lanes,
        outside=e.packed(w, ("row", x_zero, nbytes), lambda _: row_of(x_zero % 256, nbytes)),
        low=low - turn_y,
        high=high - turn_y,
        turn_x=turn_x,
        turn_y=turn_y,
    )


@emits("depthwise.depthwise_hybrid")
def depthwise_hybrid(e, x, w, w_scale, exact, bias, stride, dilation, pad, low, high, y):
    w = e.input(1)
    weights, bias = e.contents(w), e.contents(bias)
    if weights is None or bias is None or y.size == 0:
        return False
    centered = weights.astype(np.int64)
    if np.abs(centered).sum((0, 1, 2)).max() * 255 >= 2**31:
        return False
    lanes = e.isa.lanes
    batch, height, width, channels = x.known_shape
    padded = padded_size(x, y, w.known_shape[1:3], stride, dilation, pad)
    copy, table = quantized(e, x, (batch, height, width * channels), padded, pad, channels, True)
    source = windows_of(x, w, y, stride, dilation, (0, 0))._replace(images=(batch, *padded))
    taps, wide = taps_of_blocks(e.isa, source, centered)

    def ends(units):
        sums = centered.sum((0, 1, 2)).astype(np.int32)
        parts = [picked(a, units, lanes).view(np.uint8) for a in (sums, np.float32(w_scale), np.float32(bias))]
        return np.concatenate(parts, 1)

    start = -128 * centered.sum((0, 1, 2))
    key = (taps, wide, np.float32(w_scale).tobytes(), bias.tobytes())
    tiles(
        e,
        source,
        "depthwise_int",
        INT_TILE,
        4 * lanes,
        (1, 4),
        ("w" if wide and source.tiled else "") + "r",
        x=copy,
        y=e.tensor(y),
        table=table,
        weights=e.packed(w, key, lambda _: blocks(centered, start, taps, wide, lanes, ends)),
        block_nbytes=block_nbytes(taps, wide, lanes) + 48 * lanes,
        low=low,
        high=high,
        turn_x=128,
    )


def tiles(e, source, module, tile, block, sizes, kind="", *, x, **words):
    """Adds the instruction of `source`, by tiles where there are some for the filter's size, and else pixel by pixel.

    tile: its rows and pixels; block: its channels; sizes: bytes of the values of x and y.
    """
    batch, height, width = source.images
    depth, units = source.channels
    if depth < units:
        x = repeated(e, x, math.prod(source.images) * depth, units // depth, sizes[0])
    phases = source.dilation if source.tiled else (1, 1)
    rows = tile[0] if source.tiled else 1
    blocks = -(-units // block)
    group = max(1, GROUP_NBYTES // (sizes[0] * block))
    groups = -(-blocks // group)
    tall = -(-source.outputs[0] // phases[0])
    bands = -(-tall // rows)
    words = {"table": x, "outside": x, "turn_x": 0, "turn_y": 0} | words  # with a border there is no outside
    e.add(
        f"{module}.tiles{source.taps[0]}s{source.stride[0]}{kind}" if source.tiled else f"{module}.pixels{kind}",
        batch * phases[0] * bands * groups,
        DEPTHWISE,
        x=x,
        height=height,
        width=width,
        pixel_nbytes=sizes[0] * units,
        out_height=source.outputs[0],
        out_width=source.outputs[1],
        y_pixel_nbytes=sizes[1] * units,
        taps_down=source.taps[0],
        taps_across=source.taps[1],
        stride_down=source.stride[0],
        stride_across=source.stride[1],
        dilation_down=source.dilation[0],
        dilation_across=source.dilation[1],
        pad_down=source.pad[0],
        pad_across=source.pad[1],
        phases_down=phases[0],
        phases_across=phases[1],
        groups=groups,
        group_blocks=group,
        blocks=blocks,
        channels=units,
        **words,
    )


def repeated(e, x, count, times, size):
    """The slot of a copy of `count` values of `size` bytes, each of which is there as often as `times` says."""
    target = e.scratch(count * times * size + 64)
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


def taps_of_blocks(isa, source, w) -> tuple[tuple[Any, ...], bool]:
    """(taps, wide): pairs of four taps down, some None, and the one across, in the order of their weights; and whether
    weights w take 16 bits."""
    down, across = source.taps
    if not source.tiled:
        return tuple((four, k) for four in fours(down) for k in range(across)), True
    wide = isa.dot not in ("vnni", "amx") or w.min() < -128 or w.max() > 127
    return tuple((four, k) for k in range(across) for four in fours(down)), bool(wide)


def block_nbytes(taps, wide, lanes):
    """Of a block without the numbers that end it."""
    return 4 * lanes * (4 + len(taps) * (8 if wide else 4))


def blocks(w, start, taps, wide, lanes, ends):
    """Bytes (blocks, size of one): see source.depthwise_int. w (1, down, across, units), start (units,).

    ends(units): bytes of the numbers that end a block, for the channels in its places.
    """
    units = w.shape[3]
    count = -(-units // (4 * lanes))
    order = places_of(4, lanes)
    padded = np.zeros((*w.shape[1:3], count * 4 * lanes), np.int64)
    padded[..., :units] = w[0]
    made = []
    for block in range(count):
        there = block * 4 * lanes + order
        parts: list[np.ndarray] = [(picked(start, there, lanes) & 0xFFFFFFFF).astype(np.uint32)]
        for rows, k in taps:
            four = np.stack([0 * there if row is None else padded[row, k, there] for row in rows], 1)
            four = four.reshape(4, lanes, 4)
            parts.append(
                np.stack([four[..., 0::2], four[..., 1::2]], 1).astype(np.int16) if wide else four.astype(np.int8)
            )
        parts.append(ends(there))
        made.append(np.concatenate([np.ascontiguousarray(p).reshape(-1).view(np.uint8) for p in parts]))
    packed = aligned(sum(a.size for a in made)).reshape(count, -1)
    packed[...] = made
    return packed
