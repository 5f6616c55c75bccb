"""Object code of kernels on disk, in the user's cache folder or the one that MINITFL_CACHE names.

A file's name says all that its code depends on: the machine, the versions of llvmlite and Numba, the sources. It is
only believed if it belongs to the user, no one else may write it, and its checksum is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from minitfl.engine.isa import Isa, host_best, host_features
from minitfl.engine.sources import Sources, module_of
from minitfl.engine.symbols import ALLOWED

FORMAT = b"minitfl object 1\n"
FLAGS = ("NUMBA_OPT", "NUMBA_DEBUGINFO", "NUMBA_BOUNDSCHECK")  # of Numba's variables those that kernels heed
KEPT = 4  # versions of a kernel
STRAY_SECONDS = 3600  # after which what a process left behind is removed


@dataclass(frozen=True)
class Code:
    """A kernel's object code. needs: the functions it calls that are not in it."""

    kernel: str  # also the name of its function
    needs: tuple[str, ...]
    object: bytes


class Store:
    """A folder with a file for each kernel and key."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, kernel: str, key: str) -> Code | None:
        """None where there is none to be trusted."""
        try:
            if not _trusted(os.stat(self.folder)):
                return None
            with open(self._path(kernel, key), "rb") as file:
                if not _trusted(os.fstat(file.fileno())):
                    return None
                data = file.read()
        except OSError:
            return None
        start = len(FORMAT) + 32
        if data[:start] != FORMAT + _checksum(kernel, key, data[start:]):
            return None
        needs, code = data[start:].split(b"\0", 1)
        found = Code(kernel, tuple(needs.decode().split()), code)
        return found if ALLOWED.issuperset(found.needs) else None

    def put(self, key: str, code: Code) -> None:
        """OSError where it can't be written. Another process that puts the same at once does no harm."""
        import tempfile

        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = " ".join(code.needs).encode() + b"\0" + code.object
        handle, name = tempfile.mkstemp(prefix=".", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(FORMAT + _checksum(code.kernel, key, body) + body)
            os.replace(name, self._path(code.kernel, key))
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(name)
            # Windows does not replace a file that another process reads; what it reads is as good
            if not isinstance(error, PermissionError) or self.get(code.kernel, key) is None:
                raise
        self._prune(code.kernel)

    def writable(self) -> bool:
        """Can what is put here be got again?"""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _trusted(os.stat(self.folder)) and os.access(self.folder, os.W_OK | os.X_OK)
        except OSError:
            return False

    def _path(self, kernel: str, key: str) -> Path:
        return self.folder / f"{kernel}-{key[:32]}"

    def _prune(self, kernel: str) -> None:
        """Removes the oldest versions of a kernel, and what killed processes left."""
        versions = sorted(self.folder.glob(f"{kernel}-*"), key=_age)
        stray = [path for path in self.folder.glob(".*") if _age(path) > STRAY_SECONDS]
        for path in (*versions[KEPT:], *stray):
            with contextlib.suppress(OSError):
                path.unlink()


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0


def _trusted(status: os.stat_result) -> bool:
    """Does it belong to this user, and can none but them write it? Windows keeps others out of a user's folders."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _checksum(kernel: str, key: str, body: bytes) -> bytes:
    return hashlib.sha256(f"{kernel} {key}\n".encode() + body).digest()


# ---- where, and under which key


def cache_folder() -> Path:
    """What the system has for caches: platformdirs knows best; on Linux there is but one rule."""
    chosen = os.environ.get("MINITFL_CACHE")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform != "linux":
        with contextlib.suppress(ImportError):
            from platformdirs import user_cache_path

            return user_cache_path("minitfl", appauthor=False)
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "minitfl" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "minitfl"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache").absolute() / "minitfl"


class Keys:
    """The keys of an instruction set's kernels: digests of all that their code depends on."""

    def __init__(self, isa: Isa, sources: Sources):
        self.sources = sources
        flags = (f"{name}={os.environ.get(name, '')}" for name in FLAGS)
        self._machine = "\n".join([repr(FORMAT), isa.name, *_target(isa), *_versions(), *flags])
        self._known: dict[str, str] = {}

    def key(self, kernel: str) -> str:
        module = module_of(kernel)
        if module not in self._known:
            text = f"{self._machine}\n{self.sources.digest(module)}"
            self._known[module] = hashlib.sha256(text.encode()).hexdigest()
        return self._known[module]


def _target(isa: Isa) -> list[str]:
    """What it is compiled for."""
    import llvmlite.binding as llvm

    if isa is host_best():
        return [llvm.get_process_triple(), llvm.get_host_cpu_name(), ",".join(sorted(host_features()))]
    return [llvm.get_process_triple(), isa.cpu, isa.features]


def _versions() -> list[str]:
    import llvmlite

    return [f"llvmlite {llvmlite.__version__}", f"numba {_numba_version()}"]


def _numba_version() -> str:
    """Without importing it, nor importlib.metadata, which takes as long as all kernels together."""
    found = importlib.util.find_spec("numba")
    if found is None or found.origin is None:
        return "none"
    folder = Path(found.origin).parents[1]
    named = [name for name in os.listdir(folder) if name.startswith("numba-") and name.endswith("-info")]
    if len(named) == 1:
        return named[0]
    from importlib.metadata import version

    return version("numba")
