"""The threads that help: one crew for a process, shared by all interpreters.

A helper is a Python thread that spends its time in machine code (see source.threads), without the lock of the
interpreter: it waits there for work, and where nothing comes for about a millisecond it returns to Python and sleeps.
It is made on first use, and stopped at exit. After a fork the child makes a crew of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from functools import cache

import numpy as np

from minitfl.engine.layouts.threads import JOB, PLACE_NBYTES, SHARED
from minitfl.memory import address, aligned

KERNELS = frozenset({"threads.run", "threads.help"})
SHORTEST_REST, LONGEST_REST = 0.02, 1.0  # seconds
MOST = 64
_Kernel = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)


@cache
def usable(threads: int) -> int:
    """So many threads as there are processors for, at least 1."""
    return max(1, min(threads, _processors(), MOST))


class Crew:
    """Helpers, and the memory that they share with the one who leads."""

    def __init__(self, addresses: dict[str, int]):
        self.process = os.getpid()
        self._lead, self._help = (_Kernel(addresses[f"threads.{name}"]) for name in ("run", "help"))
        assert len(JOB) * 8 <= PLACE_NBYTES
        self._memory = aligned((len(SHARED) + MOST) * PLACE_NBYTES).view(np.int64)
        self.shared = address(self._memory)
        self._words = (ctypes.c_int64 * self._memory.size).from_address(self.shared)
        self._sleeping: list[threading.Lock] = []  # of each helper: held by it while it sleeps
        self._helpers: list[threading.Thread] = []
        self._growing = threading.Lock()
        self._rests_until = 0.0
        self._rest = SHORTEST_REST

    def run(self, block: int, slots: int, first: int, last: int, threads: int) -> int:
        """Leads a run of the RUN words in `block`; as source.threads.run."""
        self._wake(threads - 1)
        failed = self._lead(block, slots, first, last)
        stalls = _word(SHARED.stalls)
        if self._words[stalls]:
            self._words[stalls] = 0
            self._tire()
        return failed

    @property
    def rests(self) -> bool:
        """Are the processors wanted by others, so that it is faster alone?"""
        return time.monotonic() < self._rests_until

    def _stop(self) -> None:
        """Ends the helpers for good."""
        if self.process != os.getpid():
            return
        self._words[_word(SHARED.stop)] = 1
        for lock in self._sleeping:
            _open(lock)
        for helper in self._helpers:
            helper.join(1)

    def _tire(self) -> None:
        """A longer rest each time, unless the last one is long past."""
        now = time.monotonic()
        long_past = now > self._rests_until + 4 * self._rest
        self._rest = SHORTEST_REST if long_past else min(2 * self._rest, LONGEST_REST)
        self._rests_until = now + self._rest

    def _wake(self, count: int) -> None:
        if len(self._helpers) < count:
            with self._growing:
                if not self._helpers:
                    atexit.register(self._stop)
                while len(self._helpers) < count:
                    self._add()
        for number in range(count):
            awake = _word(SHARED.awake) + (number + 1) * PLACE_NBYTES // 8
            if not self._words[awake]:
                self._words[awake] = 1
                _open(self._sleeping[number])

    def _add(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        number = len(self._helpers) + 1
        helper = threading.Thread(target=self._serve, args=(lock, number), name=f"minitfl-{number}", daemon=True)
        self._sleeping.append(lock)
        helper.start()
        self._helpers.append(helper)

    def _serve(self, lock: threading.Lock, number: int) -> None:
        while True:
            lock.acquire()
            if self._words[_word(SHARED.stop)]:
                return
            self._help(self.shared, number, yield_address(), 0)


def _word(place: int) -> int:
    return place * PLACE_NBYTES // 8


def _open(lock: threading.Lock) -> None:
    try:
        lock.release()
    except RuntimeError:
        pass  # another thread has just done so


@cache
def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@cache
def yield_address() -> int:
    """Of the system's function that offers the processor to other threads."""
    function = ctypes.WinDLL("kernel32").SwitchToThread if sys.platform == "win32" else ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_crews: dict[int, Crew] = {}  # by process: a child that was forked finds its parent's here


def crew(addresses: dict[str, int]) -> Crew:
    """The crew of this process."""
    process = os.getpid()
    return _crews.get(process) or _crews.setdefault(process, Crew(addresses))
