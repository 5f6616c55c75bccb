"""RNN, UNIDIRECTIONAL_SEQUENCE_RNN and BIDIRECTIONAL_SEQUENCE_RNN, over several invokes: their states are variables."""

import numpy as np
import pytest
from hypothesis import given

from minitfl.build import Model
from tests.cases import SEEDS, OursFailed, check, compare, differential, ours
from tests.sweep import TYPES, sweep

OPS = ("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN")
BENT = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "SIGN_BIT")  # activations that are computed exactly
TURNS = 3


class Case:
    """A drawn cell, or two, and the model around them; `turns` are its inputs."""

    def __init__(self, op, weights, seed, *, aux=None, time_major=None, time=None, activation=None, merged=None):
        rng = self.rng = np.random.default_rng(seed)
        self.op, self.weights = op, weights
        self.both = op == OPS[2]
        self.batch, self.depth, self.units, self.back_units, self.aux_depth = (int(n) for n in rng.integers(1, 7, 5))
        self.time = 1 if op == "RNN" else int(rng.integers(1, 5)) if time is None else time
        self.time_major = bool(rng.integers(2)) if time_major is None else time_major
        self.merged = self.both and (bool(rng.integers(2)) if merged is None else merged)
        self.aux = aux  # None, "crossed" or "second"
        if aux == "second":
            self.aux_depth = self.depth
        self.activation = activation or BENT[rng.integers(len(BENT))]
        self.asymmetric = weights != "float32" and bool(rng.integers(2))
        self.constant = bool(rng.integers(4))
        self.m, self.given, self.most = Model(), [], 0.0

    def matrix(self, rows, columns, high):
        """A matrix whose rows sum to `high` at most, so that a state can't grow."""
        if self.weights == "float32":
            w = self.rng.uniform(-1, 1, (rows, columns)) * high / columns
            return self.add(w.astype(np.float32))
        w = self.rng.integers(-127, 128, (rows, columns)).astype(np.int8).view(self.weights)
        return self.add(w, scale=float(np.float32(high / columns / 127)), zero_point=0)

    def add(self, array, **numbers):
        if self.constant:
            return self.m.constant(array, **numbers)
        self.given.append(array)
        return self.m.input(array.shape, str(array.dtype), **numbers)

    def cell(self, units):
        high = 2.0 ** self.rng.integers(-2, 3)
        handles = [self.matrix(units, self.depth, high), self.matrix(units, units, 0.9)]
        handles.append(self.add(self.rng.normal(size=units).astype(np.float32)))
        self.most = max(self.most, high)
        return [*handles, self.m.variable((self.batch, units))]

    def content(self):
        m = self.m
        self.lead = (self.time, self.batch) if self.time_major else (self.batch, self.time)
        self.lead = (self.batch,) if self.op == "RNN" else self.lead
        inputs = [m.input((*self.lead, self.depth))]
        aux = m.input((*self.lead, self.aux_depth)) if self.aux else -1
        inputs += self.cell(self.units)
        widths = [self.units]
        if self.both:
            inputs += self.cell(self.back_units)
            widths = [self.units + self.back_units] if self.merged else [self.units, self.back_units]
            crossed = self.aux == "crossed"
            inputs += [
                aux,
                *(self.matrix(n, self.aux_depth, 1.0) if crossed else -1 for n in (self.units, self.back_units)),
            ]
        outputs = [m.tensor((*self.lead, n)) for n in widths]
        options = {"fused_activation_function": self.activation}
        if self.weights != "float32":
            options["asymmetric_quantize_inputs"] = self.asymmetric
        if self.op != "RNN":
            options["time_major"] = self.time_major
        if self.both:
            options["merge_outputs"] = self.merged
        m.op(self.op, inputs, outputs, version=3 if self.asymmetric else 1, **options)
        m.output(*outputs)
        return m.content()

    def turns(self):
        """The arrays of several invokes; x keeps its shape."""
        return [self.turn() for _ in range(TURNS)]

    def turn(self, time=None):
        if time is not None:
            self.lead = (time, self.batch) if self.time_major else (self.batch, time)
        depths = [self.depth, self.aux_depth] if self.aux else [self.depth]
        scale = 10.0 ** self.rng.integers(-1, 2)
        arrays = [(self.rng.normal(size=(*self.lead, n)) * scale).astype(np.float32) for n in depths]
        for a in arrays:
            a[self.rng.random(a.shape) < 0.1] = 0
        if self.rng.random() < 0.1:
            arrays[0][...] = 0
        return arrays + self.given


def sound(seed, op, weights, aux, merged=None):
    """A case that the official kernels compute as they should."""
    case = Case(op, weights, seed, aux=aux, merged=merged)
    if aux == "second":  # batch by batch, the second cell is given x all the same
        case.time_major = True
    if weights != "float32" and case.both and case.time_major:  # all is done again for each step
        case.time = 1
        if case.merged and not case.asymmetric:  # zero points that are not there are read for all rows but the first
            case.batch = 1
    if aux == "crossed" and (case.time_major if weights == "float32" else not case.time_major):
        case.aux_depth = case.depth  # the steps of aux are taken to be as long as those of x
    return case


