"""BIDIRECTIONAL_SEQUENCE_LSTM, over several invokes."""

import numpy as np
import pytest
from hypothesis import given

from minitfl.build import Model
from tests.cases import SEEDS, OursFailed, check, compare, differential, ours
from tests.kernels.lstm_cells import FORMS, Cell, bound, few_turns
from tests.sweep import sweep


class BothWays(Cell):
    """Two cells of one form. aux: None, "crossed" (both see it) or "second" (the second sees it alone)."""

    def __init__(self, seed, kind, form, aux=None, **given):
        super().__init__(np.random.default_rng(seed), kind, form, **given)
        self.norm, self.aux = False, aux
        self.merged = given.get("merged", bool(self.rng.integers(2)))
        self.aux_depth = self.depth if aux == "second" else int(self.rng.integers(1, 7))

    def lead(self):
        return (self.time, self.batch) if self.time_major else (self.batch, self.time)

    def content(self):
        m = Model()
        x = m.input((*self.lead(), self.depth))
        aux = m.input((*self.lead(), self.aux_depth)) if self.aux else -1
        inputs = [x, *self.weights(m), *self.weights(m)]
        inputs += [m.variable((self.batch, n)) for n in (self.units, self.cells) * 2]
        inputs.append(aux)
        for k in (0, 1, 2, 3) * 2:
            there = self.aux == "crossed" and not (self.cifg and k == 0)
            inputs.append(self.matrix(m, self.cells, self.aux_depth) if there else -1)
        outputs = [m.tensor((*self.lead(), self.units * (2 if self.merged else 1)))]
        if not self.merged:
            outputs.append(m.tensor((*self.lead(), self.units)))
        options = self.options() | {"time_major": self.time_major, "merge_outputs": self.merged}
        m.op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, version=3 if self.asymmetric else 1, **options)
        m.output(*outputs)
        return m.content()

    def turn(self):
        depths = [self.depth, self.aux_depth] if self.aux else [self.depth]
        return [self.rng.uniform(-2, 2, (*self.lead(), n)).astype(np.float32) for n in depths]

    def turns(self, count=3):
        return [self.turn() for _ in range(count)]


def sound(seed, kind, form, aux, merged):
    """A case that the official kernels compute as they should."""
    cell = BothWays(seed, kind, form, aux, **({} if merged is None else {"merged": merged}))
    if cell.merged and not cell.time_major:  # states are taken to be as far apart as merged outputs
        cell.batch = 1
    return cell


# (form, aux, merged or drawn). whole: all inputs are there, so both cells see aux
KINDS = [("whole", "crossed", True), ("whole", "crossed", False)]
KINDS += [(form, aux, None) for form in FORMS[1:] for aux in (None, "crossed", "second")]
NAMES = {True: "-merged", False: "-apart", None: ""}
kinds = pytest.mark.parametrize(
    ("form", "aux", "merged"), KINDS, ids=[f"{form}-{aux or 'alone'}{NAMES[merged]}" for form, aux, merged in KINDS]
)


# ---- worked by hand


def test_the_second_cell_goes_backward():
    """Of a sequence with time reversed, the second cell makes what the first makes of the sequence, and reversed."""
    cell = BothWays(4, "float32", "plain", merged=True, batch=2, time=3, time_major=True)
    weights = cell.weights
    handles = []

    def shared(m):
        if not handles:
            handles.extend(weights(m))
        return list(handles)

    cell.weights = shared
    content, (x,) = cell.content(), cell.turn()
    forward, backward = np.split(ours(content, [x])[0], 2, axis=-1)
    again, back = np.split(ours(content, [x[::-1].copy()])[0], 2, axis=-1)
    np.testing.assert_array_equal(forward, back[::-1])
    np.testing.assert_array_equal(backward, again[::-1])
    assert not np.allclose(forward, backward)


# ---- against the official runtime


@kinds
@differential()
@given(seed=SEEDS)
def test_float(form, aux, merged, seed):
    cell = sound(seed, "float32", form, aux, merged)
    content = cell.content()
    check(content, cell.turns(), bound=bound(cell), sequence=True)


@pytest.mark.parametrize("weights", ["int8", "uint8"])
@kinds
@differential()
@given(seed=SEEDS)
def test_hybrid(form, aux, merged, weights, seed):
    cell = sound(seed, weights, form, aux, merged)
    turns = few_turns(cell)
    content = cell.content()
    if cell.time == 1:
        check(content, turns[0], bound=bound(cell))
    if len(turns) > 1 or cell.time > 1:
        check(content, turns, bound=bound(cell, 2), sequence=True)


