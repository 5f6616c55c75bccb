"""The kernels that measure what a processor can do at most: they do all that they are thought to do."""

import ctypes

import numpy as np
import pytest

pytest.importorskip("numba")

from minitfl.engine.isa import best
from minitfl.engine.layouts.peak import CHAINS
from minitfl.engine.library import library

if best() is None:
    pytest.skip("no instruction set of this host is known", allow_module_level=True)

LANES = best().lanes
LOOPS, UNITS = 5, 2


def run(name, x):
    """What is stored at y."""
    found = library()
    found.wait([name])
    y = np.zeros(1 << 12, np.int32)
    slots = np.array([x.ctypes.data, y.ctypes.data], np.int64)
    block = np.array([0, 1, LOOPS], np.int64)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)(found.addresses[name])
    assert function(block.ctypes.data, slots.ctypes.data, 0, UNITS) == 0
    return y


def test_float_products():
    x = np.full((CHAINS + 1) * LANES, 0.5, np.float32)
    x[: CHAINS * LANES] = np.arange(CHAINS * LANES)
    y = run("peak.fma", x)[: CHAINS * LANES].view(np.float32)
    assert np.array_equal(y, x[:-LANES] * (1 + LOOPS * 0.5))  # each unit begins anew


def integers(kind, w, dtype, count):
    """x of bytes or halves; sums begin with what x holds."""
    x = np.ones(LANES * (CHAINS + 1) * 4 // np.dtype(dtype).itemsize, dtype)
    x[-4 * LANES // np.dtype(dtype).itemsize :] = w
    y = run(f"peak.{kind}", x)[: CHAINS * LANES]
    start = x.view(np.int32)[0]
    assert (y == start + LOOPS * w * count).all()


def test_integer_products():
    kind = "vnni" if best().dot == "amx" else best().dot
    dtype, count = {"vnni": (np.int8, 4), "sdot": (np.int8, 4), "pairs": (np.int16, 2), "widen": (np.int32, 1)}[kind]
    integers(kind, 3, dtype, count)


def test_reading():
    x = np.arange(LANES * (LOOPS + 1) * CHAINS, dtype=np.int32)
    rows = x.reshape(-1, CHAINS * LANES)
    assert np.array_equal(run("peak.read", x)[: CHAINS * LANES], rows[0] + rows[:LOOPS].sum(0))


def test_tiles():
    if best().dot != "amx" or ctypes.CDLL(None).syscall(158, 0x1023, 18):
        return  # there are none, or the system does not let this process use them
    x = np.zeros(64 + 16 * 64, np.int8)
    x[0], x[48:56] = 1, 16
    x[16:32].view(np.uint16)[:] = 64
    x[64:] = -3
    assert (run("peak.amx", x)[:256] == LOOPS * 64 * 9).all()
