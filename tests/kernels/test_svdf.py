"""SVDF, over several invokes: its state is a variable."""

import numpy as np
import pytest
from hypothesis import given

from minitfl import Interpreter
from minitfl.build import Model
from tests.cases import SEEDS, check, differential, ours
from tests.kernels.test_dense import numbers
from tests.sweep import sweep

TURNS = 5
biased = pytest.mark.parametrize("biased", [True, False], ids=["biased", "plain"])
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")


def model(x, w_feature, w_time, bias, state, y, **options):
    """The bytes of a one-op model; x, state, y: (type, shape, quantization), the others (array, quantization)."""
    m = Model()
    handles = [m.input(x[1], x[0], **x[2])]
    handles += [m.constant(w[0], **w[1]) for w in (w_feature, w_time)]
    handles.append(-1 if bias is None else m.constant(bias[0], **bias[1]))
    handles.append(m.variable(state[1], state[0], **state[2]))
    result = m.tensor(y[1], y[0], **y[2])
    m.op("SVDF", handles, [result], version=4, **options)
    m.output(result)
    return m.content()


def sizes(rng):
    """batch, depth, units, rank, memory"""
    few = (int(n) for n in rng.integers(1, 5, 3))
    batch, units, rank = few
    return batch, int(rng.choice([1, 3, 8, 17, 40])), units, rank, int(rng.choice([1, 2, 3, 8, 10, 16]))


def float_case(seed, weights, time_weights=None, *, biased):
    """(content, turns, bound): 2 * (roundings on the way) * 2**-24 * (what the sums' magnitudes add up to)."""
    rng = np.random.default_rng(seed)
    batch, depth, units, rank, memory = sizes(rng)
    filters = units * rank
    turns = [[(rng.normal(size=(batch, depth)) * 10.0 ** rng.integers(-1, 2)).astype(np.float32)] for _ in range(TURNS)]
    if rng.random() < 0.2:
        turns[2][0][:] = 0
    if weights == "float32":
        w = [(rng.normal(size=(filters, n)).astype(np.float32), {}) for n in (depth, memory)]
    else:
        w = [
            (rng.integers(-127, 128, (filters, n)).astype(np.int8).view(type), numbers(2.0 ** rng.uniform(-8, -2)))
            for n, type in ((depth, weights), (memory, time_weights or weights))
        ]
    bias = (rng.normal(size=units).astype(np.float32), {}) if biased else None
    content = model(
        ("float32", (batch, depth), {}),
        *w,
        bias,
        ("float32", (batch, memory * filters), {}),
        ("float32", (batch, units), {}),
        rank=rank,
        fused_activation_function=ACTIVATIONS[rng.integers(len(ACTIVATIONS))],
        asymmetric_quantize_inputs=bool(rng.integers(2)),
    )
    reals = [np.abs(a.view(np.int8) if a.dtype != np.float32 else a) * q.get("scale", 1.0) for a, q in w]
    largest = max(np.abs(x).max() for (x,) in turns)
    newest = reals[0].sum(1) * largest * 1.01
    total = (newest * reals[1].sum(1)).reshape(units, rank).sum(1) + (0 if bias is None else np.abs(bias[0]))
    return content, turns, 2 * (depth + memory * rank + 8) * 2.0**-24 * total


