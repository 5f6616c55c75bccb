"""Pictures as a model takes them: read, resized, and turned into the numbers of its input.

A picture is uint8 (height, width, channels) with 1 channel (grey) or 3 (red, green, blue).

How pixels p become the input x:

    input                   x
    uint8, quantized        p: the pixels' range is the input's range
    int8, quantized         p - 128, for the same reason
    int16, quantized        (p - mean) / std, quantized
    uint8, int8, int32 ...  p, p - 128, p ...
    float                   (p - mean) / std

mean and std come from the caller, else from the model's metadata (NormalizationOptions), else they are 127.5: -1 to 1.
If the caller gives them, they count for quantized inputs too: (p - mean) / std is quantized with the input's scale.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.real import is_quantized, quantize
from minitfl.values import shown_dtype

MEAN = STD = 127.5
TYPES = frozenset({"float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64"})  # of inputs
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class PictureError(ValueError):
    """No picture, or none that the model takes."""


# ---- reading


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The picture in a file: .npy by NumPy, anything else by Pillow."""
    name = os.fspath(path)
    if name.lower().endswith(".npy"):
        try:
            return as_picture(np.load(name, allow_pickle=False), name)
        except (OSError, EOFError) as error:
            raise PictureError(f"'{name}' can't be read: {error}") from error
        except PictureError:
            raise
        except ValueError as error:
            raise PictureError(f"'{name}' holds no array: {error}") from error
    if not os.path.isfile(name):
        raise PictureError(f"there is no file '{name}'")
    try:
        from PIL import Image
    except ImportError:
        raise PictureError(
            f"'{name}' needs Pillow: pip install minitfl[tools]. Without it only .npy pictures are read"
        ) from None
    try:
        with Image.open(name) as image:
            deep = image.mode.startswith(("I", "F"))
            plain = image.mode in ("1", "L", "LA")
            if deep:  # 16 bits and more: the range is not known, so the largest value is white
                values = np.asarray(image, np.float64)
                return as_picture(np.rint(values * (255 / max(values.max(), 1))).clip(0, 255).astype(np.uint8), name)
            return as_picture(np.array(image.convert("L" if plain else "RGB")), name)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"'{name}' is no picture that Pillow can read: {error}") from error


def as_picture(array: np.ndarray, name: str = "the array") -> np.ndarray:
    """uint8 pixels (height, width) or (height, width, 1, 3 or 4) as a picture; transparency is dropped."""
    shape = array.shape
    good = array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not good or not array.size:
        raise PictureError(
            f"{name} holds {array.dtype} {shape}; a picture is uint8 (height, width) or (height, width, channels)"
        )
    return array[..., None] if array.ndim == 2 else array[..., :3]


# ---- changing


def grey(picture: np.ndarray) -> np.ndarray:
    """One channel."""
    if picture.shape[2] == 1:
        return picture
    return np.rint(picture.astype(np.float32) @ LUMA).astype(np.uint8)[..., None]


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear; where it shrinks, each pixel is the triangle-weighted mean of all that fall into it."""
    if picture.shape[:2] == (height, width):
        return picture
    down = _weights(picture.shape[0], height)
    across = _weights(picture.shape[1], width)
    values = np.tensordot(down, picture.astype(np.float32), (1, 0))
    values = np.tensordot(across, values, (1, 1)).swapaxes(0, 1)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _weights(before: int, after: int) -> np.ndarray:
    """(after, before): how much of each old pixel is in each new one."""
    stretch = max(before / after, 1.0)
    centre = (np.arange(after) + 0.5) * (before / after)
    distance = np.abs(np.arange(before) + 0.5 - centre[:, None]) / stretch
    weights = np.maximum(1 - distance, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


# ---- what the model takes


@dataclass(frozen=True)
class Layout:
    """Which axes of an input are the picture's; None for a side that is free."""

    shape: tuple[int, ...]
    height: int | None
    width: int | None
    channels: int
    first: bool = False  # channels before height and width

    def arrange(self, picture: np.ndarray) -> np.ndarray:
        """The picture in the input's size and order, its rank included."""
        picture = resize(picture, self.height or picture.shape[0], self.width or picture.shape[1])
        picture = grey(picture) if self.channels == 1 else np.broadcast_to(picture, (*picture.shape[:2], 3))
        if self.first:
            picture = picture.transpose(2, 0, 1)
        if None in (self.height, self.width):
            return picture[None]
        return picture.reshape(self.shape)


def layout(shape: Sequence[int], signature: Sequence[int] | None = None) -> Layout:
    """How an input of this shape holds a picture. -1 in `signature` marks a free side; the batch becomes 1."""
    sides: list[int | None] = [None if free == -1 else n for n, free in zip(shape, signature or shape)]
    fixed = tuple(int(n) for n in shape)
    if len(sides) == 4 and sides[0] in (None, 1):
        fixed, (height, width, last) = (1, *fixed[1:]), sides[1:]
        if last in (1, 3):
            return Layout(fixed, height, width, last)
        if height in (1, 3):
            return Layout(fixed, width, last, height, first=True)
    if len(sides) == 3 and None not in sides[1:]:
        if sides[0] in (None, 1):
            return Layout((1, *fixed[1:]), sides[1], sides[2], 1)
        if sides[2] in (1, 3):
            return Layout(fixed, sides[0], sides[1], fixed[2])
    raise PictureError(f"the model's input has the shape {fixed}, which is that of no picture")


@dataclass(frozen=True)
class Normalisation:
    """real = (pixel - mean) / std, for all channels alike or for each."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, pixels: np.ndarray, axis: int) -> np.ndarray:
        """float32; `axis` is that of the channels."""
        values = pixels.astype(np.float32)
        return (values - self._spread(self.mean, values, axis)) / self._spread(self.std, values, axis)

    @staticmethod
    def _spread(numbers: tuple[float, ...], values: np.ndarray, axis: int) -> np.ndarray:
        if len(numbers) == 1:
            return np.asarray(numbers, np.float32)
        if len(numbers) != values.shape[axis]:
            raise PictureError(f"{len(numbers)} means or standard deviations for {values.shape[axis]} channels")
        shape = [1] * values.ndim
        shape[axis] = -1
        return np.asarray(numbers, np.float32).reshape(shape)


def prepare(
    picture: np.ndarray,
    tensor: Tensor,
    place: Layout,
    given: Normalisation | None = None,
    known: Normalisation | None = None,
) -> np.ndarray:
    """The input's contents. given: what the caller asks for; known: what the model's metadata say."""
    pixels = place.arrange(picture)
    axis = -3 if place.first else -1
    if tensor.type not in TYPES:
        raise PictureError(f"the model's input is {tensor.type}, which pixels can't become")
    dtype = shown_dtype(tensor.type)
    quantized = is_quantized(tensor)
    result: Any
    if dtype.kind in "iu" and not (quantized and (given or tensor.type == "int16")):
        result = pixels.astype(np.int64) - (128 if tensor.type == "int8" else 0)
    else:
        result = (given or known or Normalisation((MEAN,), (STD,))).apply(pixels, axis)
        if quantized:
            result = quantize(result, tensor)
    return result.astype(dtype)
