"""How long calls take: the distribution of one, and two in turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WARM_CALLS, WARM_SECONDS = 3, 0.2
MOST_CALLS = 100_000  # that are timed one by one


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a call took, over `runs` calls."""

    runs: int
    min: float
    median: float
    p90: float
    p99: float
    mean: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Latency:
        """Of at least one time; percentiles are the times that so many are not above."""
        ordered = sorted(times)

        def rank(share: float) -> float:
            return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]

        middle, mean = statistics.median(ordered), statistics.fmean(ordered)
        return cls(len(ordered), ordered[0], middle, rank(0.9), rank(0.99), mean)

    def __str__(self) -> str:
        numbers = (f"{name} {milliseconds(getattr(self, name))}" for name in ("min", "median", "p90", "p99", "mean"))
        return f"{', '.join(numbers)} ms ({self.runs:,} runs)"


def milliseconds(seconds: float) -> str:
    """With four digits, or to the nanosecond."""
    value = 1e3 * seconds
    return f"{value:.{min(max(3 - math.floor(math.log10(value)), 0), 6)}f}" if value > 1e-6 else "0"


def warm(call: Callable[[], object], seconds: float = WARM_SECONDS) -> None:
    """Calls it until caches are filled and the processor has its speed: 3 times and `seconds` long at least."""
    end = time.perf_counter() + seconds
    calls = 0
    while calls < WARM_CALLS or time.perf_counter() < end:
        call()
        calls += 1


def times(call: Callable[[], object], runs: int | None, seconds: float) -> list[float]:
    """Of each of `runs` calls; without it, of as many as begin within `seconds`, one at least."""
    clock = time.perf_counter
    found = []
    end = clock() + seconds
    while len(found) < (runs or MOST_CALLS):
        start = clock()
        if runs is None and found and start >= end:
            break
        call()
        found.append(clock() - start)
    return found


def mean(call: Callable[[], object], count: int) -> float:
    """Seconds of one call, the mean of `count`."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of a call, for each of several: in each block every one takes its turn."""

    blocks: tuple[tuple[float, ...], ...]

    def seconds(self, which: int) -> float:
        """The median over the blocks."""
        return statistics.median(block[which] for block in self.blocks)

    def least(self, which: int) -> float:
        """The shortest of the blocks."""
        return min(block[which] for block in self.blocks)

    def ratios(self, which: int, other: int) -> list[float]:
        return sorted(block[which] / block[other] for block in self.blocks)

    def ratio(self, which: int, other: int) -> float:
        """The median of the ratios within each block: a machine that is busy now and then spoils it little."""
        return statistics.median(self.ratios(which, other))


def in_turns(
    calls: Sequence[Callable[[], object]],
    blocks: int,
    seconds: float = 0.03,
    progress: Callable[[float], object] | None = None,
) -> Turns:
    """Each call works `seconds` or more in each of the blocks; their order changes from block to block.

    progress is told the share that is done, between blocks.
    """
    counts = [max(1, math.ceil(seconds / max(mean(call, 1), 1e-7))) for call in calls]
    order = list(range(len(calls)))
    found = []
    for n in range(blocks):
        took = {i: mean(calls[i], counts[i]) for i in (order if n % 2 else order[::-1])}
        found.append(tuple(took[i] for i in order))
        if progress is not None:
            progress((n + 1) / blocks)
    return Turns(tuple(found))
