"""Values in the opposite order: REVERSE_V2 along whole axes, REVERSE_SEQUENCE along a part of one.

    REVERSE_V2        y[..., i, ...] = x[..., n - 1 - i, ...] along each of the given axes
    REVERSE_SEQUENCE  y[b, i] = x[b, lengths[b] - 1 - i] where i < lengths[b], else x[b, i]

Both are generic in the stored type.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.broadcast import wrong
from minitfl.kernels.checks import check_types
from minitfl.op import Call, Kernel, Site, op

REVERSED = frozenset("int32 float32 uint8 int8 int16 int64 bool float16 bfloat16".split())
SEQUENCES = frozenset("int32 float32 uint8 int16 int64".split())
MOST_AXES = 8


@Kernel
def reverse(x, axes, y):
    """y = x, turned around along the axes"""
    y[...] = np.flip(x, axes)


@Kernel
def reverse_sequence(x, lengths, sequence, batch, y):
    """y[b, i] = x[b, lengths[b] - 1 - i] where i < lengths[b], else x[b, i].

    batch, sequence: the axes that b and i count along.
    """
    n = x.shape[sequence]
    too_long = lengths > n
    if too_long.any():
        raise ModelError(f"a sequence of {lengths[too_long][0]} along an axis of {n}")
    i = np.arange(n)
    source = np.where(i < lengths[:, np.newaxis], lengths[:, np.newaxis] - 1 - i, i)
    source = source if batch < sequence else source.T
    shape = [x.shape[a] if a in (batch, sequence) else 1 for a in range(x.ndim)]
    y[...] = np.take_along_axis(x, source.reshape(shape), sequence)


# ---- preparations


@op("REVERSE_V2", max_version=4)
def reverse_v2(site: Site) -> Call:
    site.arity(2, 1)
    x, axes, y = site.input(0), site.input(1), site.output(0)
    site.expect(axes.rank == 1, f"the axes have the shape {axes.shape}")
    site.expect(x.rank <= MOST_AXES, f"the input has {x.rank} axes, more than {MOST_AXES}")
    site.expect(axes.size <= x.rank, f"{axes.size} axes of an input of rank {x.rank}")
    if x.type not in REVERSED:
        site.unsupported(f"Type '{x.type}' is not supported by reverse.")
    if axes.type != "int32":
        site.unsupported(f"Axis Type '{axes.type}' is not supported by reverse.")
    check_types(site, x, y)
    y = y.reshaped(x.known_shape)
    given = [int(a) for a in site.value(axes)]
    if not all(-x.rank <= a < x.rank for a in given):
        return wrong(y, f"axes {given} of an input of rank {x.rank}")
    chosen = sorted(a + x.rank if a < 0 else a for a in given)
    if any(b != a + 1 for a, b in pairwise(chosen)):
        return wrong(y, f"Non-contiguous `axes` not supported: {given}")
    return Call(reverse, (x, tuple(chosen), y), (y,))


@op("REVERSE_SEQUENCE", max_version=1)
def reverse_sequence_(site: Site) -> Call:
    site.arity(2, 1)
    x, lengths, y = site.input(0), site.input(1), site.output(0)
    site.expect(lengths.rank == 1, f"the lengths have the shape {lengths.shape}")
    if x.type not in SEQUENCES:
        site.unsupported(f"Type '{x.type}' is not supported by reverse_sequence.")
    if lengths.type not in ("int32", "int64"):
        site.unsupported(f"Seq_lengths type '{lengths.type}' is not supported by reverse_sequence.")
    check_types(site, x, y)
    y = y.reshaped(x.known_shape)
    sequence, batch = site.options.seq_dim, site.options.batch_dim
    if not (0 <= sequence < x.rank and 0 <= batch < x.rank and sequence != batch):
        return wrong(y, f"seq_dim {sequence} and batch_dim {batch} of an input of rank {x.rank}")
    if lengths.size != x.known_shape[batch]:
        return wrong(y, f"{lengths.size} lengths for a batch of {x.known_shape[batch]}")
    nbytes = 8 * lengths.size * x.known_shape[sequence]
    return Call(reverse_sequence, (x, lengths, sequence, batch, y), (y,), workspace=4 * nbytes + y.nbytes)
