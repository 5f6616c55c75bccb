"""The same values in another shape or order: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, and the block rearrangements.

    RESHAPE, SQUEEZE, EXPAND_DIMS   y = x under another shape; no value moves
    TRANSPOSE                       y[i0, i1 ...] = x with axis perm[k] as axis k
    SPACE_TO_DEPTH, DEPTH_TO_SPACE  blocks of height x width <-> channels; x (batch, height, width, channels)
    SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND
                                    blocks of the spatial axes <-> batch, after padding or before cropping

All are generic in the stored type. Each is a reshape, a transpose and a reshape, which `rearrange` does in one copy.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused, wrong
from minitfl.kernels.checks import axis_of, check_no_zero_point, check_scales, check_types
from minitfl.op import Call, Kernel, Site, op

MOVED = frozenset(  # what the official kernels move by its size alone: 8 to 64 bits
    "float32 float16 bfloat16 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool complex64 float8_e4m3fn "
    "float8_e5m2".split()
)
BLOCKS = ("float32", "uint8", "int8", "int32", "int64")
MOST_AXES = 8


@Kernel
def copy(x, y):
    """y = x, value by value in memory order."""
    y[...] = x.reshape(y.shape)


@Kernel
def rearrange(x, split, perm, y):
    """y = x seen with shape `split`, its axes in the order `perm`."""
    moved = x.reshape(split).transpose(perm)
    y.reshape(moved.shape)[...] = moved


@Kernel
def pad_rearrange(x, inside, pad, zero, split, perm, y):
    """y = x[inside], padded, then rearranged; see rearrange.

    pad: (before, after) for each axis; zero: the stored value that stands for 0.
    """
    rearrange.numpy(np.pad(x[inside], pad, constant_values=zero), split, perm, y)


@Kernel
def rearrange_crop(x, split, perm, whole, crop, y):
    """y = x rearranged, seen with shape `whole`, of which the slices `crop` are kept; see rearrange."""
    y[...] = x.reshape(split).transpose(perm).reshape(whole)[crop]


# ---- preparations: one shape for another


@op("RESHAPE", max_version=1)
def reshape(site: Site) -> Call:
    site.arity((1, 2), 1)
    x = site.input(0)
    wanted = site.optional(1)
    if len(site.inputs) == 2 and wanted is not None and wanted.type == "int32" and wanted.rank == 1:
        shape = [int(n) for n in site.value(wanted)]
    else:
        shape = [int(n) for n in site.options.new_shape]
        shape = [] if shape == [0] else shape  # how old converters write a scalar
    try:
        return _reshaped(site, x, resolve_shape(site, x, shape))
    except ModelError as error:
        if x.type != "string":
            raise
        return wrong(site.output(0).reshaped(x.known_shape), str(error))  # strings get their shape at their turn


def resolve_shape(site: Site, x: Tensor, shape: list[int]) -> tuple[int, ...]:
    """`shape` with its one -1 replaced by what makes the sizes equal."""
    free = [i for i, n in enumerate(shape) if n == -1]
    site.expect(len(free) <= 1, f"stretch_dim != -1: the shape {shape} has {len(free)} free dimensions")
    site.expect(all(n >= -1 for n in shape), f"the shape {shape} has a negative dimension")
    if free:
        given = [n for n in shape if n != -1]
        if not x.size and math.prod(given):
            shape[free[0]] = 0
        else:  # sizes of 0 on both sides are left out
            shape[free[0]] = math.prod(n for n in x.known_shape if n) // math.prod(n for n in given if n)
    site.expect(
        math.prod(shape) == x.size,
        f"num_input_elements != num_output_elements: {x.shape} has {x.size} elements, the shape {tuple(shape)} "
        f"{math.prod(shape)}{_batch_hint(x, shape)}",
    )
    return tuple(shape)


def _batch_hint(x: Tensor, shape: list[int]) -> str:
    if x.shape and shape and math.prod(x.shape[1:]) == math.prod(shape[1:]):
        return "; the model was converted with its batch size frozen in this shape"
    return ""


@op("SQUEEZE", max_version=2)
def squeeze(site: Site) -> Call:
    site.arity(1, 1)
    x = site.input(0)
    site.expect(x.rank <= MOST_AXES, f"the input has {x.rank} axes, more than {MOST_AXES}")
    axes = [int(a) for a in site.options.squeeze_dims]
    chosen = {a + x.rank if a < 0 else a for a in axes}
    for a in chosen:
        site.expect(0 <= a < x.rank, f"squeeze_dims {axes} leave the {x.rank} axes of {x.shape}")
        site.expect(x.known_shape[a] == 1, f"axis {a} of {x.shape} can't be squeezed: it is not 1")
    if not axes:
        chosen = {a for a, n in enumerate(x.known_shape) if n == 1}
    return _reshaped(site, x, tuple(n for a, n in enumerate(x.known_shape) if a not in chosen))


@op("EXPAND_DIMS", max_version=1)
def expand_dims(site: Site) -> Call:
    site.arity(2, 1)
    x, axis, y = site.input(0), site.input(1), site.output(0)
    check_scales(site, x, y)
    check_no_zero_point(site, x)
    value = site.value(axis)
    site.expect(axis.size == 1, f"the axis has {axis.size} elements")
    site.expect(axis.type in ("int32", "int64"), f"the axis is {axis.type}")
    at = axis_of(site, int(value.reshape(-1)[0]), x.rank + 1)
    y = replace(y, type=x.type).reshaped(*x.known_shape[:at], 1, *x.known_shape[at:])
    return Call(copy, (x, y), (y,), shares=((y, x),))


def _reshaped(site: Site, x: Tensor, shape: tuple[int, ...]) -> Call:
    y = site.output(0).reshaped(shape)
    check_types(site, x, y)
    return Call(copy, (x, y), (y,), shares=((y, x),))


# ---- preparations: another order


@op("TRANSPOSE", max_version=9)
def transpose(site: Site) -> Call:
    site.arity(2, 1)
    x, perm = site.input(0), site.input(1)
    y = site.output(0)
    site.expect(x.rank <= MOST_AXES, f"Transpose op only supports 1D-8D input arrays, this has {x.rank}")
    check_types(site, x, y)
    value = site.value(perm)
    site.expect(perm.type == "int32", f"the permutation is {perm.type}")
    site.expect(perm.shape == (x.rank,), f"a permutation of shape {perm.shape} for a tensor of rank {x.rank}")
    given = [int(p) for p in value]
    axes = [p + x.rank if p < 0 else p for p in given]
    for p in axes:
        site.expect(0 <= p < x.rank, f"Transpose op permutations array is out of bounds: {given} for rank {x.rank}")
    site.expect(sorted(axes) == list(range(x.rank)), f"the permutation {given} names an axis twice")
    y = y.reshaped(tuple(x.known_shape[p] for p in axes))
    if x.type not in MOVED | {"int4", "uint4"}:
        return refused(y, f"Type {x.type} is currently not supported by Transpose.")
    return Call(rearrange, (x, x.shape, tuple(axes), y), (y,))


@op("SPACE_TO_DEPTH", max_version=2)
def space_to_depth(site: Site) -> Call:
    x, y, block = _block(site)
    batch, height, width, channels = x.known_shape
    site.expect(height % block == 0 and width % block == 0, f"blocks of {block} do not divide {height} x {width}")
    y = y.reshaped(batch, height // block, width // block, channels * block * block)
    split = (batch, height // block, block, width // block, block, channels)
    return Call(rearrange, (x, split, (0, 1, 3, 2, 4, 5), y), (y,))


@op("DEPTH_TO_SPACE", max_version=2)
def depth_to_space(site: Site) -> Call:
    x, y, block = _block(site)
    batch, height, width, channels = x.known_shape
    site.expect(channels % (block * block) == 0, f"blocks of {block} x {block} do not divide {channels} channels")
    y = y.reshaped(batch, height * block, width * block, channels // (block * block))
    split = (batch, height, width, block, block, channels // (block * block))
    return Call(rearrange, (x, split, (0, 1, 3, 2, 4, 5), y), (y,))


def _block(site: Site) -> tuple[Tensor, Tensor, int]:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.rank == 4, f"the input has {x.rank} axes, not 4")
    check_types(site, x, y)
    if x.type not in BLOCKS:
        site.unsupported(f"Type '{x.type}' not currently supported.")
    block = int(site.options.block_size)
    site.expect(block > 0, f"block_size {block} is not positive")
    return x, y, block


@op("SPACE_TO_BATCH_ND", max_version=4)
def space_to_batch_nd(site: Site) -> Call:
    x, y, blocks, pads = _blocks(site)
    padded = [n + before + after for n, (before, after) in zip(x.known_shape[1:], pads, strict=False)]
    for n, block in zip(padded, blocks, strict=True):
        site.expect(n >= 0 and n % block == 0, f"a block of {block} does not divide the padded size {n}")
    batch, rest = x.known_shape[0], x.known_shape[1 + len(blocks) :]
    y = y.reshaped(batch * math.prod(blocks), *(n // b for n, b in zip(padded, blocks, strict=True)), *rest)
    if x.type not in MOVED:
        return refused(y, f"Type {x.type} is currently not supported by SpaceToBatch.")
    split = (batch, *(n for size, b in zip(padded, blocks, strict=True) for n in (size // b, b)), *rest)
    count = len(blocks)
    inside = tuple(2 + 2 * k for k in range(count))
    outside = tuple(1 + 2 * k for k in range(count))
    perm = (*inside, 0, *outside, *range(1 + 2 * count, len(split)))
    # what is padded by a negative number is cut off
    part = [slice(max(-before, 0), max(n + min(after, 0), 0)) for n, (before, after) in zip(x.known_shape[1:], pads)]
    pad = [(max(before, 0), max(after, 0)) for before, after in pads]
    pad = ((0, 0), *pad, *((0, 0) for _ in rest))
    zero = np.array(y.numbers[1] if x.dtype.itemsize < 4 else 0).astype(x.dtype)
    return Call(pad_rearrange, (x, (slice(None), *part), pad, zero, split, perm, y), (y,), workspace=y.nbytes)


@op("BATCH_TO_SPACE_ND", max_version=4)
def batch_to_space_nd(site: Site) -> Call:
    x, y, blocks, crops = _blocks(site)
    site.expect(all(n >= 0 for pair in crops for n in pair), f"negative crops {crops}")
    count = len(blocks)
    batch, rest = x.known_shape[0], x.known_shape[1 + count :]
    site.expect(batch % math.prod(blocks) == 0, f"blocks {blocks} do not divide the batch of {batch}")
    batch //= math.prod(blocks)
    spatial = x.known_shape[1 : 1 + count]
    whole = [n * b for n, b in zip(spatial, blocks, strict=True)]
    kept = [n - before - after for n, (before, after) in zip(whole, crops, strict=True)]
    site.expect(all(n >= 0 for n in kept), f"crops {crops} leave nothing of {whole}")
    y = y.reshaped(batch, *kept, *rest)
    if x.type not in MOVED:
        return refused(y, f"Type {x.type} is currently not supported by BatchToSpace.")
    split = (*blocks, batch, *spatial, *rest)
    perm = (count, *(n for k in range(count) for n in (count + 1 + k, k)), *range(2 * count + 1, len(split)))
    crop = (slice(None), *(slice(before, before + n) for n, (before, _) in zip(kept, crops, strict=True)))
    return Call(rearrange_crop, (x, split, perm, (batch, *whole, *rest), crop, y), (y,), workspace=x.nbytes)


def _blocks(site: Site) -> tuple[Tensor, Tensor, list[int], list[tuple[int, int]]]:
    """Input, output, block sizes and pairs of SPACE_TO_BATCH_ND and its inverse."""
    site.arity(3, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.rank in (3, 4), f"the input has {x.rank} axes, not 3 or 4")
    check_types(site, x, y)
    if x.type in ("uint8", "int8", "int16"):
        check_scales(site, x, y)
        check_no_zero_point(site, x)
    values = [site.value(site.input(i)) for i in (1, 2)]
    count = x.rank - 2
    for i in (1, 2):
        site.expect(site.input(i).type == "int32", f"input {i} is {site.input(i).type}, not int32")
    site.expect(values[0].shape == (count,), f"the block shape has the shape {values[0].shape}")
    site.expect(values[1].shape == (count, 2), f"input 2 has the shape {values[1].shape}")
    blocks = [int(b) for b in values[0]]
    site.expect(all(b > 0 for b in blocks), f"the block shape {blocks} is not positive")
    return x, y, blocks, [(int(a), int(b)) for a, b in values[1]]
