"""Two models, or two arithmetics, layer by layer: `compare`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minitfl import entry, official
from minitfl.entry import Entry
from minitfl.graph import OBJECTS, Node, Tensor
from minitfl.interpreter import Interpreter
from minitfl.real import dequantize, is_quantized
from minitfl.values import shown

METRICS = ("max", "mse", "cosine", "snr")
SAME_TYPE, OTHER_TYPE = 1e-5, 0.1  # tolerances, as shares of a layer's largest value
OFFICIAL = "official"


@dataclass(frozen=True)
class LayerRow:
    """What two models make of one tensor, in real numbers, over all samples.

    Attributes
    ----------
    node, op, name : int, str, str
        The node that writes the tensor in the first model, and the tensor's name there.
    other : str
        The tensor's name in the second model.
    types : tuple of str
        The tensor's type in either model.
    shape : tuple of int
        In the first sample.
    metrics : dict of str to float
        max: largest abs(a - b); mse: mean of (a - b)**2; cosine: of the angle between a and b; snr: 10 * log10(sum of
        a**2 / sum of (a - b)**2) in dB, infinite where they are equal.
    most : float
        The largest abs(a), for proportion.
    steps : int or None
        The largest difference of stored integers, where both models quantize the tensor alike.
    parts : bool
        Do they differ by more than the tolerance?
    """

    node: int
    op: str
    name: str
    other: str
    types: tuple[str, str]
    shape: tuple[int, ...]
    metrics: dict[str, float]
    most: float
    steps: int | None
    parts: bool


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    rows : tuple of LayerRow
        In the order of the first model's nodes.
    names : tuple of str
        What was compared.
    unmatched : tuple of two tuples of str
        The tensors of either model that the other has no counterpart of.
    samples : int
        How many inputs were run.
    """

    rows: tuple[LayerRow, ...]
    names: tuple[str, str]
    unmatched: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    samples: int = 1
    asked: tuple[str, ...] = field(default=METRICS, repr=False)

    @property
    def first(self) -> LayerRow | None:
        """The first layer where the two part by more than the tolerance."""
        return next((row for row in self.rows if row.parts), None)

    def table(self) -> None:
        """Prints the rows, with rich where it is installed and someone looks, else in plain text."""
        from minitfl.commands import terminal

        terminal.table(*self._table())

    def _table(self) -> tuple[Any, list[tuple[str, ...]], str]:
        from minitfl.commands.terminal import Column

        columns = [Column("", right=True), Column("operator"), Column("types"), Column("shape")]
        columns += [Column(name, right=True) for name in self.asked]
        columns += [Column("steps", right=True), Column(""), Column("tensor")]
        rows = [
            (
                str(row.node),
                row.op,
                row.types[0] if row.types[0] == row.types[1] else " / ".join(row.types),
                "x".join(str(n) for n in row.shape) or "scalar",
                *(f"{row.metrics[name]:.4g}" for name in self.asked),
                "" if row.steps is None else str(row.steps),
                "<-" if row is self.first else "",
                row.name if len(row.name) <= 40 else "..." + row.name[-37:],
            )
            for row in self.rows
        ]
        return tuple(columns), rows, " and ".join(self.names) + f", {len(self.rows)} layers"

    def __repr__(self) -> str:
        from minitfl.commands import terminal

        return terminal.plain(*self._table())


