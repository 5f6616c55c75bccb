"""Values moved apart, with a padding value between and around them: DILATE, STABLEHLO_PAD.

    DILATE         y[i * dilation] = x[i] along each axis, the padding value between
    STABLEHLO_PAD  y[low + i * (interior + 1)] = x[i]; low and high count values before and after, or, where negative,
                   values that are cut off

Both are generic in the stored type.
"""

from __future__ import annotations

from minitfl.graph import OBJECTS
from minitfl.kernels.broadcast import refused, wrong
from minitfl.kernels.checks import check_types
from minitfl.op import Call, Kernel, Site, op


@Kernel
def spread(x, taken, places, value, y):
    """y = value everywhere, but x[taken] in y[places]; both are slices."""
    y[...] = value.reshape(-1)[0]
    y[places] = x[taken]


@op("DILATE", max_version=1)
def dilate(site: Site) -> Call:
    site.arity(3, 1)
    x, dilations, value = (site.input(i) for i in range(3))
    y = site.output(0)
    site.expect(x.rank > 0, "a scalar can't be dilated")
    check_types(site, x, y)
    site.expect(x.type == value.type, f"the input is {x.type}, the padding value {value.type}")
    if dilations.type != "int32" or dilations.shape != (x.rank,):
        return wrong(
            y.reshaped(x.known_shape), f"dilations {dilations.type} {dilations.shape} for an input of rank {x.rank}"
        )
    steps = [int(n) for n in site.value(dilations)]
    y = y.reshaped(tuple((n - 1) * step + 1 for n, step in zip(x.known_shape, steps, strict=True)))
    if min(steps) < 1:
        return wrong(y, f"a dilation of {min(steps)}")
    if x.type in OBJECTS:
        return refused(y, f"Type {x.type} is unsupported.")
    whole = (slice(None),) * x.rank
    return Call(spread, (x, whole, tuple(slice(None, None, step) for step in steps), value, y), (y,))


@op("STABLEHLO_PAD", max_version=1)
def stablehlo_pad(site: Site) -> Call:
    site.arity(2, 1)
    x, value, y = site.input(0), site.input(1), site.output(0)
    site.expect(x.type == value.type, f"the input is {x.type}, the padding value {value.type}")
    site.expect(value.size == 1, f"the padding value has {value.size} elements")
    if x.type in OBJECTS:
        site.unsupported(f"Type {x.type} is unsupported.")
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    lows, highs, interiors = (_padding(site, name, x.rank) for name in names)
    site.expect(x.rank > 0, "a scalar can't be padded")
    site.expect(min(interiors) >= 0, f"interior_padding {interiors} is negative")
    check_types(site, x, y)
    shape, taken, places = [], [], []
    for n, low, high, interior in zip(x.known_shape, lows, highs, interiors, strict=True):
        step = interior + 1
        shape.append(low + max(n - 1, 0) * step + min(n, 1) + high)
        first = -(min(low, 0) // step)
        end = min((shape[-1] - 1 - low) // step + 1, n)
        taken.append(slice(first, max(end, first)))
        places.append(slice(low + first * step, low + end * step, step) if end > first else slice(0, 0))
    if min(shape) <= 0:
        shape = [0] * x.rank  # where one axis vanishes the official kernel makes all of them vanish
        taken = places = [slice(0, 0)] * x.rank
    y = y.reshaped(tuple(shape))
    return Call(spread, (x, tuple(taken), tuple(places), value, y), (y,))


def _padding(site: Site, name: str, rank: int) -> list[int]:
    """An option's number for each axis; 0 where it ends early."""
    given = [int(n) for n in getattr(site.options, name)]
    return (given + [0] * rank)[:rank]
