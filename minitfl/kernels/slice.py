"""SLICE and STRIDED_SLICE: a part of the input, by start and size, or by start, end and stride. Generic in the type.

STRIDED_SLICE reads its arguments like Python's x[begin:end:stride, ...], with bit i of its masks about argument i:
begin_mask and end_mask leave the bound out; ellipsis_mask makes it an Ellipsis; new_axis_mask a new axis of length 1;
shrink_axis_mask a single index, whose axis goes. With `offset` an end counts from its begin.
"""

from __future__ import annotations

from minitfl.kernels.broadcast import refused, refused_early
from minitfl.kernels.checks import check_types
from minitfl.kernels.layout import MOVED
from minitfl.op import Call, Kernel, Site, op

SLICED = MOVED | {"string"}
MOST_AXES = 32  # that NumPy 1 can have


@Kernel
def take_slices(x, split, slices, y):
    """y = x[slices], x first seen with shape `split`."""
    y[...] = x.reshape(split)[slices].reshape(y.shape)


# ---- preparations


@op("SLICE", max_version=8)
def slice_(site: Site) -> Call:
    site.arity(3, 1)
    x, begin, size = (site.input(i) for i in range(3))
    y = site.output(0)
    check_types(site, x, y)
    for t in (begin, size):
        site.expect(t.type in ("int32", "int64"), f"'{t.name}' is {t.type}")
        site.expect(t.rank == 1, f"'{t.name}' has {t.rank} axes")
    site.expect(begin.size == size.size, f"{begin.size} begins and {size.size} sizes")
    starts = [int(n) for n in site.value(begin)]
    sizes = [int(n) for n in site.value(size)]
    site.expect(begin.size == x.rank, f"{begin.size} begins for an input of rank {x.rank}")
    for axis, (n, start, length) in enumerate(zip(x.known_shape, starts, sizes, strict=True)):
        site.expect(length >= -1, f"Invalid size {length} along axis {axis}.")
        sizes[axis] = length = n - start if length == -1 else length
        site.expect(
            start >= 0 and length >= 0 and start + length <= n, f"Invalid begin {start} and size {length} of {n}."
        )
    y = y.reshaped(tuple(sizes))
    if x.type not in SLICED | {"int4"}:
        return refused(y, f"Type {x.type} is currently not supported by Slice.")
    slices = tuple(slice(start, start + n) for start, n in zip(starts, sizes, strict=True))
    return Call(take_slices, (x, x.shape, slices, y), (y,))


@op("STRIDED_SLICE", max_version=8)
def strided_slice(site: Site) -> Call:
    site.arity(4, 1)
    x, begin, end, strides = (site.input(i) for i in range(4))
    y = site.output(0)
    check_types(site, x, y)
    for t in (begin, end, strides):
        site.expect(t.type == "int32", f"'{t.name}' is {t.type}, not int32")
        site.expect(t.rank == 1 and t.size == begin.size, f"'{t.name}' has the shape {t.shape}")
    site.expect(begin.size <= 31, "StridedSlice op only supports up to 31 indices.")
    arguments = [[int(n) for n in site.value(t)] for t in (begin, end, strides)]
    split, slices, shape = _read_arguments(site, x.known_shape, *arguments)
    site.expect(len(split) <= MOST_AXES, f"{len(split)} axes with the new ones are too many")
    y = y.reshaped(tuple(shape))
    if x.type not in SLICED:
        return refused_early(
            site, y, f"Type {x.type} is currently not supported by StridedSlice.", x, begin, end, strides
        )
    return Call(take_slices, (x, tuple(split), tuple(slices), y), (y,))


def _read_arguments(
    site: Site, shape: tuple[int, ...], begins: list[int], ends: list[int], strides: list[int]
) -> tuple[list[int], list[slice], list[int]]:
    """The shape with its new axes, a slice for each, and the output's shape."""
    options = site.options
    split, slices, kept = [], [], []
    axes = list(shape)
    ellipses = [i for i in range(len(begins)) if options.ellipsis_mask & (1 << i)]
    site.expect(len(ellipses) <= 1, f"arguments {ellipses} are all an ellipsis")
    for i, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        bit = 1 << i
        if options.ellipsis_mask & bit:
            # what later arguments leave of the axes
            later = sum(1 for j in range(i + 1, len(begins)) if not options.new_axis_mask & (1 << j))
            spread = axes[: max(len(axes) - later, 0)]
            split += spread
            kept += spread
            slices += [slice(None)] * len(spread)
            del axes[: len(spread)]
        elif options.new_axis_mask & bit:
            split.append(1)
            slices.append(slice(None))
            kept.append(1)
        elif axes:  # arguments past the last axis are left out
            n = axes.pop(0)
            split.append(n)
            part, length = _one_slice(site, n, begin, end, stride, bit)
            slices.append(part)
            if not options.shrink_axis_mask & bit:
                kept.append(length)
    return split + axes, slices + [slice(None)] * len(axes), kept + axes


def _one_slice(site: Site, n: int, begin: int, end: int, stride: int, bit: int) -> tuple[slice, int]:
    """(slice of the axis, its length)."""
    options = site.options
    site.expect(stride not in (0, -(2**31)), f"stride value has to be non-zero, it is {stride}")
    forward = stride > 0
    low, high = (0, n) if forward else (-1, n - 1)
    if options.begin_mask & bit:
        start = low if forward else high
    else:
        start = min(max(begin + n if begin < 0 else begin, low), high)
    if options.shrink_axis_mask & bit:
        # the official kernel leaves such an output unwritten
        site.expect(0 <= start < n, f"index {begin} of an axis of {n}")
        site.expect(forward, f"stride {stride} of an axis of which one index is taken")
        return slice(start, start + 1), 1
    if options.offset:
        end += start
    if options.end_mask & bit:
        stop = high if forward else low
    else:
        stop = min(max(end + n if end < 0 else end, low), high)
    length = max(-((start - stop) // stride), 0)
    if not length:
        return slice(0, 0), 0
    last = start + (length - 1) * stride
    return slice(start, last + 1 if forward else (last - 1 if last else None), stride), length
