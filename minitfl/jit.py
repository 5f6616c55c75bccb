"""The loops forms of kernels, compiled by Numba; nothing here imports it before it is needed.

A loops form is plain source. What it calls must be a scalar function, which `op.scalar` marks, or one of `math`; all of
it runs as plain Python too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from minitfl.op import Kernel


def compiled(kernel: Kernel) -> Callable[..., None]:
    """The kernel's loops form as machine code, compiled for each combination of argument types on its first call."""
    if kernel.loops is None:
        raise TypeError(f"{kernel} has no loops form")
    return _jit(kernel.loops, False)


def checked(kernel: Kernel) -> Callable[..., None]:
    """As compiled, but an index out of bounds raises IndexError. Nothing is cached: caches pass the difference over."""
    if kernel.loops is None:
        raise TypeError(f"{kernel} has no loops form")
    return _jit(kernel.loops, True)


@cache
def _jit(function: Callable[..., Any], bounds: bool) -> Any:
    import numba

    assert isinstance(function, FunctionType)
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        if getattr(names.get(name), "is_scalar", False):
            names[name] = _jit(names[name], bounds)
    source = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    source.__module__ = function.__module__
    source.__qualname__ = function.__qualname__
    return numba.njit(nogil=True, error_model="numpy", boundscheck=bounds)(source)
