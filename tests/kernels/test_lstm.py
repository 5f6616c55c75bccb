"""LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM with the full cell, over several invokes."""

import numpy as np
import pytest
from hypothesis import given

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.kernels import gates
from minitfl.load import load_model
from minitfl.packing import packed_in
from minitfl.planning import Planner
from tests.cases import SEEDS, OursFailed, check, differential, ours
from tests.kernels import sparse
from tests.kernels.lstm_cells import FORMS, INTEGER_FORMS, OneWay, bound, few_turns
from tests.sweep import sweep

OPS = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
operators = pytest.mark.parametrize("op", OPS)
forms = pytest.mark.parametrize("form", FORMS)

# ---- worked by hand


def test_the_tables_of_the_gates():
    assert gates.logistic(0) == 1 << 14  # one half
    x = np.array([-32768, -4096, 4096, 32767])  # -8, -1, 1, 8 in Q3
    np.testing.assert_allclose(gates.logistic(x) / 32768, 1 / (1 + np.exp(-x / 4096)), atol=2e-4)
    for bits in range(7):
        np.testing.assert_allclose(gates.tanh(x, bits) / 32768, np.tanh(x / 2.0 ** (15 - bits)), atol=4e-4)
    assert np.array_equal(gates.tanh(-x[1:], 3), -gates.tanh(x[1:], 3))


@operators
def test_the_state_is_kept_and_can_be_reset(op):
    cell = OneWay(op, 0, "float32", "plain", activation="TANH")
    interpreter = Interpreter(model_content=cell.content())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], cell.turn()[0])
    y = interpreter.get_output_details()[0]["index"]
    interpreter.invoke()
    first = interpreter.get_tensor(y)
    interpreter.invoke()
    assert not np.array_equal(interpreter.get_tensor(y), first)
    interpreter.reset_all_variables()
    interpreter.invoke()
    assert np.array_equal(interpreter.get_tensor(y), first)


# ---- against the official runtime


@forms
@operators
@differential()
@given(seed=SEEDS)
def test_float(op, form, seed):
    cell = OneWay(op, seed, "float32", form)
    content = cell.content()
    check(content, cell.turns(), bound=bound(cell), sequence=True)


@pytest.mark.parametrize("weights", ["int8", "uint8"])
@forms
@operators
@differential()
@given(seed=SEEDS)
def test_hybrid(op, form, weights, seed):
    cell = OneWay(op, seed, weights, form)
    turns = few_turns(cell)
    content = cell.content()
    if cell.time == 1:
        check(content, turns[0], bound=bound(cell))
    if len(turns) > 1 or cell.time > 1:
        check(content, turns, bound=bound(cell, 2), sequence=True)


@pytest.mark.parametrize("form", INTEGER_FORMS)
@operators
@differential()
@given(seed=SEEDS)
def test_integer(op, form, seed):
    cell = OneWay(op, seed, "integer", form)
    content = cell.content()
    check(content, cell.turns(), sequence=True)


@differential(60)
@given(seed=SEEDS)
def test_sign_bit(seed):
    """Sums that are whole numbers and a half: they lie on the same side of the jump however they are added."""
    cell = OneWay("LSTM", seed, "float32", "plain", activation="SIGN_BIT", norm=False, projection="no", clips=[0, 0])
    halves = lambda m, *shape: m.constant(cell.rng.integers(-8, 8, shape).astype(np.float32))  # noqa: E731
    cell.matrix = halves
    cell.vector = lambda m, n, what: m.constant((cell.rng.integers(-8, 8, n) + 0.5).astype(np.float32))
    content = cell.content()
    check(content, [np.round(cell.turn()[0])], bound=1e-6)


