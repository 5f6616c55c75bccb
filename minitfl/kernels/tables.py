"""Functions of one stored integer as tables: 256 entries for 8 bits, 513 with interpolation between them for 16 bits.

    stored    table          kernel         y
    8 bits    256, exact     lookup         table[x]
    int16     513, ends      interpolate    between table[x // 128] and the next entry

A function is tabulated in float32, as the official tables are (internal/common.h of the TFLite tree). What C's library
computes in float32 is evaluated in float64 and rounded (`rounded`), which seldom differs from a good library.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.broadcast import blocks, workspace
from minitfl.kernels.fixedpoint import round_away, saturate_int16, shift_half_up, stored_range
from minitfl.op import Call, Kernel

Function = Callable[[np.ndarray], np.ndarray]  # real numbers to real numbers of the same type, element by element


@Kernel
def lookup(x, table, y):
    """y = table[x], x and y of 8 bits; table (256,) in the order of x's bit patterns, so 0..127, -128..-1 for int8."""
    # bytes.translate walks a table without widening the index, which NumPy's own indexing has to
    for y, x in blocks(y, x):
        y[...] = np.frombuffer(x.tobytes().translate(table.tobytes()), y.dtype).reshape(y.shape)


@Kernel
def lookup_from(x, least, message, table, y):
    """lookup that refuses x < least."""
    check_least(x, least, message)
    lookup.numpy(x, table, y)


@Kernel
def interpolate(x, table, y):
    """y = table[i] + (table[i+1] - table[i]) * part / 128, rounded half up; i = 256 + x // 128, part = x % 128."""
    slopes = np.diff(table).astype(np.int32)  # in 16 bits, as in C++
    for y, x in blocks(y, x):
        place = (x >> 7).astype(np.intp) + 256
        y[...] = table[place] + shift_half_up(slopes[place] * (x & 127), 7)


@Kernel
def interpolate_from(x, least, message, table, y):
    """interpolate that refuses x < least."""
    check_least(x, least, message)
    interpolate.numpy(x, table, y)


def check_least(x, least: int, message: str) -> None:
    if x.size and x.min() < least:
        raise ModelError(f"{message}, got {x.min()} below the zero point {least}")


# ---- numbers of a preparation


def rounded(function: Function) -> Function:
    """The function evaluated in float64 and rounded to the type it was given."""
    return lambda x: function(x.astype(np.float64)).astype(x.dtype)


def stored_values(type: str) -> np.ndarray:
    """All stored values of an 8-bit type as int64, in the order of their bit patterns."""
    dtype = np.dtype(type)
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.int64)


def table_of(values: np.ndarray, type: str) -> np.ndarray:
    """Whole numbers, one for each of stored_values, clamped to an 8-bit type."""
    return np.clip(values, *stored_range(type)).astype(type)


def table8(function: Function, x: Tensor, y: Tensor) -> np.ndarray:
    """The 256 stored results of a real function."""
    real = np.float32(x.scale) * (stored_values(x.type) - x.zero).astype(np.float32)
    with np.errstate(all="ignore"):
        result = function(real)
        scaled = round_away(result * (np.float32(1) / np.float32(y.scale)))
        return table_of(np.nan_to_num(scaled + np.float32(y.zero), nan=0.0, posinf=np.inf), y.type)


def table16(function: Function, x_scale, x_zero, y_scale, y_zero, real: type = np.float32) -> np.ndarray:
    """The 513 stored results of a real function, moved so that the middles between them are right too. int16.

    real: the type that the official tables are computed in.
    """
    low, high = (real(x_scale) * real(limit - x_zero) for limit in (-32768, 32767))
    y_low, y_high = (real(y_scale) * real(limit - y_zero) for limit in (-32768, 32767))
    step = (high - low) / real(512)
    places = low + np.arange(513).astype(real) * step
    inverse = real(65536) / (y_high - y_low)
    with np.errstate(all="ignore"):
        ends = function(places) * inverse
        middles = function(places[:512] + step / real(2)) * inverse
        entries = round_away(ends)
        between = round_away((ends[1:] + entries[:512]) / real(2))
        entries[:512] -= round_away((between - round_away(middles)) / real(2))
        entries[512] = round_away(function(np.array([high], real)) * inverse)[0]
        return saturate_int16(np.nan_to_num(entries, nan=0.0)).astype(np.int16)


def tabulated(function: Function, x: Tensor, y: Tensor) -> Call:
    """A Call that computes a real function of stored 8- or 16-bit integers by its table."""
    if x.type == "int16":
        table = table16(function, x.scale, x.zero, y.scale, y.zero)
        return Call(interpolate, (x, table, y), (y,), workspace=workspace(y))
    return by_table(x, table8(function, x, y), y)


def by_table(x: Tensor, values: np.ndarray, y: Tensor) -> Call:
    """A Call that looks up `values`, whole numbers for each of stored_values."""
    return Call(lookup, (x, table_of(values, y.type), y), (y,), workspace=workspace(y, nbytes=2, arrays=2))