@pytest.mark.parametrize("weights", ["float32", "int8"])
@kinds
@differential(60)
@given(seed=SEEDS)
def test_time_may_come_first(form, aux, merged, weights, seed):
    """What the official kernels get wrong, batch by batch, is held against the other layout."""
    given = {"time": 3, **({} if merged is None else {"merged": merged})}
    first, second = (BothWays(seed, weights, form, aux, time_major=major, **given) for major in (False, True))
    contents, turn = (first.content(), second.content()), first.turn()
    one = ours(contents[0], turn)
    other = ours(contents[1], [a.swapaxes(0, 1) for a in turn])
    compare(one, [y.swapaxes(0, 1) for y in other], bound=bound(first) if weights == "float32" else None)


def test_what_goes_wrong_officially(official):
    """Fails once it is mended: then `sound` can let it in."""
    cell = BothWays(2, "float32", "plain", merged=True, time_major=False, batch=4, time=2)
    content, turn = cell.content(), cell.turn()
    assert not np.allclose(ours(content, turn)[0], official.run(content, turn)[0], atol=1e-3)


@differential(60)
@given(seed=SEEDS)
def test_another_time(seed):
    """The sequence is resized between invokes, which sets the states back."""
    cell = sound(seed, "float32", FORMS[seed % 3], None, None)
    content, turns = cell.content(), []
    for time in (cell.time, 3, 1, 1, 4):
        cell.time = time
        turns.append(cell.turn())
    check(content, turns, bound=bound(cell), sequence=True)


# ---- types and refusals


def of_types(x, w, recurrent):
    m = Model()
    numbers = {"scale": 0.1, "zero_point": 0}
    matrices = [(t, numbers if t in ("int8", "uint8") else {}) for t in [w] * 4 + [recurrent] * 4]
    inputs, arrays = [m.input((1, 1, 2), x)], [np.zeros((1, 1, 2), x)]
    for _ in range(2):
        for type, quantized in matrices:
            inputs.append(m.input((2, 2), type, **quantized))
            arrays.append(np.zeros((2, 2), type))
        inputs += [-1] * 3 + [m.constant(np.zeros(2, np.float32)) for _ in range(4)] + [-1] * 2
    inputs += [m.variable((1, 2)) for _ in range(4)] + [-1] * 9
    outputs = [m.tensor((1, 1, 2)) for _ in range(2)]
    m.op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, fused_activation_function="TANH")
    m.output(*outputs)
    return m.content(), arrays


def test_types(official):
    some = "float32 float16 float64 int8 uint8 int16 int32 bool".split()
    taken = sweep(of_types, (("float32", "float16", "int8"), some, some))
    assert taken == {("float32", w, w) for w in ("float32", "int8", "uint8")}


def altered(change):
    """A plain pair of cells of 2 inputs, 3 cells and outputs, batch 1, with some shapes changed; None: absent."""
    shapes = {0: (1, 2, 2)}
    for first in (1, 18):
        shapes |= {first + k: (3, 2) for k in range(4)} | {first + 4 + k: (3, 3) for k in range(4)}
        shapes |= {first + 11 + k: (3,) for k in range(4)}
    shapes |= {35 + k: (1, 3) for k in range(4)}
    shapes |= change
    m = Model()
    inputs = [-1] * 48
    for i, shape in shapes.items():
        if shape is not None:
            make = m.input if i in (0, 39) else m.variable if 35 <= i < 39 else None
            inputs[i] = make(shape) if make else m.constant(np.ones(shape, np.float32))
    outputs = [m.tensor((1, 2, 3)) for _ in range(2)]
    m.op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, time_major=False, fused_activation_function="TANH")
    m.output(*outputs)
    return m.content(), [np.zeros(shapes[i], np.float32) for i in (0, 39) if shapes.get(i)]


REFUSED = {
    "a flat input": {0: (2, 2)},
    "another depth": {0: (1, 2, 3)},
    "no forget gate": {2: None},
    "a part of an input gate": {5: None},
    "a part of the second input gate": {22: None},
    "a state of another size": {35: (1, 4)},
    "a cell state of another size": {38: (2, 3)},
    "a lonely peephole": {11: (3,)},
    "a bias without projection": {17: (3,)},
    "other cells in the second": {18 + k: (4, 2) for k in range(4)},
    "an auxiliary input of another depth": {39: (1, 2, 3)},
    "an auxiliary input of another time": {39: (1, 3, 2)},
    "auxiliary weights of one cell": {39: (1, 2, 2), 40: (3, 2), 41: (3, 2), 42: (3, 2), 43: (3, 2)},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(official, case):
    assert check(*altered(REFUSED[case]), must_run=False) == "error at allocate"


def test_auxiliary_weights_without_an_input_are_refused():
    """The official runtime crashes."""
    with pytest.raises(OursFailed) as failed:
        ours(*altered(dict.fromkeys(range(40, 48), (3, 2))))
    assert failed.value.stage == "allocate" and isinstance(failed.value.error, RuntimeError)


def test_the_case_of_the_refusals_runs(official):
    assert check(*altered({}), bound=1e-6) == "equal"
    assert check(*altered({39: (1, 2, 2)}), bound=1e-6) == "equal"
