"""Two models, or two arithmetics, layer by layer: `compare`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.layers import Layer, Official, Ours, alike, carried, matched
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
    first = Ours(a)
    given = first.samples(data, seed, samples)
    if isinstance(b, str) and b.partition(":")[0] == OFFICIAL and not Path(b).exists():
        second: Any = Official(first, b)
    else:
        second = Ours(b)
    others = carried(given, first, second)
    second.fill(others[0])
    pairs = matched(first.layers, second.layers)
    if not pairs:
        raise ValueError("no tensor of one model has a counterpart in the other, by name or by operator and shape")
    sums = [_Sums(x, y) for x, y in pairs]
    for x, y in zip(first.run(given), second.run(others)):
        for one in sums:
            one.add(x.get(one.x.tensor.index), y.get(one.y.tensor.index))
    rows = tuple(one.row(asked, tolerance) for one in sums if one.count)
    taken = {id(layer) for pair in pairs for layer in pair}
    unmatched = [tuple(x.tensor.name for x in side.layers if id(x) not in taken) for side in (first, second)]
    return Comparison(rows, (first.name, second.name), (unmatched[0], unmatched[1]), len(given), asked)


# ---- how far apart


@dataclass
class _Sums:
    """What the metrics need of a pair of tensors, added up over samples."""

    x: Layer
    y: Layer
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
        return alike(self.x.tensor, self.y.tensor)

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
