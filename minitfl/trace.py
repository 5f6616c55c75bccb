"""A model at work, node by node: what went in, what came out, which kernel did it, and how integers were rescaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitfl.executable import BoundStep, Frame
from minitfl.graph import OBJECTS, Node
from minitfl.kernels.fixedpoint import OBSERVER
from minitfl.kernels.requantize import RULES
from minitfl.substitute import Options, Run, describe, options_of
from minitfl.tensor_value import TensorValue, label

MOST_VALUES = 8  # of a tensor in print, half from each end


@dataclass(frozen=True, eq=False)
class Rescaling:
    """One rule of `kernels/fixedpoint.py` at work in a step, from integer sums to the units of another tensor.

    Attributes
    ----------
    rule : str
        The rule's name in fixedpoint.py, as "rescale_twice".
    multiplier, shift : numpy.ndarray or None
        int64 (n,): the factors are multiplier * 2**(shift - 31). None for `rescale_real`, which needs neither.
    factor : numpy.ndarray
        float64 (n,): the real factors; one, or one for each channel.
    lowest, highest : int or None
        Of the integer sums before they were rescaled; None where there were none.
    count : int
        How many sums there were.
    """

    rule: str
    multiplier: np.ndarray | None
    shift: np.ndarray | None
    factor: np.ndarray
    lowest: int | None
    highest: int | None
    count: int

    def __repr__(self) -> str:
        if self.multiplier is None or self.shift is None:
            numbers = f"factor {_span(self.factor)}"
        else:
            numbers = f"multiplier {_span(self.multiplier)}, shift {_span(self.shift)}"
        return f"{self.rule}: {self.count:,} sums {self.lowest}..{self.highest}, {numbers}"


@dataclass(frozen=True, eq=False)
class TraceStep:
    """One node that has just run.

    Attributes
    ----------
    index : int
        The node's place in the graph.
    op : str
    version : int
    options : dict
        By the schema's names, enumerations by name; also as attributes, options.padding.
    inputs, outputs : tuple of TensorValue or None
        With copies of what they held when the node ran; None where a tensor is absent. An input that the node changes,
        a variable, is shown as it was before.
    kernel : str
        The function that computed it; "" where nothing was computed.
    file : str
        Where that function is, as "kernels/conv.py" (inside minitfl), or the file of the caller's own function.
    late : bool
        Was it prepared at its turn, because shapes or arguments depend on what was computed?
    folded : bool
        Was it computed already when the model was planned, as all it reads is known?
    merged : bool
        Does a later node do its work on the way, so that its output is never written?
    layer : str
        What `invoke` would run here: "numba", machine code of the engine; "loops", plain loops that Numba compiled; or
        "numpy"; "" where there is nothing to compute. The trace itself never runs machine code of the engine, as the
        rescalings are seen in the NumPy forms alone; integers are the same to the bit.
    rescalings : tuple of Rescaling
        What the kernel had rescaled by the rules of fixedpoint.py while it ran, those of subgraphs that it called
        included. Empty for floats, and for kernels that look their results up in tables.
    """

    index: int
    op: str
    version: int
    options: Options
    inputs: tuple[TensorValue | None, ...]
    outputs: tuple[TensorValue | None, ...]
    kernel: str
    file: str
    late: bool = False
    folded: bool = False
    merged: bool = False
    layer: str = ""
    rescalings: tuple[Rescaling, ...] = ()

    def __repr__(self) -> str:
        return text(self, 2)


def trace(frame: Frame) -> Iterator[TraceStep]:
    """Runs a frame; a TraceStep for each node of its subgraph, in order."""
    subgraph = frame.plan.subgraph
    waiting = iter(subgraph.nodes)
    for step in frame.steps():
        for node in waiting:
            if node is step.node:
                break
            yield _folded(frame, node)
        yield _traced(frame, step)
    for node in waiting:
        yield _folded(frame, node)


def _folded(frame: Frame, node: Node) -> TraceStep:
    inputs, outputs = (_values(frame, indices) for indices in (node.inputs, node.outputs))
    merged = not frame.plan.merged.isdisjoint(node.outputs)
    about = (node.index, node.op, node.version, options_of(node), inputs, outputs, "", "")
    return TraceStep(*about, folded=not merged, merged=merged)


def _traced(frame: Frame, step: BoundStep) -> TraceStep:
    node = step.node
    inputs = _values(frame, node.inputs)
    watch = _Watch()
    token = OBSERVER.set(watch)
    try:
        step.run()
    finally:
        OBSERVER.reset(token)
    kernel, file = _place(frame, step)
    return TraceStep(
        node.index,
        node.op,
        node.version,
        options_of(node),
        inputs,
        _values(frame, node.outputs),
        kernel,
        file,
        late=step.late,
        layer="" if step.skipped else step.layer,
        rescalings=watch.found(),
    )


def _values(frame: Frame, indices: tuple[int, ...]) -> tuple[TensorValue | None, ...]:
    """Copies, but of constants, which nobody writes."""
    found = []
    for i in indices:
        if i < 0:
            found.append(None)
            continue
        t, array = frame.plan.tensors[i], frame.arrays[i]
        found.append(describe(t, array if array is None or not array.flags.writeable else array.copy()))
    return tuple(found)


def _place(frame: Frame, step: BoundStep) -> tuple[str, str]:
    """(name, file) of the function that computed the step."""
    function: Any = frame.runtime.custom_ops.get(step.node.op)
    if function is None and not step.skipped:
        function = step.args[0].function if step.args and isinstance(step.args[0], Run) else step.kernel
    if function is None:
        return "", ""
    name = getattr(function, "__name__", type(function).__name__)
    module = getattr(function, "__module__", "") or ""
    if module.startswith("minitfl."):
        return name, module.removeprefix("minitfl.").replace(".", "/") + ".py"
    code = getattr(function, "__code__", None)
    return name, code.co_filename if code else module


# ---- what rescales


class _Watch:
    """An observer of fixedpoint's rules. Uses of one rule with the same numbers, block after block, count as one."""

    def __init__(self) -> None:
        self._uses: dict[Any, _Use] = {}

    def __call__(self, rule: str, total: Any, numbers: tuple[Any, ...]) -> None:
        if rule == "requantize":
            bias, multiplier, shift, _, _, _, name, _ = numbers
            total, numbers = total + bias, (multiplier, shift)
            rule = RULES[name].__name__
        arrays = [np.atleast_1d(n) for n in numbers]
        key = (rule, *(array.tobytes() for array in arrays))
        self._uses.setdefault(key, _Use(rule, arrays)).add(np.asarray(total))

    def found(self) -> tuple[Rescaling, ...]:
        return tuple(use.rescaling() for use in self._uses.values())


