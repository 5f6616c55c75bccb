"""The two sides of `compare`: models whose layers are run, and which layer of one is which of the other."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from minitfl import entry, official
from minitfl.entry import Entry
from minitfl.graph import OBJECTS, Node, Tensor
from minitfl.interpreter import Interpreter
from minitfl.real import dequantize, is_quantized

Sample = Mapping[int, np.ndarray]  # input's index: array


@dataclass(frozen=True, eq=False)
class Layer:
    node: Node
    tensor: Tensor
    shape: tuple[int, ...] | None  # as planned for the first sample

    @property
    def key(self) -> tuple[Any, ...]:
        return self.node.op, self.shape


class Ours:
    """A model in minitfl."""

    def __init__(self, model: Any):
        self.name, self.interpreter = _opened(model)
        self.entry: Entry = entry.find_entry(self.interpreter._interpreter.graph, None)
        self.tensors = self.entry.subgraph.tensors

    @cached_property
    def layers(self) -> list[Layer]:
        """What its nodes write, but for what is known without running; shapes are those of the sample filled in."""
        frame = self.interpreter._interpreter.runtime.instance(self.entry.subgraph.index).frame
        assert frame is not None
        return [
            Layer(node, frame.plan.tensors[i], frame.plan.tensors[i].shape)
            for node in frame.plan.subgraph.nodes
            for i in node.outputs
            if i >= 0 and i not in frame.plan.folded and frame.plan.tensors[i].type not in OBJECTS
        ]

    def samples(self, data: Any, seed: int, count: int) -> list[Sample]:
        """The inputs of each run; the first is filled in."""
        if data is None:
            chance = np.random.default_rng(seed)
            found = [{i: entry.random_array(self.tensors[i], chance) for i in self.entry.order} for _ in range(count)]
        else:
            given = data if isinstance(data, (list, tuple)) else [data]
            found = [entry.match(self.entry, [one], {}) for one in given]
        if not found:
            raise ValueError("there is no sample")
        made: list[Sample] = [{i: self._input(i, value) for i, value in one.items()} for one in found]
        self.fill(made[0])
        return made

    def fill(self, sample: Sample) -> None:
        made = {i: self._input(i, value) for i, value in sample.items()}
        entry.fill(self.interpreter._interpreter, self.entry, made)

    def _input(self, i: int, value: Any) -> np.ndarray:
        t = self.tensors[i]
        array = np.asarray(value)
        made = entry.convert(array, t, is_quantized(t) and array.dtype.kind == "f")
        entry.check_rank(t, made)
        return made

    def real(self, i: int, array: np.ndarray) -> np.ndarray:
        """What an input stands for."""
        return dequantize(array, self.tensors[i]) if is_quantized(self.tensors[i]) else array

    def run(self, samples: Sequence[Sample]) -> Iterable[dict[int, np.ndarray]]:
        wrapper = self.interpreter._interpreter
        for arrays in samples:
            made = {i: self._input(i, value) for i, value in arrays.items()}
            steps = entry.trace(wrapper, self.entry, made, False)
            yield {y.index: y.array for step in steps for y in step.outputs if y is not None and y.array is not None}


class Official:
    """The same model in the official runtime."""

    def __init__(self, ours: Ours, name: str):
        self.name = name
        self.ours = ours
        self.resolver = name.partition(":")[2] or "BUILTIN_REF"
        self.entry, self.tensors = ours.entry, ours.tensors

    @cached_property
    def layers(self) -> list[Layer]:
        return [replace(layer) for layer in self.ours.layers]

    def fill(self, sample: Sample) -> None:
        """Its shapes are those of ours."""

    def run(self, samples: Sequence[Sample]) -> Iterable[dict[int, np.ndarray]]:
        content = self.ours.interpreter._interpreter.source.bytes()
        wanted = [layer.tensor.index for layer in self.layers]
        return official.run(content, samples, wanted, self.resolver)


def _opened(model: Any) -> tuple[str, Interpreter]:
    if isinstance(model, Interpreter):
        return model._interpreter.source.name or "the interpreter's model", model.clone()
    if isinstance(model, bytes):
        return "the given model", Interpreter(model_content=model)
    return str(model), Interpreter(model)


def carried(samples: Sequence[Sample], first: Ours, second: Any) -> list[Sample]:
    """The first model's inputs as those of the second: by name, or by place; real where those are stored otherwise."""
    if isinstance(second, Official):
        return list(samples)
    names = {entry.short_name(name): i for name, i in second.entry.inputs.items()}
    places = dict(zip(first.entry.order, second.entry.order))
    target = {i: names.get(entry.short_name(name), places.get(i)) for name, i in first.entry.inputs.items()}
    if None in target.values() or len(set(target.values())) != len(second.entry.order):
        raise ValueError(f"the inputs of one model, {first.entry.names()}, are not those of {second.entry.names()}")
    found = []
    for arrays in samples:
        one = {}
        for i, array in arrays.items():
            x, y = first.tensors[i], second.tensors[target[i]]
            one[target[i]] = array if alike(x, y) else first.real(i, array)
        found.append(one)
    return found


def alike(x: Tensor, y: Tensor) -> bool:
    """Do their stored numbers stand for the same reals?"""
    p, q = x.quantization, y.quantization
    if x.type != y.type or (p is None) != (q is None):
        return False
    return p is None or q is None or all(np.array_equal(getattr(p, n), getattr(q, n)) for n in ("scale", "zero_point"))


# ---- which layer is which


def matched(first: Sequence[Layer], second: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
    """Pairs in the order of the first model: by name where the sizes agree, the rest by operator, shape and order."""
    named = {layer.tensor.name: layer for layer in second if layer.tensor.name}
    pairs = {id(x): (x, named[x.tensor.name]) for x in first if _fits(x, named.get(x.tensor.name))}
    taken = {id(y) for _, y in pairs.values()}
    rest = [x for x in first if id(x) not in pairs], [y for y in second if id(y) not in taken]
    alignment = difflib.SequenceMatcher(None, *([layer.key for layer in side] for side in rest), autojunk=False)
    for i, j, size in alignment.get_matching_blocks():
        pairs |= {id(x): (x, y) for x, y in zip(rest[0][i : i + size], rest[1][j : j + size])}
    return [pairs[id(x)] for x in first if id(x) in pairs]


def _fits(x: Layer, y: Layer | None) -> bool:
    return y is not None and (x.shape == y.shape or None in (x.shape, y.shape))
