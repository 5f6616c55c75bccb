"""Tensors put together, taken apart and repeated.

    CONCATENATION           y = the inputs one after another along an axis
    PACK, UNPACK            the same along an axis of its own
    SPLIT, SPLIT_V          pieces of an input along an axis, equal or of given sizes
    TILE, BROADCAST_TO      the input repeated along each axis
    BROADCAST_ARGS          the shape that two shapes broadcast to

All are generic in the stored type; values move unchanged. Only uint8 CONCATENATION brings its inputs to the output's
scale, by a table of 256 entries for each input that has another.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused_early
from minitfl.kernels.checks import axis_of, check_no_zero_point, check_scales, check_types
from minitfl.kernels.fixedpoint import round_away
from minitfl.kernels.layout import MOVED
from minitfl.op import Call, Kernel, Site, op

CONCATENATED = frozenset("float32 float16 bfloat16 uint8 int8 int16 int32 int64 bool uint32 int4".split())
SPLIT = frozenset("float32 uint8 int8 int16 int32 int64".split())
PACKED = frozenset("int32 float32 uint8 uint32 int8 int16 int64".split())
UNPACKED = frozenset("int32 float32 float16 bfloat16 uint8 int8 int16 bool".split())
MOST_AXES = 32  # that NumPy 1 can have


@Kernel
def concatenate(axis, *arrays):
    """y = the inputs one after another along the axis. arrays: the inputs, then y."""
    y = arrays[-1]
    np.concatenate(arrays[:-1], axis=axis, out=y)


@Kernel
def concatenate_rescaled(axis, tables, *arrays):
    """concatenate, each uint8 input read through its table; None where its scale is the output's."""
    pairs = zip(arrays[:-1], tables, strict=True)
    np.concatenate([x if table is None else table[x] for x, table in pairs], axis=axis, out=arrays[-1])


@Kernel
def pack(axis, *arrays):
    """y = the inputs side by side along a new axis. arrays: the inputs, then y."""
    np.stack(arrays[:-1], axis=axis, out=arrays[-1])


@Kernel
def unpack(axis, x, *outputs):
    """outputs[k] = the slice k of x along the axis, which then goes."""
    for y, part in zip(outputs, np.moveaxis(x, axis, 0), strict=True):
        y[...] = part


@Kernel
def split(axis, starts, x, *outputs):
    """outputs[k] = x from starts[k] on along the axis, as far as the output is long."""
    for y, start in zip(outputs, starts, strict=True):
        y[...] = x[(slice(None),) * axis + (slice(start, start + y.shape[axis]),)]


@Kernel
def tile(x, multiples, y):
    """y = x repeated multiples[k] times along axis k."""
    y[...] = np.tile(x, multiples)


@Kernel
def broadcast(x, y):
    """y = x, repeated along axes of length 1."""
    y[...] = x


@Kernel
def broadcast_shapes(a, b, y):
    """y = the longer shape, with 1s replaced by the other's sizes; an error where two sizes differ and none is 1."""
    a, b = (np.pad(shape, (len(y) - len(shape), 0), constant_values=1) for shape in (a, b))
    if ((a != b) & (a != 1) & (b != 1)).any():
        raise ModelError(f"the shapes {a.tolist()} and {b.tolist()} do not broadcast")
    y[...] = np.where(a == 1, b, a)


# ---- preparations


