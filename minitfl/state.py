"""What an interpreter remembers beside its tensors: variables and tables of all its subgraphs, memories of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minitfl.errors import ModelError

Handle = str | int  # "container/name" of a variable; the number of a table, or of a variable in older files


class Variable(NamedTuple):
    """What was assigned last, and its tensor type."""

    type: str
    value: np.ndarray


@dataclass(slots=True)
class Table:
    """A hash table: tensor types of its keys and values; entries is None until it is filled, which happens once."""

    key: str
    value: str
    entries: dict[Any, Any] | None = None


class State:
    """Resources by handle, kept over resize, allocate and reset. A number names a variable or a table, never both."""

    def __init__(self) -> None:
        self.variables: dict[Handle, Variable] = {}
        self.tables: dict[Handle, Table] = {}
        self.once: set[int] = set()  # subgraphs that CALL_ONCE has run
        self.memories: dict[tuple[int, int], dict[str, Any]] = {}  # by subgraph and node: see op.Memory

    def read(self, handle: Handle) -> Variable:
        if handle not in self.variables:
            raise ModelError(f"variable {handle!r} is read before anything was assigned to it")
        return self.variables[handle]

    def assign(self, handle: Handle, type: str, value: np.ndarray) -> None:
        if handle in self.tables:
            raise ModelError(f"resource {handle!r} is a table, not a variable")
        self.variables[handle] = Variable(type, np.array(value))

    def make_table(self, handle: Handle, key: str, value: str) -> None:
        """A table without entries; one that is there stays as it is."""
        if handle in self.variables:
            raise ModelError(f"resource {handle!r} is a variable, not a table")
        self.tables.setdefault(handle, Table(key, value))

    def table(self, handle: Handle) -> Table:
        if handle not in self.tables:
            raise ModelError(f"resource {handle!r} is not a table")
        return self.tables[handle]

    def memory(self, subgraph: int, node: int) -> dict[str, Any]:
        """What a node remembers; the same dict for the life of the interpreter."""
        return self.memories.setdefault((subgraph, node), {})

    def forget(self, subgraph: int, start: int = 0) -> None:
        """The memories of a subgraph's nodes start anew, from node `start` on."""
        for (home, node), memory in self.memories.items():
            if home == subgraph and node >= start:
                memory.clear()

    def get(self) -> dict[str, Any]:
        """A copy, as plain data."""
        return {
            "variables": {k: (v.type, v.value.copy()) for k, v in self.variables.items()},
            "tables": {
                k: (t.key, t.value, None if t.entries is None else dict(t.entries)) for k, t in self.tables.items()
            },
            "once": set(self.once),
            "memories": {k: dict(memory) for k, memory in self.memories.items()},
        }

    def set(self, data: dict[str, Any]) -> None:
        self.variables = {k: Variable(type, value.copy()) for k, (type, value) in data["variables"].items()}
        self.tables = {
            k: Table(key, value, None if entries is None else dict(entries))
            for k, (key, value, entries) in data["tables"].items()
        }
        self.once = set(data["once"])
        for memory in self.memories.values():
            memory.clear()
        for (subgraph, node), kept in data["memories"].items():
            self.memory(subgraph, node).update(kept)
