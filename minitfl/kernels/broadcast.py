"""Element-wise operators: what shape two operands make, and how big ones are worked through in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from minitfl.errors import ModelError, UnsupportedError
from minitfl.graph import Tensor
from minitfl.kernels.fixedpoint import bfloat16_to_float32, float32_to_bfloat16
from minitfl.op import Call, Kernel, Site

BLOCK = 1 << 15  # elements; as int64 they fill a quarter of a megabyte, so that temporaries stay in the cache


def broadcast_shape(*operands: Tensor) -> tuple[int, ...]:
    """The shape of an element-wise result; sides are equal or 1, counted from the last axis."""
    shapes = [operand.known_shape for operand in operands]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(list(shape)) for shape in shapes)
        raise ModelError(f"Given shapes, {listed}, are not broadcastable") from None


def blocks(y: np.ndarray, *operands: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """(y, *operands) cut into matching parts of at most BLOCK elements, the operands broadcast to y. All are views.

    A scalar is given as an array of one element, as NumPy makes plain numbers of what it computes from scalars.
    """
    if not y.shape:
        yield tuple(array.reshape(1) for array in (y, *operands))
    elif y.size <= BLOCK:
        yield (y, *(x if x.shape == y.shape else np.broadcast_to(x, y.shape) for x in operands))
    elif all(x.shape == y.shape and x.flags.c_contiguous for x in operands) and y.flags.c_contiguous:
        flat = [array.reshape(-1) for array in (y, *operands)]
        for start in range(0, y.size, BLOCK):
            yield tuple(array[start : start + BLOCK] for array in flat)
    else:
        wide = [np.broadcast_to(x, y.shape) for x in operands]
        rows = max(1, BLOCK // (y.size // y.shape[0]))
        for start in range(0, y.shape[0], rows):
            part = slice(start, start + rows) if y.shape[0] > 1 else 0
            yield from blocks(y[part], *(x[part] for x in wide))


def row_blocks(x, y) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """x and y as rows of the last axis, as many at a time as have BLOCK elements. All are views."""
    if not y.size:
        return
    depth = y.shape[-1]
    x, y = x.reshape(-1, depth), y.reshape(-1, depth)
    step = max(1, BLOCK // depth)
    for start in range(0, len(y), step):
        yield x[start : start + step], y[start : start + step]


def workspace(*outputs: Tensor, nbytes: int = 8, arrays: int = 6) -> int:
    """Bytes that bound the temporaries of a kernel that goes through `blocks` with that many arrays at a time."""
    return min(max(output.size for output in outputs), BLOCK) * nbytes * arrays


def refused(y: Tensor, message: str, *others: Tensor) -> Call:
    """A Call that raises UnsupportedError at its turn, for what the official kernels refuse only then.

    others: the other outputs of the node.
    """
    return Call(refuse, (message, y), (y, *others))


def refused_early(site: Site, y: Tensor, message: str, *read: Tensor) -> Call:
    """refused, but at once where all that is read is constant: the official kernel runs while it is prepared then."""
    if all(t.data is not None for t in read):
        site.unsupported(message)
    return refused(y, message)


@Kernel
def refuse(message, y):
    """Raises UnsupportedError."""
    raise UnsupportedError(message)


def wrong(y: Tensor, message: str, *others: Tensor) -> Call:
    """refused, but a ModelError: for what the official kernels find wrong only at its turn."""
    return Call(fail, (message, y), (y, *others))


@Kernel
def fail(message, y):
    """Raises ModelError."""
    raise ModelError(message)


@cache
def bfloat16_form(kernel: Kernel) -> Kernel:
    """The kernel on bfloat16 operands (stored as uint16) and result, computed in float32 and rounded at the end."""

    def computed_in_float32(*args):
        *operands, whole = args
        for y, *parts in blocks(whole, *operands):
            wide = [bfloat16_to_float32(x) for x in parts]
            if y.dtype != np.uint16:
                kernel.numpy(*wide, y)
                continue
            result = np.empty(y.shape, np.float32)
            kernel.numpy(*wide, result)
            y[...] = float32_to_bfloat16(result)

    computed_in_float32.__name__ = f"{kernel.__name__}_bfloat16"
    return Kernel(computed_in_float32)