# (op, aux, merged or drawn)
KINDS = [(OPS[0], None, None), (OPS[1], None, None), (OPS[2], "second", None)]
KINDS += [(OPS[2], aux, merged) for aux in (None, "crossed") for merged in (True, False)]
NAMES = {True: "-merged", False: "-apart", None: ""}
kinds = pytest.mark.parametrize(
    ("op", "aux", "merged"), KINDS, ids=[f"{op}-{aux or 'alone'}{NAMES[merged]}" for op, aux, merged in KINDS]
)


# ---- worked by hand


def by_hand(op, turns, time_major=True, **options):
    """W = 2, R = 10, bias 1; the second cell W = 3, R = 100, bias 0."""
    m = Model()
    shape = turns[0][0].shape
    inputs = [m.input(shape), *(m.constant(np.float32(a)) for a in ([[2]], [[10]], [1])), m.variable((1, 1))]
    outputs = [m.tensor((*shape[:-1], 1))]
    if op == OPS[2]:
        inputs += [*(m.constant(np.float32(a)) for a in ([[3]], [[100]], [0])), m.variable((1, 1)), -1, -1, -1]
        outputs.append(m.tensor((*shape[:-1], 1)))
    m.op(op, inputs, outputs, **({"time_major": time_major} if op != "RNN" else {}), **options)
    m.output(*outputs)
    return [[y.ravel().tolist() for y in turn] for turn in ours(m.content(), turns, sequence=True)]


def test_one_step_by_hand():
    """2 * 1 + 1 = 3; 2 * -2 + 10 * 3 + 1 = 27."""
    assert by_hand("RNN", [[np.float32([[1]])], [np.float32([[-2]])]]) == [[[3]], [[27]]]


def test_a_sequence_by_hand():
    turns = [[np.float32([[[1]], [[-2]]])], [np.float32([[[0]], [[0]]])]]
    assert by_hand(OPS[1], turns) == [[[3, 27]], [[271, 2711]]]


def test_both_ways_by_hand():
    """The second cell: 3 * -2 = -6 for the last step, then 3 * 1 + 100 * -6 = -597."""
    assert by_hand(OPS[2], [[np.float32([[[1]], [[-2]]])]]) == [[[3, 27], [-597, -6]]]
    assert by_hand(OPS[2], [[np.float32([[[1], [-2]]])]], time_major=False) == [[[3, 27], [-597, -6]]]


# ---- against the official runtime


@kinds
@differential()
@given(seed=SEEDS)
def test_float(op, aux, merged, seed):
    """Each sum is off by (terms + 4) * 2**-24 of its magnitude, on either side, and 0.9 of that in the next step."""
    case = sound(seed, op, "float32", aux, merged)
    if case.activation == "SIGN_BIT":  # a jump shows any error
        case.activation = "TANH"
    content, turns = case.content(), case.turns()
    largest = max(np.abs(a).max() for turn in turns for a in turn[: 1 + bool(aux)])
    magnitude = 10 * ((case.most + 1) * largest + 4)
    terms = case.depth + case.aux_depth + max(case.units, case.back_units)
    check(content, turns, sequence=True, bound=2 * (terms + 8) * 2.0**-24 * magnitude * 10)


@pytest.mark.parametrize("weights", ["int8", "uint8"])
@kinds
@differential()
@given(seed=SEEDS)
def test_hybrid(op, aux, merged, weights, seed):
    """To the bit: the sums of products are exact and all else is done in the official order."""
    case = sound(seed, op, weights, aux, merged)
    content = case.content()
    check(content, case.turns(), sequence=True)


@kinds
@differential(60)
@given(seed=SEEDS)
def test_hybrid_tanh(op, aux, merged, seed):
    """One step, as a state off in its last place may be rounded to the next of 255 steps."""
    case = sound(seed, op, "int8", aux, merged)
    case.activation, case.time = "TANH", 1
    content = case.content()
    check(content, case.turn(), ulps=4)


@pytest.mark.parametrize("empty", ["batch", "depth", "time"])
@pytest.mark.parametrize("op", OPS)
def test_empty(official, op, empty):
    case = Case(op, "float32", 7, time=2, time_major=False)
    case.constant = True
    setattr(case, empty, 0)
    content = case.content()
    check(content, case.turn(), bound=1e-6)


@pytest.mark.parametrize("op", OPS[1:])
@differential(60)
@given(seed=SEEDS)
def test_another_time(op, seed):
    """The sequence is resized between invokes, which sets the states back."""
    case = sound(seed, op, "int8", None)
    if case.both:
        case.time_major = False
    content = case.content()
    check(content, [case.turn(time) for time in (None, 3, 1, 1, 4)], sequence=True)


