"""REDUCE_WINDOW, STABLEHLO_REDUCE_WINDOW: one number from all values in a window, along up to 6 axes.

    y[i ...] = f(... f(f(init, x[i * stride + 0 * dilation ...]), x[i * stride + 1 * dilation ...]) ...)

f is +, *, the smaller, the larger, `and` or `or`; init: one number. STABLEHLO_REDUCE_WINDOW first spreads x, with
`base_dilation` from one value to the next, and then adds `padding` to both ends of each axis (a negative one cuts
off); what is new is init. Its f is that of the one node in a subgraph. y and init have the type of x:

    float32 float64 int8 uint8 int16 int32 int64 bool

Whole numbers wrap. The values of a window are taken in order, so that floats come out equal to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused, wrong
from minitfl.kernels.checks import check_types
from minitfl.op import Call, Kernel, Site, op

TYPES = frozenset("float32 float64 int8 uint8 int16 int32 int64 bool".split())
MOST_AXES = 6


def larger(a, b):
    """a where a >= b, else b: of NaN and a number, the one that comes later."""
    return np.where(a >= b, a, b)


def smaller(a, b):
    """a where a <= b, else b."""
    return np.where(a <= b, a, b)


COMBINE: dict[str, Callable] = {
    "ADD": np.add,
    "MUL": np.multiply,
    "MINIMUM": smaller,
    "MAXIMUM": larger,
    "ALL": np.logical_and,
    "ANY": np.logical_or,
}
BODIES = {
    "ADD": "ADD",
    "STABLEHLO_ADD": "ADD",
    "MUL": "MUL",
    "STABLEHLO_MULTIPLY": "MUL",
    "MAXIMUM": "MAXIMUM",
    "STABLEHLO_MAXIMUM": "MAXIMUM",
    "MINIMUM": "MINIMUM",
    "STABLEHLO_MINIMUM": "MINIMUM",
    "LOGICAL_AND": "ALL",
    "STABLEHLO_AND": "ALL",
    "LOGICAL_OR": "ANY",
    "STABLEHLO_OR": "ANY",
}


class Windows(NamedTuple):
    """One number an axis in each field."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]


@Kernel
def reduce_window(x, init, combine, windows, y):
    """x has every value that a window meets; init: an array of one number. combine: f."""
    y[...] = init.reshape(-1)[0]
    if not y.size:
        return
    for tap in np.ndindex(*windows.size):
        starts = [k * step for k, step in zip(tap, windows.dilation, strict=True)]
        ends = [start + (n - 1) * s + 1 for start, n, s in zip(starts, y.shape, windows.stride, strict=True)]
        met = tuple(map(slice, starts, ends, windows.stride))
        y[...] = combine(y, x[met])


