"""What joins, cuts and rearranges tensors, as copies of runs of contiguous bytes."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.layouts.move import PAD
from minitfl.engine.layouts.runs import FILL, FILLED, PICK, PIXELS, RUNS
from minitfl.memory import copied

AXES = 5  # of a RUNS instruction
FEW = 16  # runs along an axis that are too few for a loop of their own
SQUARES = {1: 16, 2: 8, 4: 8}  # elements along the sides of what the transpose kernels turn at once, by bytes
UNIT_NBYTES = 1 << 13  # that a unit moves, or a bit more
MOST_INSTRUCTIONS = 64


# ---- joining and cutting


@emits("join.concatenate")
def concatenate(e, axis, *arrays):
    *inputs, y = arrays
    start = 0
    for x in inputs:
        place = [0] * y.rank
        place[axis] = start
        if not insert(e, x, y, place):
            return False
        start += x.known_shape[axis]
    return True


@emits("join.pack")
def pack(e, axis, *arrays):
    *inputs, y = arrays
    shape = y.known_shape[:axis] + (1,) + y.known_shape[axis + 1 :]
    return all(insert(e, x, y, [i if a == axis else 0 for a in range(y.rank)], shape) for i, x in enumerate(inputs))


@emits("join.unpack")
def unpack(e, axis, x, *outputs):
    shape = x.known_shape[:axis] + (1,) + x.known_shape[axis + 1 :]
    return all(
        extract(e, x, [slice(i, i + 1) if a == axis else slice(0, n) for a, n in enumerate(shape)], y)
        for i, y in enumerate(outputs)
    )


@emits("join.split")
def split(e, axis, starts, x, *outputs):
    slices = [slice(0, n) for n in x.known_shape]
    return all(
        extract(e, x, [*slices[:axis], slice(start, start + y.known_shape[axis]), *slices[axis + 1 :]], y)
        for start, y in zip(starts, outputs)
    )


@emits("slice.take_slices")
def take_slices(e, x, split, slices, y):
    return extract(e, x, slices, y, split)


@emits("layout.copy")
def copy(e, x, y):
    return extract(e, x, [slice(0, x.size)], y, (x.size,))


def insert(e, x, y, place, shape=None):
    """Adds the copy of x, seen with `shape`, to a place in y."""
    shape, strides = shape or x.known_shape, strides_of(y.known_shape, y)
    start = sum(i * s for i, s in zip(place, strides))
    return runs(e, x, y, shape, strides_of(shape, x), strides, y_start=start)


def extract(e, x, slices, y, shape=None):
    """Adds the copy of x[slices], x seen with `shape`, to y."""
    shape = shape or x.known_shape
    strides = strides_of(shape, x)
    ranges = [range(*part.indices(n)) for part, n in zip(slices, shape)]
    start = sum(r.start * s for r, s in zip(ranges, strides))
    counts = tuple(len(r) for r in ranges)
    return runs(e, x, y, counts, [r.step * s for r, s in zip(ranges, strides)], strides_of(counts, y), start=start)


# ---- repeating


@emits("join.tile")
def tile(e, x, multiples, y):
    counts = [n for pair in zip(multiples, x.known_shape) for n in pair]
    strides = [s for stride in strides_of(x.known_shape, x) for s in (0, stride)]
    return runs(e, x, y, counts, strides, strides_of(counts, y))


@emits("join.broadcast")
def broadcast(e, x, y):
    shape = (1,) * (y.rank - x.rank) + x.known_shape
    strides = [0 if n == 1 else s for n, s in zip(shape, strides_of(shape, x))]
    return runs(e, x, y, y.known_shape, strides, strides_of(y.known_shape, y))


# ---- another order


@emits("layout.rearrange")
def rearrange(e, x, split, perm, y):
    strides, shape = strides_of(split, x), tuple(split[p] for p in perm)
    return runs(e, x, y, shape, [strides[p] for p in perm], strides_of(shape, y))


# ---- borders


@emits("pad.pad")
def pad(e, x, inside, value, y):
    value = e.contents(value)
    if value is None or y.dtype.kind == "O":
        return False
    pattern = np.resize(np.frombuffer(value.tobytes(), np.uint8), 8)
    if (pattern == pattern[0]).all() and bordered_rows(e, x, inside, int(pattern[0]), y):
        return True
    nbytes = y.nbytes
    if nbytes:
        number = int(pattern.view(np.int64)[0])
        e.add("runs.fill", -(-nbytes // FILLED), FILL, y=e.tensor(y), nbytes=nbytes, pattern=number)
    return insert(e, x, y, [part.start for part in inside])


def bordered_rows(e, x, inside, byte, y):
    """Adds a copy of x with borders of one byte value, where only two neighbouring axes have any."""
    axes = [a for a, (n, m) in enumerate(zip(x.known_shape, y.known_shape)) if n != m]
    if not axes or axes[-1] - axes[0] > 1 or not x.size:
        return False
    high, wide = (axes[-1] - 1, axes[-1]) if axes[-1] else (-1, 0)
    pixel = math.prod(x.known_shape[wide + 1 :]) * x.dtype.itemsize
    height, padded = (x.known_shape[high], y.known_shape[high]) if high >= 0 else (1, 1)
    before = inside[wide].start
    e.add(
        "move.pad",
        math.prod(y.known_shape[: high + 1]) if high >= 0 else 1,
        PAD,
        x=e.tensor(x),
        y=e.tensor(y),
        height=height,
        row_nbytes=x.known_shape[wide] * pixel,
        padded_height=padded,
        before=inside[high].start if high >= 0 else 0,
        before_nbytes=before * pixel,
        after_nbytes=(y.known_shape[wide] - before - x.known_shape[wide]) * pixel,
        byte=byte,
    )
    return True


@emits("pad.mirror_pad")
def mirror_pad(e, x, paddings, mode, y):
    again = mode == "symmetric"  # the border itself is repeated
    pieces = []
    for n, (before, after) in zip(x.known_shape, paddings):
        along = [(before, n, 0, 1)]  # place in y, count, place in x, step
        if before:
            along.append((0, before, before - again, -1))
        if after:
            along.append((before + n, after, n - 2 + again, -1))
        pieces.append(along)
    strides, y_strides = strides_of(x.known_shape, x), strides_of(y.known_shape, y)
    for parts in product(*pieces):
        where, counts, places, steps = zip(*parts) if parts else ((), (), (), ())
        made = runs(
            e,
            x,
            y,
            counts,
            [step * s for step, s in zip(steps, strides)],
            y_strides,
            start=sum(i * s for i, s in zip(places, strides)),
            y_start=sum(i * s for i, s in zip(where, y_strides)),
        )
        if not made:
            return False
    return True


# ---- picking


@emits("index_ops.gather")
def gather(e, x, indices, axis, batch_dims, y):
    return picked(e, x, indices, axis, batch_dims, y)


@emits("embedding.embedding")
def embedding(e, indices, x, y):
    return picked(e, x, indices, 0, 0, y)


def picked(e, x, indices, axis, batch_dims, y):
    kind = {2: "i16", 4: "i32", 8: "i64"}.get(indices.dtype.itemsize)
    if kind is None or indices.dtype.kind != "i" or x.dtype.kind == "O" or not y.size:
        return False
    shape = x.known_shape
    batch = math.prod(shape[:batch_dims])
    e.add(
        f"runs.pick_{kind}",
        math.prod(shape[:axis]) * (indices.size // batch),
        PICK,
        x=e.tensor(x),
        indices=e.tensor(indices),
        y=e.tensor(y),
        rows=shape[axis],
        count=indices.size // batch,
        outer=math.prod(shape[batch_dims:axis]),
        nbytes=math.prod(shape[axis + 1 :]) * x.dtype.itemsize,
    )
    return True


@emits("resize.nearest")
def nearest(e, x, down, across, y):
    if x.dtype.kind == "O" or not y.size:
        return False
    batch, height, width, channels = x.known_shape
    pixel = channels * x.dtype.itemsize
    e.add(
        f"runs.pixels{pixel if pixel in (1, 2, 4, 8) else ''}",
        batch * len(down),
        PIXELS,
        x=e.tensor(x),
        down=e.constant(copied((down * width * pixel).astype(np.int64))),
        across=e.constant(copied((across * pixel).astype(np.int64))),
        y=e.tensor(y),
        out_height=len(down),
        out_width=len(across),
        image_nbytes=height * width * pixel,
        pixel_nbytes=pixel,
    )
    return True


# ---- copies of runs


def strides_of(shape, tensor):
    """Bytes from one place to the next along each axis of a tensor seen with `shape`."""
    made, size = [], tensor.dtype.itemsize
    for n in reversed(shape):
        made.append(size)
        size *= n
    return made[::-1]


def runs(e, x, y, counts, strides, y_strides, start=0, y_start=0):
    """Adds what copies from x to y for each place along axes of these counts and strides. True if that can be."""
    if x.dtype.kind == "O":
        return False
    if 0 in counts:
        return True
    nbytes, axes = merged(counts, strides, y_strides, x.dtype.itemsize)
    outer = axes[: max(len(axes) - AXES, 0)]
    if math.prod(n for n, _, _ in outer) > MOST_INSTRUCTIONS:
        return False
    for place in product(*(range(n) for n, _, _ in outer)):
        further, y_further = (sum(i * axis[k] for i, axis in zip(place, outer)) for k in (1, 2))
        add_runs(e, e.tensor(x), e.tensor(y), nbytes, axes[len(outer) :], start + further, y_start + y_further)
    return True


def merged(counts, strides, y_strides, size):
    """(bytes of a run, [(count, stride, stride in y), ...]): axes that are one in both tensors become one."""
    axes = []
    for n, s, t in zip(counts, strides, y_strides):
        if n == 1:
            continue
        if axes and (axes[-1][1], axes[-1][2]) == (n * s, n * t):
            n *= axes.pop()[0]
        axes.append((n, s, t))
    if axes and axes[-1][1:] == (size, size):
        size *= axes.pop()[0]
    return size, axes


def add_runs(e, x, y, nbytes, axes, start, y_start):
    """Adds one instruction, or two where a single run is so long that it is cut."""
    if not axes and nbytes > 2 * UNIT_NBYTES:
        count, rest = divmod(nbytes, UNIT_NBYTES)
        done = count * UNIT_NBYTES
        if rest:
            add_runs(e, x, y, rest, [], start + done, y_start + done)
        nbytes, axes = UNIT_NBYTES, [(count, UNIT_NBYTES, UNIT_NBYTES)]
    kernel, axes, block = ordered(nbytes, axes)
    axes = [(1, 0, 0)] * (AXES - len(axes)) + axes
    turns = kernel.startswith("transpose")
    blocks = axes[-1][0] // block if turns else -(-axes[-1][0] // block)
    inside = 2 if turns else 1  # axes that are walked through within a unit
    words = {f"n{k}": axes[k][0] for k in range(1, AXES)}
    words |= {f"{name}{k}": axes[k][i] for i, name in ((1, "x"), (2, "y")) for k in range(AXES)}
    units = math.prod(n for n, _, _ in axes[: AXES - inside]) * blocks
    e.add(
        f"runs.{kernel}",
        units,
        RUNS,
        x=x,
        start=start,
        y=y,
        y_start=y_start,
        nbytes=nbytes,
        block=block,
        blocks=blocks,
        **words,
    )


def ordered(nbytes, axes):
    """(kernel, axes in the order that it likes, runs along the last one that make a block)."""
    side = SQUARES.get(nbytes)
    if side and axes and axes[-1][2] == nbytes:
        neighbours = next((axis for axis in axes if axis[1] == nbytes), None)
        if neighbours and min(neighbours[0], axes[-1][0]) >= side:
            rest = [axis for axis in axes[:-1] if axis is not neighbours]
            return f"transpose{nbytes}", [*rest, axes[-1], neighbours], side
    if axes and axes[-1][0] < FEW and nbytes * axes[-1][0] < UNIT_NBYTES:
        longest = max(axes, key=lambda axis: axis[0])
        axes = [axis for axis in axes if axis is not longest] + [longest]
    kernel = f"runs{nbytes}" if nbytes in (1, 2, 4, 8) else "runs"
    return kernel, axes, max(1, UNIT_NBYTES // nbytes)
