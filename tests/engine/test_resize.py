"""The fast form of RESIZE_BILINEAR against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")


@given(st.sampled_from(["float32", "int8", "uint8"]), st.sampled_from(["", "corners", "centers"]), st.data(),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_bilinear(type, places, data, seed):
    shape = [data.draw(st.integers(1, n)) for n in (2, 9, 9, 40)]
    size = [data.draw(st.integers(1, 20)) for _ in range(2)]
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    options = {"align_corners": places == "corners", "half_pixel_centers": places == "centers"}
    m.op("RESIZE_BILINEAR", [x, m.constant(np.array(size, np.int32))], [y], **options)
    m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["RESIZE_BILINEAR"]
