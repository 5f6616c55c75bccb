"""Stored integers of 8 and 16 bits element by element: to vectors of int32 or float32, and back."""

from minitfl.engine.source.elementwise import LANES
from minitfl.engine.source.functions import parted
from minitfl.engine.source.ir import F32, I8, I16, I32, call, constant, same, shuffle, vector
from minitfl.engine.source.rescale import narrowed

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


def storing(b, numbers, stored):
    """What makes stored numbers within `low`..`high` of int32 without their `zero`."""
    zero = numbers.whole("zero")
    if numbers.lanes < BYTES or stored == "i16":
        low, high = numbers.whole("low"), numbers.whole("high")
        type = vector(STORED[stored][0], numbers.lanes)
        return lambda x: b.trunc(same(b, "smax", same(b, "smin", b.add(x, zero), high), low), type)
    low, high = numbers.whole("low", I8), numbers.whole("high", I8)
    if stored == "u8":  # as int8 until the end, whose instructions saturate
        middle = constant(low.type, -128)
        low, high = b.xor(low, middle), b.xor(high, middle)
        zero = b.sub(zero, constant(zero.type, 128))
    order = [4 * i + v for v in range(4) for i in range(LANES // 4)]

    def store(x):
        groups = b.bitcast(narrowed(b, parted(b, b.add(x, zero), LANES)), vector(I32, LANES))
        y = b.bitcast(shuffle(b, groups, groups, order), low.type)
        y = same(b, "smax", same(b, "smin", y, high), low)
        return b.xor(y, middle) if stored == "u8" else y

    return store