@Kernel
def reduce_spread_window(x, init, combine, windows, base, before, shape, y):
    """reduce_window on x spread and padded: x[i] goes to i * base + before, within `shape`; the rest is init."""
    spread = np.full(shape, init.reshape(-1)[0], x.dtype)
    kept, places = [], []
    for n, step, first, size in zip(x.shape, base, before, shape, strict=True):
        low = min(max(0, -(first // step)), n)
        high = max(low, min(n, (size - 1 - first) // step + 1))
        kept.append(slice(low, high))
        places.append(slice(low * step + first, max(high * step + first, 0), step))
    spread[tuple(places)] = x[tuple(kept)]
    reduce_window.numpy(spread, init, combine, windows, y)


# ---- preparations


@op("REDUCE_WINDOW")
def reduce_window_(site: Site) -> Call:
    site.arity(5, 1)
    x, init = site.input(0), site.input(1)
    given = [site.input(i) for i in (2, 3, 4)]
    for t in given:
        site.expect(t.data is not None, f"'{t.name}' is not a constant")
        site.expect(t.type == "int64", f"'{t.name}' is {t.type}, not int64")
    y = _checked(site, x, init)
    for t in given:
        site.expect(t.size >= x.rank, f"'{t.name}' has {t.size} numbers for {x.rank} axes")
    windows = Windows(*(tuple(site.value(t).reshape(-1)[: x.rank].tolist()) for t in given))
    fits = min(windows.stride) > 0 and min(*windows.dilation, *windows.size) >= 0
    site.expect(fits, f"strides of {windows.stride}, dilations of {windows.dilation}, a window of {windows.size}")
    y = y.reshaped(_sides(x.known_shape, windows))
    function = site.enum("reduce_function", "ReduceWindowFunction")
    site.expect(function in COMBINE, f"Unsupported reduce function {function}")
    if x.type not in TYPES:
        return refused(y, f"unsupported kernel data type {x.type}")
    return Call(reduce_window, (x, init, COMBINE[function], windows, y), (y,), workspace=3 * y.nbytes)


@op("STABLEHLO_REDUCE_WINDOW")
def stablehlo_reduce_window(site: Site) -> Call:
    site.arity(2, 1)
    x, init = site.input(0), site.input(1)
    y = _checked(site, x, init)
    size, stride, base, dilation = (
        _attribute(site, name, 1, 1)
        for name in ("window_dimensions", "window_strides", "base_dilations", "window_dilations")
    )
    padding = _attribute(site, "padding", 2, 0)
    for numbers in (base, size, stride, dilation):
        site.expect(min(numbers) > 0, f"a window of {numbers}")
    before, after = padding[::2], padding[1::2]
    spread = tuple((n - 1) * step + 1 for n, step in zip(x.known_shape, base, strict=True))
    shape = tuple(n + a + b for n, a, b in zip(spread, before, after, strict=True))
    site.expect(min(*spread, *shape) >= 0, f"a negative side: {spread} spread, {shape} padded")
    windows = Windows(size, stride, dilation)
    y = y.reshaped(_sides(shape, windows))
    if any(padding) and 0 in shape:
        return wrong(y, f"the padding leaves nothing: {shape}")
    function = _body(site)
    if function is None:
        return refused(y, "unsupported reduction body")
    if x.type not in TYPES:
        return refused(y, f"unsupported kernel data type {x.type}")
    if not any(padding) and set(base) == {1}:
        return Call(reduce_window, (x, init, COMBINE[function], windows, y), (y,), workspace=3 * y.nbytes)
    args = (x, init, COMBINE[function], windows, base, before, shape, y)
    return Call(reduce_spread_window, args, (y,), workspace=3 * y.nbytes + math.prod(shape) * x.dtype.itemsize)


def _checked(site: Site, x: Tensor, init: Tensor) -> Tensor:
    y = site.output(0)
    check_types(site, x, y)
    site.expect(x.type == init.type, f"the input is {x.type}, the first value {init.type}")
    site.expect(0 < x.rank <= MOST_AXES, f"an input of rank {x.rank}")
    site.expect(init.size > 0, "the first value is missing")
    return y


def _attribute(site: Site, name: str, each: int, missing: int) -> tuple[int, ...]:
    """`each` numbers for each axis; all are `missing` where the file has none."""
    rank = site.input(0).rank
    numbers = tuple(int(n) for n in getattr(site.options, name))
    if not numbers:
        site.expect(name != "window_dimensions", "window_dimensions is missing")
        return (missing,) * each * rank
    wanted = each * len(site.options.window_dimensions)
    site.expect(len(numbers) == wanted >= each * rank, f"{name} has {len(numbers)} numbers for {rank} axes")
    return numbers[: each * rank]


def _sides(shape: tuple[int, ...], windows: Windows) -> tuple[int, ...]:
    """How many windows fit."""
    reach = [(n - 1) * d + 1 for n, d in zip(windows.size, windows.dilation, strict=True)]
    return tuple((n - r) // s + 1 if n >= r else 0 for n, r, s in zip(shape, reach, windows.stride, strict=True))


def _body(site: Site) -> str | None:
    """What the subgraph computes, by its only node."""
    index = site.options.body_subgraph_index
    if not 0 <= index < site.subgraph_count:
        return None
    nodes = site.subgraph(index).nodes
    return BODIES.get(nodes[0].op) if len(nodes) == 1 else None
