"""Operations that go through arrays element by element: how broadcast operands lie, and their instruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitfl.engine.layouts.elementwise import walk
from minitfl.graph import Tensor
from minitfl.memory import copied

BLOCK_NBYTES = 1 << 16  # of the result, in a unit
ROW = 256  # elements that a row has better


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of the result, or several that lie as one. steps: for each operand, does it have it?"""

    size: int
    steps: tuple[bool, ...]


def axes(shape: tuple[int, ...], operands: list[tuple[int, ...]]) -> list[Axis]:
    """The axes of a result, with neighbours that every operand has or lacks taken as one."""
    found: list[Axis] = []
    wide = [(1,) * (len(shape) - len(operand)) + operand for operand in operands]
    for size, *sides in zip(shape, *wide):
        steps = tuple(side == size for side in sides)
        if size == 1:
            continue
        if found and found[-1].steps == steps:
            found[-1] = Axis(found[-1].size * size, steps)
        else:
            found.append(Axis(size, steps))
    return found or [Axis(1, (True,) * len(operands))]


def elementwise(e, kernel: str, operands: list[Tensor], y: Tensor, **numbers):
    """Adds the instruction of a kernel on operands that broadcast to y; False where they lie in too many ways."""
    if y.size == 0:
        return False
    lying = axes(y.known_shape, [x.known_shape for x in operands])
    if len(lying) > 3:
        return False
    outer, rows, inner = [Axis(1, (False,) * len(operands))] * (3 - len(lying)) + lying
    again = repeats(e, operands, rows, inner)
    length, count = inner.size * again, rows.size // again
    group = max(1, BLOCK_NBYTES // (length * y.dtype.itemsize))
    block = min(length, BLOCK_NBYTES // y.dtype.itemsize)
    words = {}
    for i, x in enumerate(operands):
        repeated = again > 1 and not rows.steps[i]
        row = x.dtype.itemsize * (length if inner.steps[i] else 1) * rows.steps[i]
        inside = (inner.size if inner.steps[i] else 1) * (rows.size if rows.steps[i] else 1)
        words |= {
            f"x{i + 1}": tiled(e, x, again) if repeated else e.tensor(x),
            f"x{i + 1}_outer": x.dtype.itemsize * inside * outer.steps[i],
            f"x{i + 1}_row": row,
        }
    units = outer.size * -(-count // group) * -(-length // block)
    spread = "".join(str(i + 1) for i, step in enumerate(inner.steps) if not step)
    e.add(
        f"{kernel}_spread{spread}" if spread else kernel,
        units,
        walk(len(operands), " ".join(numbers)),
        y=e.tensor(y),
        rows=count,
        length=length,
        group=min(group, count),
        block=block,
        **words,
        **numbers,
    )
    return True


def repeats(e, operands, rows: Axis, inner: Axis) -> int:
    """How many short rows are taken as one, for which operands that serve each row are repeated; these are constant."""
    if inner.size >= ROW or not all(inner.steps):
        return 1
    served = [x for x, steps in zip(operands, rows.steps) if not steps]
    if any(x.size != inner.size or e.contents(x) is None for x in served):
        return 1
    return max(n for n in range(1, ROW // inner.size + 1) if rows.size % n == 0)


def tiled(e, x: Tensor, again: int):
    return e.packed(x, ("tiled", again), lambda contents: copied(np.tile(contents.reshape(-1), again)))


def rescaling(name: str, factor) -> dict[str, int]:
    """The numbers of a (multiplier, shift)."""
    return {name: int(factor[0]), f"{name}_shift": int(factor[1])}
