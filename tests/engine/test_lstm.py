"""The fast form of LSTM cells against NumPy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.between import between
from tests.kernels.lstm_cells import OneWay
from tests.kernels.test_lstm_both_ways import BothWays

pytest.importorskip("numba")
OPS = ["LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"]
seeds = st.integers(0, 2**32 - 1)


def cell(op, seed, kind, form, **given):
    return OneWay(op, seed, kind, form, peephole=False, norm=False, projection="no", activation="TANH", **given)


@pytest.mark.parametrize("kind", ["float32", "integer"])
@pytest.mark.parametrize("op", OPS)
@given(seeds, st.sampled_from(["plain", "coupled"]), st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
def test_cells(op, kind, seed, form, depth, cells, batch):
    drawn = cell(op, seed, kind, form, depth=depth, cells=cells, batch=batch)
    assert between(drawn.content(), drawn.turn(), seed=seed)["numba"] == [op]


@given(seeds, st.sampled_from(["plain", "coupled"]), st.integers(1, 20), st.sampled_from([None, "second"]))
def test_both_ways(seed, form, cells, aux):
    drawn = BothWays(
        seed, "float32", form, aux, peephole=False, norm=False, projection="no", activation="TANH", cells=cells
    )
    drawn.units = cells
    assert between(drawn.content(), drawn.turn(), seed=seed)["numba"] == ["BIDIRECTIONAL_SEQUENCE_LSTM"]


def test_peepholes_are_left_to_numpy():
    drawn = OneWay(OPS[1], 0, "float32", "whole", activation="TANH")
    assert between(drawn.content(), drawn.turn())["numba"] == []
