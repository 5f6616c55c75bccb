"""Running a model by the names of its inputs: `interpreter(image=x)`.

An *entry* is what is run: a signature, or a subgraph under the names of its tensors. Unlike set_tensor, values are cast
where that loses nothing but precision (float64 to float32, Python numbers), and their batch size may be any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Graph, Subgraph, Tensor
from minitfl.real import dequantize, is_quantized, quantize
from minitfl.values import scalar_type, shown_dtype
from minitfl.wrapper import InterpreterWrapper

if TYPE_CHECKING:
    from minitfl.trace import TraceStep


@dataclass(frozen=True)
class Entry:
    """Names to tensor indices of one subgraph; `order`: the inputs in the graph's order."""

    subgraph: Subgraph
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(i for i in self.subgraph.inputs if i >= 0)

    def names(self) -> str:
        return ", ".join(self.inputs) or "none"


def find_entry(graph: Graph, key: str | None) -> Entry:
    """The signature of that key; for None the primary subgraph, under its first signature's names if it has one."""
    for signature in graph.signatures:
        if signature.key == key or (key is None and signature.subgraph == 0):
            return Entry(graph.subgraphs[signature.subgraph], signature.inputs, signature.outputs)
    if key is not None:
        raise ValueError(
            f'Invalid signature_key provided: "{key}". There is {", ".join(s.key for s in graph.signatures) or "none"}.'
        )
    main = graph.subgraphs[0]
    return Entry(main, _tensor_names(main, main.inputs, "input"), _tensor_names(main, main.outputs, "output"))


def _tensor_names(subgraph: Subgraph, indices: Sequence[int], what: str) -> dict[str, int]:
    """The tensors' names; input_0, input_1 ... by position where there is none or it is taken."""
    names: dict[str, int] = {}
    for position, i in enumerate(indices):
        if i >= 0:
            name = subgraph.tensors[i].name
            names[name if name and name not in names else f"{what}_{position}"] = i
    return names


# ---- names and values


def match(entry: Entry, args: Sequence[Any], named: Mapping[str, Any], partial: bool = False) -> dict[int, Any]:
    """{tensor index: value}, one for each input of the entry, or `partial`ly. Positional values: the graph's order."""
    if len(args) == 1 and isinstance(args[0], Mapping):
        args, named = (), {**args[0], **named}
    if len(args) > len(entry.order):
        raise ValueError(f"{len(args)} inputs were given, the model takes {len(entry.order)}: {entry.names()}")
    given: dict[int, Any] = dict(zip(entry.order, args))
    for name, value in named.items():
        index = _index_of(entry, name)
        if index in given:
            raise ValueError(f"input '{name}' was given twice")
        given[index] = value
    missing = [name for name, index in entry.inputs.items() if index not in given]
    if missing and not partial:
        raise ValueError(f"no value was given for {', '.join(missing)}; the model takes {entry.names()}")
    return given


def _index_of(entry: Entry, name: str) -> int:
    """An input by its signature name, its tensor name, or, where that is unique, by either in short."""
    if name in entry.inputs:
        return entry.inputs[name]
    tensors = entry.subgraph.tensors
    names = [(known, i) for known, i in entry.inputs.items()]
    names += [(tensors[i].name, i) for i in entry.order]
    exact = {i for known, i in names if known == name}
    close = exact or {i for known, i in names if short_name(known) == short_name(name)}
    if len(close) != 1:
        raise ValueError(f"'{name}' is no input of the model, which takes {entry.names()}")
    return close.pop()


def short_name(name: str) -> str:
    """What a converter added, taken away: 'serving_default_model/image:0' -> 'image'."""
    name = re.sub(r":\d+$", "", name).removeprefix("serving_default_").rpartition("/")[2]
    return re.sub(r"\W", "_", name)


def convert(value: Any, tensor: Tensor, real: bool) -> np.ndarray:
    """`value` in the type that the tensor takes; ValueError where that would change more than its precision."""
    if tensor.type == "string":
        return np.asarray(value, object) if not isinstance(value, np.ndarray) else value
    array = np.asarray(value)
    if real and is_quantized(tensor):
        return quantize(array, tensor)
    wanted = shown_dtype(tensor.type)
    if array.dtype == wanted:
        return array
    what = f"input {tensor.index}, name: {tensor.name}"
    fraction = array.dtype.kind in "fc" and wanted.kind in "biu"
    if array.dtype.kind not in "biufcV" or fraction or (array.dtype.kind == "c" and wanted.kind != "c"):
        hint = ": pass real=True to give real numbers" if fraction and is_quantized(tensor) else ""
        raise ValueError(f"{array.dtype} values cannot stand for {scalar_type(tensor.type).__name__} of {what}{hint}")
    with np.errstate(all="ignore"):
        cast = array.astype(wanted)
    if wanted.kind in "biu" and not np.array_equal(cast.astype(object), array.astype(object)):
        raise ValueError(f"values from {array.min()} to {array.max()} do not fit the type {wanted} of {what}")
    return cast


