"""From calls to instructions. `@emits("conv.conv_float")` marks the emitter of a kernel, by its module and name.

An emitter gets an `Emit` and the arguments of the call. It packs constants, asks for scratch, and adds instructions; it
returns False where the fast kernels do not take this call, which then runs in another form.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from minitfl.engine.emit.index import MODULE_OF
from minitfl.op import Kernel

_EMITTERS: dict[str, Callable[..., Any]] = {}


def emits(*kernels: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for kernel in kernels:
            _EMITTERS[kernel] = function
        return function

    return register


def find(kernel: Kernel) -> Callable[..., Any] | None:
    """The emitter of a kernel; its module is imported on first use."""
    name = f"{kernel.__module__.rpartition('.')[2]}.{kernel.__name__}"
    if name not in _EMITTERS and name in MODULE_OF:
        importlib.import_module(f"minitfl.engine.emit.{MODULE_OF[name]}")
    return _EMITTERS.get(name)
