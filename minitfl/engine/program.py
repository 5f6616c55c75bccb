"""The instructions of a plan: which kernel runs on which block of words, for each step that has fast kernels.

A program is immutable and free of a tensor's address: its blocks name slots, and a Frame keeps a table with an address
for each slot. Plans are shared by clones and nested calls, and so are their programs and packed constants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl.engine.blocks import word
from minitfl.engine.emit import find
from minitfl.engine.isa import Isa
from minitfl.engine.layouts.driver import INSTRUCTION
from minitfl.graph import Node, Tensor
from minitfl.memory import ALIGNMENT, address, together
from minitfl.packing import Packed, unpacked

if TYPE_CHECKING:
    from minitfl.plan import Plan, Step
    from minitfl.planning import Planner

# threads share an instruction in chunks of units
LEAST_CHUNK = 4000  # nanoseconds; to take one costs a tenth of a microsecond, and a call of the kernel
MOST_CHUNKS = 12


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the table of addresses."""

    number: int


@dataclass(frozen=True, slots=True)
class Instruction:
    kernel: str  # "module.name" in engine.source
    units: int
    chunk: int  # units that one thread takes at a time; all of them where sharing would take longer
    words: tuple[int, ...]


@dataclass(eq=False)
class Program:
    """What Emit has gathered. Slots are tensors, by index or by the identity of scratch; constants; then workspace."""

    isa: Isa
    instructions: list[Instruction] = field(default_factory=list)
    ranges: dict[int, tuple[int, int]] = field(default_factory=dict)  # by step: its instructions
    tensors: dict[Any, tuple[int, Tensor]] = field(default_factory=dict)
    constants: list[tuple[int, Any]] = field(default_factory=list)  # arrays; until it is linked some are only promised
    scratch: list[tuple[int, int]] = field(default_factory=list)  # slot, offset in the workspace
    slots: int = 0
    workspace_nbytes: int = 0
    code: np.ndarray | None = None  # (instructions, len(INSTRUCTION)), once it is linked
    _blocks: np.ndarray | None = None

    @property
    def kernels(self) -> list[str]:
        """Those of most instructions first."""
        return [kernel for kernel, _ in Counter(i.kernel for i in self.instructions).most_common()]

    @property
    def constants_nbytes(self) -> int:
        """Of what is packed by now."""
        return sum({id(a): a.nbytes for _, a in self.constants}.values())

    def link(self, addresses: dict[str, int]) -> None:
        """Packs the constants and makes the code, once the address of every kernel is known."""
        with together():
            self.constants = [(slot, unpacked(a)) for slot, a in self.constants]
        blocks = np.array([w for i in self.instructions for w in i.words], np.int64)
        code = np.zeros((len(self.instructions), len(INSTRUCTION)), np.int64)
        at = address(blocks)
        for row, instruction in zip(code, self.instructions):
            row[:] = addresses[instruction.kernel], at, instruction.units, instruction.chunk
            at += 8 * len(instruction.words)
        self._blocks = blocks
        self.code = code

    def table(self, address_of: Callable[[Any, Tensor], int], workspace: int) -> np.ndarray:
        """The address of each slot: address_of(key, tensor) for tensors, `workspace` is where scratch begins."""
        table = np.zeros(max(self.slots, 1), np.int64)
        for key, (slot, tensor) in self.tensors.items():
            table[slot] = address_of(key, tensor)
        for slot, array in self.constants:
            table[slot] = address(array)
        for slot, offset in self.scratch:
            table[slot] = workspace + offset
        return table


