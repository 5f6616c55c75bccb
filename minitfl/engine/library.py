"""Names of kernels -> addresses of machine code: from the cache, or compiled by processes of their own.

Nobody waits for them: what is compiled is picked up later, by `news`. Where it can't be done, the library gives up once
and says why.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minitfl.engine.cache import Code, Keys, Store, cache_folder
from minitfl.engine.isa import Isa, best
from minitfl.engine.sources import SOURCE, Sources

if TYPE_CHECKING:
    from minitfl.engine.compilers import Compilers

LOOK_SECONDS = 0.05  # between two looks at what has been compiled


class Library:
    """The kernels of one instruction set in this process; all interpreters share it."""

    def __init__(self, isa: Isa):
        self.isa = isa
        self.addresses: dict[str, int] = {}
        self.failure = ""
        self._keys = Keys(isa, Sources())
        self._stores = [Store(cache_folder() / isa.name)]
        self._wanted: dict[str, None] = {}  # what is being compiled, in order
        self._compilers: Compilers | None = None  # what it needs is imported when there is something to compile
        self._code: Any = None  # LLVM's engine, which owns the machine code
        self._warned = False
        self._news = 0
        self._looked = 0.0
        self.lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    @property
    def folder(self) -> Path:
        """Where machine code is put."""
        return self._stores[-1].folder

    @property
    def hopeful(self) -> bool:
        """May kernels that are missing still come?"""
        return not self.failure

    def load(self, kernels: Iterable[str]) -> bool:
        """Links what the cache has of the kernels; are they all there?"""
        missing = [kernel for kernel in kernels if kernel not in self.addresses]
        if not missing:
            return True
        with self.lock:
            return sum(map(self._load, missing)) == len(missing)

    def has(self, kernels: Sequence[str]) -> bool:
        """Are they all there? What is missing is looked for once, then compiled; `news` picks it up."""
        if all(k in self.addresses for k in kernels):
            return True
        if self.hopeful and any(k not in self.addresses and k not in self._wanted for k in kernels):
            if not self.load(kernels):
                self.request(kernels)
        self.news()
        return all(k in self.addresses for k in kernels)

    def request(self, kernels: Sequence[str], waiting: bool = False) -> None:
        """Has the kernels that are missing compiled, the first first. waiting: the caller does nothing else then."""
        with self.lock:
            missing = [k for k in kernels if k not in self.addresses and k not in self._wanted]
            if not missing or self.failure:
                return
            try:
                if self._compilers is None:
                    from minitfl.engine.compilers import Compilers

                    self._compilers = Compilers(self.isa)
                folder = self._writable().folder
                self._compilers.start(folder, [(k, self._keys.key(k)) for k in missing], waiting)
            except OSError as error:
                self._give_up(str(error))
                return
            self._wanted.update(dict.fromkeys(missing))

    def wait(self, kernels: Sequence[str], shown: Callable[[int, int], None] | None = None) -> None:
        """Until all are there. RuntimeError where they can't be had. shown(ready, all) is called now and then."""
        self.load(kernels)
        self.request(kernels, waiting=True)
        while True:
            done = self.load(kernels)
            if shown:
                shown(sum(k in self.addresses for k in kernels), len(kernels))
            if done:
                break
            if self.failure:
                raise RuntimeError(self.failure)
            time.sleep(LOOK_SECONDS / 10)
            self.look()

    def news(self) -> int:
        """A number that grows when more is there, or nothing more will come. Looks now and then, else costs nothing."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS and self._wanted and self.lock.acquire(blocking=False):
            try:
                self._looked = now
                self.look()
            finally:
                self.lock.release()
        return self._news

    def look(self) -> None:
        """Picks up what has been compiled since."""
        with self.lock:
            if self._compilers is None:
                return
            failure = self._compilers.failure()  # before the look at the files: what is done then is found
            for kernel in tuple(self._wanted):
                self._load(kernel)
            if self._wanted and failure:
                self._give_up(failure)
            if not self._wanted:
                self._compilers.finish()

    def _after_fork(self) -> None:
        """What is being compiled is the parent's, and so are the threads that may have held the lock."""
        self.lock = threading.RLock()
        self._wanted.clear()

    def _load(self, kernel: str) -> bool:
        key = self._keys.key(kernel)
        if kernel in self.addresses:
            return True
        for store in self._stores:
            found = store.get(kernel, key)
            if found is not None and _at_hand(found.needs):
                self.addresses[kernel] = self._link(found)
                self._wanted.pop(kernel, None)
                self._news += 1
                return True
        return False

    def _writable(self) -> Store:
        """The user's cache, or a folder that ends with the process where that can't be written."""
        for store in self._stores:
            if store.writable():
                return store
        from minitfl.engine.compilers import temporary_folder

        self._stores.append(Store(temporary_folder()))
        return self._stores[-1]

    def warn(self) -> None:
        """Says once that there will be no machine code."""
        if not self._warned:
            self._warned = True
            warnings.warn(f"minitfl stays with NumPy: {self.failure}", RuntimeWarning, stacklevel=2)

    def _give_up(self, why: str) -> None:
        self.failure = why
        self._wanted.clear()
        if self._compilers is not None:
            self._compilers.stop()
        self._news += 1

    def _link(self, code: Code) -> int:
        import llvmlite.binding as llvm

        if self._code is None:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
            self._code = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._code.add_object_file(llvm.ObjectFileRef.from_data(code.object))
        self._code.finalize_object()
        return self._code.get_function_address(code.kernel)


def _at_hand(names: Iterable[str]) -> bool:
    """Has this process functions of these names? LLVM would end it if not."""
    import llvmlite.binding as llvm

    for name in names:
        if llvm.address_of_symbol(name) is None:
            import ctypes
            import ctypes.util

            found = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name, None)
            if found is None:
                return False
            llvm.add_symbol(name, ctypes.cast(found, ctypes.c_void_p).value)
    return True


@cache
def library() -> Library | None:
    """The library of the best instruction set; None where there is none, or no source to compile, as in an archive."""
    isa = best()
    return None if isa is None or Sources().text(f"{SOURCE}.driver") is None else Library(isa)
