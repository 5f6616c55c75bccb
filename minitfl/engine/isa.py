"""Instruction sets: what the fast kernels may use, and what this host has.

`MINITFL_ISA` in the environment takes another than the host's best one; "plain" takes none.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Set
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Isa:
    """One instruction set.

    lanes: of float32 in a vector. registers: that hold vectors. dot: how products of 8-bit integers are summed, see
    source.dot.
    """

    name: str
    machine: str
    needs: frozenset[str]  # features, as LLVM names them
    cpu: str  # the oldest processor that has it, which it is compiled for where it is not the host's best
    lanes: int
    registers: int
    dot: str

    @property
    def features(self) -> str:
        """What it needs, as LLVM takes it."""
        return ",".join(f"+{name}" for name in sorted(self.needs))


_AVX2 = frozenset({"avx2", "fma", "f16c", "bmi2"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_X86 = ("x86_64", "amd64")
_ARM = ("aarch64", "arm64")

# best first
ISAS = (
    Isa("avx512amx", "x86_64", _AVX512 | {"avx512vnni", "amx-tile", "amx-int8"}, "sapphirerapids", 16, 32, "amx"),
    Isa("avx512vnni", "x86_64", _AVX512 | {"avx512vnni"}, "icelake-client", 16, 32, "vnni"),
    Isa("avxvnni", "x86_64", _AVX2 | {"avxvnni"}, "alderlake", 8, 16, "vnni"),
    Isa("avx2", "x86_64", _AVX2, "haswell", 8, 16, "pairs"),
    Isa("neondot", "aarch64", frozenset({"neon", "dotprod"}), "cortex-a76", 4, 32, "sdot"),
    Isa("neon", "aarch64", frozenset({"neon"}), "cortex-a53", 4, 32, "widen"),
)
BY_NAME = {isa.name: isa for isa in ISAS}


def machine() -> str:
    name = platform.machine().lower()
    return "x86_64" if name in _X86 else "aarch64" if name in _ARM else name


def suits(isa: Isa, features: Set[str]) -> bool:
    return isa.machine == machine() and isa.needs <= features and struct.calcsize("P") == 8


@cache
def host_features() -> frozenset[str]:
    """The features of this host's processor; none where llvmlite can't be had."""
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return frozenset()
    try:
        found = {name for name, has in llvm.get_host_cpu_features().items() if has}
    except RuntimeError:
        found = set()
    if "amx-tile" in found and not _tiles_granted():
        found -= {"amx-tile", "amx-int8"}
    return frozenset(found | _arm_features() if machine() == "aarch64" else found)


def _arm_features() -> set[str]:
    """What the system says of a 64-bit ARM processor; LLVM reads it from a file that may be another processor's."""
    found = {"neon"}  # all have it
    try:
        capabilities = ctypes.CDLL(None).getauxval(16)  # AT_HWCAP
    except (ImportError, OSError, AttributeError):
        return found
    return found | {"dotprod"} if capabilities >> 20 & 1 else found  # HWCAP_ASIMDDP


def host_best() -> Isa | None:
    """The best instruction set of this host."""
    return next((isa for isa in ISAS if suits(isa, host_features())), None)


def _tiles_granted() -> bool:
    """Asks the system to keep this process's AMX registers, which it does not do unasked."""
    arch_prctl, request, tile_data = 158, 0x1023, 18
    try:
        return sys.platform == "linux" and ctypes.CDLL(None).syscall(arch_prctl, request, tile_data) == 0
    except (AttributeError, OSError):
        return False


@cache
def best() -> Isa | None:
    """The best instruction set of this host, or the one that MINITFL_ISA names; None for none."""
    wanted = os.environ.get("MINITFL_ISA", "")
    if wanted == "plain":
        return None
    if wanted:
        if wanted not in BY_NAME:
            raise ValueError(f"MINITFL_ISA is {wanted!r}, not one of {', '.join([*BY_NAME, 'plain'])}")
        if not suits(BY_NAME[wanted], host_features()):
            raise ValueError(f"MINITFL_ISA is {wanted}, which this host does not have")
        return BY_NAME[wanted]
    found = host_best()
    # the kernels for NEON are not right yet (a float convolution of 15 channels is not): only by name
    return None if found is None or found.machine == "aarch64" else found


def compiles(feature: str) -> bool:
    """Is the feature, as LLVM names it, there in what kernels are being compiled for?"""
    named = os.environ.get("NUMBA_CPU_FEATURES")  # see compilers
    return feature in host_features() if named is None else f"+{feature}" in named.split(",")


def compiled() -> Isa:
    """The instruction set that kernels are being compiled for."""
    isa = best()
    if isa is None:
        raise ImportError("there is no instruction set to compile for: this is imported by minitfl.engine.build alone")
    return isa
