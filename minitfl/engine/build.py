"""Compiles kernels to object code, in a process of its own that `compilers` starts.

On standard input comes a line of JSON that says how, then lines of a kernel and its key. Each becomes a file as soon as
it is done; see `cache`. The modules of kernels are run from the very text that their digests are made of.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pkgutil
import signal
import sys
from typing import TYPE_CHECKING, Any

from minitfl.engine.sources import Sources, module_of

if TYPE_CHECKING:
    from minitfl.engine.cache import Code


def main(first: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for those who started us; when they end, so does input
    if hasattr(os, "nice"):
        os.nice(first["nice"])
    sources = Sources()
    sys.meta_path.insert(0, Texts(sources))
    from pathlib import Path

    from minitfl.engine import cache, isa

    store, keys = cache.Store(Path(first["folder"])), cache.Keys(isa.compiled(), sources)
    for line in sys.stdin:
        kernel, key = line.split()
        try:
            if store.get(kernel, key) is None:
                if keys.key(kernel) != key:
                    raise RuntimeError("its sources have been changed since the process began that asks for it")
                store.put(key, compile_kernel(kernel))
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            sys.exit(f"{kernel} can't be compiled: {error.__class__.__name__}: {lines[0]}")


def names() -> list[str]:
    """All kernels of the instruction set that MINITFL_ISA names."""
    import minitfl.engine.source as package

    found = []
    for module in sorted(entry.name for entry in pkgutil.iter_modules(package.__path__)):
        kernels = getattr(importlib.import_module(f"{package.__name__}.{module}"), "KERNELS", {})
        found += [f"{module}.{kernel}" for kernel in kernels]
    return found


class Texts(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the engine's modules from the text that Sources has of them, never from bytecode that may be older."""

    def __init__(self, sources: Sources):
        self._sources = sources

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith("minitfl.engine.") or self._sources.text(fullname) is None:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self._sources.path(fullname)))

    def get_source(self, fullname: str) -> str:
        return (self._sources.text(fullname) or b"").decode()

    def get_code(self, fullname: str) -> Any:
        return compile(self.get_source(fullname), str(self._sources.path(fullname)), "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return False


def compile_kernel(kernel: str) -> Code:
    """The object code of a kernel: one function by the kernel's name, that needs nothing but what is allowed.

    Numba gives a name out by the order of compiling, so the names of two processes would meet: all but the function's
    own are made invisible.
    """
    import llvmlite.binding as llvm
    from numba import types
    from numba.core.ccallback import CFunc
    from numba.core.compiler_lock import global_compiler_lock

    from minitfl.engine.cache import Code
    from minitfl.engine.symbols import ALLOWED, undefined

    function = importlib.import_module(module_of(kernel)).KERNELS[kernel.partition(".")[2]]
    signature = ((types.int64,) * 4, types.int64)
    made: Any = CFunc(function, signature, {}, {"error_model": "numpy", "forceinline": True})
    with global_compiler_lock:
        compiled = made._compile_uncached()
        compiled.library.finalize()
    module = llvm.parse_bitcode(compiled.library._final_module.as_bitcode())
    declared = set()
    for value in (*module.functions, *module.global_variables):
        if value.is_declaration:
            declared.add(value.name)
        elif value.name == compiled.fndesc.llvm_cfunc_wrapper_name:
            value.name = kernel
        else:
            value.linkage = "internal"
    code = compiled.library._codegen._tm.emit_object(module)
    needs = undefined(code)
    if needs is None:  # not ELF: what the module declares, which is as much or more
        needs = frozenset(name for name in declared if not name.startswith("llvm."))
    if needs - ALLOWED:
        raise ValueError(f"it needs {', '.join(sorted(needs - ALLOWED))}, which not every process has")
    return Code(kernel, tuple(sorted(needs)), code)
