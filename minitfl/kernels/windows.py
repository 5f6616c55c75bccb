"""Windows that slide over images: how many there are, what border they need, and their values block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minitfl.errors import ModelError
from minitfl.op import Site

MOST_STRIDE = 32767  # and dilation, where the official kernels keep them in 16 bits
BLOCK = 1 << 18  # elements that the temporaries of one block may have: they stay in the second-level cache

Pair = tuple[int, int]  # along height and width


def window(padding: str, size: int, filter: int, stride: int, dilation: int = 1) -> tuple[int, int, int]:
    """(out_size, pad_before, pad_after) along one axis; padding is "SAME" or "VALID".

    Window i covers positions i * stride + k * dilation - pad_before for k in range(filter). SAME has a window for each
    stride begun, VALID one for each that fits; an odd border is larger behind.
    """
    for what, value in (("filter size", filter), ("stride", stride), ("dilation", dilation)):
        if value <= 0:
            raise ModelError(f"a {what} is {value}")
    reach = (filter - 1) * dilation + 1
    if padding == "SAME":
        out_size = (size + stride - 1) // stride
    elif padding == "VALID":
        room = size + stride - reach
        if room <= -stride:
            raise ModelError(f"a window of {reach} does not fit in {size}")
        out_size = max(room, 0) // stride  # C++ division truncates
    else:
        raise ModelError(f"padding is {padding}")
    border = max((out_size - 1) * stride + reach - size, 0)
    return out_size, border // 2, border - border // 2


def placement(site: Site, size: Pair, filter: Pair, largest: int = 2**31 - 1) -> tuple[tuple[Pair, Pair, Pair], Pair]:
    """((stride, dilation, pad), out_size) of a convolution, from its options; all pairs."""
    options = site.options
    stride = (options.stride_h, options.stride_w)
    dilation = (options.dilation_h_factor, options.dilation_w_factor)
    for what, pair in (("stride", stride), ("dilation", dilation)):
        site.expect(max(pair) <= largest, f"a {what} is {max(pair)}")
    padding = site.enum("padding", "Padding")
    axes = [window(padding, size[i], filter[i], stride[i], dilation[i]) for i in (0, 1)]
    return (stride, dilation, (axes[0][1], axes[1][1])), (axes[0][0], axes[1][0])


def touching(size: int, out_size: int, filter: int, stride: int, dilation: int, before: int) -> tuple[int, int]:
    """The taps first..last - 1 that can meet the image along one axis; the others only ever meet the border."""
    first = max(0, -(((out_size - 1) * stride - before) // dilation))
    last = min(filter, (before + size - 1) // dilation + 1)
    return (first, last) if first < last else (0, 1)


def fitted(x_shape, y_shape, filter, pad, stride, dilation):
    """(taps along height, taps along width, pad) without the taps that never meet the image: slices, and a pair."""
    taps, moved = [], []
    for axis in (0, 1):
        size, out_size = x_shape[axis + 1], y_shape[axis + 1]
        first, last = touching(size, out_size, filter[axis], stride[axis], dilation[axis], pad[axis])
        taps.append(slice(first, last))
        moved.append(pad[axis] - first * dilation[axis])
    return taps[0], taps[1], tuple(moved)


def meeting(count, stride, start, size):
    """(where, which) of positions start + i * stride, for i in range(count), that lie within range(size): slices."""
    first = max(0, -(start // stride))
    last = min(count, (size - 1 - start) // stride + 1)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    place = start + first * stride
    return slice(place, place + (last - first - 1) * stride + 1, stride), slice(first, last)


Load = Callable[[np.ndarray, np.ndarray, int], None]  # writes the values of a part of an image: (out, part, image)


def windows(x, shape, filter, pad, stride, dilation, load: Load | None, dtype, repeat: int, weight: int) -> Iterator:
    """Yields (image, rows, columns, pieces): blocks of windows that together are all of them, in order.

    x (batch, height, width, channels); shape: the windows, (batch, rows, columns); the other pairs are (height, width).
    `rows` and `columns` are slices; a block has whole rows, or a part of one row. Its pieces, to be used up before the
    next block, are (taps, values): a slice of the taps along the height, and their values

        (taps along height, taps along width, rows, columns, channels * repeat)

    as `load` writes them, or as they are where it is None, and 0 outside the image. `weight`: the elements that the
    caller makes of one window.
    """
    batch, out_height, out_width = shape
    weight += x.shape[3] * repeat * stride[0] * stride[1]  # and ours
    wide = max(1, BLOCK // max(weight, 1))
    tall = max(1, wide // max(out_width, 1))
    # rows between the taps of a dilated window are not worth holding
    together = filter[0] if dilation[0] == 1 else 1
    frame = _Frame(x, filter, pad, stride, dilation, load, dtype, repeat)
    for image in range(batch):
        for top in range(0, out_height, tall):
            rows = slice(top, min(top + tall, out_height))
            for left in range(0, out_width, out_width if wide >= out_width else wide):
                columns = slice(left, out_width if wide >= out_width else min(left + wide, out_width))
                yield image, rows, columns, frame.pieces(image, rows, columns, together)


class _Frame:
    """The part of an image that a block of windows covers, with its border."""

    def __init__(self, x, filter, pad, stride, dilation, load, dtype, repeat):
        self.x, self.filter, self.pad, self.stride, self.dilation = x, filter, pad, stride, dilation
        self.load, self.dtype, self.repeat = load, dtype, repeat
        self.memory = np.empty(0, dtype)

    def held(self, image, top, height, left, width):
        """Rows top to top + height and columns left to left + width of an image, which they may leave."""
        bottom, right = top + height, left + width
        inside = top >= 0 and left >= 0 and bottom <= self.x.shape[1] and right <= self.x.shape[2]
        if inside and self.load is None and self.repeat == 1:
            return self.x[image, top:bottom, left:right]
        channels = self.x.shape[3] * self.repeat
        size = height * width * channels
        if self.memory.size < size:
            self.memory = np.empty(size, self.dtype)
        held = self.memory[:size].reshape(height, width, channels)
        # rows and columns of the frame that lie on the image
        low, high = max(0, -top), min(height, self.x.shape[1] - top)
        near, far = max(0, -left), min(width, self.x.shape[2] - left)
        if low >= high or near >= far:
            held[...] = 0
            return held
        for border in (held[:low], held[high:], held[low:high, :near], held[low:high, far:]):
            border[...] = 0
        filled = held[low:high, near:far].reshape(high - low, far - near, self.x.shape[3], self.repeat)
        part = self.x[image, top + low : top + high, left + near : left + far, :, None]
        if self.load is None:
            np.copyto(filled, part)
        else:
            self.load(filled, part, image)
        return held

    def pieces(self, image, rows, columns, together):
        for first in range(0, self.filter[0], together):
            yield slice(first, first + together), self.values(image, rows, columns, first, together)

    def values(self, image, rows, columns, first, together):
        spans = []
        for axis, (part, taps) in enumerate(((rows, together), (columns, self.filter[1]))):
            start = part.start * self.stride[axis] - self.pad[axis] + (first * self.dilation[0] if axis == 0 else 0)
            count = part.stop - part.start
            spans.append((start, (count - 1) * self.stride[axis] + (taps - 1) * self.dilation[axis] + 1, count, taps))
        (top, height, out_height, tall), (left, width, out_width, wide) = spans
        held = self.held(image, top, height, left, width)
        down, across, deep = held.strides
        return as_strided(
            held,
            (tall, wide, out_height, out_width, held.shape[2]),
            (down * self.dilation[0], across * self.dilation[1], down * self.stride[0], across * self.stride[1], deep),
            writeable=False,
        )
