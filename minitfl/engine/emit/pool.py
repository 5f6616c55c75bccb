"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from minitfl.engine.emit import emits
from minitfl.engine.layouts.pool import POOL, SHORT

TYPES = {"float32": "f32", "int8": "i8", "uint8": "u8"}


@emits("pool.max_pool")
def max_pool(e, x, filter, stride, pad, lowest, low, high, y):
    return pool(e, "largest", x, filter, stride, pad, low, high, y)


@emits("pool.average_float")
def average_float(e, x, filter, stride, pad, low, high, y):
    return pool(e, "mean", x, filter, stride, pad, low, high, y)


@emits("pool.average_int")
def average_int(e, x, filter, stride, pad, exact, low, high, y):
    count = filter[0] * filter[1]
    return count < 2**12 and pool(e, length("mean", count), x, filter, stride, pad, low, high, y)


def length(kind, count):
    """The kind of sums of bytes that holds `count` of them."""
    return f"{kind}_{'short' if count <= SHORT else 'long'}"


def pool(e, kind, x, filter, stride, pad, low, high, y):
    if x.type not in TYPES or not y.size:
        return False
    kind = f"{kind}_{TYPES[x.type]}"
    outputs = y.known_shape[1:3]
    windows(e, kind, e.tensor(x), e.tensor(y), x.known_shape, outputs, filter, stride, pad, low, high)
    return True


def windows(e, kind, x, y, images, outputs, filter, stride, pad, low, high, **numbers):
    """Adds the instructions of all channels: panels of four vectors, and what is left in panels of one.

    images: the shape of x; outputs, filter, stride, pad: (along height, along width). numbers: what is not 0 of the
    words for sums.
    """
    channels = images[3]
    size = 4 if kind.endswith("f32") else 1
    lanes = e.isa.lanes * (4 // size if kind.startswith("largest") else 2 if "short" in kind else 1)
    numbers = dict.fromkeys(("divisor", "offset", "multiplier", "shift", "zero"), 0) | numbers
    wide = channels // (4 * lanes)
    way = "sliding_" if (filter[1], stride[1]) == (3, 1) else ""
    for vectors, start, count in ((4, 0, wide * 4 * lanes), (1, wide * 4 * lanes, channels - wide * 4 * lanes)):
        if not count:
            continue
        panels = -(-count // (vectors * lanes))
        e.add(
            f"pool.{way}{kind}_{vectors}",
            images[0] * outputs[0] * panels,
            POOL,
            x=x,
            start=start * size,
            y=y,
            y_start=start * size,
            height=images[1],
            width=images[2],
            pixel_nbytes=channels * size,
            out_height=outputs[0],
            out_width=outputs[1],
            pixel_y_nbytes=channels * size,
            rows=filter[0],
            columns=filter[1],
            down=stride[0],
            across=stride[1],
            top=pad[0],
            left=pad[1],
            panels=panels,
            channels=count,
            low=low,
            high=high,
            **numbers,
        )
