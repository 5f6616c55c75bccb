"""Steps that a later step does on its way, so that the plan leaves them out.

    PAD by zeros, then a convolution of constant weights    the convolution pads
    LOGISTIC of x, then MUL by x                            the product is computed of x: `swish`, or a table of bytes

One pass over the prepared steps, before anything is placed. Plans that keep all tensors have no rewrites.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import numpy as np

from minitfl.graph import Tensor
from minitfl.op import Call, Kernel
from minitfl.plan import Step

PADDING = ("PAD", "PADV2")
WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D")
EARLIER = (*PADDING, "LOGISTIC")


def rewrite(
    steps: list[Step], outputs: Iterable[int], contents: Callable[[int], np.ndarray | None]
) -> tuple[list[Step], frozenset[int]]:
    """(steps, tensors that are never written). contents(index): what a constant or folded tensor holds."""
    readers = Counter(i for step in steps for i in {*step.node.inputs, *step.node.intermediates})
    readers.update(set(outputs))
    makers = {
        step.call.outputs[0].index: step
        for step in steps
        if step.node.op in EARLIER and step.call is not None and readers[step.node.outputs[0]] == 1
    }
    done: dict[int, Step] = {}  # by the tensor that is left out: the step that takes it over
    for step in steps:
        left_out = next((i for i in step.node.inputs if i in makers), -1)
        if step.call is None or left_out < 0:
            continue
        maker = makers[left_out]
        if maker.node.op in PADDING and step.node.op in WINDOWED and left_out == step.node.inputs[0]:
            call = _padding(maker.call, step.call, contents)  # type: ignore[arg-type]
        elif maker.node.op == "LOGISTIC" and step.node.op == "MUL":
            from minitfl.kernels.gated import gated  # with its families, which few models need

            call = gated(maker.call, step.call)  # type: ignore[arg-type]
        else:
            continue
        if call is not None:
            reads = tuple(maker.node.inputs[0] if i == left_out else i for i in step.node.inputs)
            done[left_out] = replace(step, call=call, reads=reads)
    if not done:
        return steps, frozenset()
    taken = {step.node.index: step for step in done.values()}
    left = [taken.get(s.node.index, s) for s in steps if done.keys().isdisjoint(s.node.outputs)]
    return left, frozenset(done)


def _padding(pad: Call, call: Call, contents: Callable[[int], np.ndarray | None]) -> Call | None:
    """The convolution of what is not yet padded; None where padding is more than it does."""
    before, inside, value, y = pad.args
    names = _names(call.kernel)
    x, w = call.args[names["x"]], call.args[names["w"]]
    filler = contents(value.index) if isinstance(value, Tensor) else value
    if not isinstance(x, Tensor) or x.shape != y.shape or x.rank != 4 or filler is None:
        return None
    shape, zero = before.known_shape, call.args[names["x_zero"]] if "x_zero" in names else 0
    if filler.item() != zero or x.type != before.type or min(shape) == 0:
        return None
    if any(y.known_shape[axis] != shape[axis] for axis in (0, 3)):
        return None
    if isinstance(w, Tensor):
        weights = contents(w.index)
        if weights is None or not np.isfinite(weights.sum(dtype=np.float64)):  # 0 * inf is not 0
            return None
    args = list(call.args)
    args[names["x"]] = before
    args[names["pad"]] = tuple(p + part.start for p, part in zip(args[names["pad"]], inside[1:3], strict=True))
    return replace(call, args=tuple(args))


@cache
def _names(kernel: Kernel) -> dict[str, int]:
    """The places of a kernel's arguments."""
    return {name: i for i, name in enumerate(inspect.signature(kernel.numpy).parameters)}
