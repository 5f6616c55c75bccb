"""Runs the instructions of a program one after the other."""

from minitfl.engine.layouts.driver import INSTRUCTION, INSTRUCTION_NBYTES
from minitfl.engine.source.ir import call_kernel, word


def run(code, slots, first, last):
    """Instructions first..last - 1; 0, or 1 + the number of the one that failed."""
    for i in range(first, last):
        at = code + i * INSTRUCTION_NBYTES
        function, block = word(at, INSTRUCTION.function), word(at, INSTRUCTION.block)
        if call_kernel(function, block, slots, 0, word(at, INSTRUCTION.units)) != 0:
            return i + 1
    return 0


KERNELS = {"run": run}
