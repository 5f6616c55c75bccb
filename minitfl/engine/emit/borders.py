"""Borders around images: how large they must be, and copies that have one."""

from __future__ import annotations

from minitfl.engine.layouts.move import PAD


def padded_size(x, y, taps, stride, dilation, pad):
    """(height, width) of the images with a border on both sides, as far as the windows reach."""
    sizes = zip(x.known_shape[1:3], y.known_shape[1:3], taps, stride, dilation, pad)
    return tuple(max(p + size, (out - 1) * s + (t - 1) * d + 1) for size, out, t, s, d, p in sizes)


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
