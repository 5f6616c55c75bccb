"""What an interpreter remembers beside its tensors: resource variables, shared by all its subgraphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitfl.errors import ModelError


class State:
    """Resource variables by handle ("container/name", or a number), kept over resize, allocate and reset."""

    def __init__(self) -> None:
        self.variables: dict[str | int, np.ndarray] = {}
        self.once: set[int] = set()  # subgraphs that CALL_ONCE has run
        self.memories: dict[tuple[int, int], dict[str, Any]] = {}  # by subgraph and node: see op.Memory

    def read(self, handle: str | int) -> np.ndarray:
        if handle not in self.variables:
            raise ModelError(f"variable {handle!r} is read before anything was assigned to it")
        return self.variables[handle]

    def assign(self, handle: str | int, value: np.ndarray) -> None:
        self.variables[handle] = np.array(value)

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
            "variables": {k: v.copy() for k, v in self.variables.items()},
            "once": set(self.once),
            "memories": {k: dict(memory) for k, memory in self.memories.items()},
        }

    def set(self, data: dict[str, Any]) -> None:
        self.variables = {k: v.copy() for k, v in data["variables"].items()}
        self.once = set(data["once"])
        for memory in self.memories.values():
            memory.clear()
        for (subgraph, node), kept in data["memories"].items():
            self.memory(subgraph, node).update(kept)
