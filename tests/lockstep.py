"""Forced lockstep: a model in minitfl, step by step, each node fed the official values of its inputs.

So every node is judged alone: a difference of one unit upstream does not spread. Variables keep our own values, since
only what they hold after the run can be read officially; they start equal and are judged by what is made of them.
"""

from dataclasses import dataclass, field

import numpy as np

from minitfl.load import load_model
from minitfl.runtime import Runtime
from tests.bounds import float_bound
from tests.cases import compare


@dataclass
class Outcome:
    """What a lockstep run compared."""

    tensors: int = 0  # equal, or within the bound
    unread: list = field(default_factory=list)  # tensors that the official runtime can't show
    ops: set = field(default_factory=set)


def forced(content, inputs, official, wrong=()):
    """Runs the model; `official`: tensor index -> value after the official run. AssertionError where they differ.

    `wrong`: BATCH_MATMUL nodes that the official runtime computes wrongly, held against the mathematics instead.
    """
    instance = Runtime(load_model(content), preserve_all=True).instance(0)
    subgraph = instance.subgraph
    for i, value in zip(subgraph.inputs, inputs, strict=True):
        instance.resize(i, value.shape)
    instance.allocate()
    for i, value in zip(subgraph.inputs, inputs, strict=True):
        instance.put(i, value)
    outcome = Outcome()
    frame = instance.frame
    for i, value in frame.plan.folded.items():
        if i in official:
            compare([value], [official[i]], ulps=0, place=f"folded tensor {i}, ")
            outcome.tensors += 1
    for step in instance.steps():
        for i in step.inputs:
            force(frame, subgraph, i, official)
        step.run()
        outcome.ops.add(step.node.op)
        for i in step.outputs:
            if i < 0:
                continue
            if i not in official:
                outcome.unread.append(i)
                continue
            mine, theirs = frame.arrays[i], np.asarray(official[i])
            if step.node.index in wrong:
                judge_matmul(step, subgraph.tensors[i], mine)
                outcome.tensors += 1
                continue
            bound = float_bound(step, theirs) if mine.dtype.kind in "fc" else None
            place = f"node {step.node.index} {step.node.op} -> tensor {i} '{subgraph.tensors[i].name}', "
            compare([mine], [theirs], bound=bound, place=place)
            outcome.tensors += 1
    return outcome


def judge_matmul(step, y, mine):
    """The stored result lies within one step of the product of the real numbers."""
    x, w = (real(step.frame.plan.tensors[i], step.frame.arrays[i]) for i in step.inputs)
    assert np.abs(mine * y.scale - x @ w).max() <= y.scale


def real(tensor, array):
    """The real numbers of a quantized tensor, float64."""
    shape = [1] * array.ndim
    if tensor.scales.size > 1:
        shape[tensor.quantization.axis] = -1
    return tensor.scales.astype(np.float64).reshape(shape) * (array - tensor.zeros.reshape(shape))


def force(frame, subgraph, i, official):
    """Gives tensor i the official value, if nodes may write it."""
    if i < 0 or i not in official or frame.arrays[i] is None:
        return
    tensor = subgraph.tensors[i]
    if tensor.data is None and not tensor.is_variable and frame.arrays[i].flags.writeable:
        frame.arrays[i][...] = official[i]
