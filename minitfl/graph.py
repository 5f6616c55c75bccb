"""The model as the rest of minitfl sees it: frozen, typed, checked. `load` makes it, nothing changes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minitfl.errors import ModelError

# How each type of the schema is stored while it is computed with. 4- and 2-bit integers are stored one a byte.
STORED = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "int32": np.dtype(np.int32),
    "uint8": np.dtype(np.uint8),
    "int64": np.dtype(np.int64),
    "string": np.dtype(object),
    "bool": np.dtype(np.bool_),
    "int16": np.dtype(np.int16),
    "complex64": np.dtype(np.complex64),
    "int8": np.dtype(np.int8),
    "float64": np.dtype(np.float64),
    "complex128": np.dtype(np.complex128),
    "uint64": np.dtype(np.uint64),
    "resource": np.dtype(object),
    "variant": np.dtype(object),
    "uint32": np.dtype(np.uint32),
    "uint16": np.dtype(np.uint16),
    "int4": np.dtype(np.int8),
    "bfloat16": np.dtype(np.uint16),
    "int2": np.dtype(np.int8),
    "uint4": np.dtype(np.uint8),
    "float8_e4m3fn": np.dtype(np.int8),
    "float8_e5m2": np.dtype(np.int8),
}
BITS = {"int4": 4, "uint4": 4, "int2": 2}
OBJECTS = frozenset({"string", "resource", "variant"})


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """real = scale * (stored - zero_point), per tensor (n = 1) or along one axis (n = its length)."""

    scale: np.ndarray  # float32 (n,)
    zero_point: np.ndarray  # int64 (n,)
    axis: int = 0
    block_size: int = 0  # values along the last axis that share a scale; 0 where none do

    @property
    def per_tensor(self) -> bool:
        return self.scale.size == 1 and not self.block_size


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor: what is known of it before anything is computed."""

    index: int  # in its subgraph; -1 for scratch
    name: str
    type: str  # the schema's name in lower case
    shape: tuple[int, ...] | None  # None while it is not known
    quantization: Quantization | None = None
    data: np.ndarray | None = None  # contents of a constant, unpacked
    is_variable: bool = False
    shape_signature: tuple[int, ...] | None = None  # -1 for a free dimension; None where the file has none
    sparsity: Mapping[str, Any] = field(default_factory=dict)
    compressed: np.ndarray | None = None  # the values that the file stores of a sparse constant

    @property
    def dtype(self) -> np.dtype:
        """The NumPy type of the stored array."""
        return STORED[self.type]

    @property
    def known_shape(self) -> tuple[int, ...]:
        if self.shape is None:
            raise ModelError(f"the shape of tensor {self.index} '{self.name}' is not known")
        return self.shape

    @property
    def rank(self) -> int:
        return len(self.known_shape)

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.known_shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored array; strings and resources count their references."""
        return self.size * self.dtype.itemsize

    @property
    def scale(self) -> float:
        """The one scale, as the float32 it is stored in."""
        return float(self._one("scale"))

    @property
    def zero(self) -> int:
        """The one zero point."""
        return int(self._one("zero_point"))

    @property
    def numbers(self) -> tuple[float, int]:
        """(scale, zero) where there is one of each, else (0.0, 0), as the official API shows it."""
        quantization = self.quantization
        return (self.scale, self.zero) if quantization is not None and quantization.per_tensor else (0.0, 0)

    @property
    def scales(self) -> np.ndarray:
        """All scales, float32 (n,)."""
        return self._quantized().scale

    @property
    def zeros(self) -> np.ndarray:
        """All zero points, int64 (n,)."""
        return self._quantized().zero_point

    def reshaped(self, *shape: int | tuple[int, ...]) -> Tensor:
        """The same memory under another shape."""
        new = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return replace(self, shape=tuple(int(n) for n in new))  # type: ignore[union-attr]

    def _quantized(self) -> Quantization:
        if self.quantization is None:
            raise ModelError(f"tensor {self.index} '{self.name}' ({self.type}) has no quantization parameters")
        return self.quantization

    def _one(self, what: str) -> Any:
        values = getattr(self._quantized(), what)
        if values.size != 1:
            raise ModelError(f"tensor {self.index} '{self.name}' has {values.size} {what} values where one is expected")
        return values[0]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator of a subgraph."""

    index: int
    op: str  # the builtin operator's name, or the custom code
    version: int
    inputs: tuple[int, ...]  # tensor indices, -1 = absent
    outputs: tuple[int, ...]
    options: Any  # the options table, its fields as attributes
    custom: bool = False
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Subgraph:
    index: int
    name: str
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    defect: str = ""  # why it can't be allocated, found while loading


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """A named entry: argument and result names to tensor indices of its subgraph, in the file's order."""

    key: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    subgraph: int


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)  # name -> bytes-like view
    description: str = ""
    version: int = 3
