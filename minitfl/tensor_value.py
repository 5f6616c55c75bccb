"""A tensor as a person looks at it: its numbers with their type and quantization. Made by `quantized` and by traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minitfl.graph import STORED, Quantization, Tensor
from minitfl.real import dequantize, is_quantized, quantize
from minitfl.values import accept, shown


@dataclass(frozen=True, eq=False)
class TensorValue:
    """The contents of a tensor, and what they stand for: real = scale * (stored - zero_point).

    NumPy takes it for its stored numbers (`np.asarray(value)`).

    Attributes
    ----------
    name : str
        The tensor's name in the model; "" where it has none.
    type : str
        The schema's type name in lower case: "int8", "int4", "float32" ...
    shape : tuple of int or None
        None where it is not known yet.
    array : numpy.ndarray or None
        The stored numbers, read-only; None where only the description is known. 4- and 2-bit integers lie one a byte.
    quantization : minitfl.graph.Quantization or None
        All of it; `scale`, `zero_point` and `axis` are its shortcuts.
    index : int
        The tensor's number in its subgraph, -1 for none.
    constant : bool
        Is it stored in the model?
    """

    name: str
    type: str
    shape: tuple[int, ...] | None
    array: np.ndarray | None = None
    quantization: Quantization | None = None
    index: int = -1
    constant: bool = False

    @property
    def scale(self) -> Any:
        """A float, or float32 (n,) along `axis`; None where the tensor is not quantized."""
        return None if self.quantization is None else _one(self.quantization.scale)

    @property
    def zero_point(self) -> Any:
        """An int, or int64 (n,) along `axis`; None where the tensor is not quantized."""
        return None if self.quantization is None else _one(self.quantization.zero_point)

    @property
    def axis(self) -> int:
        """The axis that several scales go along."""
        return 0 if self.quantization is None else self.quantization.axis

    @property
    def real(self) -> np.ndarray:
        """The real numbers: float32 for quantized tensors, else the array itself.

        Raises ValueError where there is no array.
        """
        if self.array is None:
            raise ValueError(f"'{self.name}' has no contents here")
        tensor = self._tensor()
        return dequantize(self.array, tensor) if is_quantized(tensor) else self.array

    def _tensor(self) -> Tensor:
        return Tensor(self.index, self.name, self.type, self.shape, self.quantization)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.array is None:
            raise ValueError(f"'{self.name}' has no contents here")
        array = self.array if dtype is None else self.array.astype(dtype)
        return array.copy() if copy and array is self.array else array

    def __repr__(self) -> str:
        name = f" '{self.name}'" if self.name else ""
        return f"<tensor{name}: {label(self)}>"


def label(value: TensorValue) -> str:
    """Type, shape and quantization in a few words."""
    shape = "?" if value.shape is None else "x".join(str(n) for n in value.shape) or "scalar"
    q = value.quantization
    if q is None:
        return f"{value.type} {shape}"
    if q.per_tensor:
        return f"{value.type} {shape}, scale {float(q.scale[0]):.6g}, zero {int(q.zero_point[0])}"
    along = f"in blocks of {q.block_size}" if q.block_size else f"along axis {q.axis}"
    return f"{value.type} {shape}, {q.scale.size} scales {along}"


def quantized(array: Any, scale: Any = None, zero_point: Any = 0, axis: int = 0, type: str | None = None) -> Any:
    """Numbers with a type and a quantization, for `run_op`, `one_op` and `check`.

    Parameters
    ----------
    array : array_like or None
        Integers are taken as they are stored; where there is a scale, floats are real numbers, which are quantized as
        QUANTIZE does: to the nearest, halves away from zero, clipped to the type's range. None gives a description
        without contents, as `output=` takes it.
    scale : float or array_like of float, optional
        One number, or one for each slice along `axis`. None: not quantized, only typed.
    zero_point : int or array_like of int
        As many as scales, or one.
    axis : int
        The axis that several scales go along.
    type : str, optional
        A tensor type of the schema in any case: "int4", "bfloat16" ... By default the array's own; "int8" for real
        numbers and for None.

    Returns
    -------
    TensorValue
        Its array has the given shape and the type's stored dtype.

    Raises
    ------
    ValueError
        Unknown type; values that it can't hold; scales that do not go along the axis.
    """
    array = None if array is None else np.asarray(array)
    kind = _type_of(array, scale) if type is None else type.lower()
    if kind not in STORED:
        raise ValueError(f"there is no tensor type '{type or kind}'; the types are {', '.join(STORED)}")
    quantization = None if scale is None else _quantization(array, scale, zero_point, axis)
    tensor = Tensor(-1, "", kind, None if array is None else array.shape, quantization)
    if array is None:
        return TensorValue("", kind, None, None, quantization)
    if quantization is not None and array.dtype.kind == "f" and tensor.dtype.kind in "iu":
        stored = quantize(array, tensor)
    else:
        stored = _typed(array, tensor)
    stored = shown(stored, kind)
    stored = stored.view()
    stored.flags.writeable = False
    return TensorValue("", kind, stored.shape, stored, quantization)


def as_value(given: Any) -> TensorValue:
    """`given` itself if it is a TensorValue, else the array of it, not quantized."""
    return given if isinstance(given, TensorValue) else quantized(given)


def _typed(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    if array.dtype != tensor.dtype and array.dtype.kind in "iu" and tensor.dtype.kind in "iu":
        with np.errstate(all="ignore"):
            cast = array.astype(tensor.dtype)
        if not np.array_equal(cast, array):
            raise ValueError(f"values from {array.min()} to {array.max()} do not fit the type {tensor.type}")
        array = cast
    return accept(array, tensor, array.shape)


def _type_of(array: np.ndarray | None, scale: Any) -> str:
    if array is None or (scale is not None and array.dtype.kind == "f"):
        return "int8"
    return "string" if array.dtype.kind in "SUO" else array.dtype.name


def _quantization(array: np.ndarray | None, scale: Any, zero_point: Any, axis: int) -> Quantization:
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    zeros = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape).copy()
    if scales.ndim != 1 or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"scales are positive numbers in one row, not {scale}")
    if scales.size > 1 and array is not None:
        if not -array.ndim <= axis < array.ndim or array.shape[axis] != scales.size:
            raise ValueError(f"{scales.size} scales along axis {axis} of an array of shape {array.shape}")
        axis %= array.ndim
    return Quantization(scales, zeros, axis)


def _one(values: np.ndarray) -> Any:
    return values[0].item() if values.size == 1 else values
