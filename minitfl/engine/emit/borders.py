"""Borders around images: how large they must be, and copies that have one."""

from __future__ import annotations

from minitfl.engine.layouts.move import PAD


def behind(x, y, taps, stride, dilation, pad):
    """(rows, columns) that the windows reach beyond the end of the images."""
    sizes = zip(x.known_shape[1:3], y.known_shape[1:3], taps, stride, dilation, pad)
    return tuple(max(0, (out - 1) * s + (t - 1) * d + 1 - size - p) for size, out, t, s, d, p in sizes)


def bordered(e, x, images, padded, before, pixel_nbytes, byte):
    """The slot of a copy of images (batch, height, width), of size `padded`, with a border of one byte value."""
    batch, height, width = images
    target = e.scratch(batch * padded[0] * padded[1] * pixel_nbytes)
    e.add(
        "move.pad",
        batch * padded[0],
        PAD,
        x=x,
        y=target,
        height=height,
        row_nbytes=width * pixel_nbytes,
        padded_height=padded[0],
        before=before[0],
        before_nbytes=before[1] * pixel_nbytes,
        after_nbytes=(padded[1] - before[1] - width) * pixel_nbytes,
        byte=byte,
    )
    return target
