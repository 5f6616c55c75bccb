"""Products of 8-bit integers summed up in int32: what a vector of sums gains by four depths.

x and w hold 4 bytes in each lane of 32 bits. All forms take int8, but for "vnni", whose x is uint8.
"""

from llvmlite import ir
from llvmlite.binding import llvm_version_info

from minitfl.engine.isa import compiled
from minitfl.engine.source.ir import I8, I16, call, constant, vector

DOT = {"amx": "vnni"}.get(compiled().dot, compiled().dot)


def vnni(b, sums, x, w):
    lanes = sums.type.count
    type = vector(I8, 4 * lanes) if llvm_version_info[0] >= 22 else sums.type  # the intrinsic takes bytes since then
    name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
    return call(b, name, sums.type, sums, b.bitcast(x, type), b.bitcast(w, type))


def _sdot(b, sums, x, w):
    bytes = vector(I8, 16)
    return call(b, "llvm.aarch64.neon.sdot.v4i32.v16i8", sums.type, sums, b.bitcast(x, bytes), b.bitcast(w, bytes))


def _pairs(b, sums, x, w):
    for odd in (False, True):
        words = (_every_other_byte(b, value, odd) for value in (x, w))
        sums = b.add(sums, call(b, "llvm.x86.avx2.pmadd.wd", sums.type, *words))
    return sums


def _widen(b, sums, x, w):
    for i in range(4):
        sums = b.add(sums, b.mul(*(_byte(b, value, i) for value in (x, w))))
    return sums


dot = {"vnni": vnni, "sdot": _sdot, "pairs": _pairs, "widen": _widen}[DOT]


def _every_other_byte(b, value, odd):
    """As int16, those of even or of odd number."""
    words = b.bitcast(value, vector(I16, 2 * value.type.count))
    eight = constant(words.type, 8)
    return b.ashr(words if odd else b.shl(words, eight), eight)


def _byte(b, value, i) -> ir.Value:
    return b.ashr(b.shl(value, constant(value.type, 24 - 8 * i)), constant(value.type, 24))