@op("CONCATENATION", max_version=7)
def concatenation(site: Site) -> Call:
    inputs = [site.input(i) for i in range(max(len(site.inputs), 1))]
    first = inputs[0]
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    site.expect(activation == "NONE", f"the activation is {activation}")
    if first.type not in CONCATENATED:
        site.unsupported(f"Type '{first.type}' is not supported currently.")
    y = site.output(0)
    site.expect(y.type == first.type, f"the inputs are {first.type}, the output {y.type}")
    axis = site.options.axis
    scalars = all(t.data is not None and not t.rank for t in inputs) and first.type != "int4"
    if scalars and axis == 0:
        y = y.reshaped(len(inputs))
        return Call(pack, (0, *inputs, y), (y,))
    axis = axis_of(site, axis, first.rank)
    for t in inputs:
        same = t.rank == first.rank and all(
            a == b for d, (a, b) in enumerate(zip(t.known_shape, first.known_shape)) if d != axis
        )
        site.expect(same, f"{t.shape} can't be joined to {first.shape} along axis {axis}")
        site.expect(t.type == first.type, f"an input is {t.type}, another {first.type}")
        if t.type == "int8":
            check_scales(site, t, y)
        check_no_zero_point(site, t)
    check_no_zero_point(site, y)
    shape = list(first.known_shape)
    shape[axis] = sum(t.known_shape[axis] for t in inputs)
    y = y.reshaped(tuple(shape))
    tables = [_rescaling_table(t, y) for t in inputs] if first.type == "uint8" else []
    if any(table is not None for table in tables):
        return Call(concatenate_rescaled, (axis, tables, *inputs, y), (y,), workspace=y.nbytes)
    return Call(concatenate, (axis, *inputs, y), (y,))


def _rescaling_table(x: Tensor, y: Tensor) -> np.ndarray | None:
    """What each of the 256 stored values of x is in y's scale, computed in float32; None if it is itself."""
    x_scale, x_zero = x.numbers
    y_scale, y_zero = y.numbers
    if (x_scale, x_zero) == (y_scale, y_zero):
        return None
    with np.errstate(all="ignore"):
        scale = np.float32(x_scale) * (np.float32(1) / np.float32(y_scale))
        bias = np.float32(-x_zero) * scale
        reals = round_away(np.arange(256, dtype=np.float32) * scale + bias)
    return np.clip(np.nan_to_num(reals).astype(np.int64) + y_zero, 0, 255).astype(np.uint8)


@op("PACK", max_version=5)
def pack_(site: Site) -> Call:
    count, axis = site.options.values_count, site.options.axis
    site.arity(count, 1)
    inputs = [site.input(i) for i in range(count)]
    site.expect(inputs, "nothing to pack")
    first, y = inputs[0], site.output(0)
    if first.type not in PACKED:
        site.unsupported(f"Type '{first.type}' is not supported by pack.")
    axis = axis_of(site, axis, first.rank + 1)
    site.expect(y.type == first.type, f"the inputs are {first.type}, the output {y.type}")
    for t in inputs:
        site.expect(t.shape == first.shape, f"inputs of shapes {first.shape} and {t.shape}")
        site.expect(t.type == first.type, f"inputs of types {first.type} and {t.type}")
        check_scales(site, t, y)
    y = y.reshaped(*first.known_shape[:axis], count, *first.known_shape[axis:])
    return Call(pack, (axis, *inputs, y), (y,))


@op("UNPACK", max_version=6)
def unpack_(site: Site) -> Call:
    count, axis = site.options.num, site.options.axis
    site.arity(1, count)
    x = site.input(0)
    if x.type not in UNPACKED:
        site.unsupported(f"Type '{x.type}' is not supported by unpack.")
    site.expect(x.size > 0, f"the input {x.shape} is empty")
    axis = axis_of(site, axis, x.rank)
    site.expect(x.known_shape[axis] == count, f"axis {axis} of {x.shape} is not {count} long")
    outputs = tuple(site.output(i).reshaped(x.known_shape[:axis] + x.known_shape[axis + 1 :]) for i in range(count))
    for y in outputs:
        check_types(site, x, y)
        check_scales(site, x, y)
    return Call(unpack, (axis, x, *outputs), outputs)


