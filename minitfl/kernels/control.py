"""IF, WHILE, CALL_ONCE, STABLEHLO_CASE, STABLEHLO_COMPOSITE: nodes that run other subgraphs.

    IF                   y = then(x ...) if condition else other(x ...)
    STABLEHLO_CASE       y = branch[index](x ...), the last branch for an index out of range
    STABLEHLO_COMPOSITE  y = decomposition(x ...); its name and attributes tell others what that is
    WHILE                y = x; while condition(y): y = body(y)
    CALL_ONCE            runs a subgraph for its effects on variables, once in the life of the interpreter

Where a subgraph's output shapes follow from its input shapes, the node is prepared like any other and each subgraph
works in one block of the caller's arena. Where they do not, the node runs while it is prepared, at its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.copying import copy_results
from minitfl.op import STATE, Call, Kernel, Scratch, Site, op


@Kernel
def call_branch(index, count, inputs, memory, *rest):
    """outputs = branch[index](inputs).

    rest: `count` branches, `inputs` inputs, then the outputs. memory: the block that the branch works in.
    """
    branch, arrays = rest[chosen(index, count)], rest[count:]
    for y, value in zip(arrays[inputs:], branch(*arrays[:inputs], memory=memory), strict=True):
        y[...] = value


@Kernel
def while_loop(condition, body, condition_memory, body_memory, *arrays):
    """y = x; while condition(y): y = body(y).

    arrays: inputs, then as many outputs, which carry the values from turn to turn.
    """
    half = len(arrays) // 2
    values = arrays[half:]
    for y, x in zip(values, arrays[:half], strict=True):
        y[...] = x
    fresh = True
    while condition(*values, memory=condition_memory, fresh=fresh)[0].reshape(-1)[0]:
        for y, value in zip(values, body(*values, memory=body_memory, fresh=fresh), strict=True):
            y[...] = value
        fresh = False


@Kernel
def call_once(state, subgraph):
    """Runs the subgraph, once in the life of the interpreter.

    It is marked before it runs, so that it can't call itself; what fails is run again the next time.
    """
    if subgraph.index in state.once:
        return
    state.once.add(subgraph.index)
    try:
        subgraph()
    except BaseException:
        state.once.discard(subgraph.index)
        raise


# ---- preparations


@op("IF", pure=False)
def if_(site: Site) -> Call:
    condition = site.input(0)
    site.expect(
        condition.type == "bool" and condition.size == 1, f"the condition is {condition.type} {condition.shape}"
    )
    # True and False are the indices 1 and 0
    return _call_branch(site, condition, (site.options.else_subgraph_index, site.options.then_subgraph_index), 1)


@op("STABLEHLO_CASE", pure=False)
def stablehlo_case(site: Site) -> Call:
    index, branches = site.input(0), tuple(site.options.branch_subgraph_indices)
    site.expect(index.type == "int32" and index.size == 1, f"the index is {index.type} {index.shape}")
    site.expect(branches, "there are no branches")
    return _call_branch(site, index, branches, 1)


@op("STABLEHLO_COMPOSITE", pure=False)
def stablehlo_composite(site: Site) -> Call:
    site.expect(site.inputs, "there are no inputs")
    return _call_branch(site, np.zeros((), np.int32), (site.options.decomposition_subgraph_index,), 0)


@op("WHILE", pure=False)
def while_(site: Site) -> Call:
    inputs = tuple(site.input(i) for i in range(len(site.inputs)))
    site.expect(len(site.outputs) == len(inputs), f"{len(inputs)} inputs and {len(site.outputs)} outputs")
    condition = _subgraph(site, site.options.cond_subgraph_index)
    body = _subgraph(site, site.options.body_subgraph_index)
    _match(site, condition.inputs, inputs, "inputs", condition.index)
    _match(site, body.inputs, inputs, "inputs", body.index)
    _match(site, body.outputs, inputs, "outputs", body.index)
    site.expect(condition.index != body.index, f"subgraph {body.index} is both the condition and the body")
    verdict = condition.outputs
    site.expect(len(verdict) == 1 and verdict[0].type == "bool", f"subgraph {condition.index} does not give one bool")
    shapes = tuple(t.known_shape for t in inputs)
    plans = [condition.plan(shapes), body.plan(shapes)]
    site.expect(
        plans[0].output_shapes[0] in ((), (1,), None),
        f"subgraph {condition.index} gives bools of shape {plans[0].output_shapes[0]}, not one",
    )
    if plans[1].output_shapes == shapes:
        outputs = _outputs(site, shapes)
        memory = tuple(Scratch((plan.arena_nbytes,), "uint8") for plan in plans)
        return Call(while_loop, (condition, body, *memory, *inputs, *outputs), outputs)
    values = [site.value(t).copy() for t in inputs]
    fresh = True
    while _verdict(site, condition, values, fresh):
        values = [value.copy() for value in body.call(*values, fresh=fresh)]
        fresh = False
    return _results(site, values)


@op("CALL_ONCE", pure=False)
def call_once_(site: Site) -> Call:
    site.arity(0, 0)
    subgraph = _subgraph(site, site.options.init_subgraph_index)
    site.expect(
        not subgraph.inputs and not subgraph.outputs, f"subgraph {subgraph.index} takes inputs or gives outputs"
    )
    site.expect(not subgraph.is_caller, f"subgraph {subgraph.index} calls itself")
    return Call(call_once, (STATE, subgraph), ())


def chosen(index, count: int) -> int:
    """Which of `count` branches; the last for an index out of range."""
    i = int(index.reshape(-1)[0])
    return i if 0 <= i < count else count - 1


def _call_branch(site: Site, index: Tensor | np.ndarray, indices: tuple[int, ...], first: int) -> Call:
    """Calls one of the subgraphs. index: a tensor or an array; first: the input that is their first."""
    inputs = tuple(site.input(i) for i in range(first, len(site.inputs)))
    branches = tuple(_subgraph(site, i) for i in indices)
    for branch in branches:
        _match(site, branch.inputs, inputs, "inputs", branch.index)
        _match(site, branch.outputs, _node_outputs(site), "outputs", branch.index)
    plans = [branch.plan(tuple(t.known_shape for t in inputs)) for branch in branches]
    shapes = plans[0].output_shapes
    if None not in shapes and all(plan.output_shapes == shapes for plan in plans):
        outputs = _outputs(site, shapes)
        memory = Scratch((max(plan.arena_nbytes for plan in plans),), "uint8")
        args = (index, len(branches), len(inputs), memory, *branches, *inputs, *outputs)
        return Call(call_branch, args, outputs)
    now = site.value(index) if isinstance(index, Tensor) else index
    return _results(site, branches[chosen(now, len(branches))].call(*(site.value(t) for t in inputs)))


def _verdict(site: Site, condition: Any, values: list[np.ndarray], fresh: bool) -> bool:
    flag = condition.call(*values, fresh=fresh)[0]
    site.expect(flag.shape in ((), (1,)), f"subgraph {condition.index} gives bools of shape {flag.shape}, not one")
    return flag.reshape(-1)[0]


def _node_outputs(site: Site) -> tuple[Tensor, ...]:
    return tuple(site.output(i) for i in range(len(site.outputs)))


def _subgraph(site: Site, index: int) -> Any:
    site.expect(0 <= index < site.subgraph_count, f"subgraph {index} is not one of the {site.subgraph_count}")
    return site.subgraph(index)


def _match(site: Site, theirs: tuple[Tensor, ...], ours: tuple[Tensor, ...], what: str, index: int) -> None:
    site.expect(len(theirs) == len(ours), f"subgraph {index} has {len(theirs)} {what} where the node has {len(ours)}")
    for a, b in zip(theirs, ours, strict=True):
        site.expect(
            a.type == b.type, f"subgraph {index}: tensor '{a.name}' is {a.type}, the node's '{b.name}' is {b.type}"
        )


def _outputs(site: Site, shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
    return tuple(site.output(i).reshaped(shape) for i, shape in enumerate(shapes))


def _results(site: Site, arrays: list[np.ndarray]) -> Call:
    outputs = _outputs(site, [a.shape for a in arrays])
    return Call(copy_results, (*(a.copy() for a in arrays), *outputs), outputs)
