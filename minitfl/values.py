"""Values as callers give and get them: types that NumPy has no name for, strings, and the rule that nothing is cast.

type of the file      stored as   shown as
int4, int2, float8    int8        int8 (4- and 2-bit integers one a byte, float8 as its bits)
uint4                 uint8       uint8
bfloat16              uint16      ml_dtypes.bfloat16, without ml_dtypes uint16 (its bits)
string                object      object array of bytes; details say numpy.bytes_
resource, variant     object      object
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minitfl.graph import STORED, Tensor

_RANGES = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1)}
_PLAIN = frozenset(name for name, stored in STORED.items() if stored.name == name)  # stored as what they are
_STRING_KINDS = "SUOT"  # bytes, str, objects, and the variable-width strings of NumPy 2


def _bfloat16() -> np.dtype:
    try:
        from ml_dtypes import bfloat16  # pyright: ignore[reportMissingImports]
    except ImportError:
        return np.dtype(np.uint16)
    return np.dtype(bfloat16)


def shown_dtype(type: str) -> np.dtype:
    """The NumPy type of the arrays a caller gets."""
    return _bfloat16() if type == "bfloat16" else STORED[type]


def scalar_type(type: str) -> type:
    """The class that tensor details name under 'dtype'."""
    return np.bytes_ if type == "string" else shown_dtype(type).type


def shown(array: np.ndarray, type: str) -> np.ndarray:
    """A stored array under the type that a caller sees; the same memory."""
    return array.view(_bfloat16()) if type == "bfloat16" else array


def integer(value: Any, what: str) -> int:
    """An index as the official API takes it: whatever Python itself takes as an index, never a float or a string."""
    try:
        return operator.index(value)
    except TypeError:
        name = value.__class__.__name__
        raise TypeError(f"{what}: incompatible function arguments: an int is expected, not {name}") from None


def type_name(dtype: np.dtype) -> str:
    """The name that LiteRT's messages have for a NumPy type."""
    if dtype.kind in _STRING_KINDS:
        return "STRING"
    name = dtype.name.upper()
    if name in ("BFLOAT16", "FLOAT8_E5M2"):
        return name
    if name == "FLOAT8_E4M3FN":
        return name
    return name if name.lower() in STORED and dtype.kind in "biufc" else "NOTYPE"


def accept(value: Any, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """`value` as the array to store in `tensor`; ValueError with the official words unless type and shape are exact."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"Failed to convert value into readable tensor. ({error})") from error
    if array.dtype == tensor.dtype and array.shape == shape and tensor.type in _PLAIN:
        return array
    if tensor.type in ("int4", "uint4"):
        return _accept_4bit(array, tensor, shape)
    given = type_name(array.dtype)
    if not _same_type(given, tensor.type):
        raise ValueError(
            f"Cannot set tensor: Got value of type {given} but expected type {tensor.type.upper()}"
            f" for input {tensor.index}, name: {tensor.name} {_hint(array, tensor)}"
        )
    _check_shape(array.shape, shape, tensor.index)
    if tensor.type == "string":
        return strings(value)
    stored = array.astype(array.dtype.newbyteorder("="), copy=False)
    if tensor.type in _RANGES:
        _check_range(stored, tensor.type)
    return stored if stored.dtype == tensor.dtype else stored.view(tensor.dtype)


def strings(value: Any) -> np.ndarray:
    """An object array of bytes from an array of bytes or str; str is encoded as UTF-8."""
    if not isinstance(value, np.ndarray):
        raise ValueError(f"Passed in value type is not a numpy array, got type {value.__class__.__name__}.")
    result = np.empty(value.shape, object)
    if value.ndim == 0 and value.dtype.kind == "S":
        result[()] = value.tobytes()  # an element of a bytes array loses its trailing NULs, the memory has them
        return result
    for place, item in zip(np.ndindex(value.shape), value.ravel().tolist()):
        result[place] = _as_bytes(item)
    return result


def _as_bytes(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes):
        return bytes(item)
    raise ValueError(
        f"PyBytes_AsStringAndSize() failed. A string tensor takes bytes and str, got {item.__class__.__name__}"
    )


def _same_type(given: str, wanted: str) -> bool:
    if wanted.startswith("float8"):
        return given in ("INT8", "UINT8", wanted.upper())
    if wanted == "int2":
        return given == "INT8"
    if wanted == "bfloat16" and _bfloat16() == np.dtype(np.uint16):
        return given in ("UINT16", "BFLOAT16")
    return given == wanted.upper()


def _accept_4bit(array: np.ndarray, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """4-bit integers come one a byte; as in LiteRT only their number is compared, not the shape."""
    what = tensor.type.upper()
    if array.dtype != tensor.dtype:
        raise ValueError(
            f"Cannot set tensor: Expected a numpy array of {tensor.dtype.name} for {what} input {tensor.index},"
            f" name: {tensor.name}, but got {type_name(array.dtype)}"
        )
    size = int(np.prod(shape, dtype=np.int64))
    if array.size != size:
        raise ValueError(
            f"Cannot set tensor: Numpy array for {what} input {tensor.index}, name: {tensor.name}, has {array.size}"
            f" bytes, but expected {size} bytes for {size} elements"
        )
    _check_range(array, tensor.type)
    return array.reshape(shape)


def _check_range(array: np.ndarray, type: str) -> None:
    low, high = _RANGES[type]
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(f"Cannot set tensor: Values for {type.upper()} input must be between {low} and {high}.")


def _check_shape(given: tuple[int, ...], wanted: tuple[int, ...], index: int) -> None:
    start = "Cannot set tensor: Dimension mismatch."
    if len(given) != len(wanted):
        hint = ""
        if (1, *given) == wanted:
            hint = " (the first axis is the batch: value[None] adds it)"
        raise ValueError(f"{start} Got {len(given)} but expected {len(wanted)} for input {index}.{hint}")
    for axis, (got, want) in enumerate(zip(given, wanted)):
        if got != want:
            raise ValueError(
                f"{start} Got {got} but expected {want} for dimension {axis} of input {index}."
                f" (given {given}, the tensor has {wanted}; resize_tensor_input changes it)"
            )


def _hint(array: np.ndarray, tensor: Tensor) -> str:
    if array.dtype.kind not in "biuf" or tensor.dtype.kind not in "biuf":
        return ""
    if array.dtype.kind == "f" and tensor.quantization is not None and tensor.dtype.kind in "iu":
        return "(the tensor is quantized: run(..., real=True) takes real numbers)"
    return f"(nothing is cast silently: pass value.astype(numpy.{scalar_type(tensor.type).__name__}))"
