"""What planning a subgraph for given input shapes results in: steps, places, lives. Immutable, free of addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl import arena
from minitfl.graph import Node, Subgraph, Tensor
from minitfl.memory import address
from minitfl.op import WORKSPACE_FREE, Call, Preparation
from minitfl.packing import packed_in

if TYPE_CHECKING:
    from minitfl.engine.program import Program

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node's turn."""

    node: Node
    preparation: Preparation
    call: Call | None  # None: late
    skip: bool = False  # the output already lies where the input is
    lacks: int = -1  # an input that nothing ever writes
    reads: tuple[int, ...] | None = None  # where a rewrite made it read others than the node's inputs

    @property
    def inputs(self) -> tuple[int, ...]:
        return self.node.inputs if self.reads is None else self.reads


@dataclass(frozen=True, slots=True)
class Record:
    """Where a tensor lies in the arena and when it is alive: steps `first` to `last`, both included."""

    tensor: int
    offset: int
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The memory of one subgraph, in bytes. Tensors whose shapes depend on data are not in it."""

    arena_nbytes: int
    workspace_nbytes: int  # bounds the temporaries of any one step in NumPy, and what machine code works in
    constants_nbytes: int
    packed_nbytes: int  # constants that are kept in another layout as well; some are only made when they are needed
    variables_nbytes: int
    bound_nbytes: int  # no arena for these lives can be smaller
    records: tuple[Record, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """Immutable, and free of addresses: clones and nested calls share it."""

    subgraph: Subgraph
    tensors: tuple[Tensor, ...]  # with the shapes of this plan; None where late
    steps: tuple[Step, ...]
    folded: Mapping[int, np.ndarray]  # contents computed while planning
    places: Mapping[Any, int]  # tensor index, or id of a scratch tensor -> offset
    lives: tuple[arena.Life, ...]
    arena_nbytes: int
    bound_nbytes: int
    homes: Mapping[int, int]  # a tensor that shares memory -> the tensor whose memory it is
    keep_all: bool
    merged: frozenset[int] = frozenset()  # tensors that are never written: a rewrite left them out
    programs: dict[str, Any] = field(default_factory=dict)  # the engine's, by instruction set

    @property
    def output_shapes(self) -> tuple[Shape | None, ...]:
        return tuple(self.tensors[i].shape for i in self.subgraph.outputs)

    def memory(self, program: Program | None = None) -> MemoryPlan:
        """program: of the steps that run as machine code."""
        records = tuple(
            Record(life.key, self.places[life.key], life.nbytes, life.first, life.last)
            for life in self.lives
            if isinstance(life.key, int)
        )
        # tensors that show the same bytes count once; all constants are views of the file, so their bases tell nothing
        numpy = [step for n, step in enumerate(self.steps) if program is None or n not in program.ranges]
        needed = [step.call.workspace if step.call else 0 for step in numpy if not step.skip]
        packed = packed_in(tuple(step.call.args for step in self.steps if step.call))
        constants = {address(t.data): t.nbytes for t in self.tensors if t.data is not None}
        return MemoryPlan(
            arena_nbytes=self.arena_nbytes,
            workspace_nbytes=(program.workspace_nbytes if program else 0)
            + (WORKSPACE_FREE + max(needed) if needed else 0),
            constants_nbytes=sum(constants.values()) + sum(a.nbytes for a in self.folded.values()),
            packed_nbytes=sum(p.nbytes for p in packed) + (program.constants_nbytes if program else 0),
            variables_nbytes=sum(t.nbytes for t in self.tensors if t.is_variable and t.shape is not None),
            bound_nbytes=self.bound_nbytes,
            records=records,
        )

    @cached_property
    def overwritten(self) -> frozenset[int]:
        """Tensors whose bytes are used again before the run ends, or never written: they can't be read afterwards."""
        spans = sorted(
            ((self.places[life.key], self.places[life.key] + life.nbytes, life) for life in self.lives if life.nbytes),
            key=lambda span: span[0],
        )
        lost = set()
        for n, (start, end, life) in enumerate(spans):
            for other_start, other_end, other in spans[n + 1 :]:
                if other_start >= end:
                    break
                if other_end > start:
                    lost.add(life.key if life.last < other.first else other.key)
        return self.merged.union(i for i in range(len(self.tensors)) if self.homes.get(i, i) in lost)
