"""A subgraph and the shapes of its inputs -> a Plan: every node prepared, every tensor placed. No memory is touched.

A node is *late* when its preparation needs contents, or shapes, that only exist once earlier nodes have run; its
outputs get memory of their own at its turn. A node whose call reads constants alone is computed here, once (folded).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minitfl import arena
from minitfl.errors import ModelError, UnsupportedError, as_runtime_error
from minitfl.graph import OBJECTS, Graph, Node, Subgraph, Tensor
from minitfl.op import Call, NotYet, Preparation, Site, State, find
from minitfl.packing import Packed, unpacked
from minitfl.plan import Plan, Shape, Step
from minitfl.rewrites import rewrite

FOLD_NBYTES = 1 << 28  # a larger result is computed at its turn
MOST_NBYTES = 1 << 40  # of one tensor


class PlannedSubgraph:
    """A subgraph that a node calls, as its preparation sees it."""

    def __init__(self, planner: Planner, index: int, stack: tuple[int, ...]):
        self._planner = planner
        self._stack = stack
        self.index = index
        subgraph = planner.graph.subgraphs[index]
        self.inputs = tuple(subgraph.tensors[i] for i in subgraph.inputs)
        self.outputs = tuple(subgraph.tensors[i] for i in subgraph.outputs)
        self.nodes = subgraph.nodes

    @property
    def is_caller(self) -> bool:
        """Is it the subgraph of the node itself, or one that led there?"""
        return self.index in self._stack

    def plan(self, shapes: tuple[Shape, ...]) -> Plan:
        """Its plan for these input shapes. Output shapes: `plan.output_shapes`, None where they depend on data."""
        subgraph = self._planner.graph.subgraphs[self.index]
        return self._planner.plan(self.index, dict(zip(subgraph.inputs, shapes, strict=True)), self._stack)

    def call(self, *arrays: np.ndarray, fresh: bool = True) -> list[np.ndarray]:
        """Runs it; possible only at the node's turn."""
        raise NotYet


class Planner:
    """Makes plans for the subgraphs of one graph and keeps the latest 8 of each, by their input shapes."""

    KEPT = 8

    def __init__(self, graph: Graph, custom: Mapping[str, Preparation], keep_all: bool):
        self.graph = graph
        self.custom = custom
        self.keep_all = keep_all
        self.rewrites = not keep_all
        self._plans: dict[int, dict[Any, Plan]] = {}
        self._packed: dict[Any, Packed] = {}
        self.packings = 0  # made so far

    def plan(self, index: int, shapes: Mapping[int, Shape], stack: tuple[int, ...] = ()) -> Plan:
        """The plan of a subgraph whose tensors `shapes` differ from the file's shapes as given."""
        if index in stack:
            raise ModelError(f"subgraph {index} calls itself")
        kept = self._plans.setdefault(index, {})
        tensors = self.graph.subgraphs[index].tensors
        key = tuple(sorted((i, shape) for i, shape in shapes.items() if shape != tensors[i].shape))
        if key not in kept:
            made = _Planning(self, self.graph.subgraphs[index], shapes, (*stack, index)).run()
            while len(kept) >= self.KEPT:
                kept.pop(next(iter(kept)))
        else:
            made = kept.pop(key)
        kept[key] = made
        return made

    def plans(self) -> Iterator[Plan]:
        """Those that are kept, of all subgraphs."""
        for kept in self._plans.values():
            yield from kept.values()

    def packed(self, tensor: Tensor, layout: Hashable, make: Callable[[np.ndarray], Any]) -> Packed:
        """make(contents of a constant), kept: plans for other shapes, callees, late nodes and clones share it."""
        data = tensor.data
        if data is None:
            raise NotYet
        # tensors may show one buffer under several shapes; the graph keeps the array, so its id stays its own
        key = (id(data), tensor.known_shape, layout)
        if key not in self._packed:

            def made() -> Any:
                self.packings += 1
                return make(data.reshape(tensor.known_shape))

            self._packed[key] = Packed(made)
        return self._packed[key]

    def preparation(self, node: Node) -> Preparation | None:
        if node.op in self.custom:
            return self.custom[node.op]
        return find(node.op)


