"""Memory whose address suits vectors."""

from __future__ import annotations

import os

import numpy as np

from minitfl.errors import ModelRuntimeError

ALIGNMENT = 64
SLACK = 64  # bytes behind a block that fast kernels may read, never write


def aligned(nbytes: int) -> np.ndarray:
    """Zeroed bytes whose address is a multiple of 64, with 64 more behind them that may be read."""
    if nbytes > physical_memory():
        raise ModelRuntimeError(f"{nbytes} bytes are needed, and the machine has {physical_memory()}")
    try:
        block = np.zeros(nbytes + ALIGNMENT + SLACK, np.uint8)
    except MemoryError as error:
        raise ModelRuntimeError(f"{nbytes} bytes are needed, and the system does not give them") from error
    start = -block.__array_interface__["data"][0] % ALIGNMENT if nbytes else 0
    return block[start : start + nbytes]


def physical_memory() -> int:
    """Bytes; a guess where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 34