def test_no_activation(official):
    """The candidate as it is: c = 2 * sigmoid(0), h = c * sigmoid(0). Officially what lay in memory before is taken."""
    m = Model()
    inputs = [m.input((1, 1)), *(m.constant(np.float32([[w]])) for w in (0, 0, 1, 0, 0, 0, 0, 0)), -1, -1, -1]
    inputs += [m.constant(np.zeros(1, np.float32)) for _ in range(4)] + [-1, -1]
    inputs += [m.variable((1, 1)), m.variable((1, 1))]
    y = m.tensor((1, 1))
    m.op("LSTM", inputs, [y])
    m.output(y)
    x = [np.float32([[2]])]
    assert ours(m.content(), x)[0] == 0.5
    assert official.run(m.content(), x)[0] != 0.5


class Alike(OneWay):
    """An integer cell with layer normalisation, whose sums differ by 1 at most: the variance is cut down to 0."""

    def matrix(self, m, *shape):
        return m.constant(self.rng.integers(-1, 2, shape).astype(np.int8), scale=0.02, zero_point=0)

    def vector(self, m, size, what):
        if what != "norm":
            return super().vector(m, size, what)
        return m.constant(self.rng.integers(-300, 300, size).astype(np.int16), scale=0.01, zero_point=0)


@differential(60)
@given(seed=SEEDS)
def test_integer_sums_that_hardly_differ(seed):
    """The least variance is 10000 times the coefficients' scale, here 100: it decides over the result."""
    cell = Alike("LSTM", seed, "integer", "plain", norm=True, depth=2, cells=5)
    content = cell.content()
    (x,) = Interpreter(model_content=content).get_input_details()
    # one step from zeros: the states are 0, too, give or take their zero point
    near = x["quantization"][1] + cell.rng.integers(-1, 2, (cell.batch, cell.depth))
    check(content, [near.astype(np.int8)])


class Wide(OneWay):
    """An integer cell of more than 16 cells with peepholes of a half: odd cell states make ties."""

    def vector(self, m, size, what):
        if what != "peephole":
            return super().vector(m, size, what)
        return m.constant(self.rng.choice([-8192, 8192], size).astype(np.int16), scale=2.0**-15, zero_point=0)


@differential(40)
@given(seed=SEEDS)
def test_integer_ties_of_peepholes(seed):
    """Whole blocks of 16 cells round ties up, the cells that are left away from zero."""
    cell = Wide(OPS[1], seed, "integer", "peephole", norm=False, cells=37)
    content = cell.content()
    check(content, cell.turns(), sequence=True)


class Diagonal(OneWay):
    """Recurrent weights, some or all of them, are vectors of floats."""

    def weights(self, m):
        found = super().weights(m)
        for k in range(4):
            if found[4 + k] >= 0 and (self.rng.integers(2) or self.all):
                found[4 + k] = m.constant(self.rng.uniform(-1, 1, self.cells).astype(np.float32))
        return found

    def options(self):
        return super().options() | {"diagonal_recurrent_tensors": bool(self.rng.integers(2))}


