"""Blocks of memory: where they begin, what may be read behind them, and that those made together are apart."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minitfl import memory


def address(block):
    return block.__array_interface__["data"][0]


@given(st.lists(st.integers(0, 3 << 20), min_size=1, max_size=12))
def test_blocks_made_together_are_aligned_zeroed_and_apart(sizes):
    with memory.together():
        blocks = [memory.aligned(nbytes) for nbytes in sizes]
    for n, block in enumerate(blocks):
        assert block.nbytes == sizes[n] and (not block.nbytes or address(block) % memory.ALIGNMENT == 0)
        assert not block.any()
        block[...] = n + 1  # what overlaps would not be zero later, or not this
    assert all((block == n + 1).all() for n, block in enumerate(blocks))


def test_many_small_blocks_lie_together():
    with memory.together():
        blocks = [memory.aligned(1 << 16) for _ in range(40)]
    whole = {id(block.base) for block in blocks}
    assert len(whole) < 20  # alone as long as they are few, then cut from one
    assert memory.aligned(1 << 16).base is not blocks[-1].base


def test_large_blocks_are_their_own():
    with memory.together():
        block = memory.aligned(memory.LARGE)
    assert block.nbytes == memory.LARGE and block.base.nbytes < memory.LARGE + 4096
    assert isinstance(block, np.ndarray)
