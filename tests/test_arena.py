"""The arena planner: no two lives overlap, the bound is a bound, and it is reached."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitfl import arena
from minitfl.arena import ALIGNMENT, Life


def overlapping(lives, offsets):
    """Pairs of lives that are alive at one step and share a byte."""
    found = []
    for n, a in enumerate(lives):
        for b in lives[n + 1 :]:
            start = max(offsets[a.key], offsets[b.key])
            end = min(offsets[a.key] + a.nbytes, offsets[b.key] + b.nbytes)
            if a.meets(b) and start < end:
                found.append((a, b))
    return found


def test_a_chain_needs_two_buffers():
    # 0-1, 1-2, 2-3: at any step two are alive, so the third lies where the first lay
    lives = [Life(i, 64, i, i + 1) for i in range(3)]
    layout = arena.plan(lives)
    assert layout.nbytes == layout.bound == 128
    assert layout.offsets[0] == layout.offsets[2] != layout.offsets[1]


def test_sizes_are_rounded_up():
    layout = arena.plan([Life("a", 1, 0, 0), Life("b", 65, 0, 0)])
    assert layout.bound == layout.nbytes == 64 + 128


def test_nothing_takes_nothing():
    layout = arena.plan([Life("empty", 0, 0, 3)])
    assert layout.nbytes == layout.bound == 0
    assert layout.offsets == {"empty": 0}


def test_the_search_mends_what_greedy_misses():
    # largest first puts C between A and B's places and leaves a hole that D does not fit
    lives = [
        Life("A", 256, 0, 1),
        Life("B", 192, 1, 2),
        Life("C", 320, 2, 3),
        Life("D", 128, 0, 0),
        Life("E", 64, 2, 3),
    ]
    lives += [Life("F", 192, 3, 4), Life("G", 256, 4, 5), Life("H", 128, 3, 5)]
    layout = arena.plan(lives)
    assert not overlapping(lives, layout.offsets)
    assert layout.nbytes == layout.bound


@st.composite
def many_lives(draw):
    count = draw(st.integers(0, 24))
    lives = []
    for key in range(count):
        first = draw(st.integers(0, 12))
        lives.append(Life(key, draw(st.integers(0, 1000)), first, first + draw(st.integers(0, 5))))
    return lives


@settings(max_examples=300, deadline=None)
@given(many_lives())
def test_no_two_lives_overlap(lives):
    layout = arena.plan(lives)
    assert not overlapping(lives, layout.offsets)
    assert all(offset % ALIGNMENT == 0 for offset in layout.offsets.values())
    assert layout.nbytes == max((layout.offsets[x.key] + x.padded for x in lives), default=0)
    most = max((sum(x.padded for x in lives if x.first <= step <= x.last) for step in range(20)), default=0)
    assert layout.bound == most <= layout.nbytes


@settings(max_examples=50, deadline=None)
@given(many_lives())
def test_the_layout_is_deterministic(lives):
    assert arena.plan(lives) == arena.plan(list(lives))


@pytest.mark.parametrize("count", [400])
def test_many_lives_are_placed_soon_enough(count):
    lives = [Life(i, 64 * (1 + i * 7919 % 97), i, i + 1 + i % 3) for i in range(count)]
    layout = arena.plan(lives)
    assert not overlapping(lives, layout.offsets)
    assert layout.nbytes <= 1.1 * layout.bound