@op("SPLIT", max_version=5)
def split_(site: Site) -> Call:
    count = site.options.num_splits
    site.arity(2, count)
    x = site.input(1)
    axis = _split_axis(site, site.input(0), x)
    site.expect(count > 0, f"num_splits is {count}")
    site.expect(
        x.known_shape[axis] % count == 0, f"{count} splits do not divide the {x.known_shape[axis]} of axis {axis}"
    )
    return _split(site, x, axis, [x.known_shape[axis] // count] * count)


@op("SPLIT_V", max_version=3)
def split_v(site: Site) -> Call:
    count = site.options.num_splits
    site.arity(3, count)
    x, sizes = site.input(0), site.input(1)
    site.expect(sizes.shape == (count,), f"size_splits has the shape {sizes.shape} for {count} outputs")
    axis = _split_axis(site, site.input(2), x)
    values = site.value(sizes)
    site.expect(sizes.type in ("int32", "int64"), f"size_splits is {sizes.type}")
    lengths = [int(n) for n in values]
    free = [i for i, n in enumerate(lengths) if n == -1]
    site.expect(len(free) <= 1, f"The size_splits {lengths} contains more than one -1.")
    if free:
        lengths[free[0]] = x.known_shape[axis] - (sum(lengths) + 1)
    fits = sum(lengths) == x.known_shape[axis] and all(n >= 0 for n in lengths)
    site.expect(fits, f"The size_splits {lengths} must sum to the {x.known_shape[axis]} of axis {axis}.")
    return _split(site, x, axis, lengths)


def _split_axis(site: Site, axis: Tensor, x: Tensor) -> int:
    if x.type not in SPLIT:
        site.unsupported(f"Type {x.type} currently not supported.")
    value = site.value(axis).reshape(-1)
    site.expect(value.size and value.dtype.kind in "iu", f"the axis is {axis.type} {axis.shape}")
    return axis_of(site, int(value[0]), x.rank)


def _split(site: Site, x: Tensor, axis: int, lengths: list[int]) -> Call:
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    outputs = []
    for i, n in enumerate(lengths):
        y = replace(site.output(i), type=x.type)
        outputs.append(y.reshaped(*x.known_shape[:axis], n, *x.known_shape[axis + 1 :]))
    return Call(split, (axis, starts, x, *outputs), tuple(outputs))


@op("TILE", max_version=3)
def tile_(site: Site) -> Call:
    site.arity(2, 1)
    x, multiples, y = site.input(0), site.input(1), site.output(0)
    check_types(site, x, y)
    if multiples.type not in ("int32", "int64"):
        site.unsupported(f"Multipliers of type '{multiples.type}' are not supported by tile.")
    times = [int(n) for n in site.value(multiples).reshape(-1)]
    site.expect(len(times) == x.rank, f"{len(times)} multipliers for an input of rank {x.rank}")
    site.expect(all(n >= 0 for n in times), f"Multipliers must be non-negative, not {times}.")
    y = y.reshaped(tuple(n * k for n, k in zip(x.known_shape, times, strict=True)))
    if x.type not in MOVED | {"string"} and y.size:
        return refused_early(site, y, f"Type '{x.type}' is not supported by tile.", x, multiples)
    return Call(tile, (x, tuple(times), y), (y,), workspace=2 * y.nbytes)


@op("BROADCAST_TO", max_version=4, min_version=2)
def broadcast_to(site: Site) -> Call:
    site.arity(2, 1)
    x, wanted, y = site.input(0), site.input(1), site.output(0)
    site.expect(wanted.type in ("int32", "int64"), f"the shape is {wanted.type}")
    check_types(site, x, y)
    if x.type == "string":
        site.unsupported("strings can't be broadcast")
    value = site.value(wanted)
    site.expect(wanted.rank == 1, f"the shape has {wanted.rank} axes")
    shape = tuple(int(n) for n in value)
    site.expect(x.rank <= len(shape) <= MOST_AXES, f"{x.shape} can't be broadcast to the {len(shape)} axes of {shape}")
    tail = shape[len(shape) - x.rank :]
    fits = all(a in (1, b) for a, b in zip(x.known_shape, tail, strict=True)) and all(n >= 0 for n in shape)
    site.expect(fits, f"{x.shape} can't be broadcast to {shape}")
    y = y.reshaped(shape)
    return Call(broadcast, (x, y), (y,))


@op("BROADCAST_ARGS", max_version=1)
def broadcast_args(site: Site) -> Call:
    site.arity(2, 1)
    a, b, y = site.input(0), site.input(1), site.output(0)
    for t in (a, b):
        site.expect(t.type in ("int32", "int64") and t.type == y.type, f"shapes of {a.type} and {b.type} to {y.type}")
        site.expect(t.rank == 1, f"a shape has {t.rank} axes")
    y = y.reshaped(max(a.size, b.size))
    return Call(broadcast_shapes, (a, b, y), (y,))
