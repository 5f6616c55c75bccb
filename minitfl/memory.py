"""Memory whose address suits vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from minitfl.errors import ModelRuntimeError

ALIGNMENT = 64
SLACK = 64  # bytes behind a block that fast kernels may read, never write
LARGE = 1 << 22  # bytes from which on NumPy asks the system for large pages; what is not used takes no memory
MEDIUM = 1 << 20  # bytes from which on large pages are worth it
CHUNK = 1 << 24  # bytes that blocks which belong together are cut from


class _Pool:
    """What blocks that belong together are cut from."""

    def __init__(self) -> None:
        self.taken = 0
        self.rest = np.empty(0, np.uint8)

    def cut(self, nbytes: int) -> np.ndarray:
        size = -(-(nbytes + SLACK) // ALIGNMENT) * ALIGNMENT
        if self.rest.size < size:
            if self.taken < MEDIUM:  # little in all
                self.taken += size
                return _block(nbytes)
            self.rest = _block(CHUNK)
        block, self.rest = self.rest[:nbytes], self.rest[size:]
        return block


_POOL: ContextVar[_Pool | None] = ContextVar("_POOL", default=None)


def aligned(nbytes: int) -> np.ndarray:
    """Zeroed bytes whose address is a multiple of 64, with 64 more behind them that may be read."""
    pool = _POOL.get()
    return _block(nbytes) if pool is None or nbytes + SLACK > LARGE else pool.cut(nbytes)


def copied(array: np.ndarray) -> np.ndarray:
    """A copy of an array in such memory."""
    copy = aligned(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def address(array: np.ndarray) -> int:
    """Where an array's first byte lies."""
    return array.__array_interface__["data"][0]


@contextmanager
def together() -> Iterator[None]:
    """Many blocks made inside lie together, in large pages: their addresses are found faster."""
    token = _POOL.set(_Pool())
    try:
        yield
    finally:
        _POOL.reset(token)


def _block(nbytes: int) -> np.ndarray:
    if nbytes > physical_memory():
        raise ModelRuntimeError(f"{nbytes} bytes are needed, and the machine has {physical_memory()}")
    size = nbytes + ALIGNMENT + SLACK
    try:
        block = np.zeros(LARGE if MEDIUM < size < LARGE else size, np.uint8)
    except MemoryError as error:
        raise ModelRuntimeError(f"{nbytes} bytes are needed, and the system does not give them") from error
    start = -address(block) % ALIGNMENT if nbytes else 0
    return block[start : start + nbytes]


def physical_memory() -> int:
    """Bytes; a guess where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 34
