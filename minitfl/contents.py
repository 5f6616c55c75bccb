"""What the buffers of a model hold: little-endian bytes -> stored arrays, views into the file where they can be."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import BITS, OBJECTS, STORED
from minitfl.kernels.sparse import densify
from minitfl.schema import enums
from minitfl.schema.reader import SchemaError, Table, buffer_bytes, custom_option_bytes


def sparsity_of(table: Table | None) -> dict[str, Any]:
    """The sparsity parameters in the form in which the official API shows them."""
    if table is None:
        return {}
    if not table.has("traversal_order") or not table.has("dim_metadata"):
        raise ModelError("sparsity parameters without a traversal order or dimension metadata")
    found: dict[str, Any] = {"traversal_order": np.array(table.traversal_order, np.int32)}
    if len(table.block_map):
        found["block_map"] = np.array(table.block_map, np.int32)
    dimensions = []
    for dimension in table.dim_metadata:
        if dimension.format == enums.DimensionType.DENSE:
            dimensions.append({"format": 0, "dense_size": int(dimension.dense_size)})
            continue
        if dimension.array_segments is None or dimension.array_indices is None:
            raise ModelError("a sparse dimension without segments or indices")
        dimensions.append(
            {
                "format": 1,
                "array_segments": np.array(dimension.array_segments.values, np.int32),
                "array_indices": np.array(dimension.array_indices.values, np.int32),
            }
        )
    found["dim_metadata"] = dimensions
    return found


class Contents:
    """The buffers of a model; each constant's bytes are decoded once for all tensors that show them alike."""

    def __init__(self, model: Table):
        self._model = model
        self._buffers = model.buffers
        self._arrays: dict[tuple[int, str, tuple[int, ...]], np.ndarray] = {}

    def metadata(self, buffer: int) -> np.ndarray:
        if not 0 <= buffer < len(self._buffers):
            raise ModelError(f"metadata names buffer {buffer} of {len(self._buffers)}")
        return self._bytes(buffer)

    def custom_options(self, operator: Table) -> bytes:
        return custom_option_bytes(self._model, operator).tobytes()

    def constant(
        self, i: int, table: Table, kind: str, shape: tuple[int, ...], sparsity: dict[str, Any]
    ) -> np.ndarray | None:
        """The unpacked contents of tensor i; None if its buffer is empty."""
        if table.buffer == 0:  # by convention: no data
            return None
        if not 0 <= table.buffer < len(self._buffers):
            raise ModelError(
                f"Tensor {i} specifies out of range buffer {table.buffer} (only {len(self._buffers)} buffers)."
            )
        key = (table.buffer, kind, shape)
        if key in self._arrays and not sparsity:
            return self._arrays[key]
        raw = self._bytes(table.buffer)
        stored = raw.size or self._buffers[table.buffer].has("data")
        if not stored or kind in ("resource", "variant"):
            return None
        try:
            if sparsity:
                return densify(decode(raw, kind, None), shape, sparsity)
            array = decode(raw, kind, shape)
        except ModelError as error:
            raise ModelError(f"{error}\nTensor {i} is invalidly specified in schema.") from None
        self._arrays[key] = array
        return array

    def compressed(self, table: Table, kind: str) -> np.ndarray:
        """The values of a sparse constant as they are stored."""
        return decode(self._bytes(table.buffer), kind, None)

    def _bytes(self, buffer: int) -> np.ndarray:
        try:
            return buffer_bytes(self._model, self._buffers[buffer])
        except SchemaError as error:
            raise ModelError(f"Constant buffer {buffer} specified an out of range offset.\n{error}") from error


def decode(raw: np.ndarray, kind: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """The array that little-endian bytes (uint8) hold: a view where that is possible. shape None: all of them."""
    if kind in OBJECTS:
        return _strings(raw, shape)
    dtype = STORED[kind]
    if kind in BITS:
        return _unpack(raw, kind, shape)
    count = raw.size // dtype.itemsize if shape is None else math.prod(shape)
    required = count * dtype.itemsize
    if required > raw.size:
        raise ModelError(
            f"required_bytes <= bytes was not true: {required} bytes for {kind} {shape}, {raw.size} stored."
        )
    used = raw[:required]
    if kind == "bool":
        array = used != 0
    elif used.ctypes.data % dtype.alignment == 0 and (sys.byteorder == "little" or dtype.itemsize == 1):
        array = used.view(dtype)
    else:
        array = np.frombuffer(used.tobytes(), dtype.newbyteorder("<")).astype(dtype)
    array = array.reshape((count,) if shape is None else shape)
    array.flags.writeable = False
    return array


def _unpack(raw: np.ndarray, kind: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """4- and 2-bit integers, the first of each byte in its lowest bits, one to a byte."""
    bits = BITS[kind]
    per_byte = 8 // bits
    count = raw.size * per_byte if shape is None else math.prod(shape)
    if -(-count // per_byte) > raw.size:
        raise ModelError(f"required_bytes <= bytes was not true: {count} values of {kind}, {raw.size} bytes stored.")
    used = raw[: -(-count // per_byte)]
    spread = np.stack([(used >> (bits * n)) & ((1 << bits) - 1) for n in range(per_byte)], axis=-1).reshape(-1)[:count]
    if kind.startswith("int"):
        sign = 1 << (bits - 1)
        spread = (spread.astype(np.int8) ^ sign) - sign
    array = spread.astype(STORED[kind]).reshape((count,) if shape is None else shape)
    array.flags.writeable = False
    return array


def _strings(raw: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """A count, count + 1 offsets from the start of the buffer, then the characters; all int32."""
    data = raw.tobytes()
    if len(data) < 4:
        raise ModelError(f"a string buffer of {len(data)} bytes")
    count = int.from_bytes(data[:4], "little", signed=True)
    if count < 0 or 4 * (count + 2) > len(data):
        raise ModelError(f"a string buffer of {len(data)} bytes can't hold {count} strings")
    ends = np.frombuffer(data, "<i4", count + 1, 4).astype(np.int64)
    if shape is not None and math.prod(shape) != count:
        raise ModelError(f"a string buffer holds {count} strings where the shape {shape} asks for {math.prod(shape)}")
    if np.any(np.diff(ends) < 0) or ends[0] < 4 * (count + 2) or ends[-1] > len(data):
        raise ModelError(f"string offsets {ends[:8]} leave their buffer of {len(data)} bytes")
    array = np.empty(count, object)
    for n in range(count):
        array[n] = data[ends[n] : ends[n + 1]]
    array = array.reshape((count,) if shape is None else shape)
    array.flags.writeable = False
    return array
