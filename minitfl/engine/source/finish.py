"""From rows of int32 sums to what is stored: bytes, with the numbers of a rule, or floats."""

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.hybrid import IMAGE
from minitfl.engine.source.elementwise import store_first
from minitfl.engine.source.ir import (
    F32,
    F64,
    I1,
    I32,
    add,
    clamp,
    constant,
    copy_bytes,
    inline,
    load,
    loop,
    number,
    same,
    splat,
    stack,
    store,
    store_masked,
    vector,
)
from minitfl.engine.source.rescale import (
    NUMBERS_NBYTES,
    byte_splat,
    load_numbers,
    rescale_real,
    rescale_twice,
    rescaled,
    rows_of_bytes,
)

LANES = compiled().lanes
FINISH = types.void(*[types.int64] * 11)


def make_finish(kind, vectors):
    """finish(sums, less, count, numbers, image, y, y_nbytes, channels, low, high, flip): `count` rows of sums to rows
    of `channels` stored values, y_nbytes apart. kind: one of KINDS. In a "less" one each row of sums has a vector of
    what is taken from all of them, the same in all lanes."""
    return make_float_finish(vectors) if kind == "hybrid" else make_byte_finish(kind, vectors)


# ---- bytes


def _sums(b, at, less):
    sums = load(b, at, vector(I32, LANES), 4)
    return b.sub(sums, less) if less else sums


def _short(b, numbers, signed):
    n = load_numbers(b, numbers)

    def finish(at, less):  # the odd lanes are loaded, not shifted, as there is more time for loads
        return rescaled(b, _sums(b, at, less), n, signed, odd=_sums(b, add(b, at, 4), less))

    return NUMBERS_NBYTES, finish


def _twice(b, numbers):
    return _short(b, numbers, signed=True)


def _clamped(b, numbers):
    return _short(b, numbers, signed=False)


def _any(b, numbers):
    type = vector(I32, LANES)
    multiplier, shift, zero = (load(b, add(b, numbers, i * 4 * LANES), type, 4) for i in range(3))

    def finish(at, less):
        return same(b, "sadd.sat", rescale_twice(b, _sums(b, at, less), multiplier, shift), zero)

    return 12 * LANES, finish


def _real(b, numbers):
    type = vector(F64, LANES)
    factor, zero = (load(b, add(b, numbers, i * 8 * LANES), type, 4) for i in range(2))
    low, high = constant(type, -(2.0**30)), constant(type, 2.0**30)
    return 16 * LANES, lambda at, less: rescale_real(b, _sums(b, at, less), factor, zero, low, high)


# how the vector of sums at an address, less another vector or None, becomes stored values that are not yet clamped;
# emit.conv_int packs the numbers. Of rescale_twice: its short form, that where a clamp takes all below zero, that for
# any numbers; then rescale_real
FINISHES = {"twice": _twice, "clamped": _clamped, "any": _any, "real": _real}
KINDS = (*(f"{kind}{form}" for kind in FINISHES for form in ("", "_whole", "_less")), "hybrid")


def make_byte_finish(kind, vectors):
    """Values are clamped to low..high, then turned over by flip; where the kind is a whole one all int8 is left."""
    kind, _, form = kind.partition("_")
    together = 4 // vectors
    width = vectors * LANES

    def emit(b, sums, less, count, numbers, _, y, y_nbytes, channels, low, high, flip):
        finishes = []
        for _ in range(vectors):
            nbytes, finish = FINISHES[kind](b, numbers)
            finishes.append(finish)
            numbers = add(b, numbers, nbytes)
        limits = [] if form == "whole" else [byte_splat(b, value) for value in (low, high, flip)]
        put = _put(b, channels, width)

        def group(i, _):
            rows, targets = [], []
            for r in range(together):
                row = add(b, i, r)
                if r:  # where there is none the first one again
                    row = b.select(b.icmp_signed("<", row, count), row, i)
                at = b.add(sums, b.mul(row, number(4 * width)))
                minus = _sums(b, b.add(less, b.mul(row, number(4 * LANES))), None) if form == "less" else None
                rows.append([finish(add(b, at, v * 4 * LANES), minus) for v, finish in enumerate(finishes)])
                targets.append(b.add(y, b.mul(row, y_nbytes)))
            for row, target in zip(rows_of_bytes(b, rows, *limits), targets):
                put(row, target)
            return []

        loop(b, count, [], group, step=together)

    return inline(FINISH, emit)


def _put(b, channels, width):
    """put(row, target): stores the first `channels` bytes of a row."""
    if LANES == 16:
        bits = b.lshr(number(-1), b.sub(number(64), channels))
        mask = b.bitcast(b.trunc(bits, ir.IntType(width)) if width < 64 else bits, vector(I1, width))
        return lambda row, target: store_masked(b, row, target, mask)
    whole, memory = b.icmp_signed(">=", channels, number(width)), stack(b, width)

    def put(row, target):
        with b.if_else(whole) as (then, otherwise):
            with then:
                store(b, row, target)
            with otherwise:
                store(b, row, memory)
                copy_bytes(b, target, memory, channels)

    return put


# ---- floats


def make_float_finish(vectors):
    """y = clip((sum - zero * total) * scale * w_scale + bias), zero and scale being those of the image.

    Numbers of a vector: totals of the weights, int32; w_scale; bias. flip: bit 0, multiply by w_scale first and then by
    scale, not by the product of both; bit 1, NaN becomes low.
    """
    floats, whole = vector(F32, LANES), vector(I32, LANES)
    types_of_numbers = (whole, floats, floats)

    def emit(b, sums, less, count, numbers, image, y, y_nbytes, channels, low, high, flip):
        scale = splat(b, load(b, add(b, image, 4 * IMAGE.scale), F32), LANES)
        zero = splat(b, load(b, add(b, image, 4 * IMAGE.zero), I32), LANES)
        in_turn, to_low = (b.trunc(b.lshr(flip, number(i)), I1) for i in (0, 1))
        low, high = (splat(b, b.bitcast(b.trunc(value, I32), F32), LANES) for value in (low, high))
        nan = b.select(to_low, low, constant(floats, float("nan")))
        columns = []
        for v in range(vectors):
            at = add(b, numbers, v * 12 * LANES)
            total, w_scale, bias = (load(b, add(b, at, i * 4 * LANES), t, 4) for i, t in enumerate(types_of_numbers))
            second = b.select(in_turn, scale, constant(floats, 1.0))
            factors = b.select(in_turn, w_scale, b.fmul(scale, w_scale)), second
            columns.append((b.mul(zero, total), *factors, bias))

        def row(i, _):
            at, target = b.add(sums, b.mul(i, number(4 * LANES * vectors))), b.add(y, b.mul(i, y_nbytes))
            for v, (less, first, second, bias) in enumerate(columns):
                value = b.sitofp(b.sub(load(b, add(b, at, v * 4 * LANES), whole, 4), less), floats)
                value = b.fadd(b.fmul(b.fmul(value, first), second), bias)
                value = b.select(b.fcmp_unordered("uno", value, value), nan, clamp(b, value, low, high))
                left = b.sub(channels, number(v * LANES))
                with b.if_then(b.icmp_signed(">", left, number(0))):
                    store_first(b, value, add(b, target, v * 4 * LANES), left)
            return []

        loop(b, count, [], row)

    return inline(FINISH, emit)
