"""Constants in another layout, made when they are first needed: a step that runs in its fast form never needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Packed:
    """Among the args of a call: stands for make(), what a constant is repacked to.

    It is made when a NumPy form is bound and kept from then on, until release(). Where it is a tuple, packed[i] stands
    for one of its items.
    """

    __iter__ = None  # to unpack it would be to make it

    def __init__(self, make: Callable[[], Any]):
        self._make = make
        self._value: Any = None

    @property
    def value(self) -> Any:
        value = self._value  # another thread may release it
        if value is None:
            value = self._value = self._make()
        return value

    def __getitem__(self, i: int) -> Part:
        return Part(self, i)

    @property
    def nbytes(self) -> int:
        """What is kept of it now."""
        value = self._value
        items = value if isinstance(value, tuple) else (value,)
        return sum(item.nbytes for item in items if isinstance(item, np.ndarray))

    def release(self) -> None:
        """Forgets it; who is bound to it keeps it, and it can be made again."""
        self._value = None


class Part:
    """One item of what is packed."""

    __slots__ = ("_i", "packed")

    def __init__(self, packed: Packed, i: int):
        self.packed = packed
        self._i = i

    @property
    def value(self) -> Any:
        return self.packed.value[self._i]


def unpacked(arg: Any) -> Any:
    """The argument with what it stands for in the place of all that is packed, in tuples and dicts too."""
    if isinstance(arg, (Packed, Part)):
        return arg.value
    if type(arg) is tuple:
        return tuple(unpacked(a) for a in arg)
    if type(arg) is dict:
        return {key: unpacked(a) for key, a in arg.items()}
    return arg


def packed_in(args: Any) -> set[Packed]:
    """All that is packed among arguments."""
    if isinstance(args, Packed):
        return {args}
    if isinstance(args, Part):
        return {args.packed}
    if type(args) is dict:
        args = tuple(args.values())
    return set().union(*map(packed_in, args)) if type(args) is tuple else set()
