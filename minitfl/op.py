"""The kernel contract: what an operator is, and how it is found.

A *preparation* (decorated with `op`) looks at a `Site`, checks it, decides shapes and numbers, and returns a `Call`: a
`Kernel` with its arguments. Kernels compute and decide nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from minitfl.errors import ModelError, UnsupportedError
from minitfl.graph import STORED, Node, Tensor
from minitfl.kernels.index import FAMILY_OF
from minitfl.schema import enums

WORKSPACE_FREE = 1 << 19  # bytes of temporaries that any call may have without saying so


class NotYet(Exception):
    """A preparation needs contents that only exist once earlier nodes have run."""


class Kernel:
    """A computation in up to two forms: `numpy`, its definition, and `loops`, plain source that Numba can compile.

    The fast form of engine/ is a third one, of which the kernel knows nothing.
    """

    def __init__(self, function: Callable[..., None]):
        self.numpy = function
        self.loops: Callable[..., None] | None = None
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def fast(self, function: Callable[..., None]) -> Callable[..., None]:
        """Registers the loops form, written directly under the NumPy form."""
        self.loops = function
        return function

    def __call__(self, *args: Any) -> None:
        self.numpy(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__.rpartition('.')[2]}.{self.__name__}>"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A kernel and what it works on. A Tensor among `args` stands for its array."""

    kernel: Kernel
    args: tuple[Any, ...]
    outputs: tuple[Tensor, ...]  # their shapes are final
    mutates: tuple[Tensor, ...] = ()  # variables that are written
    shares: tuple[tuple[Tensor, Tensor], ...] = ()  # (output, input) that may be one memory: nothing is computed
    workspace: int = 0  # bytes that bound the temporaries of the NumPy form, beside WORKSPACE_FREE


def scalar(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a function on numbers that loops forms may call: plain source, as they are."""
    function.is_scalar = True  # type: ignore[attr-defined]
    return function


def Scratch(shape: tuple[int, ...], dtype: Any) -> Tensor:
    """Memory that is alive for one step."""
    name = str(np.dtype(dtype))
    if name not in STORED:
        raise TypeError(f"no tensor is stored as {name}")
    return Tensor(-1, "scratch", name, tuple(int(n) for n in shape))


class State:
    """Among the args of a call: stands for the interpreter's variables and tables (`minitfl.state.State`)."""


STATE = State()


class Memory:
    """Among the args of a call: stands for a dict of plain data that its node keeps from run to run.

    It starts empty with each new allocation of its subgraph, when a shape that depends on data changes before it, and
    when another node calls its subgraph; the turns of a loop count as one call as long as their shapes stay.
    """


MEMORY = Memory()


class Site:
    """What a preparation sees of its node. `lookup` knows the contents and callees of the moment."""

    def __init__(self, node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor | None, ...], lookup: Any):
        self.node = node
        self.op = node.op
        self.version = node.version
        self.inputs = inputs
        self.outputs = outputs
        self.options = node.options
        self.custom_options = node.custom_options
        self._lookup = lookup

    def input(self, i: int) -> Tensor:
        tensor = self.optional(i)
        if tensor is None:
            raise ModelError(f"Tensor at index {i} was optional but was expected")
        return tensor

    def optional(self, i: int) -> Tensor | None:
        """Input i, or None where it is absent."""
        return self.inputs[i] if i < len(self.inputs) else None

    def output(self, i: int) -> Tensor:
        tensor = self.outputs[i] if i < len(self.outputs) else None
        if tensor is None:
            raise ModelError(f"output {i} is missing")
        return tensor

    @property
    def intermediates(self) -> tuple[Tensor, ...]:
        return self._lookup.tensors(self.node.intermediates)

    def value(self, tensor: Tensor) -> np.ndarray:
        """The contents of a constant; NotYet while it still has to be computed."""
        return self._lookup.value(tensor)

    def packed(self, tensor: Tensor, layout: Hashable, make: Callable[[np.ndarray], Any]) -> Any:
        """Stands for make(contents of a constant) among the args of a call, see `packing`; NotYet if it is no constant.

        Made once in the life of the graph for this tensor and layout, and only if a NumPy form is bound that needs it.
        """
        return self._lookup.packed(tensor, layout, make)

    @property
    def state(self) -> Any:
        """The interpreter's variables and tables; NotYet before the node's turn."""
        return self._lookup.state()

    @property
    def subgraph_count(self) -> int:
        return self._lookup.subgraph_count

    def subgraph(self, i: int) -> Any:
        """Another subgraph to call: `.inputs`, `.outputs` (Tensors), `.plan(shapes)`; put it among the args.

        `.call(*arrays)` runs it at once; NotYet before the node's turn.
        """
        return self._lookup.subgraph(i)

    def enum(self, name: str, enum: str) -> str:
        """The name of an enum option's value."""
        value = getattr(self.options, name)
        try:
            return getattr(enums, enum)(value).name
        except ValueError:
            raise ModelError(f"{name} is {value}, which {enum} does not have") from None

    def expect(self, condition: Any, message: str) -> None:
        if not condition:
            raise ModelError(message)

    def unsupported(self, message: str) -> NoReturn:
        raise UnsupportedError(message)

    def arity(self, inputs: int | tuple[int, int], outputs: int | tuple[int, int]) -> None:
        """Checks the numbers of inputs and outputs, given as a number or as (least, most)."""
        for what, count, wanted in (("inputs", len(self.inputs), inputs), ("outputs", len(self.outputs), outputs)):
            low, high = (wanted, wanted) if isinstance(wanted, int) else wanted
            if not low <= count <= high:
                expected = str(low) if low == high else f"{low} to {high}"
                raise ModelError(f"{count} {what} where {expected} are expected")


@dataclass(frozen=True, slots=True)
class Preparation:
    op: str
    max_version: int
    pure: bool  # same inputs, same outputs: may be folded when its inputs are constants
    function: Callable[[Site], Call]
    min_version: int = 1


_PREPARATIONS: dict[str, Preparation] = {}


def op(
    name: str, max_version: int = 1, pure: bool = True, min_version: int = 1
) -> Callable[[Callable[[Site], Call]], Callable[[Site], Call]]:
    """Registers a preparation under the name of its builtin operator or custom code."""

    def register(function: Callable[[Site], Call]) -> Callable[[Site], Call]:
        family = function.__module__
        if not family.startswith("minitfl.kernels."):
            raise ImportError(f"{family} must be imported as minitfl.kernels.*: it registers operators")
        if name in _PREPARATIONS:
            raise ImportError(f"{name} is registered twice, in {_PREPARATIONS[name].function.__module__} and {family}")
        _PREPARATIONS[name] = Preparation(name, max_version, pure, function, min_version)
        return function

    return register


def find(name: str) -> Preparation | None:
    """The preparation of an operator; its family is imported on first use. None where nothing is registered."""
    if name not in _PREPARATIONS and name in FAMILY_OF:
        importlib.import_module(f"minitfl.kernels.{FAMILY_OF[name]}")
    return _PREPARATIONS.get(name)
