"""CONV_2D and FULLY_CONNECTED of float32: panels of channels, packed once; a border is copied around the images."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.borders import behind, bordered
from minitfl.engine.layouts.conv_float import CONV
from minitfl.memory import aligned


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
        wrap=0,
        image_nbytes=0,
        rows=1,
        row_nbytes=0,
        taps=1,
        tap_nbytes=0,
        depth=depth,
    )


def panels(e, *, x, y, w, bias, units, limits, **words):
    """Adds the instructions of all panels: those of full width, then what is left of the channels."""
    lanes, widest = e.isa.lanes, max(e.isa.tiles)
    length = words["rows"] * words["taps"] * words["depth"]
    full, rest = divmod(units, widest * lanes)
    narrow = next((v for v in sorted(e.isa.tiles) if v * lanes >= rest), widest) if rest else 0
    stored = e.contents(bias)
    widths = (widest * lanes,) * full + (narrow * lanes,) * bool(rest)
    packed = e.packed(w, ("panels", widths, stored.tobytes()), lambda weights: pack(weights, stored, widths))
    for count, vectors, start, last in (
        (full, widest, 0, widest * lanes),
        (bool(rest), narrow, full * widest * lanes, rest),
    ):
        if not count:
            continue
        height = 1 if words["pixels"] == 1 else e.isa.tiles[vectors]
        tiles = -(-words["pixels"] // height)
        e.add(
            f"conv_float.panels{vectors}x{height}",
            count * words["images"] * tiles,
            CONV,
            x=x,
            y=y,
            y_start=4 * start,
            weights=packed,
            weights_start=4 * start * (1 + length),
            tiles=tiles,
            panel_nbytes=4 * vectors * lanes * (1 + length),
            panel_y_nbytes=4 * vectors * lanes,
            pixel_y_nbytes=4 * units,
            last=last - (vectors - 1) * lanes,
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
