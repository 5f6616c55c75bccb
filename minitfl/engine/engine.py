"""What an interpreter sees of the engine: programs for its plans, and machine code for them when it is there."""

from __future__ import annotations

import ctypes
import importlib.util
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl.engine.layouts.threads import RUN
from minitfl.engine.library import Library, library
from minitfl.engine.program import Program, compose
from minitfl.engine.threads import KERNELS, Crew, crew, usable, yield_address
from minitfl.graph import Tensor
from minitfl.memory import SLACK, address, aligned, copied
from minitfl.runtime import LAYERS

if TYPE_CHECKING:
    from minitfl.executable import Frame
    from minitfl.plan import Plan
    from minitfl.planning import Planner

DRIVER = "driver.run"
# numbers are passed as pointers, which takes ctypes half the time
_Run = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)
_Bare = ctypes.CFUNCTYPE(ctypes.c_int64)


def engine(layer: str) -> Engine | None:
    """The engine for a choice of layer: none for "numpy", and for "auto" where it can't be had.

    ValueError where "numba" was asked for and can't be had. What "auto" means may be set in MINITFL_KERNELS.
    """
    if layer == "auto":
        layer = os.environ.get("MINITFL_KERNELS", "") or "auto"
    if layer not in LAYERS:
        raise ValueError(f"MINITFL_KERNELS is {layer!r}, not one of {', '.join(LAYERS)}")
    if layer == "numpy":
        return None
    missing = [name for name in ("llvmlite", "numba") if importlib.util.find_spec(name) is None]
    found = None if missing else library()
    if found is not None:
        return Engine(found, layer == "numba")
    if layer == "numba" and missing:
        raise ValueError(f"kernels='numba' needs {missing[-1]}, which is not installed: pip install 'minitfl[fast]'")
    return None  # with numba there are still the loops forms


class Engine:
    """Programs for plans. `waits`: binding waits until all kernels are compiled."""

    def __init__(self, library: Library, waits: bool):
        self.library = library
        self.waits = waits

    def program(self, plan: Plan, planner: Planner) -> Program:
        """The program of a plan, made once."""
        name = self.library.isa.name
        if name not in plan.programs:
            with self.library.lock:
                if name not in plan.programs:
                    plan.programs[name] = compose(plan, planner, self.library.isa)
        return plan.programs[name]

    def ready(self, program: Program, ask: bool = True) -> bool:
        """Is there machine code for all of the program? Where it is missing, compiling begins if we ask for it.

        RuntimeError where we wait for it and it can't be had.
        """
        if program.code is not None:
            return True
        needed = [DRIVER, *program.kernels]
        if self.waits:
            self._wait(needed)
        elif not (self.library.has(needed) if ask else self.library.load(needed)):
            return False
        with self.library.lock:
            if program.code is None:
                program.link(self.library.addresses)
        return True

    def bind(self, frame: Frame, ask: bool = True) -> Fast | None:
        """The fast steps of a frame; None while there is nothing to run."""
        program = self.program(frame.plan, frame.runtime.planner)
        return Fast(program, frame, self) if program.ranges and self.ready(program, ask) else None

    def crew(self) -> Crew | None:
        """Threads that help; None while what they run is not compiled."""
        if not KERNELS <= self.library.addresses.keys():
            if self.waits:
                self._wait(sorted(KERNELS))
            elif not self.library.has(sorted(KERNELS)):
                return None
        return crew(self.library.addresses)

    def _wait(self, kernels: list[str]) -> None:
        try:
            self.library.wait(kernels)
        except RuntimeError as error:
            raise RuntimeError(f"kernels='numba': {error}") from None

    def expects(self, frame: Frame) -> bool:
        """Will a frame that has no fast steps have some later?"""
        if not self.program(frame.plan, frame.runtime.planner).ranges:
            return False
        if not self.library.hopeful:
            self.library.warn()
        return self.library.hopeful

    def news(self) -> int:
        """A number that changes when a frame that expects something should look again."""
        return self.library.news()


class Fast:
    """A program bound to the memory of a frame."""

    def __init__(self, program: Program, frame: Frame, engine: Engine):
        self.program = program
        self.workspace = aligned(program.workspace_nbytes)
        self._frame = frame
        self._copies: list[np.ndarray] = []  # of constants at the very end of their memory
        self._slots = program.table(self._address, address(self.workspace))
        assert program.code is not None
        self._code_at = address(program.code)
        self._slots_at = address(self._slots)
        self._run = _Run(engine.library.addresses[DRIVER])
        driver = _Bare(engine.library.addresses[DRIVER])
        words = (self._code_at, self._slots_at, 0, len(program.instructions))
        self.whole = partial(driver, *(ctypes.c_int64(word) for word in words))  # all of it; 0, or where it failed
        self._engine = engine
        self._shared = np.zeros(len(RUN), np.int64)

    def run(self, first: int, last: int) -> int:
        """The steps first..last - 1 that are fast, these two among them; the one that a kernel gives up on, or -1."""
        ranges = self.program.ranges
        start, stop = ranges[first][0], ranges[last - 1][1]
        threads = self._frame.runtime.threads
        if threads > 1:
            threads = usable(threads)
        crew = self._engine.crew() if threads > 1 else None
        if crew is None or crew.rests:
            failed = self._run(self._code_at, self._slots_at, start, stop)
        else:
            self._shared[:] = self._code_at, crew.shared, threads, yield_address()
            failed = crew.run(address(self._shared), self._slots_at, start, stop, threads)
        return self.step(failed) if failed else -1

    def step(self, failed: int) -> int:
        """The step that the driver's result means."""
        return next(n for n, (_, stop) in self.program.ranges.items() if failed <= stop)

    def idle(self) -> None:
        """A call that runs no instruction: what any call costs."""
        self._run(self._code_at, self._slots_at, 0, 0)

    def _address(self, key: Any, tensor: Tensor) -> int:
        array = self._frame.memory_of(key, tensor)
        if not array.flags.writeable and not _readable_behind(array):
            array = copied(array)
            self._copies.append(array)
        return address(array)


def _readable_behind(array: np.ndarray) -> bool:
    """Does what a constant is a view of, as the file, go on for as far as kernels may read?"""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return address(array) + array.nbytes + SLACK <= address(owner) + owner.nbytes
