"""What this processor can do at most: products summed up in registers, and memory read. For benchmarks alone.

Each kernel runs `loops` loops in each of its units: CHAINS sums in a loop, that none waits for another, or as many
vectors that are read one after the other.
"""

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.peak import CHAINS, PEAK, TILES
from minitfl.engine.source.dot import vnni
from minitfl.engine.source.ir import (
    F32,
    I8,
    I16,
    I32,
    add,
    address,
    call,
    fma,
    inline,
    load,
    loop,
    number,
    store,
    vector,
    word,
)

ISA = compiled()
NBYTES = 4 * ISA.lanes  # of a vector
SUMS = vector(I32, ISA.lanes)


# ---- sums of products: step(b, sum, x, w) of one vector of sums


def fused(b, sum, x, w):
    """float32."""
    return fma(b, x, w, sum)


def pairs(b, sum, x, w):
    """Two products of int16 in each lane."""
    halves = vector(I16, NBYTES // 2)
    return b.add(sum, call(b, "llvm.x86.avx2.pmadd.wd", SUMS, b.bitcast(x, halves), b.bitcast(w, halves)))


def sdot(b, sum, x, w):
    """Four products of bytes in each lane."""
    bytes = vector(I8, NBYTES)
    return call(b, "llvm.aarch64.neon.sdot.v4i32.v16i8", SUMS, sum, b.bitcast(x, bytes), b.bitcast(w, bytes))


def widen(b, sum, x, w):
    """One product of int16 in each lane."""
    halves = vector(I16, ISA.lanes)
    x, w = (b.sext(b.trunc(value, halves), SUMS) for value in (x, w))
    return b.add(sum, b.mul(x, w))


def read(b, sum, x, w):
    return b.add(sum, x)


def hidden(b, value):
    """The same vector, but the compiler can't know: products with it are not computed ahead of the loop."""
    register = "x" if ISA.machine == "x86_64" else "w"
    return b.asm(ir.FunctionType(value.type, [value.type]), "", f"={register},0", [value], side_effect=True)


def make_chains(step, type, moves=False):
    """A vector of x for each sum, and one of weights behind them. moves: each loop reads the following vectors of x."""

    def emit(b, x, y, loops):
        values = [load(b, add(b, x, NBYTES * n), type) for n in range(CHAINS)]
        weights = load(b, add(b, x, NBYTES * CHAINS), type)

        def body(i, sums):
            here = b.add(x, b.mul(i, number(NBYTES * CHAINS)))
            some = [load(b, add(b, here, NBYTES * n), type) for n in range(CHAINS)] if moves else values
            w = hidden(b, weights)
            return [step(b, sum, value, w) for sum, value in zip(sums, some)]

        for n, sum in enumerate(loop(b, loops, values, body)):
            store(b, sum, add(b, y, NBYTES * n))

    chains = inline(types.void(types.int64, types.int64, types.int64), emit)

    def kernel(block, slots, first, last):
        x, y, loops = address(block, slots, PEAK.x), address(block, slots, PEAK.y), word(block, PEAK.loops)
        for _ in range(first, last):
            chains(x, y, loops)
        return 0

    return kernel


# ---- tiles of sums


def _tiles(b, x, y, loops):
    """TILES tiles of 16x16 sums; x (16, 64) bytes behind the 64 of the configuration, y (16, 16) int32."""

    def tile(name, *args):
        call(b, f"llvm.x86.{name}", ir.VoidType(), *args)

    def pointer(at):
        return b.inttoptr(at, I8.as_pointer())

    row = number(64)
    tile("ldtilecfg", pointer(x))
    for n in range(TILES):
        tile("tilezero", I8(n))
    for n in range(TILES, 8):
        tile("tileloadd64", I8(n), pointer(add(b, x, 64)), row)

    def body(i, carried):
        for n in range(TILES):
            tile("tdpbssd", I8(n), I8(TILES + n // 2), I8(TILES + 2 + n % 2))
        return []

    loop(b, loops, [], body)
    for n in range(TILES):
        tile("tilestored64", I8(n), pointer(y), row)
    tile("tilerelease")


tiles = inline(types.void(types.int64, types.int64, types.int64), _tiles)


def amx(block, slots, first, last):
    x, y, loops = address(block, slots, PEAK.x), address(block, slots, PEAK.y), word(block, PEAK.loops)
    for _ in range(first, last):
        tiles(x, y, loops)
    return 0


DOTS = {"vnni": vnni, "pairs": pairs, "sdot": sdot, "widen": widen}
KERNELS = {"fma": make_chains(fused, vector(F32, ISA.lanes)), "read": make_chains(read, SUMS, moves=True)}
if ISA.dot == "amx":
    KERNELS |= {"amx": amx, "vnni": make_chains(vnni, SUMS)}
else:
    KERNELS[ISA.dot] = make_chains(DOTS[ISA.dot], SUMS)
