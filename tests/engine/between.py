"""Lockstep between our layers: each step runs in its fast form and in NumPy on the same inputs.

All that a step may write is compared; all other live bytes must stay as they were.
"""

import numpy as np

from minitfl.load import load_model
from minitfl.runtime import Runtime
from tests.bounds import float_bound
from tests.cases import compare

POISON = 0xA5


def between(content, inputs=None, shapes=None, seed=0):
    """Runs a model both ways; {"numba": [op, ...], "numpy": [op, ...]} of its steps. AssertionError where they differ.

    inputs: arrays in the graph's order, else random ones are drawn.
    """
    instance = Runtime(load_model(content), layer="numba").instance(0)
    for i, shape in (shapes or {}).items():
        instance.resize(i, shape)
    instance.allocate()
    frame = instance.frame
    chance = np.random.default_rng(seed)
    for n, i in enumerate(instance.subgraph.inputs):
        instance.array(i)[...] = drawn(frame.arrays[i], chance) if inputs is None else inputs[n]
    found = {"numba": [], "loops": [], "numpy": []}
    for step in instance.steps():
        found[step.layer].append(step.node.op)
        judge(frame, step)
    return found


def judge(frame, step):
    """Runs a step in NumPy, and before that in its fast form if it has one, from the same memory."""
    if step.layer != "numba":
        step.run()
        return
    arena = frame.block
    before = arena.copy()
    variables = {i: a.copy() for i, a in frame.variables.items()}
    written = [i for i in step.outputs if i >= 0]
    for i in written:
        if i not in frame.variables:
            frame.arrays[i].view(np.uint8).reshape(-1)[...] = POISON  # what is left out shows
    frame.fast.workspace[...] = POISON
    assert step.run_fast(), f"node {step.node.index} {step.node.op}: the fast form gave up"
    fast = [frame.arrays[i].copy() for i in written]
    after = arena.copy()
    fast_variables = {i: a.copy() for i, a in frame.variables.items()}
    arena[...] = before
    for i, a in variables.items():
        frame.variables[i][...] = a
    step.run()
    for i, mine in zip(written, fast):
        ours = frame.arrays[i]
        bound = float_bound(step, ours) if ours.dtype.kind == "f" else None
        place = f"node {step.node.index} {step.node.op} -> tensor {i}, fast against NumPy: "
        compare([mine], [ours], bound=bound, place=place)
    for i, a in fast_variables.items():
        compare([a], [frame.variables[i]], ulps=64, place=f"variable {i}")
    touched = np.ones(arena.size, bool)
    start = arena.__array_interface__["data"][0]
    for array in [frame.arrays[i] for i in written] + [a for a in step.args if isinstance(a, np.ndarray)]:
        at = array.__array_interface__["data"][0] - start
        if step_writes(frame, step, array) and 0 <= at < arena.size:
            touched[at : at + array.nbytes] = False
    assert (after == before)[touched].all(), f"node {step.node.index} {step.node.op} writes where others live"


def step_writes(frame, step, array):
    """Is it an output or scratch, not an input?"""
    at = array.__array_interface__["data"][0]
    reads = (frame.arrays[i] for i in step.inputs if i >= 0 and frame.arrays[i] is not None)
    return all(at != a.__array_interface__["data"][0] for a in reads if a.size)


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
