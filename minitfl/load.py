"""The bytes of a .tflite file -> a Graph. The only user of `minitfl.schema`'s reader outside the schema.

What the official constructor refuses is refused here, as a ValueError with its words; what it only finds while
allocating becomes the `defect` of a subgraph.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minitfl.errors import ModelError, UnsupportedError, as_value_error
from minitfl.graph import BITS, OBJECTS, STORED, Graph, Node, Quantization, Signature, Subgraph, Tensor
from minitfl.kernels.sparse import densify
from minitfl.op import find
from minitfl.schema import enums
from minitfl.schema.options import OP_OPTIONS
from minitfl.schema.reader import (
    SchemaError,
    Table,
    buffer_bytes,
    custom_option_bytes,
    default_options,
    read_model,
    verify,
)

SCHEMA_VERSION = 3
MOST_NBYTES = 1 << 63
MOST_AXES = 32  # of an array, before NumPy 2


def load_model(content: Any) -> Graph:
    """The graph of a model's bytes, which are kept and viewed, not copied. ModelError where they are no sound model."""
    try:
        try:
            model = read_model(content)
            verify(model)
        except SchemaError as error:
            raise ModelError(f"The model is not a valid Flatbuffer buffer: {error}") from error
        return _graph(model)
    except SchemaError as error:
        raise as_value_error(ModelError(str(error))) from error
    except ModelError as error:
        raise as_value_error(error) from error


def _graph(model: Table) -> Graph:
    if model.version != SCHEMA_VERSION:
        raise ModelError(
            f"Model provided is schema version {model.version} not equal to supported version {SCHEMA_VERSION}."
        )
    if not model.subgraphs:
        raise ModelError("No subgraph in the model.\n")
    operators = [_operator(code) for code in model.operator_codes]
    contents = _Contents(model)
    subgraphs = tuple(_subgraph(i, s, operators, contents) for i, s in enumerate(model.subgraphs))
    return Graph(
        subgraphs=subgraphs,
        signatures=tuple(_signature(s, len(subgraphs)) for s in model.signature_defs),
        metadata={m.name or "": contents.metadata(m.buffer) for m in model.metadata},
        description=model.description or "",
        version=model.version,
    )


# ---- operators


def _operator(code: Table) -> tuple[str, int, bool]:
    """(name, version, whether it is custom). Old files keep small codes in a field of one byte."""
    number = max(code.builtin_code, code.deprecated_builtin_code)
    try:
        name = enums.BuiltinOperator(number).name
    except ValueError:
        raise ModelError(
            f"Op builtin_code out of range: {number}. Are you using old TFLite binary with newer model?"
        ) from None
    if name == "CUSTOM":
        if not code.custom_code:
            raise ModelError("Operator with CUSTOM builtin_code has no custom_code.")
        return code.custom_code, code.version, True
    preparation = find(name)
    if preparation is None or not 1 <= code.version <= preparation.max_version:
        known = f" Versions 1 to {preparation.max_version} are known." if preparation else ""
        raise UnsupportedError(
            f"Didn't find op for builtin opcode '{name}' version '{code.version}'. "
            "An older version of this builtin might be supported. "
            f"Are you using an old TFLite binary with a newer model?{known}"
        )
    return name, code.version, False


def _node(i: int, operator: Table, operators: Sequence[tuple[str, int, bool]], contents: _Contents) -> Node:
    if not 0 <= operator.opcode_index < len(operators):
        raise ModelError(f"Missing registration for opcode_index {operator.opcode_index}")
    name, version, custom = operators[operator.opcode_index]
    return Node(
        index=i,
        op=name,
        version=version,
        inputs=_indices(operator.inputs),
        outputs=_indices(operator.outputs),
        options=None if custom else _options(name, operator),
        custom=custom,
        custom_options=contents.custom_options(operator),
        intermediates=_indices(operator.intermediates),
    )


def _options(name: str, operator: Table) -> Any:
    """The options table of the kind that the operator has; defaults where there is none or one of another kind."""
    if name not in OP_OPTIONS:
        return None
    field, table = OP_OPTIONS[name]
    options = getattr(operator, field)
    return options if options is not None and options._name == table else default_options(table)


def _indices(vector: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in vector)


# ---- subgraphs


def _subgraph(index: int, table: Table, operators: Sequence[tuple[str, int, bool]], contents: _Contents) -> Subgraph:
    tensors = tuple(_tensor(i, t, contents) for i, t in enumerate(table.tensors))
    tensors = tuple(_blockwise(t, source, tensors) for t, source in zip(tensors, table.tensors, strict=True))
    made = Subgraph(
        index=index,
        name=table.name or "",
        tensors=tensors,
        nodes=tuple(_node(i, n, operators, contents) for i, n in enumerate(table.operators)),
        inputs=_indices(table.inputs),
        outputs=_indices(table.outputs),
    )
    return replace(made, defect=_defect(made))


