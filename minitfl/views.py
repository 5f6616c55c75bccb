"""Arrays that share memory with an interpreter, and whether any of them is still alive.

A view hangs on a guard, `view.base`; slices and reshapes of the view keep the guard, so the interpreter need only watch
its guards through weak references. That works without reference counts: on PyPy and on free-threaded Python.
"""

from __future__ import annotations

import gc
import weakref

import numpy as np


class Guard(np.ndarray):
    """The base of the views handed out together."""


class Views:
    """The views of one interpreter that are alive."""

    def __init__(self) -> None:
        self.guards: dict[int, weakref.ref[Guard]] = {}  # by identity; each leaves when it dies

    def give(self, array: np.ndarray) -> np.ndarray:
        """A writeable view of `array`, or a read-only one where `array` is a constant."""
        # NumPy shortens a chain of bases up to the first that has another type or is not a view. So a guard that is the
        # view of a guard stays the base of what is made from it.
        guard = array.view(Guard).view(Guard)
        key = id(guard)
        self.guards[key] = weakref.ref(guard, lambda _: self.guards.pop(key, None))
        return guard.view(np.ndarray)

    def held(self) -> bool:
        """Is any view alive? Garbage is collected before the answer is yes."""
        if not self.guards:
            return False
        gc.collect()
        return bool(self.guards)