class _Planning:
    """One run of the planner over one subgraph. It is also the `lookup` of its sites."""

    def __init__(self, planner: Planner, subgraph: Subgraph, shapes: Mapping[int, Shape], stack: tuple[int, ...]):
        self.planner = planner
        self.subgraph = subgraph
        self.stack = stack
        self.now = [t if i not in shapes else t.reshaped(shapes[i]) for i, t in enumerate(subgraph.tensors)]
        self.known: dict[int, np.ndarray] = {i: t.data for i, t in enumerate(self.now) if t.data is not None}
        self.folded: dict[int, np.ndarray] = {}
        self.steps: list[Step] = []
        self.settled = True  # until a step's outputs are dynamic

    def run(self) -> Plan:
        self._check()
        for node in self.subgraph.nodes:
            self._prepare(node)
        merged: frozenset[int] = frozenset()
        if self.planner.rewrites:
            self.steps, merged = rewrite(self.steps, self.subgraph.outputs, self.known.get)
        return self._place(merged)

    # ---- what a Site looks up

    def tensors(self, indices: tuple[int, ...]) -> tuple[Tensor, ...]:
        return tuple(self.now[i] for i in indices)

    def value(self, tensor: Tensor) -> np.ndarray:
        if tensor.index not in self.known:
            raise NotYet
        return self.known[tensor.index].reshape(tensor.known_shape)

    def packed(self, tensor: Tensor, layout: Hashable, make: Callable[[np.ndarray], Any]) -> Any:
        if tensor.data is None and tensor.index in self.known:  # folded: belongs to this plan alone
            return Packed(lambda: make(self.value(tensor)))
        return self.planner.packed(tensor, layout, make)

    def state(self) -> Any:
        raise NotYet

    def subgraph_at(self, i: int) -> PlannedSubgraph:
        return PlannedSubgraph(self.planner, i, self.stack)

    # ---- nodes

    def _check(self) -> None:
        if self.subgraph.defect:
            raise as_runtime_error(ModelError(self.subgraph.defect))
        if any(self.planner.preparation(node) is None for node in self.subgraph.nodes):
            everywhere = (node for subgraph in self.planner.graph.subgraphs for node in subgraph.nodes)
            unresolved = [node for node in everywhere if self.planner.preparation(node) is None]
            error = as_runtime_error(UnsupportedError(_unresolved_text(unresolved)))
            error.placed = True  # type: ignore[attr-defined]
            raise error

    def _prepare(self, node: Node) -> None:
        preparation = self.planner.preparation(node)
        assert preparation is not None
        lookup = Lookup(
            self.tensors, self.value, self.state, self.subgraph_at, len(self.planner.graph.subgraphs), self.packed
        )
        try:
            inputs = tuple(None if i < 0 else self.now[i] for i in node.inputs)
            if any(t is not None and t.shape is None for t in inputs):
                raise NotYet
            call = preparation.function(
                Site(node, inputs, tuple(None if i < 0 else self.now[i] for i in node.outputs), lookup)
            )
            check_outputs(node, call)
        except NotYet:
            self._postpone(node, preparation)
            return
        except ModelError as error:
            if self.settled:
                raise placed(error, self.subgraph, node, "prepare") from error
            self._postpone(node, preparation)
            return
        for t in call.outputs:
            self.now[t.index] = t
        if not (preparation.pure and self._fold(node, call)):
            self.steps.append(Step(node, preparation, call))
            self.settled = self.settled and not any(t.type in OBJECTS for t in call.outputs)

    def _postpone(self, node: Node, preparation: Preparation) -> None:
        """The node is prepared at its turn.

        So is officially all that comes after it, or after strings and resources: what is wrong there is told only then.
        """
        self.steps.append(Step(node, preparation, None))
        self.settled = False
        for i in node.outputs:
            if i >= 0:
                self.now[i] = _shapeless(self.now[i])

    def _fold(self, node: Node, call: Call) -> bool:
        """Computes the call now if all it reads is known."""
        writes = {t.index for t in call.outputs}
        reads = [t for t in call.args if isinstance(t, Tensor) and t.index >= 0 and t.index not in writes]
        if call.mutates or any(t.index not in self.known or t.is_variable for t in reads):
            return False
        if any(isinstance(a, (PlannedSubgraph, State)) for a in call.args):
            return False
        if sum(t.nbytes for t in call.args if isinstance(t, Tensor)) > FOLD_NBYTES:
            return False
        arrays = {t.index: np.zeros(t.known_shape, t.dtype) for t in call.outputs}
        args = [self._contents(a, arrays) if isinstance(a, Tensor) else unpacked(a) for a in call.args]
        try:
            with np.errstate(all="ignore"):
                call.kernel(*args)
        except ModelError:
            return False  # the error belongs to its turn
        for i, array in arrays.items():
            array.flags.writeable = False
            self.known[i] = self.folded[i] = array
        return True

    def _contents(self, t: Tensor, outputs: Mapping[int, np.ndarray]) -> np.ndarray:
        if t.index < 0:
            return np.zeros(t.known_shape, t.dtype)
        array = outputs[t.index] if t.index in outputs else self.known[t.index]
        return array.reshape(t.known_shape)

    # ---- memory

    def _place(self, merged: frozenset[int]) -> Plan:
        last_step = len(self.steps)
        homes = {} if self.planner.keep_all else self._homes()
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for i in self.subgraph.inputs:
            first[i], last[i] = 0, last_step
        for n, step in enumerate(self.steps):
            for i in (*step.inputs, *step.node.intermediates):
                if i >= 0:
                    home = homes.get(i, i)
                    first.setdefault(home, 0)  # read before anything writes it: a step says so at its turn
                    last[home] = max(last.get(home, n), n)
            for i in step.node.outputs:
                if i >= 0:
                    home = homes.get(i, i)
                    first.setdefault(home, n)
                    last[home] = max(last.get(home, n), n)
        for i in self.subgraph.outputs:
            if i >= 0:
                home = homes.get(i, i)
                first.setdefault(home, 0)
                last[home] = last_step
        lives = [
            arena.Life(
                i,
                self.now[i].nbytes,
                0 if self.planner.keep_all else first[i],
                last_step if self.planner.keep_all else last[i],
            )
            for i in sorted(first)
            if self._in_arena(i)
        ]
        scratch = [
            arena.Life(("scratch", id(a)), a.nbytes, n, n)
            for n, step in enumerate(self.steps)
            if step.call
            for a in step.call.args
            if isinstance(a, Tensor) and a.index < 0
        ]
        for i in first:
            if self._in_arena(i):
                _check_nbytes(self.now[i])
        layout = arena.plan(lives + scratch)
        steps = tuple(
            replace(
                s, lacks=lacks, skip=bool(s.call and s.call.shares and all(o.index in homes for o, _ in s.call.shares))
            )
            for s, lacks in zip(self.steps, self._unwritten(), strict=True)
        )
        return Plan(
            subgraph=self.subgraph,
            tensors=tuple(self.now),
            steps=steps,
            folded=self.folded,
            places=layout.offsets,
            lives=tuple(lives + scratch),
            arena_nbytes=layout.nbytes,
            bound_nbytes=layout.bound,
            homes=homes,
            keep_all=self.planner.keep_all,
            merged=merged,
        )

    def _unwritten(self) -> list[int]:
        """For each step, an input that nothing has written by then, or -1."""
        written = {*self.known, *self.subgraph.inputs, *(i for i, t in enumerate(self.now) if t.is_variable)}
        found = []
        for step in self.steps:
            missing = (i for i in step.inputs if i >= 0 and i not in written and self.now[i].shape != (0,))
            found.append(next(missing, -1))
            written.update(step.node.outputs)
        return found

    def _in_arena(self, i: int) -> bool:
        t = self.now[i]
        return t.shape is not None and i not in self.known and not t.is_variable and t.type not in OBJECTS

    def _homes(self) -> dict[int, int]:
        """Outputs that may lie where their input lies, because the step computes nothing."""
        homes: dict[int, int] = {}
        inputs = set(self.subgraph.inputs)
        outputs = set(self.subgraph.outputs)
        for step in self.steps:
            for y, x in step.call.shares if step.call else ():
                home = homes.get(x.index, x.index)
                # a graph input may be set again while an output made of it is still to be read
                if not (self._in_arena(home) and self._in_arena(y.index)) or home in inputs or y.index in inputs:
                    continue
                if y.index in outputs and home in outputs:
                    continue
                if self.now[home].nbytes == self.now[y.index].nbytes:
                    homes[y.index] = home
        return homes


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where a Site gets contents and callees from."""

    tensors: Callable[[tuple[int, ...]], tuple[Any, ...]]
    value: Callable[[Tensor], np.ndarray]
    state: Callable[[], Any]
    subgraph: Callable[[int], PlannedSubgraph]
    subgraph_count: int
    packed: Callable[[Tensor, Hashable, Callable[[np.ndarray], Any]], Any]


def check_outputs(node: Node, call: Call) -> None:
    """A preparation must speak of its own node: each output of the node has a shape now."""
    decided = {t.index for t in call.outputs}
    missing = [i for i in node.outputs if i >= 0 and i not in decided]
    if missing:
        raise ModelError(f"output tensors {missing} are left without a shape")
    for t in call.outputs:
        if any(n < 0 for n in t.known_shape):
            raise ModelError(f"output tensor {t.index} would have the shape {t.shape}")
        _check_nbytes(t)


def placed(error: ModelError, subgraph: Subgraph, node: Node, what: str) -> ModelError:
    """The error with its place, once: what was done, to which node, writing which tensor."""
    if getattr(error, "placed", False):
        return error
    target = subgraph.tensors[node.outputs[0]].name if node.outputs and node.outputs[0] >= 0 else ""
    where = f"node {node.index}, {node.op} -> '{target}'"
    if subgraph.index:
        where = f"subgraph {subgraph.index}, {where}"
    made = as_runtime_error(error, f"{where}: {error}\nNode number {node.index} ({node.op}) failed to {what}.")
    made.placed = True  # type: ignore[attr-defined]
    return made


def _check_nbytes(t: Tensor) -> None:
    if t.nbytes > MOST_NBYTES:
        raise ModelError(
            f"BytesRequired number of elements overflowed: tensor {t.index} '{t.name}' has the shape {t.shape}"
        )


def _shapeless(t: Tensor) -> Tensor:
    return replace(t, shape=None)


def _unresolved_text(nodes: list[Node]) -> str:
    """All that is missing at once, in the official words for the first of each kind."""
    flex = sorted({n.op for n in nodes if n.custom and n.op.startswith("Flex")})
    custom = sorted({n.op for n in nodes if n.custom and not n.op.startswith("Flex")})
    builtin = sorted({n.op for n in nodes if not n.custom})
    lines = []
    if flex:
        lines.append(
            "Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter. "
            f"Give them as custom_ops, or convert without them: {', '.join(flex)}."
        )
    if custom:
        lines.append(
            f"Encountered unresolved custom op: {', '.join(custom)}. Give it as custom_ops={{{custom[0]!r}: function}}."
        )
    if builtin:
        lines.append(f"Builtin operators that are not there: {', '.join(builtin)}.")
    first = nodes[0]
    lines.append(f"Node number {first.index} ({first.op}) failed to prepare.")
    return "\n".join(lines)