def integer_case(seed, weights, biased):
    rng = np.random.default_rng(seed)
    batch, depth, units, rank, memory = sizes(rng)
    filters = units * rank
    x_scale, feature_scale = np.float32(2 ** rng.uniform(-8, -2, 2))
    state_scale = np.float32(x_scale * feature_scale * depth * 2 ** rng.uniform(-2, 1))
    time_scale = np.float32(2.0**-15)
    y_scale = np.float32(state_scale * time_scale * memory * rank * 2 ** rng.uniform(18, 23))
    content = model(
        ("int8", (batch, depth), numbers(x_scale, int(rng.integers(-128, 128)))),
        (rng.integers(-127, 128, (filters, depth)).astype(np.int8).view(weights), numbers(feature_scale)),
        (rng.integers(-32767, 32768, (filters, memory)).astype(np.int16) // 16, numbers(time_scale)),
        (rng.integers(-(2**20), 2**20, units).astype(np.int32), numbers(state_scale * time_scale)) if biased else None,
        ("int16", (batch, memory * filters), numbers(state_scale)),
        ("int8", (batch, units), numbers(y_scale, int(rng.integers(-128, 128)))),
        rank=rank,
        fused_activation_function="RELU",
    )
    return content, [[rng.integers(-128, 128, (batch, depth)).astype(np.int8)] for _ in range(TURNS)]


# ---- worked by hand


def test_by_hand():
    """One filter, w_feature 2, w_time [10 1]: y = 10 * 2 * the x before + 1 * 2 * x + 3."""
    content = model(
        ("float32", (1, 1), {}),
        (np.float32([[2]]), {}),
        (np.float32([[10, 1]]), {}),
        (np.float32([3]), {}),
        ("float32", (1, 2), {}),
        ("float32", (1, 1), {}),
        rank=1,
    )
    turns = [[np.float32([[x]])] for x in (1, 5, -2)]
    assert [y.item() for (y,) in ours(content, turns, sequence=True)] == [5.0, 33.0, 99.0]


def test_ranks_lie_side_by_side():
    """Unit 0 is filters 0 and 1: 1 * 1 + 2 * 10; unit 1 is filters 2 and 3: 3 * 100 + 4 * 1000."""
    content = model(
        ("float32", (1, 1), {}),
        (np.float32([[1], [2], [3], [4]]), {}),
        (np.float32([[1], [10], [100], [1000]]), {}),
        None,
        ("float32", (1, 4), {}),
        ("float32", (1, 2), {}),
        rank=2,
    )
    np.testing.assert_array_equal(ours(content, [np.float32([[1]])])[0], [[21, 4300]])


def test_an_int8_state():
    """The official kernel takes state and w_time for int16 and may die.

    (5 - 1) * 3 = 12, times 0.5 is 6; + 1 is stored; 6 * 10 * 0.25 = 15; - 2."""
    content = model(
        ("int8", (1, 1), numbers(0.5, 1)),
        (np.int8([[3]]), numbers(0.5)),
        (np.int8([[10]]), numbers(0.5)),
        None,
        ("int8", (1, 1), numbers(0.5, 1)),
        ("int8", (1, 1), numbers(1.0, -2)),
        rank=1,
        fused_activation_function="RELU",
    )
    assert ours(content, [np.int8([[5]])])[0] == 13


# ---- against the official runtime


@biased
@pytest.mark.parametrize("weights", ["float32", "int8", "uint8"])
@differential()
@given(seed=SEEDS)
def test_floats(weights, biased, seed):
    content, turns, bound = float_case(seed, weights, biased=biased)
    check(content, turns, sequence=True, bound=bound, ulps=4)


@biased
@pytest.mark.parametrize("weights", ["int8", "uint8"])
@differential()
@given(seed=SEEDS)
def test_int8(weights, biased, seed):
    content, turns = integer_case(seed, weights, biased)
    check(content, turns, sequence=True)


@biased
@pytest.mark.parametrize("weights", [("int8", "uint8"), ("uint8", "int8")], ids="-".join)
@differential()
@given(seed=SEEDS)
def test_weights_of_two_types(weights, biased, seed):
    """The bits of uint8 weights are those of int8 ones, each for itself."""
    content, turns, bound = float_case(seed, *weights, biased=biased)
    check(content, turns, sequence=True, bound=bound, ulps=4)


def test_an_empty_batch():
    """The official kernel crashes."""
    given = F | {"x": ("float32", (0, 4), {}), "state": ("float32", (0, 30), {}), "y": ("float32", (0, 3), {})}
    assert ours(model(**given), [np.zeros((0, 4), np.float32)])[0].shape == (0, 3)


def test_the_state_can_be_reset():
    interpreter = Interpreter(model_content=model(**F))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones((2, 4), np.float32))
    y = interpreter.get_output_details()[0]["index"]
    results = []
    for _ in range(2):
        interpreter.invoke()
        results.append(interpreter.get_tensor(y))
    interpreter.reset_all_variables()
    interpreter.invoke()
    assert not np.array_equal(*results) and np.array_equal(interpreter.get_tensor(y), results[0])


# ---- types and refusals

F = {
    "x": ("float32", (2, 4), {}),
    "w_feature": (np.ones((6, 4), np.float32), {}),
    "w_time": (np.ones((6, 5), np.float32), {}),
    "bias": (np.ones(3, np.float32), {}),
    "state": ("float32", (2, 30), {}),
    "y": ("float32", (2, 3), {}),
    "rank": 2,
}
I8 = F | {
    "x": ("int8", (2, 4), numbers(0.1)),
    "w_feature": (np.ones((6, 4), np.int8), numbers(0.1)),
    "w_time": (np.ones((6, 5), np.int16), numbers(0.1)),
    "bias": (np.ones(3, np.int32), numbers(0.01)),
    "state": ("int16", (2, 30), numbers(0.1)),
    "y": ("int8", (2, 3), numbers(0.1)),
}
REFUSED = {
    "rank 0": F | {"rank": 0},
    "a rank that does not divide": F | {"rank": 4},
    "another depth": F | {"x": ("float32", (2, 5), {})},
    "other filters": F | {"w_time": (np.ones((5, 5), np.float32), {})},
    "other biases": F | {"bias": (np.ones(4, np.float32), {})},
    "a small state": F | {"state": ("float32", (2, 29), {})},
    "a state of rank 3": F | {"state": ("float32", (2, 6, 5), {})},
    "another activation of int8": I8 | {"fused_activation_function": "NONE"},
    "no scale": I8 | {"x": ("int8", (2, 4), {})},
    "an input of int16": I8 | {"x": ("int16", (2, 4), numbers(0.1))},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    given = REFUSED[case]
    x = given["x"]
    outcome = check(model(**given), [np.zeros(x[1], x[0])], must_run=False)
    assert outcome == ("error at invoke" if case.startswith("another activation") else "error at allocate")


def of_types(x, w_feature):
    """The other types are those that the official kernels take theirs for."""
    if x == "int8" and w_feature == "float32":
        return None  # officially the input is read as floats
    given = I8 if x == "int8" else F
    type = np.int8 if w_feature == "string" else np.dtype(w_feature)
    w = (np.zeros((6, 4), type), numbers(0.1) if w_feature in ("int8", "uint8") else {})
    w_time = given["w_time"]
    if x != "int8" and w_feature in ("int8", "uint8"):
        w_time = np.ones((6, 5), np.int8), numbers(0.1)
    given = given | {"x": (x, (2, 4), given["x"][2]), "w_feature": w, "w_time": w_time}
    return model(**given, fused_activation_function="RELU"), [np.zeros((2, 4), x)]


def test_types(official):
    some = "float32 float16 float64 int8 uint8 int16 int32 int64 bool".split()
    taken = sweep(of_types, (some, some))
    assert taken == {(x, w) for x in ("float32", "int8") for w in ("float32", "int8", "uint8")} - {("int8", "float32")}
