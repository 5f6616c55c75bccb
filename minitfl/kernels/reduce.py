"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY, REDUCE_ALL: one number from all values along some axes.

axes: int32, any shape, each -rank..rank - 1, repetitions count once; a scalar has nothing to reduce. The reduced axes
are left out of y, or kept with length 1 (keep_dims). Over no values at all, y is what the table says.

                              stored types               kernel            of nothing
    MEAN                      float32                    mean_float        NaN
                              int32 int64                mean_whole        0
                              int8 uint8 int16           mean_int          0, as a stored value
    SUM                       float32 int32 int64 bool   sum_values        0
                              uint8                      mean_int          0, as a stored value
                              int8 int16                 sum_int           0, as a stored value
    REDUCE_MAX                all of these               largest           the lowest of the type
    REDUCE_MIN                all of these               smallest          the highest of the type
    REDUCE_PROD               all of these               product           1
                              quantized int8 int16       product_int       real 1
    REDUCE_ANY, REDUCE_ALL    bool                       any_of, all_of    False, True

Sums and products of int32 and int64 wrap. Largest and smallest compare stored values: y has the scale of x.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.checks import check_types
from minitfl.kernels.fixedpoint import (
    finite_range,
    quantize_multiplier,
    quantize_one,
    rescale_twice,
    rescale_wide,
    round_away,
    stored_range,
    truncated_quotient,
    wrap_int32,
)
from minitfl.op import Call, Kernel, Site, op

QUANTIZED = ("uint8", "int8", "int16")
TYPES = ("float32", "int32", "int64", "bool", *QUANTIZED)


@Kernel
def mean_float(x, axes, keep, count, y):
    """sum(x) / count; float32."""
    np.add.reduce(x, axis=axes, keepdims=keep, out=y)
    y /= count


@Kernel
def mean_whole(x, axes, keep, count, y):
    """sum(x) / count, cut to a whole number; the sum is an int64 and wraps."""
    total = np.add.reduce(x, axis=axes, keepdims=keep, dtype=np.int64)
    y[...] = truncated_quotient(total, count)


@Kernel
def mean_int(x, x_zero, axes, keep, count, multiplier, shift, y_zero, low, high, y):
    """Stored integers: the sum of count values less x_zero, rescaled. The factor of a mean holds 1 / count."""
    total = np.add.reduce(x, axis=axes, keepdims=keep, dtype=np.int32).astype(np.int64)
    scaled = wrap_int32(rescale_twice(wrap_int32(total - x_zero * count), multiplier, shift))
    y[...] = np.clip(scaled + y_zero, low, high)


@Kernel
def sum_int(x, axes, keep, scale, bias, y_zero, low, high, y):
    """Stored integers: sum(x) * scale + bias, float32, rounded half away from zero.

    scale: x_scale / y_scale; bias: the zero points of x, on y's scale. It is the optimised kernel's rule: the reference
    kernel reads these types as uint8.
    """
    total = np.add.reduce(x, axis=axes, keepdims=keep, dtype=np.int32).astype(np.float32)
    y[...] = np.clip(round_away(total * scale + bias).astype(np.int64) + y_zero, low, high)


@Kernel
def sum_values(x, axes, keep, y):
    """sum(x), in y's type."""
    np.add.reduce(x, axis=axes, keepdims=keep, dtype=y.dtype, out=y)


@Kernel
def product(x, axes, keep, y):
    """The product of the values, in y's type."""
    np.multiply.reduce(x, axis=axes, keepdims=keep, dtype=y.dtype, out=y)


