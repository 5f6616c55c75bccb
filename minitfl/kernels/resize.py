"""RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: images of another height and width.

x (batch, height, width, channels); size: int32 (out height, out width); y (batch, out height, out width, channels).
Row i of y lies at this row of x, and so for the columns, each with scale = height / out height:

    plain                 i * scale
    half_pixel_centers    (i + 0.5) * scale - 0.5    NEAREST: (i + 0.5) * scale
    align_corners         scale = (height - 1) / (out height - 1), where there is more than one row

NEAREST takes the row below that place (align_corners: the nearest), BILINEAR mixes the rows around it.

    x, y                       kernel             places
    float32                    bilinear           float32
    uint8                      bilinear_uint8     float32
    int8 int16                 bilinear_int       in 1024ths
    any type of 1, 2, 4 bytes  nearest            float32
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from minitfl.graph import BITS, Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.fixedpoint import round_away, rounding_shift
from minitfl.op import Call, Kernel, Site, op

BLOCK = 1 << 16  # elements that are mixed at once: they stay in the cache
FRACTION = 10  # bits of the places of bilinear_int
ONE = 1 << FRACTION
MOST = 1 << 24  # rows or columns


@Kernel
def bilinear(x, top, bottom, down, left, right, across, y):
    """Rows top and bottom mixed by (1 - down, down), then columns left and right by (1 - across, across); float32."""
    for image, rows in _blocks(x, y):
        mixed = x[image, top[rows]] * (1 - down[rows, None, None])
        mixed += x[image, bottom[rows]] * down[rows, None, None]
        block = y[image, rows]
        np.take(mixed, left, axis=1, out=block, mode="clip")
        block *= (1 - across)[:, None]
        block += mixed[:, right] * across[:, None]


@Kernel
def bilinear_uint8(x, top, bottom, down, left, right, across, y):
    """bilinear with 0.5 added before the fraction is cut off; each of the four products is rounded to float32."""
    for image, rows in _blocks(x, y):
        upper = x[image, top[rows]] * (1 - down[rows, None, None])
        lower = x[image, bottom[rows]] * down[rows, None, None]
        near, far = (1 - across)[:, None], across[:, None]
        total = upper[:, left] * near
        total += lower[:, left] * near
        total += upper[:, right] * far
        total += lower[:, right] * far
        total += np.float32(0.5)
        np.copyto(y[image, rows], total, casting="unsafe")


@Kernel
def bilinear_int(x, top, bottom, down, left, right, across, y):
    """bilinear with weights in 1024ths, rounded half away from zero."""
    for image, rows in _blocks(x, y):
        mixed = x[image, top[rows]] * (ONE - down[rows, None, None])
        mixed += x[image, bottom[rows]] * down[rows, None, None]
        total = mixed[:, left] * (ONE - across[:, None])
        total += mixed[:, right] * across[:, None]
        np.copyto(y[image, rows], rounding_shift(total, 2 * FRACTION), casting="unsafe")


@Kernel
def nearest(x, down, across, y):
    """y[:, i, j] = x[:, down[i], across[j]]"""
    for image, rows in _blocks(x, y):
        np.take(x[image, down[rows]], across, axis=1, out=y[image, rows], mode="clip")


def _blocks(x, y) -> Iterator:
    """(image, rows): slices of the rows of y, which together are all of them and each small enough for the cache."""
    step = max(1, BLOCK // max(max(x.shape[2], y.shape[2]) * y.shape[3], 1))
    for image in range(len(y) if y.size else 0):
        for start in range(0, y.shape[1], step):
            yield image, slice(start, start + step)


# ---- preparations


@op("RESIZE_BILINEAR", max_version=4)
def resize_bilinear(site: Site) -> Call:
    x, corners, centers = _checked(site)
    if site.input(1).data is not None:
        site.expect(not (corners and centers), "half_pixel_centers and align_corners")
    y = _resized(site, x, 1)
    kernel = {"float32": bilinear, "uint8": bilinear_uint8, "int8": bilinear_int, "int16": bilinear_int}.get(x.type)
    if kernel is None:
        return refused(y, f"Output type is {x.type}, requires float.")
    if not y.size:
        return _nothing(x, y)
    wide = {"int8": np.int32, "int16": np.int64}.get(x.type)  # 8 bits and two weights of 10 fit in 32
    args = []
    for size, out_size in zip(x.known_shape[1:3], y.known_shape[1:3], strict=True):
        given = (size, out_size, corners, centers)
        args += _mixed(*given) if wide is None else _mixed_int(*given, wide)
    return Call(kernel, (x, *args, y), (y,), workspace=_workspace(x, y, 6 * 8))


@op("RESIZE_NEAREST_NEIGHBOR", max_version=4)
def resize_nearest_neighbor(site: Site) -> Call:
    x, corners, centers = _checked(site)
    y = _resized(site, x, 0)
    if x.type in BITS or x.dtype.itemsize not in (1, 2, 4):
        return refused(y, f"Output type is {x.type}, requires float, uint8, int8 or int16.")
    if not y.size:
        return _nothing(x, y)
    sizes = zip(x.known_shape[1:3], y.known_shape[1:3], strict=True)
    down, across = (_nearest(n, out, corners, centers) for n, out in sizes)
    return Call(nearest, (x, down, across, y), (y,), workspace=_workspace(x, y, x.dtype.itemsize))


def _checked(site: Site) -> tuple[Tensor, bool, bool]:
    """(x, align_corners, half_pixel_centers)"""
    site.arity(2, 1)
    x, size = site.input(0), site.input(1)
    site.expect(x.rank == 4, f"an input of rank {x.rank}")
    site.expect(size.shape == (2,), f"a size of shape {size.shape}")
    site.expect(size.type == "int32", f"a size of type {size.type}")
    return x, bool(site.options.align_corners), bool(site.options.half_pixel_centers)


def _resized(site: Site, x: Tensor, least: int) -> Tensor:
    """The output: whatever its type in the file, it has x's."""
    height, width = site.value(site.input(1)).tolist()
    site.expect(min(height, width) >= least, f"a size of {(height, width)}")
    if max(height, width) > MOST:
        site.unsupported(f"a size of {(height, width)}: float32 can't count beyond {MOST}")
    batch, _, _, channels = x.known_shape
    y = replace(site.output(0), type=x.type).reshaped(batch, height, width, channels)
    site.expect(x.size or not y.size, f"an input of shape {x.shape} to make {y.shape} of")
    return y


