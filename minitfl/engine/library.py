"""Names of kernels -> addresses of machine code: from the cache, or compiled by a process of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from minitfl.engine.cache import Store
from minitfl.engine.isa import Isa, best


class Library:
    """The kernels of one instruction set in this process."""

    def __init__(self, isa: Isa):
        self.isa = isa
        self.addresses: dict[str, int] = {}
        self._store = Store(_folder(isa))
        self._engine: Any = None
        self._child: subprocess.Popen[bytes] | None = None

    def load(self, kernels: Iterable[str]) -> bool:
        """Links what the cache has of the kernels; are they all there?"""
        missing = [k for k in sorted(kernels) if k not in self.addresses]
        for kernel in missing:
            found = self._store.get(kernel)
            if found is not None:
                self.addresses[kernel] = self._link(*found)
        return all(k in self.addresses for k in kernels)

    def build(self, kernels: Iterable[str], wait: bool = False) -> None:
        """Starts to compile what is missing."""
        missing = [k for k in sorted(kernels) if k not in self.addresses]
        if missing and self._child is None:
            words = [sys.executable, "-m", "minitfl.engine.build", self.isa.name, str(self._store.folder), *missing]
            self._child = subprocess.Popen(words)
        if wait and self._child is not None:
            self._child.wait()
            self._child = None

    @property
    def hopeful(self) -> bool:
        """May kernels that are missing still come?"""
        return True

    @property
    def busy(self) -> bool:
        """Is something being compiled?"""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        return self._child is not None

    def _link(self, symbol: str, code: bytes) -> int:
        import llvmlite.binding as llvm

        if self._engine is None:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        return self._engine.get_function_address(symbol)


def _folder(isa: Isa) -> Path:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("source/*.py"), *here.glob("layouts/*.py"), here / "isa.py", here / "build.py"]):
        digest.update(path.read_bytes())
    base = os.environ.get("MINITFL_CACHE") or os.path.join(tempfile.gettempdir(), "minitfl")
    return Path(base) / isa.name / digest.hexdigest()[:16]


@cache
def library() -> Library | None:
    """The library of the best instruction set; None where there is none."""
    isa = best()
    return None if isa is None else Library(isa)