@pytest.mark.parametrize("weights", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("all", [True, False])
@differential(60)
@given(seed=SEEDS)
def test_diagonal(weights, all, seed):
    """A vector stands for a diagonal matrix, whatever the option says."""
    cell = Diagonal(OPS[1], seed, weights, FORMS[seed % 3], all=all, projection="no")
    cell.units = cell.cells
    steps = 1 if weights == "float32" or all else 2
    turns = cell.turns() if steps == 1 else few_turns(cell)
    content = cell.content()
    check(content, turns, bound=bound(cell, steps), sequence=True)
    check(content, turns, bound=bound(cell, steps), sequence=True, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES")


class Sparse(OneWay):
    """All matrices are stored in blocks of 16 columns, of which some are left away."""

    def matrix(self, m, *shape):
        if len(shape) == 1:
            return super().matrix(m, *shape)
        blocks = self.rng.integers(-127, 128, (shape[0], shape[1] // 16, 16)).astype(np.int8)
        blocks[self.rng.random(blocks.shape[:2]) < 0.5] = 0
        scale = float(np.float32(self.rng.uniform(0.002, 0.01)))
        return sparse.constant(m, blocks.reshape(shape), (0, 1, 2), "dsd", [(1, 16)], scale=scale, zero_point=0)


@pytest.mark.parametrize("form", FORMS)
@differential(60)
@given(seed=SEEDS)
def test_sparse(form, seed):
    """One step from a state of zeros, which is all that the official kernel gets right."""
    sizes = {"depth": 32, "cells": 48, "units": 16, "projection": "bias", "asymmetric": False}
    cell = Sparse("LSTM", seed, "int8", form, **sizes)
    content = cell.content()
    check(content, cell.turn(), bound=bound(cell))


@pytest.mark.parametrize("kind", ["float32", "integer"])
@differential(60)
@given(seed=SEEDS)
def test_another_time(kind, seed):
    """The sequence is resized between invokes, which sets the states back."""
    cell = OneWay(OPS[1], seed, kind, FORMS[seed % 3])
    content, turns = cell.content(), []
    for time in (cell.time, 3, 1, 1, 4):
        cell.time = time
        turns.append(cell.turn())
    check(content, turns, bound=bound(cell), sequence=True)


@pytest.mark.parametrize("kind", ["float32", "int8", "integer"])
@pytest.mark.parametrize("empty", ["batch", "time"])
def test_empty(official, kind, empty):
    cell = OneWay(OPS[1], 3, kind, "plain", **{empty: 0})
    content = cell.content()
    check(content, cell.turn())


@pytest.mark.parametrize("kind", ["int8", "integer"])
def test_constants_are_packed_once(kind):
    """The matrices of all gates lie in one stack: what meets x, what meets the state, the projection."""
    cell = OneWay(OPS[1], 5, kind, "whole")
    graph = load_model(cell.content())
    planner, found = Planner(graph, {}, keep_all=False), set()
    for time in (2, 3, 4):
        lead = (time, cell.batch) if cell.time_major else (cell.batch, time)
        plan = planner.plan(0, {graph.subgraphs[0].inputs[0]: (*lead, cell.depth)})
        found |= packed_in(tuple(step.call.args for step in plan.steps))
    assert len(found) == 3 and planner.packings == 0
    for _ in range(2):
        assert all(packed.value for packed in found)
    assert planner.packings == 3


# ---- refusals


def of_types(op, x, w):
    """The other types are those that the official kernels take theirs for."""
    if w == "float32" and x != "float32":
        return None  # officially the input is read as floats
    m, integer = Model(), x == "int8"
    numbers = {"scale": 2.0**-11, "zero_point": 0}
    shape = (1, 2) if op == "LSTM" else (1, 1, 2)
    inputs, arrays = [m.input(shape, x, **(numbers if integer else {}))], [np.zeros(shape, x)]
    for _ in range(8):
        inputs.append(m.input((2, 2), w, **(numbers if w in ("int8", "uint8") else {})))
        arrays.append(np.zeros((2, 2), w))
    inputs += [-1] * 3 + [m.constant(np.zeros(2, "int32" if integer else "float32")) for _ in range(4)] + [-1] * 2
    inputs.append(m.variable((1, 2), "int8" if integer else "float32", **(numbers if integer else {})))
    inputs.append(m.variable((1, 2), "int16" if integer else "float32", **(numbers if integer else {})))
    y = m.tensor((), "int8" if integer else "float32", **(numbers if integer else {}))
    middle = [m.tensor((), "int16", **numbers) for _ in range(5)] if integer else []
    m.op(op, inputs, [y], intermediates=middle, fused_activation_function="TANH")
    m.output(y)
    return m.content(), arrays


@operators
def test_types(official, op):
    some = "float32 float16 float64 int8 uint8 int16 int32 bool".split()
    taken = sweep(lambda x, w: of_types(op, x, w), (some, some))
    weights = ("float32", "int8", "uint8")
    assert taken == {(x, w) for x in ("float32", "int8") for w in weights} - {("int8", "float32")}


def altered(op, change):
    """A plain cell of 2 inputs, 3 cells and outputs, batch 1, with some shapes changed; None: absent."""
    shapes = {0: (1, 2) if op == "LSTM" else (1, 2, 2)}
    shapes |= {1 + k: (3, 2) for k in range(4)} | {5 + k: (3, 3) for k in range(4)}
    shapes |= {12 + k: (3,) for k in range(4)} | {18: (1, 3), 19: (1, 3)}
    shapes |= {i: shape for i, shape in change.items() if isinstance(i, int)}
    m = Model()
    inputs = [-1] * change.get("count", 24)
    for i, shape in shapes.items():
        if shape is not None and i < len(inputs):
            make = m.input if i == 0 else m.variable if i in (18, 19) else None
            inputs[i] = make(shape) if make else m.constant(np.ones(shape, np.float32))
    if change.get("no variable"):
        inputs[18] = m.tensor((1, 3))
    y = m.tensor((1, 3))
    m.op(op, inputs, [y], fused_activation_function="TANH", **change.get("options", {}))
    m.output(y)
    return m.content(), [np.zeros(shapes[0], np.float32)]


REFUSED = {
    "another count of inputs": {"count": 21},
    "another depth": {2: (3, 4)},
    "other cells": {3: (4, 2)},
    "no forget gate": {2: None},
    "a part of an input gate": {5: None},
    "a bias of an input gate that is not there": {1: None, 5: None},
    "a part of the peepholes": {11: (3,)},
    "a peephole of the input gate alone": {1: None, 5: None, 12: None, 9: (3,)},
    "a bias without projection": {17: (3,)},
    "a projection of another size": {16: (3, 4)},
    "coefficients of all gates but the input gate": {21: (3,), 22: (3,), 23: (3,)},
    "coefficients of a coupled input gate": {1: None, 5: None, 12: None, **{20 + k: (3,) for k in range(4)}},
    "a state of another size": {18: (1, 4)},
    "a cell state of another size": {19: (2, 3)},
    "a state that is no variable": {"no variable": True},
    "a negative clip": {"options": {"cell_clip": -1.0}},
}


@pytest.mark.parametrize("case", REFUSED)
@operators
def test_refused(official, op, case):
    assert check(*altered(op, REFUSED[case]), must_run=False) == "error at allocate"


ACCEPTED = {
    "as it is": {},
    "flat states": {18: (3,), 19: (3, 1)},
    "twenty inputs": {"count": 20},
    "a coupled input gate": {1: None, 5: None, 12: None},
    "a peephole of a coupled input gate": {1: None, 5: None, 12: None, 9: (3,), 10: (3,), 11: (3,)},
}


@pytest.mark.parametrize("case", ACCEPTED)
@operators
def test_accepted(official, op, case):
    assert check(*altered(op, ACCEPTED[case]), bound=1e-6) == "equal"


@pytest.mark.parametrize("absent", [2, 4, 6, 8, 13, 18, 19])
def test_missing_weights_are_refused(absent):
    m = Model()
    x = m.input((1, 2))
    inputs = [x, *(m.constant(np.zeros((2, 2), np.float32)) for _ in range(8)), -1, -1, -1]
    inputs += [m.constant(np.zeros(2, np.float32)) for _ in range(4)] + [-1, -1]
    inputs += [m.variable((1, 2), "float32"), m.variable((1, 2), "float32")]
    inputs[absent] = -1
    y = m.tensor((1, 2))
    m.op("LSTM", inputs, [y], fused_activation_function="TANH")
    m.output(y)
    with pytest.raises(OursFailed) as failed:
        ours(m.content(), [np.zeros((1, 2), np.float32)])
    assert failed.value.stage == "allocate" and isinstance(failed.value.error, RuntimeError)