def _nothing(x: Tensor, y: Tensor) -> Call:
    return Call(nearest, (x, np.zeros(0, np.int64), np.zeros(0, np.int64), y), (y,))


def _scale(size: int, out_size: int, corners: bool) -> np.float32:
    if corners and out_size > 1:
        return np.float32(size - 1) / np.float32(out_size - 1)
    return np.float32(size) / np.float32(out_size)


def _mixed(size: int, out_size: int, corners: bool, centers: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lower, upper, fraction) for each place, float32."""
    place = np.arange(out_size, dtype=np.float32)
    scale = _scale(size, out_size, corners)
    place = (place + np.float32(0.5)) * scale - np.float32(0.5) if centers else place * scale
    lower = np.clip(np.floor(place).astype(np.int64), 0, size - 1)
    upper = np.minimum(np.ceil(place).astype(np.int64), size - 1)
    return lower, upper, place - lower.astype(np.float32)


def _mixed_int(
    size: int, out_size: int, corners: bool, centers: bool, wide: type
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """_mixed in 1024ths, of type `wide`."""
    if corners and out_size > 1:
        scale = (ONE * (size - 1) + (out_size - 1) // 2) // (out_size - 1)
    else:
        scale = (ONE * size + out_size // 2) // out_size
    place = np.arange(out_size, dtype=np.int64) * scale
    if centers:
        place += scale // 2 - ONE // 2
    lower = np.clip(place >> FRACTION, 0, size - 1)  # the rounded scale may lead past the end
    upper = np.minimum((place + ONE - 1) >> FRACTION, size - 1)
    return lower, upper, (place - ONE * lower).astype(wide)


def _nearest(size: int, out_size: int, corners: bool, centers: bool) -> np.ndarray:
    """The index for each place."""
    place = np.arange(out_size, dtype=np.float32) + np.float32(0.5 if centers else 0)
    place *= _scale(size, out_size, corners)
    place = round_away(place) if corners else np.floor(place)
    return np.clip(place.astype(np.int64), 0, size - 1)


def _workspace(x: Tensor, y: Tensor, nbytes: int) -> int:
    wide = max(x.known_shape[2], y.known_shape[2]) * y.known_shape[3]
    return min(y.known_shape[1] * wide, max(BLOCK, wide)) * nbytes
