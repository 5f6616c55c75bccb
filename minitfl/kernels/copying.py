"""Kernels that only move contents, for nodes whose work is done elsewhere."""

from __future__ import annotations

from minitfl.op import Kernel


@Kernel
def copy_results(*arrays):
    """Writes results, the first half of the arrays, to outputs, the second half."""
    half = len(arrays) // 2
    for result, y in zip(arrays[:half], arrays[half:], strict=True):
        y[...] = result
