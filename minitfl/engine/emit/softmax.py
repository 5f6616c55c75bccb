"""SOFTMAX and LOG_SOFTMAX."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.layouts.softmax import ROWS, STORED
from minitfl.memory import aligned


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
    if exps is None or not y.size:
        return False
    depth, info = y.known_shape[-1], np.iinfo(y.dtype)
    e.add(
        "softmax.softmax_stored",
        y.size // depth,
        STORED,
        x=e.tensor(x),
        y=e.tensor(y),
        depth=depth,
        powers=e.constant(table(exps)),
        terms=e.constant(table(sums)),
        turn=128 if x.dtype == np.int8 else 0,
        nbytes=y.dtype.itemsize,
        low=info.min,
        high=info.max,
    )
    return True


def table(numbers):
    made = aligned(4 * len(numbers)).view(np.int32)
    made[...] = numbers
    return made
