"""How the numbers of one instruction lie in memory: a block of int64 words, each with a name.

Kernels are given the address of their block. A word is a whole number, a float32 by its bits, or the number of a slot
in the table of addresses.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np


def layout(name: str, words: str) -> Any:
    """A named tuple of positions: `layout("Copy", "x y count")` gives .x == 0, .y == 1, .count == 2."""
    names = words.split()
    return namedtuple(name, names)(*range(len(names)))


def word(value: Any) -> int:
    """A number as it lies in a block."""
    if isinstance(value, (float, np.floating)):
        return int(np.float32(value).view(np.int32))
    return int(value)
