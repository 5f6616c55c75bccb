"""A Plan at work: bound to memory, run step by step.

    Frame      a Plan bound to arrays: `run()`
    BoundStep  one step of it, for those who look at each
    Callee     a subgraph that a node calls (IF, WHILE, CALL_ONCE): arrays in, arrays out

What belongs to an interpreter, and outlives a Frame, is in `runtime`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import OBJECTS, Node, Tensor
from minitfl.memory import aligned
from minitfl.op import Call, Kernel, Memory, NotYet, Site
from minitfl.op import State as StateMark
from minitfl.packing import packed_in, unpacked
from minitfl.plan import Plan, Shape, Step
from minitfl.planning import Lookup, PlannedSubgraph, Planner, check_outputs, placed
from minitfl.state import State

if TYPE_CHECKING:
    from minitfl.engine.engine import Fast
    from minitfl.runtime import Runtime


class NoData(LookupError):
    """A tensor has no contents to show. reason: "unallocated", "dynamic" (not computed yet) or "reused"."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


# ---- memory


def _empty(t: Tensor) -> np.ndarray:
    """Memory of a tensor's own, zeroed; empty strings for strings."""
    if t.type in OBJECTS:
        array = np.empty(t.known_shape, object)
        array[...] = b"" if t.type == "string" else None
        return array
    return aligned(t.nbytes).view(t.dtype).reshape(t.known_shape)


# ---- a plan bound to memory


