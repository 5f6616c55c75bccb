"""Heaps, and the partial sort made of them."""

import itertools

import numpy as np

from minitfl.kernels.heap import pop, push, smallest


def test_the_smallest_come_first():
    for keys in itertools.product((0.0, 1.0, 2.0), repeat=5):
        for count in range(1, 6):
            best = smallest(keys, count)
            assert len(set(best)) == count
            assert [keys[i] for i in best] == sorted(keys)[:count]


def test_what_is_pushed_is_popped_falling():
    for keys in itertools.product((0.0, 1.0, 2.0), repeat=6):
        heap = []
        for entry in range(6):
            push(heap, keys, entry)
            assert all(keys[heap[(i - 1) // 2]] >= keys[heap[i]] for i in range(1, len(heap)))
        popped = [pop(heap, keys) for _ in range(6)]
        assert sorted(popped) == list(range(6)) and not heap
        assert not np.diff([keys[i] for i in popped]).max() > 0
