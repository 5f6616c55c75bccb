"""CONV_2D and FULLY_CONNECTED of float32: panels of channels, packed once; a border is copied around the images."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.borders import behind, bordered
from minitfl.engine.layouts.conv_float import CONV, shape
from minitfl.memory import aligned

CHUNK_NBYTES = 1 << 18  # of input and output, which stay in the cache while all panels pass over them


@emits("conv.conv_float")
def conv_float(e, x, w, bias, stride, dilation, pad, low, high, y):
    if e.contents(w) is None or e.contents(bias) is None:
        return False
    batch, height, width, channels = x.known_shape
    _, out_height, out_width, units = y.known_shape
    _, taps_down, taps_across, depth = w.known_shape
    if channels != depth or y.size == 0:
        return False
    after = behind(x, y, (taps_down, taps_across), stride, dilation, pad)
    source = e.tensor(x)
    if any(pad) or any(after):
        padded = (pad[0] + height + after[0], pad[1] + width + after[1])
        source = bordered(e, source, (batch, height, width), padded, pad, 4 * channels, 0)
        height, width = padded
    pixel = 4 * channels
    along = dilation[1] == 1  # neighbouring taps are neighbours in memory
    panels(
        e,
        x=source,
        y=e.tensor(y),
        w=w,
        bias=bias,
        units=units,
        limits=(low, high),
        pixels=out_height * out_width,
        images=batch,
        width=out_width,
        step=stride[1] * pixel,
        wrap=(stride[0] * width - (out_width - 1) * stride[1]) * pixel,
        image_nbytes=height * width * pixel,
        rows=taps_down,
        row_nbytes=dilation[0] * width * pixel,
        taps=1 if along else taps_across,
        tap_nbytes=dilation[1] * pixel,
        depth=taps_across * depth if along else depth,
    )


@emits("dense_rows.dense_float")
def dense_float(e, x, w, bias, low, high, y):
    if e.contents(w) is None or e.contents(bias) is None or y.size == 0:
        return False
    batch, depth = x.known_shape
    panels(
        e,
        x=e.tensor(x),
        y=e.tensor(y),
        w=w,
        bias=bias,
        units=w.known_shape[0],
        limits=(low, high),
        pixels=batch,
        images=1,
        width=batch,
        step=4 * depth,
        wrap=4 * depth,
        image_nbytes=0,
        rows=1,
        row_nbytes=0,
        taps=1,
        tap_nbytes=0,
        depth=depth,
    )


def panels(e, *, x, y, w, bias, units, limits, **words):
    """Adds the instructions of all panels: those of full width, then one for a few channels that are left."""
    tile, lanes = shape(e.isa), e.isa.lanes
    if words["wrap"] == words["step"]:  # the windows of all rows are evenly spaced, as those of one
        words["width"] = words["pixels"]
        if words["image_nbytes"] == words["pixels"] * words["step"]:
            words |= {"pixels": words["images"] * words["pixels"], "images": 1}
            words["width"] = words["pixels"]
    length = words["rows"] * words["taps"] * words["depth"]
    full, rest = divmod(units, tile.vectors * lanes)
    narrow = -(-rest // lanes)
    if narrow == tile.vectors:
        full, narrow = full + 1, 0
    stored = e.contents(bias)
    widths = (tile.vectors * lanes,) * full + (narrow * lanes,) * bool(narrow)
    packed = e.packed(w, ("panels", widths, stored.tobytes()), lambda weights: pack(weights, stored, widths))
    tiles, big = tile.tiles(words["pixels"])
    for count, vectors, start in ((full, tile.vectors, 0), (bool(narrow), narrow, full * tile.vectors * lanes)):
        if not count:
            continue
        single = words["pixels"] * words["images"] == 1
        e.add(
            f"conv_float.row{vectors}" if single else f"conv_float.panels{vectors}",
            count * words["images"] * tiles,
            CONV,
            x=x,
            y=y,
            y_start=4 * start,
            weights=packed,
            weights_start=4 * start * (1 + length),
            tiles=tiles,
            big=big,
            chunk=max(1, CHUNK_NBYTES // (tile.pixels * (words["step"] + 4 * units))),
            panels=count,
            panel_nbytes=4 * vectors * lanes * (1 + length),
            panel_y_nbytes=4 * vectors * lanes,
            pixel_y_nbytes=4 * units,
            last=min(units - start, count * vectors * lanes) - (count * vectors - 1) * lanes,
            low=limits[0],
            high=limits[1],
            **words,
        )


def pack(w, bias, widths):
    """float32 (panels' sizes): for each panel its bias (width,), then its weights (window's length, width).

    w (units, ...), bias (units,); what a panel is wider than there are units is 0.
    """
    w = w.reshape(len(w), -1)
    length = w.shape[1]
    packed = aligned(4 * sum(widths) * (1 + length)).view(np.float32)
    at = unit = 0
    for width in widths:
        panel = packed[at : at + width * (1 + length)].reshape(1 + length, width)
        some = w[unit : unit + width]
        panel[0, : len(some)] = bias[unit : unit + width]
        panel[1:, : len(some)] = some.T
        at, unit = at + panel.size, unit + width
    return packed
