"""Windows, and the values that they meet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.errors import ModelError
from minitfl.kernels import windows as module
from minitfl.kernels.windows import touching, window, windows
from tests.cases import differential

sizes = st.integers(1, 12)


def test_window_by_hand():
    assert window("SAME", 5, 3, 2) == (3, 1, 1)
    assert window("SAME", 6, 3, 2) == (3, 0, 1)  # an odd border lies behind
    assert window("VALID", 6, 3, 2) == (2, 0, 0)
    assert window("VALID", 9, 3, 1, 4) == (1, 0, 0)
    assert window("SAME", 2, 1, 3) == (1, 0, 0)


@pytest.mark.parametrize("numbers", [(5, 0, 1, 1), (5, 3, 0, 1), (5, 3, 1, 0), (2, 4, 1, 1)])
def test_window_refuses(numbers):
    with pytest.raises(ModelError):
        window("VALID", *numbers)


@differential(500)
@given(st.sampled_from(("SAME", "VALID")), sizes, st.integers(1, 5), st.integers(1, 4), st.integers(1, 9))
def test_touching_keeps_what_meets_the_image_and_leaves_out_what_lies_beside_it(
    padding, size, filter, stride, dilation
):
    if padding == "VALID" and (filter - 1) * dilation >= size:
        return
    out_size, before, _ = window(padding, size, filter, stride, dilation)
    first, last = touching(size, out_size, filter, stride, dilation, before)
    places = [[i * stride + k * dilation - before for i in range(out_size)] for k in range(filter)]
    meets = [k for k in range(filter) if any(0 <= place < size for place in places[k])]
    for k in range(filter):
        if k in meets:
            assert first <= k < last
        elif meets and (max(places[k]) < 0 or min(places[k]) >= size):
            assert not first <= k < last


@differential(300)
@given(st.data())
def test_windows_are_all_there_and_hold_what_they_meet(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def pair(low, high):
        return tuple(int(n) for n in rng.integers(low, high, 2, endpoint=True))

    stride, dilation, filter, pad, out = pair(1, 3), pair(1, 3), pair(1, 3), pair(0, 3), pair(1, 6)
    batch, repeat = (int(n) for n in rng.integers(1, 3, 2))
    x = rng.normal(size=(batch, *pair(1, 7), int(rng.integers(1, 4))))
    plain = bool(rng.integers(2))

    def load(out, part, image):
        np.multiply(part, image + 2, out=out)

    met = np.full((batch, *out, *filter, x.shape[3] * repeat), np.nan)
    block, module.BLOCK = module.BLOCK, int(rng.choice((1, 30, 200, 1 << 18)))
    try:
        found = windows(x, (batch, *out), filter, pad, stride, dilation, None if plain else load, x.dtype, repeat, 3)
        for image, rows, columns, pieces in found:
            for taps, values in pieces:
                met[image, rows, columns, taps] = values.transpose(2, 3, 0, 1, 4)
    finally:
        module.BLOCK = block
    big = np.zeros((batch, 60, 60, x.shape[3] * repeat))
    big[:, 20 : 20 + x.shape[1], 20 : 20 + x.shape[2]] = np.repeat(x, repeat, axis=3)
    if not plain:
        big *= np.arange(2, 2 + batch).reshape(-1, 1, 1, 1)
    for i in range(out[0]):
        for j in range(out[1]):
            up = 20 + i * stride[0] - pad[0] + np.arange(filter[0]) * dilation[0]
            left = 20 + j * stride[1] - pad[1] + np.arange(filter[1]) * dilation[1]
            assert np.array_equal(met[:, i, j], big[:, up[:, None], left])
