"""SOFTMAX and LOG_SOFTMAX along the last axis: exp(beta * x) / sum(exp(beta * x)), and its logarithm with beta = 1.

    x             y                       SOFTMAX            LOG_SOFTMAX
    float32       float32                 softmax            log_softmax
    float16       float16                 softmax_half
    int8 uint8    same, SOFTMAX: int16    softmax_int        log_softmax_int
    int16         int16                   softmax_int16

Both stay the same when a row's largest x is subtracted first, so only exp of numbers <= 0 is needed: for 8-bit x at
most 256 of them, which are tabulated by their distance from the row's largest.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused, row_blocks, workspace
from minitfl.kernels.checks import check_types
from minitfl.kernels.fixedmath import exp_negative, leading_zeros, log, scaled_reciprocal
from minitfl.kernels.fixedpoint import (
    high_mul,
    quantize_multiplier,
    rescale_twice,
    rescale_wrapped,
    round_away,
    rounding_shift,
    saturate_int16,
    shift_half_up,
    stored_range,
)
from minitfl.kernels.tables import interpolate, table16
from minitfl.op import Call, Kernel, Site, op

SUM_BITS = 12  # sums of exponentials are Q12 numbers: below 4096

# ---- kernels


@Kernel
def softmax(x, beta, y):
    """y = e / sum(e), e = exp(beta * (x - max(x)))"""
    for x, y in row_blocks(x, y):
        np.subtract(x, _largest(x), out=y)
        np.multiply(y, y.dtype.type(beta), out=y)
        np.exp(y, out=y)
        np.divide(y, y.sum(-1, keepdims=True), out=y)


@Kernel
def softmax_half(x, beta, y):
    """softmax on float16, in float32; the exponentials are rounded to float16 before they are divided."""
    for x, y in row_blocks(x, y):
        wide = x.astype(np.float32)
        wide = np.exp((wide - _largest(wide)) * np.float32(beta))
        y[...] = wide.astype(np.float16).astype(np.float32) / wide.sum(-1, keepdims=True)


@Kernel
def log_softmax(x, y):
    """y = x - max(x) - log(sum(exp(x - max(x))))"""
    for x, y in row_blocks(x, y):
        np.subtract(x, _largest(x), out=y)
        y -= np.log(np.exp(y).sum(-1, keepdims=True))


@Kernel
def softmax_int(x, exps, sums, reals, y_zero, y_scale, rounds_down, y):
    """softmax on stored 8-bit numbers, y of 8 or 16 bits.

    By the distance d from the row's largest: exps[d] in Q0 and sums[d] in Q12, both 0 where negligible, and reals[d] in
    float32. A row whose exponentials add up to more than the fixed point holds is computed from `reals`, as are all of
    them where `exps` is None; rounds_down: those are y = floor(real + 1/2) without y_zero.
    """
    bits, info = y.dtype.itemsize * 8, np.iinfo(y.dtype)
    for x, y in row_blocks(x, y):
        distance = x.max(-1, keepdims=True).astype(np.int64) - x
        in_fixed_point = np.zeros(distance.shape[:-1], bool)
        if exps is not None:
            total = sums[distance].sum(-1, keepdims=True)
            scale, over = scaled_reciprocal(np.minimum(total, (1 << 31) - 1), SUM_BITS)
            exponent = over + 31 - bits
            in_fixed_point = ((exponent <= 31) & (total < 1 << 31))[..., 0]
            result = rounding_shift(high_mul(scale, exps[distance]), np.minimum(exponent, 31)) + info.min
            y[...] = np.clip(result, info.min, info.max)
        if not in_fixed_point.all():
            real = reals[distance[~in_fixed_point]]
            # one after the other, as the official kernel adds
            total = np.cumsum(real, -1, dtype=np.float32)[..., -1:]
            real = real * (np.float32(1) / (total * np.float32(y_scale)))
            result = np.floor(real + np.float32(0.5)) if rounds_down else round_away(real) + y_zero
            y[~in_fixed_point] = np.clip(result, info.min, info.max)


@Kernel
def softmax_int16(x, factor, exp_table, reciprocal_table, y):
    """softmax on int16; factor: (multiplier, shift) from x_scale * beta to 10 / 65535.

    exp_table (513,): exp on -10..0; reciprocal_table (513,): 1 / (1 + x) on 0..1; both in units of 2**-15.
    """
    for x, y in row_blocks(x, y):
        distance = x.astype(np.int64) - x.max(-1, keepdims=True)
        place = saturate_int16(rescale_wrapped(distance, *factor) + 32767).astype(np.int16)
        exps = np.empty(x.shape, np.int16)
        interpolate.numpy(place, exp_table, exps)
        total = exps.sum(-1, keepdims=True, dtype=np.int64)
        leading = leading_zeros(total)
        mantissa = shift_half_up(total << (leading - 1), 14)
        place = saturate_int16(mantissa - (1 << 15) - (1 << 16)).astype(np.int16)
        scale = np.empty(place.shape, np.int16)
        interpolate.numpy(place, reciprocal_table, scale)
        right = 31 - leading
        y[...] = np.clip(shift_half_up(exps.astype(np.int64) * scale, right), 0, 32767)


@Kernel
def log_softmax_int(x, differences, sums, back, farthest, y):
    """log_softmax on stored 8-bit numbers; y of scale 1/16 whose highest number stands for 0.

    By the distance d from the row's largest: differences[d] in Q5 and sums[d] = exp of it in Q12; back: (multiplier,
    shift) from Q5 to distances; farthest: the largest distance that is not negligible.
    """
    info = np.iinfo(y.dtype)
    for x, y in row_blocks(x, y):
        distance = x.max(-1, keepdims=True).astype(np.int64) - x
        total = sums[distance].sum(-1, keepdims=True)
        # a sum beyond Q12 is halved until it fits, and the logarithm of what was taken out added
        halvings = 32 - leading_zeros(total >> 31)
        log_sum = log(total >> halvings, SUM_BITS, 5) + halvings * LOG_2
        end = np.minimum(farthest + 1, -rescale_twice(log_sum - (1 << 31), *back))
        result = rounding_shift(differences[distance] - log_sum, 31 - 5 - 4) + info.max
        y[...] = np.where(distance < end, np.clip(result, info.min, info.max), info.min)


LOG_2 = int(np.floor(np.log(2) * 2**26 + 0.5))  # in Q5


def _largest(x):
    """The largest number of each row; a NaN is passed over, as the comparison in C++ does."""
    return np.maximum(np.fmax.reduce(x, -1, keepdims=True), np.finfo(x.dtype).min)


# ---- preparations


def _one(site: Site) -> tuple[Tensor, Tensor]:
    site.arity(1, 1)
    x = site.input(0)
    site.expect(x.rank >= 1, f"input of rank {x.rank}")
    return x, site.output(0).reshaped(x.known_shape)


def _near(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= 0.001 * wanted


@op("SOFTMAX", max_version=4)
def softmax_(site: Site) -> Call:
    x, y = _one(site)
    beta = float(site.options.beta)
    if x.type in ("float32", "float16"):
        check_types(site, x, y)
        return Call(softmax if x.type == "float32" else softmax_half, (x, beta, y), (y,), workspace=_room(y))
    if x.type == "int8" and y.type == "int8":
        site.expect(y.zero == -128, f"output zero point {y.zero}, -128 is expected")
        site.expect(_near(y.scale, 1 / 256), f"output scale {y.scale}, 1/256 is expected")
    if x.type == "int16":
        site.expect(x.zero == 0 and y.zero == 0, f"zero points {x.zero} -> {y.zero}, 0 is expected")
    if x.type == "int16" and y.type == "int16":
        site.expect(_near(y.scale, 1 / 32768), f"output scale {y.scale}, 1/32768 is expected")
        factor = quantize_multiplier(float(np.float32(x.scale) * np.float32(beta)) / (10.0 / 65535.0))
        return Call(softmax_int16, (x, factor, *_int16_tables(), y), (y,), workspace=_room(y))
    if x.type not in ("int8", "uint8") or y.type not in (x.type, "int16"):
        return refused(y, f"SOFTMAX of type {x.type} to {y.type}")
    with np.errstate(all="ignore"):
        slope = np.float32(-x.scale) * np.float32(beta)
        reals = np.exp((slope * np.arange(256, dtype=np.float32)).astype(np.float64)).astype(np.float32)
    fixed = _distances(beta * x.scale)
    exps, sums = (None, None) if fixed is None else fixed[1:3]
    args = (x, exps, sums, reals, y.zero, y.scale, y.type == "uint8", y)
    return Call(softmax_int, args, (y,), workspace=_room(y))


@op("LOG_SOFTMAX", max_version=2)
def log_softmax_(site: Site) -> Call:
    x, y = _one(site)
    check_types(site, x, y)
    if x.type == "float32":
        return Call(log_softmax, (x, y), (y,), workspace=_room(y))
    if x.type not in ("int8", "uint8"):
        return refused(y, f"LOG_SOFTMAX of type {x.type}")
    most = stored_range(y.type)[1]
    site.expect(y.scale == 1 / 16, f"output scale {y.scale}, 1/16 is expected")
    site.expect(y.zero == most, f"output zero point {y.zero}, {most} is expected")
    fixed = _distances(x.scale)
    if fixed is None:
        site.unsupported(f"input scale {x.scale}, it must be above 2**-26")
    differences, _, sums, farthest, (multiplier, shift) = fixed
    back = quantize_multiplier(2.0 ** (31 - shift) / multiplier)
    return Call(log_softmax_int, (x, differences, sums, back, farthest, y), (y,), workspace=_room(y))


def _room(y: Tensor) -> int:
    """Bytes of the kernels' temporaries; a row is never cut."""
    return max(workspace(y, arrays=12), 8 * 12 * (y.known_shape[-1] if y.size else 0))


def _distances(scale: float) -> tuple | None:
    """For the distances 0..255 from a row's largest: -distance * scale in Q5, its exp in Q0 and in Q12.

    With them the farthest that is not negligible, and (multiplier, shift) to Q5. None where the scale is too small.
    """
    real = min(scale * 2.0**26, 2.0**31 - 1)
    if not real > 1:
        return None
    multiplier, shift = quantize_multiplier(real)
    farthest = int(np.floor(31 * 2.0**26 / 2.0**shift))
    distances = np.arange(256)
    differences = rescale_twice(-np.minimum(distances, farthest), multiplier, shift)
    exps = np.where(distances <= farthest, exp_negative(differences, 5), 0)
    return differences, exps, rounding_shift(exps, SUM_BITS), farthest, (multiplier, shift)


@cache
def _int16_tables() -> tuple[np.ndarray, np.ndarray]:
    """exp on -10..0 and 1 / (1 + x) on 0..1, 513 entries each, in units of 2**-15."""
    exps = table16(np.exp, 10.0 / 65535, 32767, 2.0 / 65535, 0, np.float64)
    return exps, table16(lambda x: 1 / (1 + x), 1.0 / 65535, -32768, 2.0 / 65535, 0, np.float64)