@Kernel
def product_int(x, x_zero, axes, multiplier, shift, y_zero, low, high, y):
    """Stored integers: the product of all x - x_zero, rescaled after each factor lest it overflow.

    Over n values the factor is x_scale / y_scale ** (1 / n), applied n times.
    """
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    factors = np.transpose(x, (*axes, *kept)).reshape(-1, y.size)
    total = factors[0].astype(np.int64) - x_zero
    for factor in factors[1:]:
        if not total.any():
            break
        total = wrap_int32(rescale_wide(total * (factor.astype(np.int64) - x_zero), multiplier, shift))
    total = wrap_int32(rescale_wide(total, multiplier, shift))
    y[...] = np.clip(total + y_zero, low, high).reshape(y.shape)


@Kernel
def largest(x, start, axes, keep, y):
    """The largest value, `start` among them; NaN is passed over."""
    np.fmax.reduce(x, axis=axes, keepdims=keep, initial=start, out=y)


@Kernel
def smallest(x, start, axes, keep, y):
    """The smallest value, `start` among them; NaN is passed over."""
    np.fmin.reduce(x, axis=axes, keepdims=keep, initial=start, out=y)


@Kernel
def largest_of_all(x, y):
    """The largest of all values; NaN only counts as the first of them."""
    first = x.reshape(-1)[0]
    y[...] = np.fmax.reduce(x, axis=None) if first == first else first


@Kernel
def smallest_of_all(x, y):
    """The smallest of all values; NaN only counts as the first of them."""
    first = x.reshape(-1)[0]
    y[...] = np.fmin.reduce(x, axis=None) if first == first else first


@Kernel
def any_of(x, axes, keep, y):
    """Whether any value is true."""
    np.logical_or.reduce(x, axis=axes, keepdims=keep, out=y)


@Kernel
def all_of(x, axes, keep, y):
    """Whether all values are true."""
    np.logical_and.reduce(x, axis=axes, keepdims=keep, out=y)


@Kernel
def filled(value, y):
    """y = value: what there is to say of no values."""
    y[...] = value


# ---- preparations


