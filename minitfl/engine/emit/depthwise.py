"""DEPTHWISE_CONV_2D: blocks of channels, whose weights are packed once; the images are read as they are."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.layouts.depthwise import DEPTHWISE
from minitfl.engine.layouts.move import REPEAT
from minitfl.memory import aligned

TILED = (3, 5, 7)  # sides of filters that have kernels of their own, with strides of 1 and 2
TILE_ROWS = 2
GROUP_NBYTES = 1024  # of a pixel, which a tile takes before the next tile begins


@emits("depthwise.depthwise_float")
def depthwise_float(e, x, w, bias, stride, dilation, pad, low, high, y):
    if e.contents(w) is None or e.contents(bias) is None or y.size == 0:
        return False
    stored, lanes = e.contents(bias), e.isa.lanes
    tiles(
        e,
        "depthwise_float",
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
    )


def tiles(e, module, x, w, y, window, channels, *, outside, **words):
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
    tiled = taps[0] == taps[1] in TILED and stride[0] == stride[1] <= 2 and (stride == (1, 1) or dilation == (1, 1))
    phases = dilation if tiled else (1, 1)
    rows = TILE_ROWS if tiled else 1
    nbytes = size * (width * units + channels)
    blocks = -(-units // channels)
    group = max(1, GROUP_NBYTES // (size * channels))
    groups = -(-blocks // group)
    tall = -(-out_height // phases[0])
    bands = -(-tall // rows)
    e.add(
        f"{module}.tiles{taps[0]}s{stride[0]}" if tiled else f"{module}.pixels",
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