class Frame:
    """A Plan with an array for each of its tensors."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime,
        block: np.ndarray | None = None,
        variables: dict[int, np.ndarray] | None = None,
    ):
        self.plan = plan
        self.runtime = runtime
        self.variables = {} if variables is None else variables
        self.block = aligned(plan.arena_nbytes) if block is None else block
        self.arrays: list[np.ndarray | None] = [self._array(i, t) for i, t in enumerate(plan.tensors)]
        self._bound: list[tuple[Callable[..., None], tuple[Any, ...]] | None] = [None] * len(plan.steps)
        self._late: dict[int, LateCall] = {}  # by node
        self._callables: dict[int, CallableSubgraph] = {}
        self.fast: Fast | None = None
        self._ran = False
        self._turns = self._arrange(ask=False)

    def run(self) -> None:
        """Every step, in order."""
        if self._waits:
            # the first result comes from NumPy before anything is compiled, which would delay it
            if self._ran and (not self._asked or self.runtime.engine.news() != self._news):
                self._turns = self._arrange()
            self._ran = True
        whole = self._whole
        if whole is not None and self.runtime.threads == 1:
            failed = whole()
            if failed:
                self._run_fast(self._turns[0], failed)
            return
        with np.errstate(all="ignore"):
            for turn in self._turns:
                if turn.fast:
                    self._run_fast(turn)
                else:
                    self._run_numpy(turn.steps[0])

    def _run_fast(self, turn: Turn, failed: int = 0) -> None:
        """All steps of a turn. failed: what the driver has returned, if the turn was begun."""
        assert self.fast is not None
        last = turn.steps[-1] + 1
        n = self.fast.step(failed) if failed else self.fast.run(turn.steps[0], last)
        while n >= 0:
            with np.errstate(all="ignore"):
                self._run_numpy(n)  # says what is wrong, or does what the fast kernel can't
            first = next((k for k in turn.steps if k > n), last)
            n = self.fast.run(first, last) if first < last else -1

    def _run_numpy(self, n: int) -> None:
        kernel, args = self.numpy_form(n)
        try:
            kernel(*args)
        except ModelError as error:
            raise placed(error, self.plan.subgraph, self.plan.steps[n].node, "invoke") from error

    def steps(self) -> Iterator[BoundStep]:
        """The steps one at a time; each must be run before the next is asked for."""
        for n in range(len(self.plan.steps)):
            yield BoundStep(self, n)

    def numpy_form(self, n: int) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """(kernel, args) of a step."""
        bound = self._bound[n]
        if bound is None:
            bound = self._bound[n] = self._bind(self.plan.steps[n])
        return bound

    def layer(self, n: int) -> str:
        """Which form of a step an invoke takes: "numba" (the engine's), "loops" or "numpy"."""
        if self.fast is not None and n in self.fast.program.ranges:
            return "numba"
        call = self.plan.steps[n].call
        return "loops" if self.runtime.loops and call is not None and call.kernel.loops else "numpy"

    def memory_of(self, key: Any, t: Tensor) -> np.ndarray:
        """Where a tensor lies: by its index, or ("scratch", identity)."""
        if isinstance(key, tuple):
            return _view(self.block, self.plan.places[key], t)
        array = self.arrays[key]
        assert array is not None
        return array

    def _arrange(self, ask: bool = True) -> tuple[Turn, ...]:
        """Which form each step takes; neighbours that have a fast one take their turn together.

        ask: have machine code compiled that is missing.
        """
        engine = self.runtime.engine if ask or not self.runtime.postpones else None
        self._asked = ask
        self._news = engine.news() if engine is not None else 0
        self.fast = engine.bind(self, ask) if engine is not None else None
        if engine is not None:
            self._waits = self.fast is None and engine.expects(self)
        else:
            self._waits = self.runtime.postpones and not ask
        if self.fast is not None:
            self._unbind(self.fast.program.ranges)
        turns: list[Turn] = []
        for n, step in enumerate(self.plan.steps):
            fast = self.fast is not None and n in self.fast.program.ranges
            if fast and turns and turns[-1].fast:
                turns[-1] = Turn(True, (*turns[-1].steps, n))
            elif not step.skip or step.lacks >= 0:
                turns.append(Turn(fast, (n,)))
        self._whole = self.fast.whole if self.fast is not None and len(turns) == 1 else None
        return tuple(turns)

    def _unbind(self, steps: Iterable[int]) -> None:
        """Lets go of what only the NumPy forms of these steps need; a step that comes back to its own makes it anew."""
        for n in steps:
            self._bound[n] = None
            call = self.plan.steps[n].call
            for packed in packed_in(call.args) if call else ():
                packed.release()

    def array(self, index: int) -> np.ndarray:
        """The live array of a tensor."""
        if index in self.plan.overwritten:
            raise NoData("reused")
        array = self.arrays[index]
        if array is None:
            raise NoData("dynamic" if self.plan.tensors[index].shape is None else "unallocated")
        return array

    def _array(self, i: int, t: Tensor) -> np.ndarray | None:
        if t.data is not None:
            return t.data
        if i in self.plan.folded:
            return self.plan.folded[i]
        if t.shape is None:
            return None
        if t.is_variable:
            if i not in self.variables or self.variables[i].shape != t.shape:
                self.variables[i] = _empty(t)
                reset_variable(t, self.variables[i])
            return self.variables[i]
        home = self.plan.homes.get(i, i)
        if home in self.plan.places:
            return _view(self.block, self.plan.places[home], t)
        return _empty(t) if t.type in OBJECTS else None

    def _bind(self, step: Step) -> tuple[Callable[..., None], tuple[Any, ...]]:
        if step.lacks >= 0:
            return _raise_lacks, (step.lacks, self.plan.tensors[step.lacks].name)
        if step.skip:
            return _nothing, ()
        if step.call is None:
            return self._run_late, (step,)
        return self._form(step.call.kernel), tuple(self._bind_arg(a, step, self.block) for a in step.call.args)

    def _form(self, kernel: Kernel) -> Callable[..., None]:
        """The loops form where it is compiled for this host, else the NumPy form."""
        if self.runtime.loops and kernel.loops is not None:
            from minitfl.jit import compiled

            return compiled(kernel)
        return kernel.numpy

    def _bind_arg(self, a: Any, step: Step, block: np.ndarray | None) -> Any:
        if isinstance(a, Tensor):
            if a.index >= 0:
                array = self.arrays[a.index]
                assert array is not None
                return array if array.shape == a.shape else array.reshape(a.known_shape)
            return _empty(a) if block is None else _view(block, self.plan.places["scratch", id(a)], a)
        if isinstance(a, PlannedSubgraph):
            return Callee(self.runtime, a.index)
        if isinstance(a, StateMark):
            return self.runtime.state
        if isinstance(a, Memory):
            return self.runtime.state.memory(self.plan.subgraph.index, step.node.index)
        return unpacked(a)

    # ---- while running

    def _run_late(self, step: Step) -> None:
        late = self.late(step)
        late.kernel(*late.args)

    def late(self, step: Step) -> LateCall:
        """The call of the run before if the node works on the same arrays, else it is prepared anew."""
        late = self._late.get(step.node.index)
        if late is None or any(self.arrays[i] is not array for i, array in late.arrays):
            late = self._bind_late(step)
        return late

    def _bind_late(self, step: Step) -> LateCall:
        """Prepares the node with the contents at hand and gives its outputs memory."""
        self._late.pop(step.node.index, None)
        asked: list[Any] = []
        call = self._prepare_late(step, asked)
        for t in call.outputs:
            old = self.arrays[t.index]
            if old is not None and old.shape != t.shape:
                self.runtime.state.forget(self.plan.subgraph.index, step.node.index + 1)
            if self.plan.tensors[t.index].shape is None or self.arrays[t.index] is None:
                self.arrays[t.index] = self._late_memory(t)
        args = tuple(self._bind_arg(a, step, None) for a in call.args)
        touched = tuple((i, self.arrays[i]) for i in (*step.node.inputs, *step.node.outputs) if i >= 0)
        late = LateCall(self._form(call.kernel), args, touched)
        if not asked:
            self._late[step.node.index] = late
        return late

    def _late_memory(self, t: Tensor) -> np.ndarray:
        """That of the run before, if the shape is the same, so that what comes after need not be prepared again."""
        old = self.arrays[t.index]
        return old if old is not None and old.shape == t.shape and old.flags.writeable else _empty(t)

    def _prepare_late(self, step: Step, asked: list[Any]) -> Call:
        """`asked` takes up what the preparation reads that may be another in the next run."""

        def value(t: Tensor) -> np.ndarray:
            if t.data is None and t.index not in self.plan.folded:
                asked.append(t)
            return self._value(t)

        def state() -> State:
            asked.append(self.runtime.state)
            return self.runtime.state

        def packed(t: Tensor, layout: Hashable, make: Callable[[np.ndarray], Any]) -> Any:
            return make(value(t)) if t.data is None else self.runtime.planner.packed(t, layout, make)

        count = len(self.runtime.graph.subgraphs)
        lookup = Lookup(self._tensors, value, state, self._subgraph, count, packed)
        node = step.node
        outputs = tuple(None if i < 0 else self.plan.subgraph.tensors[i] for i in node.outputs)  # as the file has them
        try:
            call = step.preparation.function(Site(node, self._tensors(node.inputs), outputs, lookup))
            check_outputs(node, call)
        except NotYet:
            raise ModelError("an input lacks data") from None
        return call

    def _tensors(self, indices: tuple[int, ...]) -> tuple[Any, ...]:
        return tuple(None if i < 0 else self._tensor(i) for i in indices)

    def _tensor(self, i: int) -> Tensor:
        """The tensor with the shape it has now."""
        t, array = self.plan.tensors[i], self.arrays[i]
        if array is None:
            raise ModelError(f"Input tensor {i} lacks data")
        return t if t.shape == array.shape else t.reshaped(array.shape)

    def _value(self, t: Tensor) -> np.ndarray:
        array = self.arrays[t.index]
        if array is None:
            raise ModelError(f"Input tensor {t.index} lacks data")
        return array.reshape(t.known_shape)

    def _subgraph(self, i: int) -> PlannedSubgraph:
        if i not in self._callables:
            self._callables[i] = CallableSubgraph(self.runtime, i, (self.plan.subgraph.index,))
        return self._callables[i]


@dataclass(frozen=True, eq=False)
class LateCall:
    """A late node's call; it holds as long as the tensors have these arrays."""

    kernel: Callable[..., None]
    args: tuple[Any, ...]
    arrays: tuple[tuple[int, np.ndarray | None], ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """Steps of a plan that run one after the other in one form; in NumPy each has a turn of its own."""

    fast: bool
    steps: tuple[int, ...]


class BoundStep:
    """One node about to run. Of a late one, kernel and args are known once it has run."""

    def __init__(self, frame: Frame, number: int):
        self.frame = frame
        self.number = number
        self._step = step = frame.plan.steps[number]
        self.node: Node = step.node
        self.late = step.call is None
        self.skipped = step.skip
        self.inputs = step.node.inputs
        self.outputs = step.node.outputs
        self.kernel, self.args = frame.numpy_form(number)

    @property
    def layer(self) -> str:
        return self.frame.layer(self.number)

    def run(self) -> None:
        """In the NumPy form, or in loops where these take its place."""
        try:
            with np.errstate(all="ignore"):
                if self.late and self._step.lacks < 0:
                    late = self.frame.late(self._step)
                    self.kernel, self.args = late.kernel, late.args
                self.kernel(*self.args)
        except ModelError as error:
            raise placed(error, self.frame.plan.subgraph, self.node, "invoke") from error

    def run_fast(self) -> bool:
        """In the fast form, if it has one and that does not give up."""
        return self.layer == "numba" and self.frame.fast.run(self.number, self.number + 1) < 0  # type: ignore[union-attr]


def _view(block: np.ndarray, offset: int, t: Tensor) -> np.ndarray:
    return block[offset : offset + t.nbytes].view(t.dtype).reshape(t.known_shape)


def _nothing() -> None:
    pass


def _raise_lacks(index: int, name: str) -> None:
    raise ModelError(f"Input tensor {index} lacks data: nothing writes '{name}'")


def reset_variable(t: Tensor, array: np.ndarray) -> None:
    """What a variable holds at first: its zero point for int8, else zero."""
    if t.type == "int8" and t.quantization is not None and t.quantization.per_tensor:
        array[...] = t.zero
    elif t.type not in OBJECTS:
        array[...] = 0


class CallableSubgraph(PlannedSubgraph):
    """A subgraph as a late preparation sees it: it can be run."""

    def __init__(self, runtime: Runtime, index: int, stack: tuple[int, ...]):
        super().__init__(runtime.planner, index, stack)
        self.call = Callee(runtime, index)


class Callee:
    """A subgraph called by a node. Plans are looked up by shape, so shapes may change from call to call."""

    def __init__(self, runtime: Runtime, index: int):
        self._runtime = runtime
        self.index = index
        self._frames: dict[tuple[Shape, ...], Frame] = {}
        self._latest: Frame | None = None

    def __call__(self, *arrays: np.ndarray, memory: np.ndarray | None = None, fresh: bool = True) -> list[np.ndarray]:
        """The subgraph's outputs for these inputs, valid until the next call.

        memory: the block to work in. fresh: its nodes start without memories, as they do for other shapes than in the
        call before (see op.Memory).
        """
        frame = self._frame(tuple(a.shape for a in arrays), memory)
        if fresh or frame is not self._latest:
            self._runtime.state.forget(self.index)
        self._latest = frame
        for i, array in zip(frame.plan.subgraph.inputs, arrays, strict=True):
            frame.arrays[i][...] = array  # type: ignore[index]
        self._runtime.enter()
        try:
            frame.run()
        finally:
            self._runtime.leave()
        return [frame.arrays[i] for i in frame.plan.subgraph.outputs]  # type: ignore[misc]

    def _frame(self, shapes: tuple[Shape, ...], memory: np.ndarray | None) -> Frame:
        if shapes not in self._frames:
            subgraph = self._runtime.graph.subgraphs[self.index]
            plan = self._runtime.planner.plan(self.index, dict(zip(subgraph.inputs, shapes, strict=True)))
            if len(self._frames) >= Planner.KEPT:
                self._frames.pop(next(iter(self._frames)))
            self._frames[shapes] = Frame(plan, self._runtime, memory, self._runtime.instance(self.index).variables)
        return self._frames[shapes]
