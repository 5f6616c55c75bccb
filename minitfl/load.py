"""The bytes of a .tflite file -> a Graph. With `contents` and `options`, the only user of `minitfl.schema`'s reader.

What the official constructor refuses is refused here, as a ValueError with its words; what it only finds while
allocating becomes the `defect` of a subgraph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minitfl.contents import Contents, sparsity_of
from minitfl.errors import ModelError, UnsupportedError, as_value_error
from minitfl.graph import STORED, Graph, Node, Quantization, Signature, Subgraph, Tensor
from minitfl.op import find
from minitfl.options import options_of
from minitfl.schema import enums
from minitfl.schema.reader import (
    SchemaError,
    Table,
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
    contents = Contents(model)
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
    if preparation is None or not preparation.min_version <= code.version <= preparation.max_version:
        known = f" Versions {preparation.min_version} to {preparation.max_version} are known." if preparation else ""
        raise UnsupportedError(
            f"Didn't find op for builtin opcode '{name}' version '{code.version}'. "
            "An older version of this builtin might be supported. "
            f"Are you using an old TFLite binary with a newer model?{known}"
        )
    return name, code.version, False


def _node(i: int, operator: Table, operators: Sequence[tuple[str, int, bool]], contents: Contents) -> Node:
    if not 0 <= operator.opcode_index < len(operators):
        raise ModelError(f"Missing registration for opcode_index {operator.opcode_index}")
    name, version, custom = operators[operator.opcode_index]
    return Node(
        index=i,
        op=name,
        version=version,
        inputs=_indices(operator.inputs),
        outputs=_indices(operator.outputs),
        options=None if custom else options_of(name, operator),
        custom=custom,
        custom_options=contents.custom_options(operator),
        intermediates=_indices(operator.intermediates),
    )


def _indices(vector: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in vector)


# ---- subgraphs


def _subgraph(index: int, table: Table, operators: Sequence[tuple[str, int, bool]], contents: Contents) -> Subgraph:
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


def _tensor(i: int, table: Table, contents: Contents) -> Tensor:
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
    sparsity = sparsity_of(table.sparsity)
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

    if details._name == "BlockwiseQuantization" and len(details.block_shape):
        raise UnsupportedError(f"Tensor {tensor.index} is quantized in blocks of shape {list(details.block_shape)}")

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