def compare(
    a: Any,
    b: Any,
    data: Any = None,
    /,
    *,
    metrics: Iterable[str] = METRICS,
    tolerance: float | None = None,
    seed: int = 0,
    samples: int = 1,
) -> Comparison:
    """Runs two models on the same inputs and compares every layer, in real numbers.

    >>> compare("float.tflite", "int8.tflite", {"image": pixels}).table()
    >>> compare("model.tflite", "official").first
    >>> compare(path, Interpreter(path, kernels={"CONV_2D": my_conv}))

    Parameters
    ----------
    a, b : str, bytes, os.PathLike or Interpreter
        Models of one architecture: paths, contents, or interpreters, which are left alone. b may also be "official",
        for a in the official runtime with its reference kernels, or "official:AUTO" with those of another resolver
        (AUTO: XNNPACK); it runs in a process of its own.
    data : array, mapping or list of these, optional
        One sample or several: a dict by the names of a's inputs, or the array of a model of one input. Floats are real
        numbers, which quantized inputs take quantized; integers are stored numbers. By default random ones.
    metrics : iterable of str
        Which to show: "max", "mse", "cosine", "snr"; see `LayerRow`.
    tolerance : float, optional
        A layer parts where its largest difference exceeds this share of its largest value. By default any difference of
        integers counts where both models quantize a tensor alike, 1e-5 of floats, and 0.1 where they differ in type
        or scale.
    seed, samples : int
        Of random data, and how many.

    Returns
    -------
    Comparison
        `rows`, `first` (the first layer where they part), `table()`.

    Raises
    ------
    ValueError
        An input or metric that is not there, or no tensor of one model has a counterpart in the other.
    RuntimeError
        A model fails; or the official runtime is not installed, refuses the model, or dies.

    Tensors are matched by name; those whose name only one model has, by operator, shape and order.
    """
    asked = tuple(metrics)
    unknown = [name for name in asked if name not in METRICS]
    if unknown:
        raise ValueError(f"there is no metric {' or '.join(unknown)}, but {', '.join(METRICS)}")
    first = _Ours(a)
    given = first.samples(data, seed, samples)
    if isinstance(b, str) and b.partition(":")[0] == OFFICIAL and not Path(b).exists():
        second: Any = _Official(first, b)
    else:
        second = _Ours(b)
    carried = _carried(given, first, second)
    second.fill(carried[0])
    pairs = _matched(first.layers, second.layers)
    if not pairs:
        raise ValueError("no tensor of one model has a counterpart in the other, by name or by operator and shape")
    sums = [_Sums(x, y) for x, y in pairs]
    for values, others in zip(first.run(given), second.run(carried)):
        for one in sums:
            one.add(values.get(one.x.tensor.index), others.get(one.y.tensor.index))
    rows = tuple(one.row(asked, tolerance) for one in sums if one.count)
    taken = {id(layer) for pair in pairs for layer in pair}
    unmatched = [tuple(x.tensor.name for x in side.layers if id(x) not in taken) for side in (first, second)]
    return Comparison(rows, (first.name, second.name), (unmatched[0], unmatched[1]), len(given), asked)


# ---- the two sides

Sample = Mapping[int, np.ndarray]  # input's index: array


@dataclass(frozen=True, eq=False)
class _Layer:
    node: Node
    tensor: Tensor
    shape: tuple[int, ...] | None  # as planned for the first sample

    @property
    def key(self) -> tuple[Any, ...]:
        return self.node.op, self.shape


