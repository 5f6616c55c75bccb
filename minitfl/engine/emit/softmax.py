"""SOFTMAX and LOG_SOFTMAX."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.layouts.softmax import AWAY, ROWS, STORED, UP
from minitfl.memory import copied


@emits("softmax.softmax")
def softmax(e, x, beta, y):
    return beta >= 0 and rows(e, "softmax", x, beta, y)


@emits("softmax.log_softmax")
def log_softmax(e, x, y):
    return rows(e, "log_softmax", x, 1.0, y)


def rows(e, kernel, x, beta, y):
    if not y.size:
        return False
    depth = y.known_shape[-1]
    e.add(f"softmax.{kernel}", y.size // depth, ROWS, x=e.tensor(x), y=e.tensor(y), depth=depth, beta=beta)
    return True


@emits("softmax.softmax_int")
def softmax_int(e, x, exps, sums, reals, y_zero, y_scale, rounds_down, y):
    if not (y.size and y_scale > 0):
        return False
    depth, info = y.known_shape[-1], np.iinfo(y.dtype)
    none = np.zeros(256, np.int32)  # adds up to 0, which fixed point does not hold
    e.add(
        f"softmax.softmax_stored{y.dtype.itemsize}",
        y.size // depth,
        STORED,
        x=e.tensor(x),
        y=e.tensor(y),
        depth=depth,
        powers=e.constant(copied(none if exps is None else exps.astype(np.int32))),
        terms=e.constant(copied(none if sums is None else sums.astype(np.int32))),
        reals=e.constant(copied(reals)),
        turn=128 if x.dtype == np.int8 else 0,
        low=info.min,
        high=info.max,
        scale=y_scale,
        rounding=UP if rounds_down else AWAY,
        zero=0 if rounds_down else y_zero,
    )
    return True
