"""From vectors of int32 sums to stored bytes, with the numbers that emit.rescale packs; and the rules as they stand."""

from typing import NamedTuple

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.source.ir import (
    I8,
    I16,
    I32,
    I64,
    add,
    call,
    constant,
    inline,
    load,
    number,
    same,
    shuffle,
    splat,
    vector,
)

LANES = compiled().lanes
NUMBERS_NBYTES = 20 * LANES  # those of a vector


class Numbers(NamedTuple):
    """The numbers of a vector of channels in registers. Of 64-bit lanes the lower half is the multiplier."""

    even: ir.Value
    odd: ir.Value
    even_constant: ir.Value
    odd_constant: ir.Value
    edge: ir.Value
    shift: ir.Value


def load_numbers(b, address):
    narrow, wide = vector(I32, LANES), vector(I64, LANES // 2)
    at = [add(b, address, i * 4 * LANES) for i in range(5)]
    even = load(b, at[0], narrow, 4)
    odd = shuffle(b, even, even, [i ^ 1 for i in range(LANES)])
    multipliers = (low_half(b, b.bitcast(m, wide)) for m in (even, odd))  # which LLVM takes as a sign: 32 bits by 32
    constants = (load(b, a, wide, 4) for a in at[1:3])
    return Numbers(*multipliers, *constants, *(load(b, a, narrow, 4) for a in at[3:]))


def rescaled(b, u, n, signed=True, odd=None):
    """u rescaled, with the zero point added; int32. signed=False where the activation clamps all that is below zero.

    odd: the odd lanes of u in the place of even ones, if they are at hand.
    """
    pairs = b.bitcast(u, n.even.type)
    even = b.add(b.mul(low_half(b, pairs), n.even), n.even_constant)
    odd = high_half(b, pairs) if odd is None else low_half(b, b.bitcast(odd, n.even.type))
    odd = b.add(b.mul(odd, n.odd), n.odd_constant)
    y = interleaved(b, high_half(b, even), odd, u.type)
    if signed:
        y = b.select(b.icmp_signed("<", y, n.edge), b.sub(y, constant(u.type, 1)), y)
    return b.ashr(y, n.shift)


def rescale_twice(b, x, multiplier, shift):
    """fixedpoint.rescale_twice: all int32 vectors; 0 <= multiplier, -31 <= shift <= 30."""
    type = x.type
    zero = constant(type, 0)
    left, right = same(b, "smax", shift, zero), same(b, "smax", b.neg(shift), zero)
    most = b.lshr(constant(type, 2**31 - 1), left)
    x = b.shl(same(b, "smin", same(b, "smax", x, b.neg(most)), most), left)
    return rounding_shift(b, high_mul(b, x, multiplier), right)


def high_mul(b, x, y):
    """fixedpoint.high_mul; not of -2**31 by itself."""
    wide = vector(I64, x.type.count // 2)
    nudge, shift = constant(wide, 1 << 30), constant(wide, 31)
    x, y = b.bitcast(x, wide), b.bitcast(y, wide)
    even = b.add(b.mul(signed_low_half(b, x), signed_low_half(b, y)), nudge)
    odd = b.add(b.mul(signed_high_half(b, x), signed_high_half(b, y)), nudge)
    return interleaved(b, b.lshr(even, shift), b.shl(odd, constant(wide, 1)), vector(I32, 2 * wide.count))


def rounding_shift(b, x, exponent):
    """fixedpoint.rounding_shift: int32 vectors, 0 <= exponent < 32."""
    one = constant(x.type, 1)
    mask = b.sub(b.shl(one, exponent), one)
    edge = b.add(b.lshr(mask, one), b.lshr(x, constant(x.type, 31)))
    above = b.icmp_signed(">", b.and_(x, mask), edge)
    return b.add(b.ashr(x, exponent), b.zext(above, x.type))


def rescale_real(b, x, factor, zero, low, high):
    """clip(fixedpoint.rescale_real + zero, low, high) as int32; x int32, the others float64 vectors."""
    product = b.fmul(b.sitofp(x, factor.type), factor)
    half = constant(factor.type, 0.49999999999999994)  # adding 0.5 itself would take the number just below it up to 1
    y = same(b, "trunc", b.fadd(product, same(b, "copysign", half, product)))
    y = b.fadd(y, zero)
    y = b.select(b.fcmp_ordered("<", y, low), low, y)
    return b.fptosi(b.select(b.fcmp_ordered(">", y, high), high, y), x.type)


# ---- the same rules for one number, an int64


def _high_mul(b, x, y):
    return b.ashr(b.add(b.mul(x, y), number(1 << 30)), number(31))


def _rounding_shift(b, x, exponent):
    half = b.lshr(b.shl(number(1), exponent), number(1))
    down = b.select(b.icmp_signed("==", exponent, number(0)), number(0), b.ashr(x, number(63)))
    return b.ashr(b.add(x, b.add(half, down)), exponent)


def _rescale_twice(b, x, multiplier, shift):
    return _rounding_shift(b, _high_mul(b, x, multiplier), b.neg(shift))


high_mul_one = inline(types.int64(types.int64, types.int64), _high_mul)
rounding_shift_one = inline(types.int64(types.int64, types.int64), _rounding_shift)
rescale_twice_one = inline(types.int64(types.int64, types.int64, types.int64), _rescale_twice)
rescale_twice_one.__doc__ = "With a shift of at most 0."


# ---- bytes


def narrowed(b, sums, signed=True):
    """Four vectors of int32 as bytes that saturate, int8 or uint8: 4 lanes of the first, of the second and so on, in
    turn."""
    lanes = sums[0].type.count
    words, bytes = vector(I16, 2 * lanes), vector(I8, 4 * lanes)
    if lanes > 4 and compiled().machine == "x86_64":
        kind = "avx512.{}.512" if lanes == 16 else "avx2.{}"
        pairs = [call(b, "llvm.x86." + kind.format("packssdw"), words, *sums[i : i + 2]) for i in (0, 2)]
        return call(b, "llvm.x86." + kind.format("packsswb" if signed else "packuswb"), bytes, *pairs)
    first, second = (shuffle(b, sums[i], sums[i + 1], range(2 * lanes)) for i in (0, 2))
    lined = shuffle(b, first, second, range(4 * lanes))
    turns = [v * lanes + 4 * i + j for i in range(lanes // 4) for v in range(4) for j in range(4)]
    lined = shuffle(b, lined, lined, turns)
    low, high = (-128, 127) if signed else (0, 255)
    lined = same(b, "smax", same(b, "smin", lined, constant(lined.type, high)), constant(lined.type, low))
    return b.trunc(lined, bytes)


def rows_of_bytes(b, sums, low=None, high=None, flip=None):
    """Four vectors, which are 1, 2 or 4 rows one after the other, as rows of bytes in order: see emit.rescale.channels.

    low, high, flip: vectors of int8, four times as many; what is clamped is turned over by flip, 0 or -128 for uint8.
    Without them all int8 come out as they are.
    """
    rows, vectors = len(sums), len(sums[0])
    flat = [s for row in sums for s in row]
    y = narrowed(b, flat)
    if low is not None:
        y = b.xor(same(b, "smin", same(b, "smax", y, low), high), flip)
    if rows == 1:
        return [y]
    lanes = flat[0].type.count
    parts = b.bitcast(y, vector(ir.IntType(32 * vectors), lanes // vectors))
    picked = (shuffle(b, parts, parts, range(r, parts.type.count, rows)) for r in range(rows))
    return [b.bitcast(p, vector(I8, lanes * vectors)) for p in picked]


def byte_splat(b, value):
    """Every byte of a register is the lowest one of an int64."""
    return splat(b, b.trunc(value, I8), 4 * LANES)


# ---- halves of 64-bit lanes


def low_half(b, pairs):
    return b.and_(pairs, constant(pairs.type, 2**32 - 1))


def high_half(b, pairs):
    return b.lshr(pairs, constant(pairs.type, 32))


def signed_low_half(b, pairs):
    by = constant(pairs.type, 32)
    return b.ashr(b.shl(pairs, by), by)


def signed_high_half(b, pairs):
    return b.ashr(pairs, constant(pairs.type, 32))


def interleaved(b, even, odd, type):
    """int32 lanes: the lower halves of even, the upper ones of odd."""
    count = type.count
    return shuffle(b, b.bitcast(even, type), b.bitcast(odd, type), [i + count * (i % 2) for i in range(count)])
