"""Where in one block of memory each tensor lies: offsets for lives, such that no two lives overlap. Knows no tensors.

Greedy by size: the largest life first, each at the lowest offset that is free for its whole time (Pisarchyk &
Lee, arXiv:2001.03288, section 5.3). Where that misses the bound, other orders of placement are tried, a fixed number
of times.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

ALIGNMENT = 64  # bytes; every offset is a multiple of it
SEARCH_STEPS = 20_000  # lives placed in all, while searching


@dataclass(frozen=True, slots=True)
class Life:
    """nbytes of memory, needed from step `first` to step `last`, both included."""

    key: Hashable
    nbytes: int
    first: int
    last: int

    @property
    def padded(self) -> int:
        return -(-self.nbytes // ALIGNMENT) * ALIGNMENT

    def meets(self, other: Life) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Layout:
    offsets: dict[Hashable, int]
    nbytes: int  # of the whole arena
    bound: int  # no arena can be smaller


def bound(lives: Sequence[Life]) -> int:
    """The largest sum, over the steps, of the padded sizes alive."""
    change: dict[int, int] = {}
    for life in lives:
        change[life.first] = change.get(life.first, 0) + life.padded
        change[life.last + 1] = change.get(life.last + 1, 0) - life.padded
    alive = most = 0
    for step in sorted(change):
        alive += change[step]
        most = max(most, alive)
    return most


def plan(lives: Sequence[Life]) -> Layout:
    """Offsets for all lives. Deterministic: the same lives give the same layout."""
    least = bound(lives)
    sized = [life for life in lives if life.nbytes]
    neighbours = _neighbours(sized)
    order = sorted(range(len(sized)), key=lambda i: (-sized[i].padded, sized[i].first))
    offsets, total = _place(sized, neighbours, order)
    if total > least:
        offsets, total = _search(sized, neighbours, order, offsets, total, least)
    by_key: dict[Hashable, int] = {life.key: 0 for life in lives}
    by_key.update((life.key, offsets[i]) for i, life in enumerate(sized))
    return Layout(by_key, total, least)


def _neighbours(lives: Sequence[Life]) -> list[list[int]]:
    """For each life, those that are alive at some step with it."""
    found: list[list[int]] = [[] for _ in lives]
    alive: list[int] = []
    for i in sorted(range(len(lives)), key=lambda i: lives[i].first):
        alive = [j for j in alive if lives[j].last >= lives[i].first]
        for j in alive:
            found[i].append(j)
            found[j].append(i)
        alive.append(i)
    return found


def _place(lives: Sequence[Life], neighbours: list[list[int]], order: Sequence[int]) -> tuple[list[int], int]:
    """Puts the lives down in this order, each into the lowest gap between those of its neighbours already placed."""
    offsets = [-1] * len(lives)
    total = 0
    for i in order:
        taken: list[tuple[int, int]] = []
        for j in neighbours[i]:
            if offsets[j] >= 0:
                insort(taken, (offsets[j], offsets[j] + lives[j].padded))
        at = 0
        for start, end in taken:
            if start - at >= lives[i].padded:
                break
            at = max(at, end)
        offsets[i] = at
        total = max(total, at + lives[i].padded)
    return offsets, total


def _crowds(lives: Sequence[Life]) -> list[int]:
    """For each life the most bytes that are alive at one of its steps: what lives in the fullest step goes first."""
    steps = max((life.last for life in lives), default=0) + 1
    alive = [0] * steps
    for life in lives:
        for step in range(life.first, life.last + 1):
            alive[step] += life.padded
    return [max(alive[life.first : life.last + 1]) for life in lives]


def _search(lives, neighbours, order, offsets, total, least) -> tuple[list[int], int]:
    """Tries other orders: by the fullest step, by time, by size times time; then moves in the best found so far."""
    from random import Random  # takes 3 ms to import, and most layouts need no search

    chance = Random(0)
    span = {i: lives[i].last - lives[i].first + 1 for i in order}
    crowd = _crowds(lives)
    starts = [
        sorted(order, key=lambda i: (-crowd[i], -lives[i].padded, lives[i].first)),
        sorted(order, key=lambda i: (-crowd[i], lives[i].first, -lives[i].padded)),
        sorted(order, key=lambda i: (-crowd[i], -span[i], -lives[i].padded)),
        sorted(order, key=lambda i: (lives[i].first, -lives[i].padded)),
        sorted(order, key=lambda i: (-lives[i].padded * span[i], lives[i].first)),
        sorted(order, key=lambda i: (-span[i], -lives[i].padded)),
        sorted(order, key=lambda i: (-lives[i].last, -lives[i].padded)),
    ]
    best_order = list(order)
    for candidate in starts:
        found, size = _place(lives, neighbours, candidate)
        if size < total:
            offsets, total, best_order = found, size, candidate
    for _ in range(max(SEARCH_STEPS // max(len(order), 1), 20)):
        if total <= least:
            break
        candidate = list(best_order)
        # what lies highest is placed earlier: the lives that stick out above the bound are the ones in trouble
        troubled = [i for i in candidate if offsets[i] + lives[i].padded > least]
        moved = chance.choice(troubled)
        candidate.remove(moved)
        candidate.insert(chance.randrange(0, max(len(candidate) // 2, 1)), moved)
        if chance.random() < 0.5:
            a, b = chance.randrange(len(candidate)), chance.randrange(len(candidate))
            candidate[a], candidate[b] = candidate[b], candidate[a]
        found, size = _place(lives, neighbours, candidate)
        if size <= total:
            offsets, total, best_order = found, size, candidate
    return offsets, total
