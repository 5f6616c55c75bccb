"""LSTM with kernel_type BASIC, over several invokes."""

import numpy as np
import pytest
from hypothesis import given

from minitfl.build import Model
from tests.cases import SEEDS, OursFailed, check, differential, ours
from tests.sweep import sweep

NUMBERS = {"scale": 1 / 128, "zero_point": 128}


class Basic:
    """A cell, its model, and what its inputs are given. variables: do the states outlive a run, or are they inputs?"""

    def __init__(self, kind, seed, variables=True, state_scale=2.0**-11):
        rng = self.rng = np.random.default_rng(seed)
        self.kind, self.variables = kind, variables
        self.batch, self.depth, self.units = (int(n) for n in rng.integers(1, 6, 3))
        joined, sums = self.depth + self.units, 4 * self.units
        m = self.m = Model()
        state = m.variable if variables else m.input
        if kind == "float32":
            x, h = m.input((self.batch, self.depth)), state((self.batch, self.units), "float32")
            w = m.constant(rng.uniform(-1, 1, (sums, joined)).astype(np.float32))
            bias = m.constant(rng.uniform(-1, 1, sums).astype(np.float32))
            c = state((self.batch, self.units), "float32")
            outputs = [m.tensor((), "float32") for _ in range(4)]
        else:
            x, h = (
                m.input((self.batch, self.depth), "uint8", **NUMBERS),
                state((self.batch, self.units), "uint8", **NUMBERS),
            )
            w = m.constant(
                rng.integers(0, 256, (sums, joined)).astype(np.uint8),
                scale=0.0078,
                zero_point=int(rng.integers(100, 150)),
            )
            scale = float(np.float32(2.0 ** rng.uniform(-16, -12)))
            bias = m.constant(rng.integers(-9000, 9000, sums).astype(np.int32), scale=scale, zero_point=0)
            c = state((self.batch, self.units), "int16", scale=state_scale, zero_point=0)
            outputs = [m.tensor((), "uint8", **NUMBERS), m.tensor((), "int16", scale=state_scale, zero_point=0)]
            outputs += [m.tensor((), "uint8", **NUMBERS), m.tensor((), "int16", scale=2.0**-12, zero_point=0)]
        m.op("LSTM", [x, h, w, bias, c], outputs, version=2, kernel_type="BASIC", fused_activation_function="TANH")
        m.output(*outputs)

    def turn(self):
        rng, shape, states = self.rng, (self.batch, self.depth), (self.batch, self.units)
        if self.kind == "float32":
            given = [rng.uniform(-2, 2, s).astype(np.float32) for s in (shape, states, states)]
        else:
            given = [rng.integers(0, 256, s).astype(np.uint8) for s in (shape, states)]
            given.append(rng.integers(-32768, 32768, states).astype(np.int16))
        return given[: 1 if self.variables else 3]


@pytest.mark.parametrize("variables", [True, False], ids=["variables", "inputs"])
@pytest.mark.parametrize("kind", ["float32", "uint8"])
@differential()
@given(seed=SEEDS)
def test_cells(kind, variables, seed):
    """Gates are sums of up to 11 products through functions of slope 1."""
    cell = Basic(kind, seed, variables)
    content = cell.m.content()
    check(content, [cell.turn() for _ in range(3)], bound=1e-5, sequence=True)


def test_by_hand():
    """All sums are 0, so all gates are 1/2: c is half of what it was, y half its tanh."""
    m = Model()
    x, h, c = m.input((1, 1)), m.input((1, 1)), m.input((1, 1))
    w, bias = m.constant(np.zeros((4, 2), np.float32)), m.constant(np.zeros(4, np.float32))
    outputs = [m.tensor((), "float32") for _ in range(4)]
    m.op("LSTM", [x, h, w, bias, c], outputs, version=2, kernel_type="BASIC")
    m.output(*outputs)
    given = [np.float32([[n]]) for n in (3, 5, 2)]  # in the order of the inputs of the model: x, h, c
    y, c_out, joined, sums = ours(m.content(), given)
    assert c_out == 1 and np.isclose(y, np.tanh(1) / 2) and joined.tolist() == [[3, 5]] and not sums.any()


@pytest.mark.parametrize("scale", [2.0**-10, 0.0005])
def test_another_scale_of_the_state_is_refused(official, scale):
    cell = Basic("uint8", 1, state_scale=scale)
    assert check(cell.m.content(), cell.turn(), must_run=False) == "error at invoke"


def of_types(x, w, bias, c):
    m = Model()
    numbers = {"scale": 2.0**-11, "zero_point": 0}
    given = [((1, 2), x), ((1, 2), x), ((8, 4), w), ((8,), bias), ((1, 2), c)]
    handles = [m.input(shape, type, **numbers) for shape, type in given]
    outputs = [m.tensor((), type, **numbers) for type in (x, c, x, "int16" if c == "int16" else "float32")]
    m.op("LSTM", handles, outputs, version=2, kernel_type="BASIC")
    m.output(*outputs)
    return m.content(), [np.zeros(shape, type) for shape, type in given]


def test_types(official):
    some = "float32 int8 uint8 int16 int32".split()
    taken = sweep(of_types, (some, some, some, some))
    assert taken == {("float32",) * 4, ("uint8", "uint8", "int32", "int16")}


@pytest.mark.parametrize("at", range(5))
def test_other_shapes_are_refused(official, at):
    shapes = [(1, 2), (1, 2), (8, 4), (8,), (1, 2)]
    shapes[at] = (2, *shapes[at][1:])
    m = Model()
    handles = [m.input(shape) for shape in shapes]
    outputs = [m.tensor((), "float32") for _ in range(4)]
    m.op("LSTM", handles, outputs, version=2, kernel_type="BASIC")
    m.output(*outputs)
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    assert check(m.content(), arrays, must_run=False) == "error at allocate"


def test_a_constant_state_is_refused():
    """The official kernel takes it for a variable and reads what happens to lie in memory."""
    m = Model()
    x, w = m.input((1, 1)), m.constant(np.zeros((4, 2), np.float32))
    h, c = (m.constant(np.zeros((1, 1), np.float32)) for _ in range(2))
    outputs = [m.tensor((), "float32") for _ in range(4)]
    m.op("LSTM", [x, h, w, m.constant(np.zeros(4, np.float32)), c], outputs, version=2, kernel_type="BASIC")
    m.output(*outputs)
    with pytest.raises(OursFailed, match="constant"):
        ours(m.content(), [np.zeros((1, 1), np.float32)])