@pytest.mark.parametrize("weights", ["float32", "int8"])
@kinds
@differential(60)
@given(seed=SEEDS)
def test_time_may_come_first(op, aux, merged, weights, seed):
    """What the official kernels get wrong in one layout is held against the other one."""
    if op == "RNN":
        return
    first, second = (
        Case(op, weights, seed, aux=aux, time_major=major, time=3, merged=merged) for major in (False, True)
    )
    contents, turns = (first.content(), second.content()), first.turns()
    count = 1 + bool(aux)
    turned = [[*(a.swapaxes(0, 1) for a in turn[:count]), *turn[count:]] for turn in turns]
    one, other = ours(contents[0], turns, sequence=True), ours(contents[1], turned, sequence=True)
    for turn, again in zip(one, other, strict=True):
        for a, b in zip(turn, again, strict=True):
            compare([a], [b.swapaxes(0, 1)], bound=1e-4 if weights == "float32" else None)


@pytest.mark.parametrize(
    ("weights", "aux", "time_major"), [("int8", None, True), ("float32", "second", False), ("float32", "crossed", True)]
)
def test_what_goes_wrong_officially(official, weights, aux, time_major):
    """Fails once it is mended: then `sound` can let it in."""
    case = Case(OPS[2], weights, 1, aux=aux, time_major=time_major, time=3, activation="NONE")
    case.constant = True
    if aux == "crossed":
        case.aux_depth = case.depth + 1
    content = case.content()
    turn = case.turn()
    assert any(np.any(a != b) for a, b in zip(ours(content, turn), official.run(content, turn), strict=True))


# ---- types and refusals


def of_types(op, x, w, recurrent):
    m = Model()
    shape = (1, 2) if op == "RNN" else (1, 1, 2)
    cells = range(2 if op == OPS[2] else 1)
    inputs, arrays = [m.input(shape, x)], [zeros(x, shape)]
    for _ in cells:
        for type, sides in ((w, (3, 2)), (recurrent, (3, 3))):
            inputs.append(
                m.input(sides, type, **({"scale": 0.1, "zero_point": 0} if type in ("int8", "uint8") else {}))
            )
            arrays.append(zeros(type, sides))
        inputs += [m.constant(np.ones(3, np.float32)), m.variable((1, 3))]
    if op == OPS[2]:
        inputs += [-1, -1, -1]
    outputs = [m.tensor((*shape[:-1], 3)) for _ in cells]
    m.op(op, inputs, outputs)
    m.output(*outputs)
    return m.content(), arrays


def zeros(type, shape):
    dtype = {"string": object, "bfloat16": np.uint16, "int4": np.int8}.get(type, type)
    return np.full(shape, b"", object) if type == "string" else np.zeros(shape, dtype)


@pytest.mark.parametrize("op", OPS)
def test_types(official, op):
    some = [t for t in TYPES if t not in ("bfloat16", "int4")]
    weights = {"float32", "int8", "uint8"}

    def make(x, w, recurrent):
        """Two cells: the types of recurrent weights are not looked at officially, and their bytes read past the end."""
        return None if op == OPS[2] and w in weights and w != recurrent else of_types(op, x, w, recurrent)

    taken = sweep(make, (("float32", "float16", "int8"), some, some))
    assert taken == {("float32", w, w) for w in weights}


@pytest.mark.parametrize("weights", [("float32", "int8"), ("int8", "uint8")])
def test_weights_of_two_types_are_refused(weights):
    with pytest.raises(OursFailed, match="weights of"):
        ours(*of_types(OPS[2], "float32", *weights))


def refusal(op="RNN", x=(2, 4), w=(3, 4), recurrent=(3, 3), bias=(3,), state=(2, 3), variable=True):
    m = Model()
    inputs = [m.input(x), *(m.constant(np.ones(shape, np.float32)) for shape in (w, recurrent, bias))]
    inputs.append(m.variable(state) if variable else m.input(state))
    y = m.tensor((2, 3))
    m.op(op, inputs, [y])
    m.output(y)
    return m.content(), [np.zeros(x, np.float32)] + ([] if variable else [np.zeros(state, np.float32)])


SEQUENCE = {"op": OPS[1], "x": (2, 1, 4)}
REFUSED = {
    "another depth": {"x": (2, 5)},
    "another bias": {"bias": (4,)},
    "recurrent weights of other rows": {"recurrent": (4, 3)},
    "recurrent weights of other columns": {"recurrent": (3, 4)},
    "a state of another batch": {"state": (3, 3)},
    "a state of other units": {"state": (2, 4)},
    "a flat state": {"state": (6,)},
    "a state that is no variable": {"variable": False},
    "a sequence of rank 2": SEQUENCE | {"x": (2, 4)},
    "a sequence of another depth": SEQUENCE | {"x": (2, 1, 5)},
    "a sequence with a state that is no variable": SEQUENCE | {"variable": False},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(official, case):
    outcome = check(*refusal(**REFUSED[case]), must_run=False)
    assert outcome == f"error at {'invoke' if 'no variable' in case else 'allocate'}"
