"""What this processor can do at most, on one thread: products summed up in a second, and bytes read.

python benchmarks/roofline.py
"""

import ctypes
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from minitfl.engine.isa import best
from minitfl.engine.layouts.peak import CHAINS, PEAK, TILES
from minitfl.engine.library import library
from minitfl.memory import aligned

BURSTS, BURST_SECONDS = 40, 0.005  # the best of short bursts: another process can't spoil them all
LOOPS = 1000
PRODUCTS = {"vnni": 4, "pairs": 2, "sdot": 4, "widen": 1, "fma": 1}  # in each lane of a vector of sums
TILE_PRODUCTS = 16 * 16 * 64
LARGE, SMALL = 256 << 20, 1 << 20  # bytes that are read


class Kernel:
    """A kernel of source.peak, ready to be called."""

    def __init__(self, name, x, loops):
        found = library()
        kernel = f"peak.{name}"
        found.wait([kernel])
        self.x, self.y = x, aligned(1 << 14)
        self.slots = np.array([array.__array_interface__["data"][0] for array in (self.x, self.y)], np.int64)
        self.block = np.zeros(len(PEAK), np.int64)
        self.block[[PEAK.x, PEAK.y, PEAK.loops]] = 0, 1, loops
        self.function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)(found.addresses[kernel])

    def __call__(self, units):
        assert self.function(self.block.ctypes.data, self.slots.ctypes.data, 0, units) == 0

    def seconds(self):
        """Of one unit, in the best burst."""
        self(1)
        start = time.perf_counter()
        self(1)
        units = max(1, round(BURST_SECONDS / (time.perf_counter() - start)))
        least = float("inf")
        for _ in range(BURSTS):
            start = time.perf_counter()
            self(units)
            least = min(least, (time.perf_counter() - start) / units)
        return least


def dots():
    """The ways in which this processor sums up products of integers, the best first."""
    return {"amx": ("amx", "vnni")}.get(best().dot, (best().dot,))


def products(name):
    """Multiply-accumulates in a second."""
    if name == "amx":
        x = aligned(64 + 16 * 64)
        x[0] = 1  # the palette; then bytes in a row, and rows, of each of the 8 tiles
        x[16:32].view(np.uint16)[:] = 64
        x[48:56] = 16
        count = TILES * TILE_PRODUCTS
        if ctypes.CDLL(None).syscall(158, 0x1023, 18):  # Linux lets a process use tiles that asks for them
            raise RuntimeError("the system does not let this process use AMX")
    else:
        lanes = best().lanes
        x = np.full((CHAINS + 1) * lanes, 0.5, np.float32)
        x[: CHAINS * lanes] = np.arange(CHAINS * lanes)
        count = CHAINS * lanes * PRODUCTS[name]
    return count * LOOPS / Kernel(name, x, LOOPS).seconds()


def bytes_read(nbytes):
    """In a second, over and over from so much memory."""
    memory = aligned(nbytes)
    memory[:] = 1
    loop = 4 * best().lanes * CHAINS
    return loop * (nbytes // loop) / Kernel("read", memory, nbytes // loop).seconds()


def measure():
    """{"fma": float32, "int8": the best of dots()} in multiply-accumulates a second, and the rest; {} without numba."""
    if best() is None:
        return {}
    found = {name: products(name) for name in ("fma", *dots())}
    found |= {"read_1_mib": bytes_read(SMALL), "read_256_mib": bytes_read(LARGE)}
    return {**found, "int8": max(found[name] for name in dots())}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