class _Ours:
    """A model in minitfl."""

    def __init__(self, model: Any):
        self.name, self.interpreter = _opened(model)
        self.entry: Entry = entry.find_entry(self.interpreter._interpreter.graph, None)
        self.tensors = self.entry.subgraph.tensors

    @cached_property
    def layers(self) -> list[_Layer]:
        """What its nodes write, but for what is known without running; shapes are those of the sample filled in."""
        frame = self.interpreter._interpreter.runtime.instance(self.entry.subgraph.index).frame
        assert frame is not None
        return [
            _Layer(node, frame.plan.tensors[i], frame.plan.tensors[i].shape)
            for node in frame.plan.subgraph.nodes
            for i in node.outputs
            if i >= 0 and i not in frame.plan.folded and frame.plan.tensors[i].type not in OBJECTS
        ]

    def samples(self, data: Any, seed: int, count: int) -> list[Sample]:
        """The inputs of each run; the first is filled in."""
        if data is None:
            chance = np.random.default_rng(seed)
            found = [{i: entry.random_array(self.tensors[i], chance) for i in self.entry.order} for _ in range(count)]
        else:
            given = data if isinstance(data, (list, tuple)) else [data]
            found = [entry.match(self.entry, [one], {}) for one in given]
        if not found:
            raise ValueError("there is no sample")
        made: list[Sample] = [{i: self._input(i, value) for i, value in one.items()} for one in found]
        self.fill(made[0])
        return made

    def fill(self, sample: Sample) -> None:
        made = {i: self._input(i, value) for i, value in sample.items()}
        entry.fill(self.interpreter._interpreter, self.entry, made)

    def _input(self, i: int, value: Any) -> np.ndarray:
        t = self.tensors[i]
        array = np.asarray(value)
        made = entry.convert(array, t, is_quantized(t) and array.dtype.kind == "f")
        entry.check_rank(t, made)
        return made

    def real(self, i: int, array: np.ndarray) -> np.ndarray:
        """What an input stands for."""
        return dequantize(array, self.tensors[i]) if is_quantized(self.tensors[i]) else array

    def run(self, samples: Sequence[Sample]) -> Iterable[dict[int, np.ndarray]]:
        wrapper = self.interpreter._interpreter
        for arrays in samples:
            made = {i: self._input(i, value) for i, value in arrays.items()}
            steps = entry.trace(wrapper, self.entry, made, False)
            yield {y.index: y.array for step in steps for y in step.outputs if y is not None and y.array is not None}


class _Official:
    """The same model in the official runtime."""

    def __init__(self, ours: _Ours, name: str):
        self.name = name
        self.ours = ours
        self.resolver = name.partition(":")[2] or "BUILTIN_REF"
        self.entry, self.tensors = ours.entry, ours.tensors

    @cached_property
    def layers(self) -> list[_Layer]:
        return [replace(layer) for layer in self.ours.layers]

    def fill(self, sample: Sample) -> None:
        """Its shapes are those of ours."""

    def run(self, samples: Sequence[Sample]) -> Iterable[dict[int, np.ndarray]]:
        content = self.ours.interpreter._interpreter.source.bytes()
        wanted = [layer.tensor.index for layer in self.layers]
        return official.run(content, samples, wanted, self.resolver)


def _opened(model: Any) -> tuple[str, Interpreter]:
    if isinstance(model, Interpreter):
        return model._interpreter.source.name or "the interpreter's model", model.clone()
    if isinstance(model, bytes):
        return "the given model", Interpreter(model_content=model)
    return str(model), Interpreter(model)


def _carried(samples: Sequence[Sample], first: _Ours, second: Any) -> list[Sample]:
    """The first model's inputs as those of the second: by name, or by place; real where those are stored otherwise."""
    if isinstance(second, _Official):
        return list(samples)
    names = {entry.short_name(name): i for name, i in second.entry.inputs.items()}
    places = dict(zip(first.entry.order, second.entry.order))
    target = {i: names.get(entry.short_name(name), places.get(i)) for name, i in first.entry.inputs.items()}
    if None in target.values() or len(set(target.values())) != len(second.entry.order):
        raise ValueError(f"the inputs of one model, {first.entry.names()}, are not those of {second.entry.names()}")
    carried = []
    for arrays in samples:
        one = {}
        for i, array in arrays.items():
            x, y = first.tensors[i], second.tensors[target[i]]
            one[target[i]] = array if _alike(x, y) else first.real(i, array)
        carried.append(one)
    return carried


def _alike(x: Tensor, y: Tensor) -> bool:
    """Do their stored numbers stand for the same reals?"""
    p, q = x.quantization, y.quantization
    if x.type != y.type or (p is None) != (q is None):
        return False
    return p is None or q is None or all(np.array_equal(getattr(p, n), getattr(q, n)) for n in ("scale", "zero_point"))


# ---- which layer is which


