"""Guard zones: while `guarded()` is on, whatever minitfl.memory.aligned gives lies between bytes that must stay.

They hold NaN for all kinds of floats: what is read from them and used shows in the results.
"""

import importlib
import sys
from contextlib import contextmanager

import numpy as np

from minitfl import memory
from minitfl.engine.emit.index import MODULE_OF

ZONE = 256  # bytes on either side; what may be read behind a block is within
PATTERN = np.tile(np.array([0xA5, 0xFF, 0xE1, 0x7F], np.uint8), ZONE // 4)


class Guards:
    """The blocks given out, and what must not change at all."""

    def __init__(self):
        self.zones = []
        self._frozen = []

    def aligned(self, nbytes):
        block = np.empty(nbytes + 2 * ZONE + memory.ALIGNMENT, np.uint8)
        start = ZONE + -(block.__array_interface__["data"][0] + ZONE) % memory.ALIGNMENT
        before, given, after = np.split(block[start - ZONE : start + nbytes + ZONE], [ZONE, ZONE + nbytes])
        before[...] = after[...] = PATTERN
        given[...] = 0
        self.zones.append((before, given, after))
        return given

    def owns(self, array):
        """Does it lie in a block that was given out?"""
        at = array.__array_interface__["data"][0]
        starts = ((given.__array_interface__["data"][0], given.nbytes) for _, given, _ in self.zones)
        return any(start <= at and at + array.nbytes <= start + nbytes for start, nbytes in starts)

    def freeze(self, arrays):
        """From now on these must keep their contents."""
        self._frozen = [(a, a.tobytes()) for a in arrays]

    def check(self, place):
        for before, given, after in self.zones:
            for name, zone in (("before", before), ("behind", after)):
                hit = np.flatnonzero(zone != PATTERN)
                assert not hit.size, f"{place} writes {name} a block of {given.nbytes} bytes: {len(hit)} from {hit[0]}"
        for array, contents in self._frozen:
            assert array.tobytes() == contents, f"{place} changes a constant {array.dtype}{array.shape}"


@contextmanager
def guarded():
    for name in ("engine", *(f"emit.{name}" for name in sorted(set(MODULE_OF.values())))):
        importlib.import_module(f"minitfl.engine.{name}")  # later they would keep the name as it is now
    plain, guards = memory.aligned, Guards()
    changed = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("minitfl") and getattr(module, "aligned", None) is plain
    ]
    for module in changed:
        module.aligned = guards.aligned
    try:
        yield guards
    finally:
        for module in changed:
            module.aligned = plain
