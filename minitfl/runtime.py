"""What one interpreter owns.

Runtime    plans, state, and an Instance for each subgraph it has used
Instance   one subgraph with its pending input shapes, its variables and, once allocated, its Frame
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl.errors import ModelError, ModelRuntimeError
from minitfl.executable import BoundStep, Frame, NoData, reset_variable
from minitfl.graph import Graph, Tensor
from minitfl.op import Preparation
from minitfl.plan import MemoryPlan, Shape
from minitfl.planning import Planner
from minitfl.state import State

if TYPE_CHECKING:
    from minitfl.trace import TraceStep

LAYERS = ("auto", "numpy", "numba")
MOST_DEPTH = 64  # of subgraphs that call each other


class Instance:
    """One subgraph of an interpreter: its input shapes, its memory, its variables."""

    def __init__(self, runtime: Runtime, index: int):
        self.runtime = runtime
        self.subgraph = runtime.graph.subgraphs[index]
        self.shapes: dict[int, Shape] = {}  # of tensors that were resized
        self.variables: dict[int, np.ndarray] = {}
        self.frame: Frame | None = None
        self.ready = False

    def resize(self, index: int, shape: Shape) -> None:
        """A new shape for a tensor, from the next allocate() on. The same shape changes nothing."""
        shape = tuple(int(n) for n in shape)
        if shape == self.shape(index):
            return
        self.shapes[index] = shape
        self.ready = False

    def allocate(self) -> None:
        if self.ready:
            return
        plan = self.runtime.planner.plan(self.subgraph.index, self.shapes)
        self.runtime.state.forget(self.subgraph.index)
        if self.frame is None or self.frame.plan is not plan:
            old, self.frame = self.frame, None
            self.variables.clear()
            frame = Frame(plan, self.runtime, variables=self.variables)
            if old is not None:
                _keep_inputs(old, frame)
            self.frame = frame
        self.ready = True

    def invoke(self) -> None:
        frame, level = self.frame, self.runtime.verbose
        if frame is None or not self.ready:
            frame = self._ready_frame()
        if not level:
            frame.run()
            return
        from minitfl import trace

        for step in trace.trace(frame):
            print(trace.text(step, level))

    def steps(self) -> Iterator[BoundStep]:
        """invoke(), one step at a time."""
        return self._ready_frame().steps()

    def trace(self) -> Iterator[TraceStep]:
        """invoke(), told step by step."""
        from minitfl import trace

        return trace.trace(self._ready_frame())

    def _ready_frame(self) -> Frame:
        if not self.ready or self.frame is None:
            raise ModelRuntimeError("Invoke called on model that is not ready.")
        return self.frame

    def shape(self, index: int) -> Shape:
        """The shape of a tensor as it is now; the file's while it is not known."""
        if index in self.shapes:
            return self.shapes[index]
        if self.frame is not None and self.ready:
            array = self.frame.arrays[index]
            if array is not None:
                return array.shape
            planned = self.frame.plan.tensors[index].shape
            if planned is not None:
                return planned
        return self.subgraph.tensors[index].shape or ()

    def tensor(self, index: int) -> Tensor:
        """The tensor as the file has it, but of the type that its node decided: some override the file's."""
        t = self.subgraph.tensors[index]
        if self.frame is None or not self.ready or self.frame.plan.tensors[index].type == t.type:
            return t
        return replace(t, type=self.frame.plan.tensors[index].type)

    def array(self, index: int) -> np.ndarray:
        """The live array, sharing memory. NoData where there is none."""
        t = self.subgraph.tensors[index]
        if t.data is not None:
            return t.data
        if self.frame is None or not self.ready:
            raise NoData("unallocated")
        return self.frame.array(index)

    def put(self, index: int, value: np.ndarray) -> None:
        """Copies contents in; dtype and shape are the tensor's."""
        self.array(index)[...] = value

    def reset_variables(self) -> None:
        for i, array in self.variables.items():
            reset_variable(self.subgraph.tensors[i], array)

    def memory_plan(self) -> MemoryPlan:
        if self.frame is None or not self.ready:
            raise ModelRuntimeError("the memory plan is made by allocate_tensors()")
        return self.frame.plan.memory(self.frame.fast.program if self.frame.fast is not None else None)


def _keep_inputs(old: Frame, new: Frame) -> None:
    """Inputs whose shape stays keep their contents."""
    for i in new.plan.subgraph.inputs:
        before, after = old.arrays[i], new.arrays[i]
        if before is not None and after is not None and before.shape == after.shape and after.flags.writeable:
            after[...] = before


