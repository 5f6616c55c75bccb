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
        "numba": machine code of the engine; "loops": plain loops that Numba has compiled; "numpy".
    seconds : float
        The median of all runs. Of short nodes it hides that others use the processor too, that of a whole invoke does
        not; on a busy machine they add up to less.
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
        """Of the nodes' time, what passes in a layer: "numba", "loops" or "numpy"."""
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

ROUNDS = 8  # of whole runs, then node by node: a machine that is busy now and then slows both down


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
    rounds = ROUNDS if runs is None else min(runs, ROUNDS)
    whole: list[float] = []
    try:
        tell("warming up", 0)
        warm(interpreter.invoke)
        walk = _Walk(runtime.instance(0).frame)
        for n in range(rounds):
            tell("timing", (n + 1) / (rounds + 1))
            count = None if runs is None else runs * (n + 1) // rounds - runs * n // rounds
            whole += times(interpreter.invoke, count, seconds / 2 / rounds)
            with wrapper.turn("profile"), np.errstate(all="ignore"):
                times(walk, count, seconds / 2 / rounds)
    finally:
        runtime.verbose = verbose
    return Profile(Path(wrapper.source.name).name, wrapper.num_threads, Latency.of(whole), walk.nodes())


class _Walk:
    """Runs all steps of a frame one by one, called again and again: so each meets the caches as it does in invoke."""

    def __init__(self, frame: Frame):
        self.frame = frame
        self.fast = frame.fast.program.ranges if frame.fast is not None else {}
        self.numbers = [n for n, step in enumerate(frame.plan.steps) if n in self.fast or not step.skip]
        self.rows: list[list[float]] = []

    def __call__(self) -> None:
        self.rows.append([self._machine_code(n) if n in self.fast else self._python(n) for n in self.numbers])

    def _machine_code(self, n: int) -> float:
        run = self.frame.fast.run  # type: ignore[union-attr]
        start = time.perf_counter()
        if run(n, n + 1) >= 0:  # it gave up
            BoundStep(self.frame, n).run()
        return time.perf_counter() - start

    def _python(self, n: int) -> float:
        if self.frame.plan.steps[n].call is None:  # late
            kernel, args = BoundStep(self.frame, n).run, ()
        else:
            kernel, args = self.frame.numpy_form(n)
        start = time.perf_counter()
        kernel(*args)
        return time.perf_counter() - start

    def nodes(self) -> tuple[NodeTime, ...]:
        idle = _idle(self.frame)
        found = []
        for n, column in zip(self.numbers, zip(*self.rows)):
            took = statistics.median(column) - (idle if n in self.fast else 0)
            found.append(_node(self.frame, n, max(took, 0.0)))
        return tuple(found)


def _idle(frame: Frame) -> float:
    """Seconds that calling machine code takes; invoke does it once, or once between NumPy steps."""
    if frame.fast is None:
        return 0.0
    return statistics.median(times(frame.fast.idle, 1000, 0))


def _node(frame: Frame, n: int, seconds: float) -> NodeTime:
    tensors, arrays, step = frame.plan.tensors, frame.arrays, frame.plan.steps[n]
    shapes = [t.shape or () if a is None else a.shape for t, a in zip(tensors, arrays)]
    first = next((i for i in step.node.outputs if i >= 0), -1)
    touched = (arrays[i] for i in {*step.inputs, *step.node.outputs} if i >= 0)
    return NodeTime(
        step.node.index,
        step.node.op,
        tensors[first].name if first >= 0 else "",
        tensors[first].type if first >= 0 else "",
        shapes[first] if first >= 0 else (),
        frame.layer(n),
        seconds,
        macs(step.node, shapes),
        sum(a.nbytes for a in touched if a is not None),
    )