def _defect(subgraph: Subgraph) -> str:
    """What makes a subgraph impossible to allocate, in the official words."""
    count = len(subgraph.tensors)

    def stray(indices: tuple[int, ...], optional: bool) -> int | None:
        low = -1 if optional else 0
        return next((i for i in indices if not low <= i < count), None)

    places = [("inputs", subgraph.inputs, True), ("outputs", subgraph.outputs, True)]
    for node in subgraph.nodes:
        places += [("node inputs", node.inputs, True), ("node outputs", node.outputs, False)]
        places += [("node intermediates", node.intermediates, False)]
    for where, indices, optional in places:
        bad = stray(indices, optional)
        if bad is not None:
            return (
                f"Invalid tensor index {bad} in {where}. The subgraph has {count} tensors\n"
                "AllocateTensors() called on inconsistent model."
            )
    deep = next((t for t in subgraph.tensors if len(t.shape or ()) > MOST_AXES), None)
    if deep is not None:
        return f"tensor {deep.index} '{deep.name}' has {len(deep.shape or ())} axes, more than {MOST_AXES}."
    for node in subgraph.nodes:
        for position, i in enumerate(node.inputs):
            if i >= 0 and i in node.outputs:
                return (
                    f"Tensor {i} is both input {position} and output {node.outputs.index(i)}\n"
                    "AllocateTensors() called on inconsistent model."
                )
        constant = next((i for i in node.outputs if subgraph.tensors[i].data is not None), None)
        if constant is not None:
            return f"node {node.index}, {node.op} writes tensor {constant}, a constant."
    writers: dict[int, int] = dict.fromkeys(subgraph.inputs, -1)
    for node in subgraph.nodes:
        for i in node.outputs:
            if i in writers:
                return (
                    f"tensor {i} is written by node {node.index}, {node.op}, and before that by another or the caller."
                )
            writers[i] = node.index
    return ""


def _signature(table: Table, subgraphs: int) -> Signature:
    if table.subgraph_index >= subgraphs:
        raise ModelError(f"signature {table.signature_key!r} names subgraph {table.subgraph_index} of {subgraphs}")
    return Signature(
        key=table.signature_key or "",
        inputs={m.name or "": int(m.tensor_index) for m in table.inputs},
        outputs={m.name or "": int(m.tensor_index) for m in table.outputs},
        subgraph=int(table.subgraph_index),
    )


# ---- tensors


def _tensor(i: int, table: Table, contents: _Contents) -> Tensor:
    try:
        kind = enums.TensorType(table.type).name.lower()
    except ValueError:
        raise ModelError(f"Unsupported data type {table.type} in tensor") from None
    shape = _indices(table.shape)
    if any(n < 0 for n in shape) or math.prod(shape) * STORED[kind].itemsize >= MOST_NBYTES:
        raise ModelError(
            f"BytesRequired number of elements overflowed.\nTensor {i} is invalidly specified in schema: shape {shape}."
        )
    if table.external_buffer:
        raise UnsupportedError(f"Tensor {i} keeps its data in external buffer {table.external_buffer}")
    sparsity = _sparsity(table.sparsity)
    data = contents.constant(i, table, kind, shape, sparsity)
    if data is not None and table.is_variable:
        raise ModelError(f"Tensor {i} is a variable tensor with buffer. It's not supported now.\n")
    return Tensor(
        index=i,
        name=table.name or "",
        type=kind,
        shape=shape,
        quantization=_quantization(i, table.quantization, shape),
        data=data,
        is_variable=bool(table.is_variable),
        shape_signature=_indices(table.shape_signature) if table.has("shape_signature") else None,
        sparsity=sparsity,
        compressed=contents.compressed(table, kind) if sparsity and data is not None else None,
    )


def _quantization(i: int, table: Table | None, shape: tuple[int, ...]) -> Quantization | None:
    """Scales and zero points of one tensor; blockwise ones are filled in when all tensors are there."""
    if table is None or table.details is not None or not len(table.scale):
        return None
    if not table.has("zero_point"):
        raise ModelError(f"Tensor {i}: Quantization parameters has non-null scale but null zero_point.")
    scale = np.array(table.scale, np.float32)
    zero_point = np.array(table.zero_point, np.int64)
    axis = int(table.quantized_dimension)
    if scale.size != zero_point.size:
        raise ModelError(
            f"Tensor {i}: QuantizationParam has {zero_point.size} zero_point values and {scale.size} scale values. "
            "Must have same number."
        )
    if axis < 0 or (shape and axis >= len(shape)):
        raise ModelError(f"Tensor {i}: quantized_dimension must be in range [0, {len(shape)}). Was {axis}.")
    if scale.size != 1 and shape and scale.size != shape[axis]:
        raise ModelError(
            f"Tensor {i}: num_scales must be 1 for per-layer quantization, or {shape[axis]} for per-axis quantization, "
            f"but got {scale.size}."
        )
    return Quantization(scale, zero_point, axis)


def _blockwise(tensor: Tensor, table: Table, tensors: Sequence[Tensor]) -> Tensor:
    """A tensor whose scales are the contents of another tensor."""
    stored = table.quantization
    details = stored.details if stored is not None else None
    if stored is None or details is None or details._name == "CustomQuantization":
        return tensor

    def contents(index: int) -> np.ndarray | None:
        if index == -1:
            return None
        if not 0 <= index < len(tensors) or tensors[index].data is None:
            raise ModelError(
                f"Tensor {tensor.index}: its scales or zero points are tensor {index}, which is no constant"
            )
        return tensors[index].data

    scale = contents(details.scales)
    if scale is None:
        raise ModelError(f"Tensor {tensor.index}: {details._name} without scales")
    zero_point = contents(details.zero_points)
    axis = int(stored.quantized_dimension) if details._name == "BlockwiseQuantization" else 0
    quantization = Quantization(
        scale=np.ravel(scale).astype(np.float32),
        zero_point=np.zeros(scale.size, np.int64) if zero_point is None else np.ravel(zero_point).astype(np.int64),
        axis=axis,
        block_size=int(details.block_size),
    )
    return replace(tensor, quantization=quantization)


def _sparsity(table: Table | None) -> dict[str, Any]:
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


class _Contents:
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