class Runtime:
    """All that one interpreter owns; a clone shares the graph and the plans."""

    def __init__(
        self,
        graph: Graph,
        *,
        preserve_all: bool = False,
        custom_ops: Mapping[str, Callable[..., Any]] | None = None,
        kernels: Mapping[str, Callable[..., Any]] | None = None,
        layer: str = "auto",
        verbose: int = 0,
        planner: Planner | None = None,
    ):
        self.graph = graph
        self.preserve_all = preserve_all
        self.custom_ops = dict(custom_ops or {})
        self.kernels = dict(kernels or {})  # of the caller's, by operator
        self.layer = layer
        self.postpones = layer == "auto" and _nothing_cached()  # the engine, until there has been a first result
        # a host whose instruction set the engine does not know runs loops
        self.loops = not self.postpones and self.engine is None and layer == "numba"
        self.verbose = verbose
        self.threads = 1  # at most, that an invoke may use
        custom = {name: custom_preparation(name, function) for name, function in self.custom_ops.items()}
        custom.update((name, own_preparation(name, function)) for name, function in self.kernels.items())
        self.planner = planner or Planner(graph, custom, preserve_all)
        self.state = State()
        self.instances: dict[int, Instance] = {}
        self._depth = 0

    @cached_property
    def engine(self) -> Any:
        """What has machine code; None where all runs in NumPy or loops."""
        return _engine(self.layer)

    def instance(self, index: int) -> Instance:
        if index not in self.instances:
            self.instances[index] = Instance(self, index)
        return self.instances[index]

    def enter(self) -> None:
        if self._depth >= MOST_DEPTH:
            raise ModelError(f"subgraphs call each other more than {MOST_DEPTH} deep")
        self._depth += 1

    def leave(self) -> None:
        self._depth -= 1

    def clone(self, state: bool = False) -> Runtime:
        """Another runtime over the same graph and plans, with fresh state or a copy of this one's."""
        twin = Runtime(self.graph, planner=self.planner, **self.choices())
        if state:
            twin.set_state(self.get_state())
        return twin

    def choices(self) -> dict[str, Any]:
        """What it was made with, beside the graph."""
        names = ("preserve_all", "custom_ops", "kernels", "layer", "verbose")
        return {name: getattr(self, name) for name in names}

    def get_state(self) -> dict[str, Any]:
        """Shapes, inputs, variables and resources as plain data."""
        return {
            "state": self.state.get(),
            "instances": {
                i: {
                    "shapes": dict(instance.shapes),
                    "ready": instance.ready,
                    "variables": {k: v.copy() for k, v in instance.variables.items()},
                    "arrays": _contents(instance),
                }
                for i, instance in self.instances.items()
            },
        }

    def set_state(self, data: dict[str, Any]) -> None:
        for i, kept in data["instances"].items():
            instance = self.instance(i)
            instance.shapes = dict(kept["shapes"])
            instance.ready = False
            if not kept["ready"]:
                continue
            instance.allocate()
            assert instance.frame is not None
            for k, value in kept["variables"].items():
                if k in instance.variables:
                    instance.variables[k][...] = value
            for k, value in kept["arrays"].items():
                array = instance.frame.arrays[k]
                if array is None:
                    instance.frame.arrays[k] = value.copy()
                elif array.flags.writeable:
                    array[...] = value
        self.state.set(data["state"])  # at the end: an allocation makes nodes forget


def _nothing_cached() -> bool:
    """Is the cache of machine code empty, so that there is no use yet in what finds it?"""
    if os.environ.get("MINITFL_KERNELS", "auto") not in ("", "auto"):
        return False
    from minitfl.engine.cache import cache_folder

    try:
        return not any(cache_folder().iterdir())
    except OSError:
        return True


def _engine(layer: str) -> Any:
    if layer == "numpy":
        return None
    from minitfl.engine.engine import engine

    return engine(layer)


def _contents(instance: Instance) -> dict[int, np.ndarray]:
    """What can be read of an instance's inputs and outputs (of everything, where everything is kept)."""
    if instance.frame is None or not instance.ready:
        return {}
    kept = (
        range(len(instance.subgraph.tensors))
        if instance.runtime.preserve_all
        else (*instance.subgraph.inputs, *instance.subgraph.outputs)
    )
    found = {}
    for i in kept:
        if i >= 0 and instance.subgraph.tensors[i].data is None and instance.frame.arrays[i] is not None:
            found[i] = instance.frame.arrays[i].copy()  # type: ignore[union-attr]
    return found


# ---- operators in plain Python


def custom_preparation(name: str, function: Callable[..., Any]) -> Preparation:
    """An operator given as function(inputs, options) -> outputs. It runs at its turn: shapes may depend on data."""
    from minitfl.custom import prepare

    return Preparation(name, 1 << 30, False, lambda site: prepare(site, name, function))


def own_preparation(name: str, function: Callable[..., Any]) -> Preparation:
    """Our preparation of an operator with the caller's kernel, function(inputs, options, node) -> outputs."""
    from minitfl import substitute

    return substitute.preparation(name, function)
