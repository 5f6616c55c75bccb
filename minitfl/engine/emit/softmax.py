"""SOFTMAX."""

from __future__ import annotations

from minitfl.engine.emit import emits
from minitfl.engine.layouts.softmax import SOFTMAX


@emits("softmax.softmax")
def softmax(e, x, beta, y):
    if x.type != "float32" or not y.size or beta < 0:
        return False
    depth = y.known_shape[-1]
    e.add("softmax.softmax", y.size // depth, SOFTMAX, x=e.tensor(x), y=e.tensor(y), depth=depth, beta=beta)
    return True