def random_array(tensor: Tensor, chance: np.random.Generator) -> np.ndarray:
    """Contents for an input; always stored numbers, never real ones."""
    shape = tuple(max(n, 1) if n < 0 else n for n in tensor.known_shape)
    dtype = shown_dtype(tensor.type)
    if tensor.type == "string":
        return np.full(shape, b"", object)
    if tensor.type == "bool":
        return chance.integers(0, 2, shape).astype(bool)
    if dtype.kind not in "iu" or tensor.type == "bfloat16":
        if dtype.kind not in "fcV":
            raise ValueError(f"input '{tensor.name}' is {tensor.type}: it can't be filled with random numbers")
        return chance.uniform(-1, 1, shape).astype(np.float32).astype(dtype)
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if is_quantized(tensor) else (0, 9)
    bits = {"int4": 4, "int2": 2}.get(tensor.type)
    if bits:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return chance.integers(low, high, shape, dtype=dtype, endpoint=True)


# ---- running


def run(
    wrapper: InterpreterWrapper, entry: Entry, given: Mapping[int, Any], real: bool, batch: int | None
) -> dict[str, Any]:
    """{output name: array} for {input index: value}."""
    tensors = entry.subgraph.tensors
    arrays = {i: convert(value, tensors[i], real) for i, value in given.items()}
    for i, array in arrays.items():
        check_rank(tensors[i], array)
    with wrapper.turn("run"):
        found = _once(wrapper, entry, arrays) if batch is None else _in_pieces(wrapper, entry, arrays, batch)
    for name, i in entry.outputs.items():
        if real and is_quantized(tensors[i]):
            value = dequantize(found[name], tensors[i])
            found[name] = value if value.ndim else value[()]
    return found


def check_rank(tensor: Tensor, array: np.ndarray) -> None:
    shape = tensor.shape or ()
    if shape and array.ndim != len(shape):
        hint = ": x[None] adds the batch axis" if array.ndim == len(shape) - 1 else ""
        raise ValueError(
            f"input {tensor.index}, name: {tensor.name} has {len(shape)} axes, {_file_shape(tensor)},"
            f" and was given {array.ndim}, {array.shape}{hint}"
        )


def _file_shape(tensor: Tensor) -> tuple[int, ...]:
    return tensor.shape_signature or tensor.shape or ()


def _once(wrapper: InterpreterWrapper, entry: Entry, arrays: Mapping[int, np.ndarray]) -> dict[str, Any]:
    subgraph = entry.subgraph.index
    try:
        fill(wrapper, entry, arrays)
        wrapper.Invoke(subgraph)
    except ModelError as error:
        rows = _unusual_batch(entry, arrays)
        if not rows:
            raise
        own = next(iter(_batched(entry, arrays).values()))
        raise RuntimeError(
            f"{error}\nThe graph does not run with {rows} rows at once: batch={own} runs them in pieces."
        ) from error
    return {name: wrapper.GetTensor(i, subgraph) for name, i in entry.outputs.items()}


def fill(wrapper: InterpreterWrapper, entry: Entry, arrays: Mapping[int, np.ndarray]) -> None:
    """Sets inputs, after giving them the arrays' shapes."""
    subgraph = entry.subgraph.index
    for i, array in arrays.items():
        wrapper.ResizeInputTensor(i, np.array(array.shape, np.int32), False, subgraph)
    wrapper.AllocateTensors(subgraph)
    for i, array in arrays.items():
        wrapper.SetTensor(i, array, subgraph)


def trace(wrapper: InterpreterWrapper, entry: Entry, given: Mapping[int, Any], real: bool) -> Iterator[TraceStep]:
    """The steps of a run on {input index: value}, or on the inputs that are set."""
    tensors = entry.subgraph.tensors
    arrays = {i: convert(value, tensors[i], real) for i, value in given.items()}
    for i, array in arrays.items():
        check_rank(tensors[i], array)
    with wrapper.turn("trace"):
        fill(wrapper, entry, arrays)
    return wrapper.trace(entry.subgraph.index)


def _batched(entry: Entry, arrays: Mapping[int, np.ndarray]) -> dict[int, int]:
    """The inputs that differ from the file in their first axis only, with the file's batch size."""
    found = {}
    for i, array in arrays.items():
        shape = entry.subgraph.tensors[i].shape or ()
        if shape and array.shape[0] != shape[0] and array.shape[1:] == shape[1:]:
            found[i] = shape[0]
    return found


def _unusual_batch(entry: Entry, arrays: Mapping[int, np.ndarray]) -> int:
    return max((arrays[i].shape[0] for i in _batched(entry, arrays)), default=0)


def _in_pieces(
    wrapper: InterpreterWrapper, entry: Entry, arrays: Mapping[int, np.ndarray], batch: int
) -> dict[str, Any]:
    """`batch` rows at a time along the first axis; the last piece is filled up by repeating its last row."""
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    sliced = set(_batched(entry, arrays)) or {i for i, a in arrays.items() if a.ndim}
    counts = sorted({arrays[i].shape[0] for i in sliced})
    if len(counts) != 1 or not counts[0]:
        raise ValueError(f"the inputs have {counts} rows: batch= needs the same number, at least 1, in each")
    rows = counts[0]
    pieces: list[dict[str, Any]] = []
    for start in range(0, rows, batch):
        take = np.minimum(np.arange(start, start + batch), rows - 1)
        pieces.append(_once(wrapper, entry, {i: a[take] if i in sliced else a for i, a in arrays.items()}))
    return {name: _join(name, [piece[name] for piece in pieces], batch)[:rows] for name in entry.outputs}


def _join(name: str, parts: list[Any], batch: int) -> np.ndarray:
    shape = np.shape(parts[0])
    if not shape or shape[0] != batch:
        raise ValueError(
            f"output '{name}' of shape {shape} has no row for each of the {batch} rows: it can't be joined"
        )
    return np.concatenate(parts)