@op("MEAN", max_version=3)
def mean(site: Site) -> Call:
    x, y = _checked(site, TYPES)
    factor = _factor(x, y) if x.type in QUANTIZED else None
    axes, keep, count, y = _reduced(site, x, y)
    if x.type == "bool":
        return refused(y, "MEAN of bool")
    if x.size == 0:
        return Call(filled, (math.nan if x.type == "float32" else 0, y), (y,))
    if x.type == "float32":
        return Call(mean_float, (x, axes, keep, count, y), (y,))
    if factor is None:
        return Call(mean_whole, (x, axes, keep, count, y), (y,), workspace=4 * 8 * y.size)
    multiplier, shift = factor
    # 1 / count goes into the factor, with as many bits as its shift leaves
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return _mean_int(x, y, axes, keep, count, ((multiplier << bits) // count, shift - bits))


@op("SUM", max_version=2)
def sum_(site: Site) -> Call:
    x, y = _checked(site, TYPES)
    factor = _factor(x, y) if x.type in QUANTIZED else None
    axes, keep, count, y = _reduced(site, x, y)
    if factor is None:
        return Call(sum_values, (x, axes, keep, y), (y,))
    if x.size == 0:
        return Call(filled, (0, y), (y,))
    if x.type == "uint8":
        return _mean_int(x, y, axes, keep, count, factor)
    scale = np.float32(x.scale) / np.float32(y.scale)
    bias = np.float32(-x.zero) * scale * np.float32(count)
    args = (x, axes, keep, scale, bias, y.zero, *stored_range(y.type), y)
    return Call(sum_int, args, (y,), workspace=4 * 8 * y.size)


@op("REDUCE_MAX", max_version=3)
def reduce_max(site: Site) -> Call:
    return _extreme(site, largest, largest_of_all, 0)


@op("REDUCE_MIN", max_version=3)
def reduce_min(site: Site) -> Call:
    return _extreme(site, smallest, smallest_of_all, 1)


@op("REDUCE_PROD", max_version=2)
def reduce_prod(site: Site) -> Call:
    x, y = _checked(site, TYPES)
    quantized = x.quantization is not None
    refusal = f"Unsupported quantized data type: {x.type}" if quantized and x.type not in ("int8", "int16") else ""
    axes, keep, count, y = _reduced(site, x, y)
    if refusal:
        site.unsupported(refusal)
    if not quantized:
        if x.type in QUANTIZED and y.quantization is not None:
            return refused(y, "the output is quantized, the input is not")
        return Call(product, (x, axes, keep, y), (y,))
    low, high = stored_range(y.type)
    site.expect(y.scale > 0, f"an output scale of {y.scale}")
    if x.size == 0:
        return Call(filled, (min(max(quantize_one(1.0, y.scale, y.zero), low), high), y), (y,))
    multiplier, shift = quantize_multiplier(x.scale / y.scale ** (1 / count))
    site.expect(shift < 15, f"scales {x.scale} and {y.scale}: each of {count} factors is multiplied by 2**{shift}")
    args = (x, x.zero, axes, multiplier, shift, y.zero, low, high, y)
    return Call(product_int, args, (y,), workspace=x.nbytes + 6 * 8 * y.size)


@op("REDUCE_ANY")
def reduce_any(site: Site) -> Call:
    x, y = _checked(site, ("bool",))
    axes, keep, _, y = _reduced(site, x, y)
    return Call(any_of, (x, axes, keep, y), (y,))


@op("REDUCE_ALL")
def reduce_all(site: Site) -> Call:
    x, y = _checked(site, ("bool",))
    axes, keep, _, y = _reduced(site, x, y)
    return Call(all_of, (x, axes, keep, y), (y,))


def _extreme(site: Site, along: Kernel, of_all: Kernel, end: int) -> Call:
    """`end`: which end of the type's range stands for no values."""
    x, y = _checked(site, TYPES)
    axes, keep, _, y = _reduced(site, x, y)
    if x.type in QUANTIZED and x.numbers != y.numbers:
        return refused(y, f"the input has (scale, zero) {x.numbers}, the output {y.numbers}")
    if len(axes) == x.rank and x.size:
        return Call(of_all, (x, y), (y,))
    limits = (False, True) if x.type == "bool" else finite_range(x.type)
    return Call(along, (x, limits[end], axes, keep, y), (y,))


def _mean_int(x: Tensor, y: Tensor, axes, keep, count, factor) -> Call:
    args = (x, x.zero, axes, keep, count, *factor, y.zero, *stored_range(y.type), y)
    return Call(mean_int, args, (y,), workspace=6 * 8 * y.size)


def _checked(site: Site, types: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    site.arity(2, 1)
    x, axis, y = site.input(0), site.input(1), site.output(0)
    if x.type not in types:
        site.unsupported(f"an input of type {x.type}")
    site.expect(axis.type == "int32", f"axes of type {axis.type}")
    check_types(site, x, y)
    for t in (x, y):
        zero = t.numbers[1]
        site.expect(x.type != "int16" or zero == 0, f"int16 tensor {t.index} has zero point {zero}")
    return x, y


def _reduced(site: Site, x: Tensor, y: Tensor) -> tuple[tuple[int, ...], bool, int, Tensor]:
    """(axes in order, keep_dims, how many values make one, y in its final shape)."""
    keep = bool(site.options.keep_dims)
    given = site.value(site.input(1)).ravel().tolist()
    axes = set()
    for axis in given if x.rank else ():
        site.expect(-x.rank <= axis < x.rank, f"Invalid axis index. {axis} of an input of rank {x.rank}")
        axes.add(axis % x.rank)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.known_shape) if keep or i not in axes)
    return tuple(sorted(axes)), keep, math.prod(x.known_shape[i] for i in axes), y.reshaped(shape)


def _factor(x: Tensor, y: Tensor) -> tuple[int, int]:
    """From x's scale to y's, as (multiplier, shift)."""
    return quantize_multiplier(x.scale / y.scale if y.scale else math.inf)
