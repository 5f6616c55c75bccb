"""What the recurrent operators share: x and y over time, one way or both.

A *way* is (time_axis, step, start): where time lies in x and y, 1 forward or -1 backward, and the first of the columns
of y that the cell writes. Two cells may write one y, side by side.
"""

from __future__ import annotations

from minitfl.graph import Tensor
from minitfl.op import Call, Kernel, Site

FORWARD = (0, 1, 0)  # one cell, time first


def in_time(x, way):
    """x with time first, in the order in which the cell goes through it; a view."""
    return x.swapaxes(0, way[0])[:: way[1]]


def columns_in_time(y, way, units):
    """in_time of the columns of y that a cell with so many outputs writes."""
    return in_time(y, way)[..., way[2] : way[2] + units]


@Kernel
def both_ways(forward, backward, count, *args):
    """Two cells, one after the other, the first on args[:count]."""
    forward.numpy(*args[:count])
    backward.numpy(*args[count:])


# ---- preparations


def time_axis(site: Site) -> int:
    return 0 if site.options.time_major else 1


def seen_by_both(x: Tensor, aux: Tensor | None, crossed: bool) -> tuple[Tensor, Tensor | None]:
    """(x of the second of two cells, aux of both). crossed: aux goes to both, through weights of its own."""
    if crossed or aux is None:
        return x, aux
    return aux, None


def joined(forward: Call, backward: Call) -> Call:
    """One call of two; outputs that both write are named once."""
    outputs = {t.index: t for call in (forward, backward) for t in call.outputs}
    return Call(
        both_ways,
        (forward.kernel, backward.kernel, len(forward.args), *forward.args, *backward.args),
        tuple(outputs.values()),
        mutates=forward.mutates + backward.mutates,
        workspace=max(forward.workspace, backward.workspace),
    )
