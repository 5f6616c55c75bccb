"""minitfl.timing: distributions worked by hand, and turns on a clock that is made up."""

import time

import pytest

from minitfl import timing
from minitfl.timing import Latency, Turns, in_turns


def test_a_distribution_by_hand():
    found = Latency.of([n / 1000 for n in range(100, 0, -1)])  # 1 to 100 ms, backwards
    assert found == Latency(100, 0.001, 0.0505, 0.09, 0.099, pytest.approx(0.0505))
    assert Latency.of([2.0]) == Latency(1, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert str(found) == "min 1.000, median 50.50, p90 90.00, p99 99.00, mean 50.50 ms (100 runs)"


@pytest.mark.parametrize(
    "seconds, text", [(0, "0"), (12.3456, "12346"), (0.0123456, "12.35"), (1.5e-6, "0.001500"), (1.234e-7, "0.000123")]
)
def test_milliseconds(seconds, text):
    assert timing.milliseconds(seconds) == text


def test_as_many_runs_as_asked_for_or_as_fit():
    calls = []
    assert len(timing.times(lambda: calls.append(1), 7, 0)) == 7 == len(calls)
    assert len(timing.times(lambda: None, None, 0)) == 1
    assert 2 <= len(timing.times(lambda: time.sleep(0.001), None, 0.02)) <= 20


def test_ratios_within_blocks():
    """A machine that is three times as slow in two of five blocks: medians of either move, the ratio does not."""
    turns = Turns(((2, 1), (6, 3), (2, 1), (6, 3), (2, 1)))
    assert (turns.seconds(0), turns.seconds(1), turns.ratio(0, 1)) == (2, 1, 2)
    assert turns.ratio(1, 0) == 0.5 and (turns.least(0), turns.least(1)) == (2, 1)


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def call(self, seconds, seen, name):
        def run():
            self.now += seconds
            seen.append(name)

        return run


def test_turns(monkeypatch):
    """Each works long enough in a block, the order changes, and progress is told."""
    clock, seen, told = Clock(monkeypatch), [], []
    turns = in_turns([clock.call(0.25, seen, "a"), clock.call(1, seen, "b")], 2, seconds=0.5, progress=told.append)
    assert seen == ["a", "b"] + ["b", "a", "a"] + ["a", "a", "b"]  # one each to see how long it takes, then 2 to 1
    assert turns == Turns(((0.25, 1.0), (0.25, 1.0))) and told == [0.5, 1.0]
    assert turns.ratio(1, 0) == 4


def test_warm(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    timing.warm(clock.call(0.125, seen, "a"), 1.0)
    assert len(seen) == 8
    timing.warm(clock.call(2, seen, "b"), 1.0)
    assert seen.count("b") == timing.WARM_CALLS
