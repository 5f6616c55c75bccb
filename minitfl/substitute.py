"""Kernels of the caller's in place of ours: function(inputs, options, node) -> outputs.

inputs   list of arrays of stored numbers, None where an input is absent; read-only, but for variables
options  the node's options by the schema's names, enumerations by name: options["padding"] or options.padding
node     a NodeView: name, version, and what the arrays stand for, as node.inputs[0].scale
outputs  an array, or a list of arrays, of the types and shapes that node.outputs says; nothing is cast

Our own preparation still checks the node and decides the shapes of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minitfl.errors import ModelError, did_you_mean
from minitfl.graph import Node, Tensor
from minitfl.kernels.index import FAMILY_OF
from minitfl.op import Call, Kernel, Preparation, Site, find
from minitfl.schema.flexbuffers import read_flexbuffer
from minitfl.schema.reader import SchemaError
from minitfl.tensor_value import TensorValue
from minitfl.values import shown


class Options(dict):
    """A node's options by name, also as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no option '{name}', but {', '.join(self) or 'none'}") from None


@dataclass(frozen=True)
class NodeView:
    """A node as the caller's kernel sees it; the tensors' `array` is None here.

    Attributes
    ----------
    index : int
        Its place in the graph.
    op : str
    version : int
    inputs, outputs : tuple of TensorValue or None
        Names, types, shapes and quantization; None where a tensor is absent.
    """

    index: int
    op: str
    version: int
    inputs: tuple[TensorValue | None, ...]
    outputs: tuple[TensorValue | None, ...]


def options_of(node: Node) -> Options:
    """All fields of the node's options table, or the flexbuffer of a custom operator where it is a dict."""
    if node.custom:
        try:
            value = read_flexbuffer(node.custom_options) if node.custom_options else {}
        except SchemaError:
            value = {"bytes": node.custom_options}
        return Options(value if isinstance(value, dict) else {"value": value})
    if node.options is None:
        return Options()
    fields = (f for f in node.options._spec.fields if f.kind in ("scalar", "string", "vector"))
    return Options({field.name: _named(getattr(node.options, field.name), field.enum) for field in fields})


def _named(value: Any, enum: Any) -> Any:
    try:
        return enum(value).name if enum else value
    except (ValueError, TypeError):
        return value


def view_of(node: Node, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor | None]) -> NodeView:
    def described(tensors: Sequence[Tensor | None]) -> tuple[TensorValue | None, ...]:
        return tuple(None if t is None else describe(t) for t in tensors)

    return NodeView(node.index, node.op, node.version, described(inputs), described(outputs))


def describe(t: Tensor, array: np.ndarray | None = None) -> TensorValue:
    """A tensor, with what it holds where an array is given."""
    if array is None:
        return TensorValue(t.name, t.type, t.shape, None, t.quantization, t.index, t.data is not None)
    view = shown(array, t.type).view()
    view.flags.writeable = False
    return TensorValue(t.name, t.type, view.shape, view, t.quantization, t.index, t.data is not None)


# ---- in a model


def checked(kernels: Any) -> dict[str, Callable[..., Any]]:
    """The caller's kernels, as {operator: function}."""
    if not isinstance(kernels, Mapping):
        raise TypeError(f"kernels must be a dict of functions by operator, as {{'CONV_2D': function}}, not {kernels!r}")
    for name, function in kernels.items():
        if name not in FAMILY_OF:
            hint = did_you_mean(str(name).upper(), FAMILY_OF, 1)
            hint = hint or "; operators that are not built in go to custom_ops="
            raise ValueError(f"kernels: there is no operator '{name}' to replace{hint}")
        if not callable(function):
            raise TypeError(f"kernels[{name!r}] must be a function(inputs, options, node) -> outputs, not {function!r}")
    return dict(kernels)


def preparation(name: str, function: Callable[..., Any]) -> Preparation:
    """Our preparation of the operator, with the caller's kernel in its call."""
    ours = find(name)
    assert ours is not None
    return replace(ours, pure=False, function=lambda site: _prepare(site, ours, function))


def _prepare(site: Site, ours: Preparation, function: Callable[..., Any]) -> Call:
    call = ours.function(site)
    final = {t.index: t for t in call.outputs}
    outputs = tuple(None if t is None else final[t.index] for t in site.outputs)
    node = view_of(site.node, site.inputs, outputs)
    run = Run(function, options_of(site.node), node, frozenset(t.index for t in call.mutates))
    args = [t for t in (*site.inputs, *outputs) if t is not None]
    return Call(run_own, (run, *args), call.outputs, call.mutates, workspace=call.workspace)


@dataclass(frozen=True)
class Run:
    """A caller's kernel and what it is told of its node; `mutable`: variables that it may write."""

    function: Callable[..., Any]
    options: Options
    node: NodeView
    mutable: frozenset[int] = frozenset()

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """The outputs for the inputs that are there, not checked but for their number."""
        rest = iter(arrays)
        inputs = [None if t is None else self._guarded(t, next(rest)) for t in self.node.inputs]
        try:
            results = self.function(inputs, self.options, self.node)
        except Exception as error:
            if hasattr(error, "add_note"):  # from Python 3.11 on
                error.add_note(f"in the kernel given for node {self.node.index}, {self.node.op}")  # type: ignore
            raise
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        if len(results) != len(self.node.outputs):
            raise ModelError(
                f"the kernel given for {self.node.op} returned {len(results)} outputs, not {len(self.node.outputs)}"
            )
        return [np.asarray(result) for result in results]

    def _guarded(self, t: TensorValue, array: np.ndarray) -> np.ndarray:
        view = shown(array, t.type).view()
        if t.index not in self.mutable:
            view.flags.writeable = False
        return view

    def misfit(self, i: int, result: np.ndarray, y: np.ndarray) -> str:
        """What is wrong with the type or shape of output i, for which there is the array y; "" if nothing."""
        wanted = self.node.outputs[i]
        dtype = y.dtype if wanted is None else shown(y, wanted.type).dtype
        if result.dtype != dtype:
            return f"it is {result.dtype}, not {dtype}: nothing is cast, return y.astype(np.{dtype})"
        return "" if result.shape == y.shape else f"its shape is {result.shape}, not {y.shape}"


@Kernel
def run_own(run, *arrays):
    """y = function(inputs, options, node)"""
    count = sum(t is not None for t in run.node.inputs)
    results = run(*arrays[:count])
    targets = iter(arrays[count:])
    for i, result in enumerate(results):
        if run.node.outputs[i] is None:
            continue
        y = next(targets)
        wrong = run.misfit(i, result, y)
        if wrong:
            raise ModelError(f"the kernel given for {run.node.op}, output {i}: {wrong}")
        y[...] = result.view(y.dtype) if result.dtype != y.dtype else result