@dataclass
class _Use:
    rule: str
    numbers: list[np.ndarray]  # (multiplier, shift), or (factor,)
    lowest: int | None = None
    highest: int | None = None
    count: int = 0

    def add(self, total: np.ndarray) -> None:
        self.count += total.size
        if total.size:
            low, high = int(total.min()), int(total.max())
            self.lowest = low if self.lowest is None else min(self.lowest, low)
            self.highest = high if self.highest is None else max(self.highest, high)

    def rescaling(self) -> Rescaling:
        sums = (self.lowest, self.highest, self.count)
        if len(self.numbers) == 1:
            return Rescaling(self.rule, None, None, self.numbers[0].astype(float), *sums)
        multiplier, shift = np.broadcast_arrays(*(n.astype(np.int64).ravel() for n in self.numbers))
        return Rescaling(self.rule, multiplier, shift, np.ldexp(multiplier.astype(float), shift - 31), *sums)


# ---- in print


def text(step: TraceStep, level: int) -> str:
    """1: the operator; 2: shapes, ranges and rescalings too; 3: the values too, shortened."""
    version = f" v{step.version}" if step.version > 1 else ""
    how = " (folded)" if step.folded else " (merged)" if step.merged else " (late)" if step.late else ""
    how = how or (" (numba)" if step.layer == "numba" else "")
    where = f"  {step.file} {step.kernel}" if step.kernel else ""
    target = next((y.name for y in step.outputs if y is not None), "")
    lines = [f"{step.index:4} {step.op}{version}{how}{where} -> '{target}'"]
    if level >= 2:
        lines += _tensors("in ", step.inputs, level)
        lines += [f"       {rescaling}" for rescaling in step.rescalings]
        lines += _tensors("out", step.outputs, level)
    return "\n".join(lines)


def _tensors(side: str, values: tuple[TensorValue | None, ...], level: int) -> Iterator[str]:
    for value in values:
        if value is None:
            yield f"     {side} -"
            continue
        yield f"     {side} {label(value)}{_range(value)}  {value.name}".rstrip()
        if level >= 3 and value.array is not None:
            flat = value.array.ravel()
            yield "         " + np.array2string(flat, threshold=MOST_VALUES, edgeitems=MOST_VALUES // 2, precision=6)


def _range(value: TensorValue) -> str:
    array = value.array
    if array is None or not array.size or value.type in OBJECTS or array.dtype.kind not in "iuf":
        return ""
    return f", {array.min():.6g}..{array.max():.6g}" if array.dtype.kind == "f" else f", {array.min()}..{array.max()}"


def _span(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    form: Callable[[Any], str] = (lambda n: f"{n:.6g}") if values.dtype.kind == "f" else str
    return form(low) if low == high else f"{form(low)}..{form(high)}"
