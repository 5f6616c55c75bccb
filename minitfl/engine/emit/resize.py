"""RESIZE_BILINEAR."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.layouts.resize import BILINEAR, PLACE
from minitfl.memory import aligned


@emits("resize.bilinear", "resize.bilinear_int", "resize.bilinear_uint8")
def bilinear(e, x, top, bottom, down, left, right, across, y):
    kind = {"float32": "f32", "int8": "i8", "uint8": "u8"}.get(x.type)
    if kind is None or not y.size:
        return False
    batch, height, width, channels = x.known_shape
    pixel = channels * x.dtype.itemsize
    e.add(
        f"resize.bilinear_{kind}",
        batch * len(top),
        BILINEAR,
        x=e.tensor(x),
        rows=e.constant(places(top, bottom, down, width * pixel)),
        columns=e.constant(places(left, right, across, pixel)),
        y=e.tensor(y),
        out_height=len(top),
        out_width=len(left),
        image_nbytes=height * width * pixel,
        pixel_nbytes=pixel,
    )
    return True


def places(before, after, weights, nbytes):
    """int64 (places, words of PLACE): both neighbours in bytes and the weight of the second, a float32 by its bits."""
    made = aligned(8 * len(PLACE) * len(before)).view(np.int64).reshape(-1, len(PLACE))
    made[:, PLACE.before], made[:, PLACE.after] = before * nbytes, after * nbytes
    made[:, PLACE.weight] = weights.view(np.int32) if weights.dtype == np.float32 else weights
    return made