class Emit:
    """What an emitter sees of one step, and where it puts its instructions."""

    def __init__(self, program: Program, plan: Plan, planner: Planner, step: Step):
        self.isa = program.isa
        self.call = step.call
        self.node = step.node
        self._program = program
        self._plan = plan
        self._planner = planner
        self._used = 0
        self._duration = duration(step.node, plan.tensors)

    def input(self, i: int) -> Tensor:
        """Input i of the node, with the shape of this plan."""
        return self._plan.tensors[self.node.inputs[i]]

    def contents(self, tensor: Any) -> np.ndarray | None:
        """What a constant holds, in its own shape; None where it is computed while running."""
        if not isinstance(tensor, Tensor):
            return tensor
        known = tensor.data if tensor.data is not None else self._plan.folded.get(tensor.index)
        return None if known is None or tensor.index < 0 else known.reshape(tensor.known_shape)

    def packed(self, tensor: Tensor, layout: Any, make: Callable[[np.ndarray], np.ndarray]) -> Slot:
        """The slot of make(contents of a constant), made once for a graph, layout and instruction set.

        It is made when the program is linked: before there is machine code it would only delay the NumPy forms.
        """
        if tensor.data is not None:
            return self.constant(self._planner.packed(tensor, ("engine", self.isa.name, layout), make))
        contents = self.contents(tensor)
        assert contents is not None
        return self.constant(Packed(lambda: make(contents)))

    def constant(self, array: np.ndarray | Packed) -> Slot:
        slot = self._slot()
        self._program.constants.append((slot.number, array))
        return slot

    def tensor(self, tensor: Tensor) -> Slot:
        key = ("scratch", id(tensor)) if tensor.index < 0 else tensor.index
        if key not in self._program.tensors:
            self._program.tensors[key] = (self._slot().number, tensor)
        return Slot(self._program.tensors[key][0])

    def scratch(self, nbytes: int) -> Slot:
        """Memory that is alive for this step, aligned to 64 bytes."""
        slot = self._slot()
        self._program.scratch.append((slot.number, self._used))
        self._used += -(-nbytes // ALIGNMENT) * ALIGNMENT
        self._program.workspace_nbytes = max(self._program.workspace_nbytes, self._used)
        return slot

    def add(self, kernel: str, units: int, layout: Any, **words: Any) -> None:
        """An instruction: `kernel` does `units` units of work. Each word of the layout is a number or a Slot."""
        if words.keys() != set(layout._fields):
            raise TypeError(f"{kernel}: {sorted(words)} are not the words {list(layout._fields)}")
        values = (words[name] for name in layout._fields)
        numbers = tuple(v.number if isinstance(v, Slot) else word(v) for v in values)
        chunk = max(1, -(-units // MOST_CHUNKS), min(units, int(units * LEAST_CHUNK / self._duration)))
        self._program.instructions.append(Instruction(kernel, int(units), int(chunk), numbers))

    def _slot(self) -> Slot:
        self._program.slots += 1
        return Slot(self._program.slots - 1)


def duration(node: Node, tensors: tuple[Tensor, ...]) -> float:
    """A guess at the nanoseconds that a node takes on one core: 10 bytes in each, or as many products as may be."""
    inputs, outputs = ([tensors[i] for i in side if i >= 0] for side in (node.inputs, node.outputs))
    nbytes = sum(t.nbytes for t in (*inputs, *outputs) if t.shape is not None)
    most = max((t.size for t in inputs if t.data is not None and len(t.known_shape) > 1), default=0)
    if not most or not outputs or not outputs[0].shape:
        return nbytes / 10 + 1
    products = outputs[0].size * most / max(outputs[0].shape[-1], 1)
    return max(nbytes / 10, products / (100 if inputs[0].dtype.kind == "f" else 400)) + 1


def compose(plan: Plan, planner: Planner, isa: Isa) -> Program:
    """The program of a plan: steps without an emitter, late ones and those whose emitter declines are left out."""
    program = Program(isa)
    for n, step in enumerate(plan.steps):
        if step.call is None or step.skip or step.lacks >= 0:
            continue
        emitter = find(step.call.kernel)
        if emitter is None:
            continue
        first, constants, scratch = (len(part) for part in (program.instructions, program.constants, program.scratch))
        if emitter(Emit(program, plan, planner, step), *step.call.args) is not False:
            program.ranges[n] = (first, len(program.instructions))
        else:  # what is left of it would be packed for nothing
            del program.instructions[first:], program.constants[constants:], program.scratch[scratch:]
    return program
