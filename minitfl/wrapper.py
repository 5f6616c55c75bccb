"""`interpreter._interpreter`: the methods of LiteRT's C++ wrapper, which downstream code calls under these names.

All checks of indices, types and shapes with LiteRT's words are here. Indices are of tensors in a subgraph, of nodes in
the primary one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl.executable import NoData
from minitfl.graph import Graph, Node, Subgraph, Tensor
from minitfl.runtime import Runtime
from minitfl.source import Source
from minitfl.turn import Turn
from minitfl.values import accept, integer, scalar_type, shown
from minitfl.views import Views

if TYPE_CHECKING:
    from minitfl.trace import TraceStep

_NULL = "Tensor data is null. Run allocate_tensors() first"


class InterpreterWrapper:
    """One model at work: its runtime, the views handed out, and whose turn it is."""

    def __init__(self, source: Source, runtime: Runtime, num_threads: int = 1, compress_zero_points: bool = False):
        self.source = source
        self.num_threads = num_threads
        runtime.threads = num_threads
        self.views = Views()
        self.turn = Turn()
        self._runtime: Runtime | None = runtime
        self._compress = compress_zero_points

    @property
    def runtime(self) -> Runtime:
        if self._runtime is None:
            raise ValueError("Interpreter was not initialized. It has been closed.")
        return self._runtime

    @property
    def closed(self) -> bool:
        return self._runtime is None

    @property
    def graph(self) -> Graph:
        return self.runtime.graph

    def close(self) -> None:
        with self.turn("close"):
            self._runtime = None
            self.source.close()

    # ---- running

    def AllocateTensors(self, subgraph_index: int = -1) -> None:
        """Plans and takes memory: of the primary subgraph for -1."""
        with self.turn("allocate_tensors"):
            self._instance(0 if subgraph_index == -1 else subgraph_index).allocate()

    def Invoke(self, subgraph_index: int = 0) -> None:
        turn = self.turn
        turn.enter("invoke")
        try:
            runtime = self._runtime
            instance = runtime.instances.get(subgraph_index) if runtime is not None else None
            if instance is None:
                instance = self._instance(subgraph_index)
            if self.source.mapped:
                self.source.check()
            if not instance.ready:
                raise RuntimeError("Invoke called on model that is not ready. Run allocate_tensors() first.")
            instance.invoke()
        finally:
            turn.leave()

    def trace(self, subgraph_index: int = 0) -> Iterator[TraceStep]:
        """Invoke, told step by step; between two steps the interpreter may be used."""
        self.source.check()
        steps = self._instance(subgraph_index).trace()
        while True:
            with self.turn("trace"):
                step = next(steps, None)
            if step is None:
                return
            yield step

    def ResizeInputTensor(self, i: int, value: Any, strict: bool, subgraph_index: int = 0) -> None:
        index = integer(i, "ResizeInputTensor()")
        with self.turn("resize_tensor_input"):
            subgraph = self._subgraph(subgraph_index)
            shape = np.asarray(value)
            if shape.ndim != 1:
                raise ValueError(f"Shape should be 1D instead of {shape.ndim}.")
            if shape.dtype != np.int32:
                raise ValueError(f"Shape must be type int32 (was {shape.dtype}).")
            _resize(self._instance(subgraph_index), subgraph, index, tuple(shape.tolist()), strict)

    def ResetVariableTensors(self) -> None:
        with self.turn("reset_all_variables"):
            for i in range(len(self.graph.subgraphs)):
                self._instance(i).reset_variables()

    def SetNumThreads(self, num_threads: int) -> None:
        self.num_threads = integer(num_threads, "SetNumThreads()")
        self.runtime.threads = self.num_threads

    def ModifyGraphWithDelegate(self, delegate: Any) -> None:
        raise RuntimeError("minitfl runs every operator itself: a native delegate cannot be applied to it.")

    # ---- values

    def SetTensor(self, i: int, value: Any, subgraph_index: int = 0) -> None:
        with self.turn("set_tensor"):
            tensor = self._tensor(i, subgraph_index, "SetTensor()")
            instance = self._instance(subgraph_index)
            array = accept(value, tensor, instance.shape(tensor.index))
            if tensor.data is not None:
                raise ValueError(f"Cannot set tensor: {tensor.index} '{tensor.name}' is a constant of the model.")
            try:
                instance.put(tensor.index, array)
            except NoData as error:
                if array.size == 0:
                    return
                what = f"input {tensor.index}, name: {tensor.name}"
                if error.reason == "unallocated":
                    text = "Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors() first"
                    raise ValueError(f"{text} for {what}") from None
                raise ValueError(f"Cannot set tensor: {_no_data(error, tensor)}") from None

    def GetTensor(self, tensor_index: int, subgraph_index: int = 0) -> Any:
        """A copy; a NumPy scalar where the tensor has no axes. Of a sparse constant its compressed values."""
        with self.turn("get_tensor"):
            tensor = self._tensor(tensor_index, subgraph_index, "GetTensor()")
            if tensor.compressed is not None:
                return tensor.compressed.copy()
            copy = self._live(tensor, subgraph_index).copy()
            return copy if copy.ndim or copy.dtype.kind == "O" else copy[()]

    def tensor(self, base_object: Any, tensor_index: int, subgraph_index: int = 0) -> Any:
        """The tensor's own memory, to read and write; `base_object` is not needed, the view keeps its memory alive."""
        with self.turn("tensor"):
            tensor = self._tensor(tensor_index, subgraph_index, "tensor()")
            array = self._live(tensor, subgraph_index)
            return self.views.give(array) if array.ndim else array[()]

    def _live(self, tensor: Tensor, subgraph_index: int) -> np.ndarray:
        if tensor.data is not None:
            return shown(tensor.data, tensor.type)
        instance = self._instance(subgraph_index)
        try:
            return shown(instance.array(tensor.index), tensor.type)
        except NoData as error:
            shape = instance.shape(tensor.index)
            if error.reason == "unallocated" and 0 in shape:
                return shown(np.empty(shape, tensor.dtype), tensor.type)
            raise ValueError(_no_data(error, tensor)) from None

    # ---- what the model says about itself

    def NumSubgraphs(self) -> int:
        return len(self.graph.subgraphs)

    def NumTensors(self, subgraph_index: int) -> int:
        return len(self._subgraph(subgraph_index).tensors)

    def InputIndices(self) -> np.ndarray:
        return np.array(self.graph.subgraphs[0].inputs, np.int32)

    def OutputIndices(self) -> np.ndarray:
        return np.array(self.graph.subgraphs[0].outputs, np.int32)

    def TensorName(self, tensor_index: int, subgraph_index: int) -> str:
        tensors = self._subgraph(subgraph_index).tensors
        return tensors[tensor_index].name if 0 <= tensor_index < len(tensors) else ""

    def TensorType(self, tensor_index: int, subgraph_index: int) -> type:
        return scalar_type(self._tensor(tensor_index, subgraph_index, "TensorType()").type)

    def TensorSize(self, tensor_index: int, subgraph_index: int) -> np.ndarray:
        tensor = self._tensor(tensor_index, subgraph_index, "TensorSize()")
        return np.array(self._instance(subgraph_index).shape(tensor.index), np.int32)

    def TensorSizeSignature(self, tensor_index: int, subgraph_index: int) -> np.ndarray:
        """-1 where a dimension is free; the current shape where the file gives no signature of it."""
        tensor = self._tensor(tensor_index, subgraph_index, "TensorSizeSignature()")
        return np.array(tensor.shape_signature or self._instance(subgraph_index).shape(tensor.index), np.int32)

    def TensorSparsityParameters(self, tensor_index: int, subgraph_index: int) -> dict[str, Any]:
        return dict(self._tensor(tensor_index, subgraph_index, "TensorSparsityParameters()").sparsity)

    def TensorQuantization(self, tensor_index: int, subgraph_index: int) -> tuple[float, int]:
        """(scale, zero point) where there is one of each, else (0.0, 0)."""
        return self._tensor(tensor_index, subgraph_index, "TensorQuantization()").numbers

    def TensorQuantizationParameters(self, tensor_index: int, subgraph_index: int) -> tuple[Any, Any, int, int]:
        """Scales, zero points, axis, block size."""
        quantization = self._tensor(tensor_index, subgraph_index, "TensorQuantizationParameters()").quantization
        if quantization is None:
            return np.zeros(0, np.float32), np.zeros(0, np.int32), 0, 0
        scale = quantization.scale.astype(np.float16 if quantization.block_size else np.float32)
        zero = quantization.zero_point.astype(np.int32)
        if self._compress and zero.size and (zero == zero[0]).all():
            zero = zero[:1].copy()
        return scale.ravel(), zero.ravel(), quantization.axis, quantization.block_size

    def NumNodes(self) -> int:
        return len(self.graph.subgraphs[0].nodes)

    def NodeName(self, i: int) -> str:
        nodes = self.graph.subgraphs[0].nodes
        if not 0 <= i < len(nodes):
            return ""
        return nodes[i].op or "UnknownCustomOp"

    def NodeInputs(self, i: int) -> np.ndarray:
        return np.array(self._node(i).inputs, np.int32)

    def NodeOutputs(self, i: int) -> np.ndarray:
        return np.array(self._node(i).outputs, np.int32)

    def GetSignatureDefs(self) -> dict[str, dict[str, dict[str, int]]]:
        """{key: {"inputs": {name: tensor index}, "outputs": ...}}; names in alphabetical order."""
        return {
            s.key: {"inputs": dict(sorted(s.inputs.items())), "outputs": dict(sorted(s.outputs.items()))}
            for s in self.graph.signatures
        }

    def GetSubgraphIndexFromSignature(self, signature_key: str) -> int:
        for signature in self.graph.signatures:
            if signature.key == signature_key:
                return signature.subgraph
        raise ValueError("No matching signature.")

    def interpreter(self) -> int:
        """A number that stands for this interpreter; there is no C++ object behind it."""
        return id(self)

    # ---- checks

    def _instance(self, subgraph_index: int) -> Any:
        self._subgraph(subgraph_index)
        return self.runtime.instance(subgraph_index)

    def _subgraph(self, index: int) -> Subgraph:
        subgraphs = self.graph.subgraphs
        if not 0 <= index < len(subgraphs):
            raise ValueError(f"Invalid subgraph index {index} exceeds max subgraph index {len(subgraphs)}")
        return subgraphs[index]

    def _tensor(self, index: Any, subgraph_index: int, what: str) -> Tensor:
        index = integer(index, what)
        tensors = self._subgraph(integer(subgraph_index, what)).tensors
        if not 0 <= index < len(tensors):
            raise ValueError(f"Invalid tensor index {index} exceeds max tensor index {len(tensors)}")
        return self.runtime.instance(subgraph_index).tensor(index)

    def _node(self, index: Any) -> Node:
        index = integer(index, "node")
        nodes = self.graph.subgraphs[0].nodes
        if not 0 <= index < len(nodes):
            raise ValueError(f"Invalid node index {index}: the model has {len(nodes)} nodes")
        return nodes[index]


