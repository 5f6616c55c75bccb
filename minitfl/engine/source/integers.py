"""Stored integers of 8 and 16 bits element by element: to vectors of int32 or float32, and back."""

from minitfl.engine.source.elementwise import LANES
from minitfl.engine.source.functions import joined, parted
from minitfl.engine.source.ir import F32, I8, I16, I32, call, constant, same, shuffle, vector
from minitfl.engine.source.rescale import narrowed, rescale_twice

BYTES = 4 * LANES
STORED = {"i8": (I8, True), "u8": (I8, False), "i16": (I16, True)}  # in 8 or 16 bits, with a sign or without


def wide(b, x, stored):
    """int32"""
    type = vector(I32, x.type.count)
    return b.sext(x, type) if STORED[stored][1] else b.zext(x, type)


def real(b, x, stored):
    """float32"""
    return b.sitofp(wide(b, x, stored), vector(F32, x.type.count))


def rounded(b, x):
    """float32 as int32, the middle to the even one."""
    count = x.type.count
    return call(b, f"llvm.lrint.v{count}i32.v{count}f32", vector(I32, count), x)


def rescaling(b, numbers, name):
    """What rescales by `name`, a multiplier, and `name`_shift."""
    multiplier, shift = numbers.whole(name), numbers.whole(f"{name}_shift")
    return lambda x: rescale_twice(b, x, multiplier, shift)


def storing(b, numbers, stored):
    """What makes stored numbers within `low`..`high` of int32 without their `zero`."""
    zero = numbers.whole("zero")
    if numbers.lanes < BYTES or stored == "i16":
        low, high = numbers.whole("low"), numbers.whole("high")
        type = vector(STORED[stored][0], numbers.lanes)
        return lambda x: b.trunc(same(b, "smax", same(b, "smin", b.add(x, zero), high), low), type)
    low, high = numbers.whole("low", I8), numbers.whole("high", I8)
    least, most = ("smax", "smin") if stored == "i8" else ("umax", "umin")
    return lambda x: same(b, least, same(b, most, narrow(b, b.add(x, zero), stored), high), low)


def narrow(b, x, stored):
    """int32 as the nearest bytes."""
    turns = b.bitcast(narrowed(b, parted(b, x, LANES), stored == "i8"), vector(I32, LANES))
    order = [4 * i + v for v in range(4) for i in range(LANES // 4)]
    return b.bitcast(shuffle(b, turns, turns, order), vector(I8, BYTES))


def truncated(b, x):
    """float32 as int32 without the fraction; what does not fit becomes the lowest number."""
    whole = vector(I32, LANES)
    if LANES == 16:
        name, more = "llvm.x86.avx512.mask.cvttps2dq.512", (constant(whole, 0), I16(-1), I32(4))
    elif LANES == 8:
        name, more = "llvm.x86.avx.cvtt.ps2dq.256", ()
    else:
        fits = b.fcmp_ordered("<", same(b, "fabs", x), constant(x.type, 2.0**31))
        y = b.fptosi(b.select(fits, x, constant(x.type, 0)), vector(I32, x.type.count))
        return b.select(fits, y, constant(y.type, -(2**31)))
    return joined(b, [call(b, name, whole, part, *more) for part in parted(b, x, LANES)])
