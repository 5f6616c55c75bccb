"""Compiles kernels to object code: `python -m minitfl.engine.build ISA FOLDER KERNEL...`, a process of its own.

Each kernel becomes a file in FOLDER as soon as it is done; see `cache`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any


def target(isa_name: str) -> dict[str, str]:
    """The environment in which numba compiles for an instruction set: the host's own processor, or its oldest one."""
    from minitfl.engine import isa

    chosen = isa.BY_NAME[isa_name]
    os.environ.pop("MINITFL_ISA", None)
    isa.best.cache_clear()
    environment = {"MINITFL_ISA": isa_name}
    if isa.best() is not chosen:
        features = ",".join(f"+{name}" for name in sorted(chosen.needs))
        environment |= {"NUMBA_CPU_NAME": chosen.cpu, "NUMBA_CPU_FEATURES": features}
    isa.best.cache_clear()
    return environment


def compile_kernel(name: str) -> tuple[str, bytes]:
    """(symbol, object code) of a kernel."""
    import numba
    from numba import types

    module, _, key = name.partition(".")
    function = importlib.import_module(f"minitfl.engine.source.{module}").KERNELS[key]
    words = [types.int64] * 4
    compiled: Any = numba.cfunc(types.int64(*words), error_model="numpy", forceinline=True)(function)
    return compiled._wrapper_name, compiled._library._get_compiled_object()


def main(isa_name: str, folder: str, *names: str) -> None:
    os.environ.update(target(isa_name))
    from minitfl.engine.cache import Store

    store = Store(folder)
    for name in names:
        store.put(name, *compile_kernel(name))


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    main(*sys.argv[1:])