def _no_data(error: NoData, tensor: Tensor) -> str:
    """Why a tensor can't be read, in LiteRT's words where it has any."""
    what = f"tensor {tensor.index} '{tensor.name}'"
    if error.reason == "reused":
        return (
            f"Tensor data is gone: the memory of {what} was reused by later operators."
            " Make the interpreter with experimental_preserve_all_tensors=True to read intermediate tensors."
        )
    if error.reason == "dynamic":
        return f"{_NULL} and invoke(): the shape of {what} depends on values that are not computed yet."
    return f"{_NULL} ({what})"


def _resize(instance: Any, subgraph: Subgraph, index: int, shape: tuple[int, ...], strict: bool) -> None:
    if not 0 <= index < len(subgraph.tensors):
        raise RuntimeError(
            "tensor_index < context_.tensors_size && tensor_index >= 0 was not true:"
            f" {index}, the subgraph has {len(subgraph.tensors)} tensors."
        )
    tensor = subgraph.tensors[index]
    current = instance.shape(index)
    if strict:
        _check_strict(tensor, current, shape)
    if tensor.data is not None and shape == current:
        return
    if tensor.data is not None:
        raise RuntimeError(f"Attempting to resize a fixed-size tensor. ({index} '{tensor.name}' is a constant)")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"BytesRequired number of elements overflowed. ({shape} has a negative dimension)")
    instance.resize(index, shape)


def _check_strict(tensor: Tensor, current: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(shape) != len(current):
        raise RuntimeError(f"tensor->dims->size != dims.size() ({len(current)} != {len(shape)})")
    for axis, (have, want) in enumerate(zip(tensor.shape_signature or current, shape)):
        if have not in (-1, want):
            raise RuntimeError(
                f"Attempting to resize dimension {axis} of tensor {tensor.index} with value {have} to {want}."
                " ResizeInputTensorStrict only allows mutating unknown dimensions identified by -1."
            )
