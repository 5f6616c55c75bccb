"""One thread at a time in an interpreter; the others are told, instead of waiting or colliding."""

from __future__ import annotations

import threading

_CHANGES = frozenset({"allocate_tensors", "invoke", "resize_tensor_input", "reset_all_variables", "close"})


class Turn:
    """`with turn("invoke"):` raises RuntimeError where another thread is inside, or where invoke calls itself.

    The same thread may nest: a runner's turn spans the calls it makes, and a custom operator may read tensors.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside: list[str] = []
        self._entries: dict[str, _Entry] = {}

    def __call__(self, what: str) -> _Entry:
        if what not in self._entries:
            self._entries[what] = _Entry(self, what)
        return self._entries[what]

    def enter(self, what: str) -> None:
        if not self._lock.acquire(False):
            inside = self._inside[-1:] or ["a call"]
            raise RuntimeError(
                f"{what}: another thread is inside {inside[0]} of this interpreter. It serves one thread at a time:"
                " guard it with a lock, or give each thread its own, interpreter.clone(), which shares the weights"
            )
        if self._inside and what in _CHANGES and self._inside[-1] in _CHANGES:
            self._lock.release()
            raise RuntimeError(f"{what} was called from inside {self._inside[-1]} of the same interpreter")
        self._inside.append(what)

    def leave(self) -> None:
        self._inside.pop()
        self._lock.release()


class _Entry:
    __slots__ = ("_turn", "_what")

    def __init__(self, turn: Turn, what: str):
        self._turn = turn
        self._what = what

    def __enter__(self) -> None:
        self._turn.enter(self._what)

    def __exit__(self, *_: object) -> None:
        self._turn.leave()