def _matched(first: Sequence[_Layer], second: Sequence[_Layer]) -> list[tuple[_Layer, _Layer]]:
    """Pairs in the order of the first model: by name where the sizes agree, the rest by operator, shape and order."""
    named = {layer.tensor.name: layer for layer in second if layer.tensor.name}
    pairs = {id(x): (x, named[x.tensor.name]) for x in first if _fits(x, named.get(x.tensor.name))}
    taken = {id(y) for _, y in pairs.values()}
    rest = [x for x in first if id(x) not in pairs], [y for y in second if id(y) not in taken]
    alignment = difflib.SequenceMatcher(None, *([layer.key for layer in side] for side in rest), autojunk=False)
    for i, j, size in alignment.get_matching_blocks():
        pairs |= {id(x): (x, y) for x, y in zip(rest[0][i : i + size], rest[1][j : j + size])}
    return [pairs[id(x)] for x in first if id(x) in pairs]


def _fits(x: _Layer, y: _Layer | None) -> bool:
    return y is not None and (x.shape == y.shape or None in (x.shape, y.shape))


# ---- how far apart


@dataclass
class _Sums:
    """What the metrics need of a pair of tensors, added up over samples."""

    x: _Layer
    y: _Layer
    count: int = 0
    shape: tuple[int, ...] = ()
    most: float = 0.0
    farthest: float = 0.0
    steps: int = 0
    squares: float = 0.0
    x_squares: float = 0.0
    y_squares: float = 0.0
    products: float = 0.0

    def add(self, x: np.ndarray | None, y: np.ndarray | None) -> None:
        if x is None or y is None or x.shape != y.shape or not x.size:
            return
        self.shape = self.shape if self.count else x.shape
        if self.same and x.dtype.kind in "iu":
            self.steps = max(self.steps, int(np.abs(x.astype(np.int64) - y.astype(np.int64)).max()))
        a, b = _real(x, self.x.tensor), _real(y, self.y.tensor)
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(all="ignore"):
            distance = np.where(equal, 0.0, np.abs(a - b))
        distance[np.isnan(distance)] = math.inf
        finite = np.isfinite(a) & np.isfinite(b)
        self.count += a.size
        self.most = max(self.most, float(np.abs(a[np.isfinite(a)]).max(initial=0)))
        self.farthest = max(self.farthest, float(distance.max()))
        self.squares += float((distance * distance).sum())
        a, b = a[finite], b[finite]
        self.x_squares += float((a * a).sum())
        self.y_squares += float((b * b).sum())
        self.products += float((a * b).sum())

    @property
    def same(self) -> bool:
        return _alike(self.x.tensor, self.y.tensor)

    def decibels(self) -> float:
        if self.squares == 0:
            return math.inf
        ratio = self.x_squares / self.squares
        return 10 * math.log10(ratio) if ratio else -math.inf

    def row(self, asked: Sequence[str], tolerance: float | None) -> LayerRow:
        x, y = self.x.tensor, self.y.tensor
        integers = self.same and x.dtype.kind in "iub"
        if tolerance is None:
            tolerance = 0.0 if integers else SAME_TYPE if self.same else OTHER_TYPE
        norm = math.sqrt(self.x_squares * self.y_squares)
        metrics = {
            "max": self.farthest,
            "mse": self.squares / self.count,
            "cosine": 1.0 if self.squares == 0 else self.products / norm if norm else 0.0,
            "snr": self.decibels(),
        }
        return LayerRow(
            self.x.node.index,
            self.x.node.op,
            x.name,
            y.name,
            (x.type, y.type),
            self.shape,
            {name: metrics[name] for name in asked},
            self.most,
            self.steps if integers else None,
            self.farthest > tolerance * self.most,
        )


def _real(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Real numbers as float64, one after the other; complex ones as pairs."""
    if is_quantized(tensor):
        return dequantize(array, tensor).astype(np.float64).ravel()
    array = shown(array, tensor.type)
    if array.dtype.kind == "c":
        return array.astype(np.complex128).ravel().view(np.float64)
    return array.astype(np.float64).ravel()
