"""Lockstep between our layers: each step runs in its fast form and in NumPy on the same inputs.

All that a step may write is compared; all other live bytes must stay as they were, and so must constants and the guard
zones around every block of memory. The units of an instruction run once more apart from each other, as in threads.
"""

import ctypes

import numpy as np

from minitfl.engine.layouts.driver import INSTRUCTION
from minitfl.load import load_model
from minitfl.runtime import Runtime
from tests.bounds import float_bound
from tests.cases import compare
from tests.engine.guards import PATTERN, guarded

POISON = 0xA5
KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)


def between(content, inputs=None, shapes=None, seed=0):
    """Runs a model both ways; {"numba": [op, ...], "loops": ..., "numpy": ...} of its steps, which must agree.

    inputs: arrays in the graph's order, else random ones are drawn.
    """
    found = {"numba": [], "loops": [], "numpy": []}
    with guarded() as guards:
        instance = Runtime(load_model(content), layer="numba").instance(0)
        given = dict(zip(instance.subgraph.inputs, [a.shape for a in inputs or ()]))
        for i, shape in (shapes or given).items():
            instance.resize(i, shape)
        instance.allocate()
        frame = instance.frame
        chance = np.random.default_rng(seed)
        for n, i in enumerate(instance.subgraph.inputs):
            instance.put(i, drawn(frame.arrays[i], chance) if inputs is None else inputs[n])
        guards.freeze(constants(frame, guards))
        for step in instance.steps():
            found[step.layer].append(step.node.op)
            try:
                judge(frame, step)
            finally:
                guards.check(f"node {step.node.index} {step.node.op}")
    return found


def constants(frame, guards):
    """What the engine made of constants, which must lie where vectors may be read past the end, and the model's own."""
    packed = [] if frame.fast is None else [a for _, a in frame.fast.program.constants]
    for array in packed:
        assert guards.owns(array), f"a packed constant {array.dtype}{array.shape} is not from minitfl.memory.aligned"
    stored = [t.data for t in frame.plan.tensors if t.data is not None and t.data.dtype != object]
    return packed + stored + [a for a in frame.plan.folded.values() if a.dtype != object]


def judge(frame, step):
    """Runs a step in NumPy, and before that in its fast form if it has one, from the same memory."""
    if step.layer != "numba":
        step.run()
        return
    place = f"node {step.node.index} {step.node.op}"
    memory = Memory(frame)
    written = [i for i in step.outputs if i >= 0]
    poisoned(frame, step, written)
    before = memory.copy()
    if not step.run_fast():
        step.run()  # must say what is wrong
        raise AssertionError(f"{place}: the fast form gave up")
    after = memory.copy()
    fast = [frame.arrays[i].copy() for i in written]
    apart(frame, step, memory, before)
    for i, whole in zip(written, fast):
        assert frame.arrays[i].tobytes() == whole.tobytes(), f"{place}: other results where its units run apart"
    memory.restore(before)
    step.run()
    for i, mine in zip(written, fast):
        ours = frame.arrays[i]
        bound = float_bound(step, ours) if ours.dtype.kind == "f" else None
        compare([mine], [ours], bound=bound, place=f"{place} -> tensor {i}, fast against NumPy: ")
    for i, mine, ours in zip(frame.variables, memory.variables(after), memory.variables(memory.parts)):
        mine, ours = (a.view(frame.variables[i].dtype) for a in (mine, ours))
        bound = float_bound(step, ours) if "LSTM" in step.node.op and ours.dtype.kind == "f" else None
        compare([mine], [ours], ulps=64, bound=bound, place=f"{place}, variable {i}: ")
    start = frame.block.__array_interface__["data"][0]
    others = np.ones(frame.block.size, bool)
    for array in [frame.arrays[i] for i in written] + [a for a in step.args if isinstance(a, np.ndarray)]:
        at = array.__array_interface__["data"][0] - start
        if 0 <= at < frame.block.size and not reads(frame, step, array, written):
            others[at : at + array.nbytes] = False
    assert (after[0] == before[0])[others].all(), f"{place} writes where others live"


class Memory:
    """All that a step can write: the arena, the workspace, the variables."""

    def __init__(self, frame):
        self.parts = [frame.block, frame.fast.workspace]
        self.parts += [a.reshape(-1).view(np.uint8) for a in frame.variables.values()]

    def copy(self):
        return [part.copy() for part in self.parts]

    def restore(self, copies):
        for part, copy in zip(self.parts, copies):
            part[...] = copy

    @staticmethod
    def variables(parts):
        return parts[2:]


def poisoned(frame, step, written):
    """Fills what a step writes: what it leaves out shows."""
    inputs = [frame.arrays[i] for i in step.inputs if i >= 0 and frame.arrays[i] is not None]
    for i in written:
        array = frame.arrays[i]
        if i not in frame.variables and not any(np.may_share_memory(array, a) for a in inputs):
            array.reshape(-1).view(np.uint8)[...] = POISON
    frame.fast.workspace[...] = np.resize(PATTERN, frame.fast.workspace.size)


def apart(frame, step, memory, before):
    """Runs a step from `before`, each instruction in two parts that do not see each other's work.

    Threads share units among them in any way; so two units may not write the same byte, nor one read what another
    writes.
    """
    program, table = frame.fast.program, frame.fast._slots
    memory.restore(before)
    chance = np.random.default_rng(step.node.index)
    first, last = program.ranges[step.number]
    for n in range(first, last):
        function, block, units = (
            int(program.code[n][i]) for i in (INSTRUCTION.function, INSTRUCTION.block, INSTRUCTION.units)
        )
        if units < 2:
            assert KERNEL(function)(block, table.__array_interface__["data"][0], 0, units) == 0
            continue
        ends = [1, *np.flatnonzero(chance.random(units - 2) < 0.6) + 2, units]
        runs = list(zip([0, *ends], ends))
        fresh, seen = memory.copy(), []
        for part in (runs[::2], runs[1::2]):
            memory.restore(fresh)
            for a, b in part:
                assert KERNEL(function)(block, table.__array_interface__["data"][0], int(a), int(b)) == 0
            seen.append(memory.copy())
        for target, old, one, two in zip(memory.parts, fresh, *seen):
            both = (one != old) & (two != old)
            kernel = program.instructions[n].kernel
            assert not both.any(), f"node {step.node.index} {step.node.op}: units of {kernel} write the same bytes"
            target[...] = np.where(one != old, one, two)


def reads(frame, step, array, written):
    """Is it an input alone, not an output or scratch?"""
    at = array.__array_interface__["data"][0]
    if any(at == frame.arrays[i].__array_interface__["data"][0] for i in written):
        return False
    inputs = (frame.arrays[i] for i in step.inputs if i >= 0 and frame.arrays[i] is not None)
    return any(at == a.__array_interface__["data"][0] for a in inputs if a.size)


def drawn(array, chance):
    """Random contents of an array's type."""
    if array.dtype.kind == "f":
        return chance.uniform(-4, 4, array.shape).astype(array.dtype)
    if array.dtype.kind == "b":
        return chance.integers(0, 2, array.shape).astype(bool)
    if array.dtype.kind in "iu":
        info = np.iinfo(array.dtype)
        low, high = (info.min, info.max) if array.dtype.itemsize < 4 else (-1000 if info.min else 0, 1000)
        return chance.integers(low, high, array.shape, dtype=array.dtype, endpoint=True)
    return array
