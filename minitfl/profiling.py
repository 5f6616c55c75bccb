"""Where the time of a model goes: `profile`, behind Interpreter.profile and minitfl benchmark."""

from __future__ import annotations

import html as escape
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minitfl.executable import BoundStep, Frame
from minitfl.inspect import macs
from minitfl.timing import Latency, milliseconds, times, warm


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node's share of a run.

    Attributes
    ----------
    index, op, name : int, str, str
        The node, and the tensor that it writes first.
    type, shape : str, tuple of int
        Of that tensor.
    layer : str
        "numba": machine code of the engine; "numpy": the NumPy form.
    seconds : float
        The median of all runs.
    macs : int
        Multiplications with an addition; 0 of operators that are no sums of products.
    nbytes : int
        Of what it reads and writes, constants included.
    """

    index: int
    op: str
    name: str
    type: str
    shape: tuple[int, ...]
    layer: str
    seconds: float
    macs: int
    nbytes: int

    @property
    def per_second(self) -> float:
        """Operations, two for each of the `macs`, or bytes where there are none."""
        return (2 * self.macs or self.nbytes) / self.seconds if self.seconds else 0.0

    @property
    def rate(self) -> str:
        """The same in words."""
        unit = "GB/s" if not self.macs else "GFLOP/s" if self.type.startswith("float") else "GOP/s"
        return f"{self.per_second / 1e9:.{1 if self.per_second < 1e11 else 0}f} {unit}" if self.seconds else ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What `Interpreter.profile` found. `print` shows it as a table.

    Attributes
    ----------
    model : str
    threads : int
    latency : minitfl.timing.Latency
        Of whole invokes: runs, min, median, p90, p99, mean, in seconds.
    nodes : tuple of NodeTime
        In order; those that compute nothing, because their output already lies there, are left out.
    """

    model: str
    threads: int
    latency: Latency
    nodes: tuple[NodeTime, ...]

    @property
    def seconds(self) -> float:
        """The sum of the nodes' times. What the median invoke takes beyond it is the way in and out."""
        return sum(node.seconds for node in self.nodes)

    @property
    def macs(self) -> int:
        return sum(node.macs for node in self.nodes)

    def share(self, layer: str) -> float:
        """Of the nodes' time, what passes in a layer, "numba" or "numpy"."""
        return sum(node.seconds for node in self.nodes if node.layer == layer) / (self.seconds or 1)

    def lines(self) -> list[str]:
        """All but the table."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        rate = f", {2 * self.macs / self.latency.median / 1e9:.1f} G operations/s" if self.macs else ""
        return [
            f"{self.model or 'model'}: {len(self.nodes)} nodes, {self.macs:,} MACs, {threads}{rate}",
            f"invoke  {self.latency}",
            f"nodes   {milliseconds(self.seconds)} ms in all; {100 * self.share('numpy'):.1f} % of it in NumPy",
        ]

    def rows(self) -> list[tuple[str, ...]]:
        total = self.seconds or 1
        return [
            (
                str(node.index),
                node.op,
                "x".join(str(n) for n in node.shape) or "scalar",
                milliseconds(node.seconds),
                f"{100 * node.seconds / total:.1f} %",
                node.rate,
                node.layer,
                node.name if len(node.name) <= 40 else "..." + node.name[-37:],
            )
            for node in self.nodes
        ]

    def __repr__(self) -> str:
        from minitfl.commands import terminal

        columns = [terminal.Column(name, right) for name, right in COLUMNS]
        return "\n".join([*self.lines(), "", terminal.plain(columns, self.rows())])

    def _repr_html_(self) -> str:
        def cells(tag: str, texts: Sequence[str]) -> str:
            styles = (' style="text-align: right"' * right for _, right in COLUMNS)
            return "".join(f"<{tag}{style}>{escape.escape(text)}</{tag}>" for text, style in zip(texts, styles))

        head = cells("th", [name for name, _ in COLUMNS])
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows())
        lines = "<br>".join(escape.escape(line) for line in self.lines())
        return f"<p>{lines}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


COLUMNS = (  # name, do numbers stand to the right
    ("", True),
    ("operator", False),
    ("shape", False),
    ("ms", True),
    ("share", True),
    ("rate", True),
    ("layer", False),
    ("tensor", False),
)


# ---- measuring


def profile(
    interpreter: Any,
    runs: int | None = None,
    seconds: float = 2.0,
    progress: Callable[[str, float], object] | None = None,
) -> Profile:
    """See Interpreter.profile. progress is told what is being done, and the share of it that is done."""
    if runs is not None and runs < 1:
        raise ValueError(f"runs is {runs}; it starts at 1")
    tell = progress or (lambda what, share: None)
    interpreter.allocate_tensors()
    wrapper = interpreter._interpreter
    runtime = wrapper.runtime
    verbose, runtime.verbose = runtime.verbose, 0
    try:
        tell("warming up", 0)
        warm(interpreter.invoke)
        tell("whole runs", 0.2)
        latency = Latency.of(times(interpreter.invoke, runs, seconds / 2))
        tell("node by node", 0.6)
        with wrapper.turn("profile"):
            nodes = _nodes(runtime.instance(0).frame, runs, seconds / 2)
    finally:
        runtime.verbose = verbose
    return Profile(Path(wrapper.source.name).name, wrapper.num_threads, latency, nodes)


def _nodes(frame: Frame, runs: int | None, seconds: float) -> tuple[NodeTime, ...]:
    """Each run walks through all nodes, so that each meets the caches as it does in an invoke."""
    found: list[list[float]] = []
    steps: list[BoundStep] = []

    def run() -> None:
        nonlocal steps
        steps = []
        row = []
        for step in frame.steps():
            row.append(_took(frame, step))
            steps.append(step)
        found.append(row)

    with np.errstate(all="ignore"):
        times(run, runs, seconds)
    idle = _idle(frame)
    rows = []
    for step, column in zip(steps, zip(*found)):
        if not step.skipped:
            took = statistics.median(column) - (idle if step.layer == "numba" else 0)
            rows.append(_row(frame, step, max(took, 0.0)))
    return tuple(rows)


def _took(frame: Frame, step: BoundStep) -> float:
    """Seconds of one step in the form that invoke takes."""
    clock = time.perf_counter
    if step.layer == "numba" and frame.fast is not None:
        start = clock()
        if frame.fast.run(step.number, step.number + 1) >= 0:
            step.run()
    elif step.late:
        start = clock()
        step.run()
    else:
        kernel, args = step.kernel, step.args
        start = clock()
        kernel(*args)
    return clock() - start


def _idle(frame: Frame) -> float:
    """Seconds that calling machine code takes; invoke does it once, or once between NumPy steps."""
    if frame.fast is None:
        return 0.0
    return statistics.median(times(frame.fast.idle, 1000, 0))


def _row(frame: Frame, step: BoundStep, seconds: float) -> NodeTime:
    tensors, arrays = frame.plan.tensors, frame.arrays
    shapes = [a.shape if a is not None else () for a in arrays]
    first = next((i for i in step.outputs if i >= 0), -1)
    touched = {i for i in (*step.inputs, *step.outputs) if i >= 0}
    return NodeTime(
        step.node.index,
        step.node.op,
        tensors[first].name if first >= 0 else "",
        tensors[first].type if first >= 0 else "",
        shapes[first] if first >= 0 else (),
        step.layer,
        seconds,
        macs(step.node, shapes),
        sum(arrays[i].nbytes for i in touched if arrays[i] is not None),  # type: ignore[union-attr]
    )
