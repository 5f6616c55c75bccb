"""PAD, PADV2, MIRROR_PAD: more values around the input.

    PAD         the real number 0: the zero point of a quantized tensor
    PADV2       a given value
    MIRROR_PAD  the input reflected at its border: REFLECT leaves the border value out, SYMMETRIC repeats it

paddings (rank, 2): how many values before and after along each axis. All are generic in the stored type.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused, wrong
from minitfl.kernels.checks import check_no_zero_point, check_scales, check_types
from minitfl.kernels.layout import MOVED
from minitfl.op import Call, Kernel, Site, op

PADDED = frozenset("float32 float16 bfloat16 uint8 int8 int16 int32 int64 bool".split())
PADDINGS = frozenset("int64 int32 int8 int16 bool".split())
MOST_AXES = 5


@Kernel
def pad(x, inside, value, y):
    """y = value everywhere, but x in the slices `inside`. value has one element."""
    y[...] = value.reshape(())
    y[inside] = x


@Kernel
def mirror_pad(x, paddings, mode, y):
    """y = x reflected at its borders; mode: "reflect" or "symmetric"."""
    y[...] = np.pad(x, paddings, mode=mode) if paddings else x  # np.pad takes no scalars


# ---- preparations


@op("PAD", max_version=6)
def pad_(site: Site) -> Call:
    return _pad(site)


@op("PADV2", max_version=6)
def padv2(site: Site) -> Call:
    return _pad(site)


def _pad(site: Site) -> Call:
    site.arity((2, 3), 1)
    x, y, value = site.input(0), site.output(0), site.optional(2)
    _check_paddings(site, x, PADDINGS)
    check_types(site, x, y)
    site.expect(x.rank <= MOST_AXES, f"the input has {x.rank} axes, more than {MOST_AXES}")
    if value is not None:
        site.expect(value.type == x.type, f"the value is {value.type}, the input {x.type}")
        site.expect(value.size == 1, f"the value has {value.size} elements")
    paddings = _paddings(site)
    y = y.reshaped(_padded(x, paddings))
    if x.type not in PADDED:
        return refused(y, f"Type {x.type} is currently not supported by Pad.")
    quantized = x.type == "uint8" or (x.type in ("int8", "int16") and x.quantization is not None)
    if value is None:
        zero = y.numbers[1] if quantized else 0
        if quantized and not np.iinfo(y.dtype).min <= zero <= np.iinfo(y.dtype).max:
            return wrong(y, f"{y.type} with zero point {zero}")
        value = np.array(zero, y.dtype)
    elif quantized and value.numbers != y.numbers:
        message = f"the value has (scale, zero) {value.numbers}, the output {y.numbers}"
        return wrong(y, message)
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(x.known_shape, paddings, strict=True))
    return Call(pad, (x, inside, value, y), (y,))


@op("MIRROR_PAD", max_version=3)
def mirror_pad_(site: Site) -> Call:
    site.arity(2, 1)
    x, y = site.input(0), site.output(0)
    check_types(site, x, y)
    mode = site.enum("mode", "MirrorPadMode").lower()
    _check_paddings(site, x, ("int32", "int64"))
    if x.type in ("uint8", "int8", "int16"):
        check_scales(site, x, y)
        check_no_zero_point(site, x)
    paddings = _paddings(site)
    for n, pair in zip(x.known_shape, paddings, strict=True):
        most = n - 1 if mode == "reflect" else n
        site.expect(
            max(pair) <= most, f"paddings {pair} of an axis of {n} mirror more than the {most} values there are"
        )
    y = y.reshaped(_padded(x, paddings))
    if x.type not in MOVED:
        return refused(y, f"Type {x.type} is currently not supported by MirrorPad.")
    return Call(mirror_pad, (x, tuple(paddings), mode, y), (y,), workspace=y.nbytes)


def _check_paddings(site: Site, x: Tensor, types: Collection[str]) -> None:
    paddings = site.input(1)
    site.expect(paddings.type in types, f"Padding type {paddings.type} is not supported")
    site.expect(paddings.shape == (x.rank, 2), f"paddings of shape {paddings.shape} for an input of rank {x.rank}")


def _paddings(site: Site) -> list[tuple[int, int]]:
    pairs = [(int(before), int(after)) for before, after in site.value(site.input(1))]
    site.expect(all(n >= 0 for pair in pairs for n in pair), f"Pad value has to be greater than equal to 0: {pairs}")
    return pairs


def _padded(x: Tensor, paddings: list[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(before + n + after for n, (before, after) in zip(x.known_shape, paddings, strict=True))
