"""Processes that compile kernels: started, given orders, and ended with this one. See `build` for what they do."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from minitfl.engine.cache import FLAGS
from minitfl.engine.isa import Isa, host_best

MOST_PROCESSES = 4
ORDERS_EACH = 4  # that make a process of its own worth Numba's import
NICENESS = 5  # a fourth of a processor that NumPy keeps busy, so that it is not for long
_START = (
    "import sys, json; first = json.loads(sys.stdin.readline()); sys.path[:] = first['path'];"
    " from minitfl.engine.build import main; main(first)"
)


_NAMES = "from minitfl.engine.build import names; print(*names())"


@dataclass(frozen=True)
class _Process:
    popen: subprocess.Popen[str]
    errors: IO[str]


class Compilers:
    """The processes of one library. They take orders from a pipe and end when it is closed, by us or by our death."""

    def __init__(self, isa: Isa):
        self._isa = isa
        self._processes: list[_Process] = []  # that take orders
        self._ending: list[_Process] = []
        self._owner = 0

    def start(self, folder: Path, orders: Sequence[tuple[str, str]], waiting: bool) -> None:
        """Has (kernel, key)s compiled into a folder, the first first. waiting: nothing else wants the processor."""
        self._forget_foreign()
        if not self._processes:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            count = min(cores if waiting else cores - 1, MOST_PROCESSES, len(orders) // ORDERS_EACH)
            self._processes = [self._spawn(folder, waiting) for _ in range(max(count, 1))]
        for n, order in enumerate(orders):
            pipe = self._processes[n % len(self._processes)].popen.stdin
            with contextlib.suppress(OSError, ValueError):  # it has ended; failure() says why
                assert pipe is not None
                pipe.write(" ".join(order) + "\n")
                pipe.flush()

    def failure(self) -> str:
        """Why one of them ended before its time; "" while all is well."""
        self._forget_foreign()
        for process in self._processes:
            code = process.popen.poll()
            if code is not None:
                process.errors.seek(0)
                said = [line.strip() for line in process.errors if line.strip()]
                return said[-1] if said else f"the compiling process ended with {code}"
        return ""

    def finish(self) -> None:
        """No more orders: they end when they have done those they have."""
        for process in self._processes:
            assert process.popen.stdin is not None
            with contextlib.suppress(OSError):
                process.popen.stdin.close()
        self._ending = [p for p in self._ending if p.popen.poll() is None] + self._processes
        self._processes = []

    def stop(self) -> None:
        """Ends them at once."""
        self._forget_foreign()
        self.finish()
        for process in self._ending:
            process.popen.kill()
            process.popen.wait()
            process.errors.close()
        self._ending = []

    def _spawn(self, folder: Path, waiting: bool) -> _Process:
        python = _python()
        if not self._owner:
            atexit.register(self.stop)
        self._owner = os.getpid()
        errors = tempfile.TemporaryFile("w+", errors="replace")
        options: dict[str, Any] = {"cwd": folder, "env": environment(self._isa)}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": errors}
        popen = subprocess.Popen([python, "-c", _START], text=True, **pipes, **options)
        first = {"path": _path(), "isa": self._isa.name, "folder": str(folder), "nice": 0 if waiting else NICENESS}
        assert popen.stdin is not None
        popen.stdin.write(json.dumps(first) + "\n")
        return _Process(popen, errors)

    def _forget_foreign(self) -> None:
        """After a fork the processes are the parent's."""
        if self._owner and self._owner != os.getpid():
            self._owner, self._processes, self._ending = 0, [], []


def all_kernels(isa: Isa) -> list[str]:
    """The kernels there are for an instruction set. Only a process that has Numba can tell."""
    program = f"import sys; sys.path[:] = {_path()!r}; {_NAMES}"
    words = [_python(), "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(isa), check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["the compiling process failed"])[-1])
    return done.stdout.split()


def _python() -> str:
    """OSError where this process is no Python that can be started again."""
    if getattr(sys, "frozen", False) or "py" not in Path(sys.executable or "").name.lower():
        raise OSError(f"no Python to compile kernels with: sys.executable is {sys.executable!r}")
    return sys.executable


def _path() -> list[str]:
    """Where that Python imports from: where we do."""
    return [str(Path(entry).absolute()) for entry in sys.path]


def environment(isa: Isa) -> dict[str, str]:
    """In which kernels are compiled: nothing of Numba's but what a key knows of, and one thread."""
    found = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_") or k in FLAGS}
    found.pop("PYTHONINSPECT", None)
    found |= {"MINITFL_ISA": isa.name, "NUMBA_DISABLE_INTEL_SVML": "1", "PYTHONWARNINGS": "ignore"}
    found |= {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    if isa is not host_best():
        found |= {"NUMBA_CPU_NAME": isa.cpu, "NUMBA_CPU_FEATURES": isa.features}
    return found


def temporary_folder() -> Path:
    """A folder that no one else can see, and that goes with this process."""
    path, owner = tempfile.mkdtemp(prefix="minitfl-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    return Path(path)
