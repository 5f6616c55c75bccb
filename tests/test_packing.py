"""Constants that are packed when a NumPy form needs them, and let go when none does."""

import numpy as np
import pytest

from minitfl.packing import Packed, packed_in, unpacked


def test_made_once_when_asked_for():
    made = []
    packed = Packed(lambda: made.append(1) or (np.ones(3, np.float32), (0, 3)))
    args = (1, packed[0], {"stack": (packed[1], "x")})
    assert packed_in(args) == {packed} and not made and packed.nbytes == 0
    one, floats, stacks = unpacked(args)
    assert (one, stacks) == (1, {"stack": ((0, 3), "x")}) and floats.tolist() == [1, 1, 1]
    assert unpacked(packed[0]) is floats and len(made) == 1 and packed.nbytes == 12
    packed.release()
    assert packed.nbytes == 0 and len(packed.value) == 2 and len(made) == 2


def test_it_is_not_unpacked_by_chance():
    with pytest.raises(TypeError):
        _, _ = Packed(lambda: (1, 2))
