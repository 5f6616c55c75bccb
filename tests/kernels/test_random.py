"""RANDOM_UNIFORM, RANDOM_STANDARD_NORMAL, MULTINOMIAL, STABLEHLO_RNG_BIT_GENERATOR."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.kernels.philox import counters, philox, threefry
from tests.cases import SEEDS, OursFailed, array, check, differential, ours
from tests.kernels.one_op import Arg, blank, one_op
from tests.sweep import TYPES, sweep

RANDOM = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL")


def random(op, shape, constant=True, type="int32", output="float32", **seeds):
    return one_op(op, [Arg(np.array(shape, type), constant=constant)], [output], **seeds)


def multinomial(logits, samples, constant=True, output="int32", **seeds):
    logits = logits if isinstance(logits, Arg) else Arg(logits)
    samples = samples if isinstance(samples, Arg) else Arg(np.int32(samples), constant=constant)
    return one_op("MULTINOMIAL", [logits, samples], [output], **seeds)


def bits(algorithm, state, shape, output="uint32", next_state="uint64", **fields):
    m = Model()
    s = m.input(state.shape, state.dtype.name)
    following, y = m.tensor(fields.get("following", state.shape), next_state), m.tensor(shape, output)
    m.op("STABLEHLO_RNG_BIT_GENERATOR", [s], [following, y], algorithm=algorithm)
    m.output(following, y)
    return m.content(), [state]


def some_seeds(rng):
    """Seldom more than 32 bits; seldom one of the two is missing."""
    seeds = rng.integers(-(2**63), 2**63, 2) if rng.random() < 0.2 else rng.integers(-(2**31), 2**31, 2)
    seeds[rng.integers(2)] *= rng.random() < 0.9
    return {"seed": int(seeds[0]), "seed2": int(seeds[1]) or 1}


# ---- worked by hand


def test_philox_is_that_of_its_authors():
    """From the known answers of the library Random123."""
    assert philox(np.zeros((1, 4), np.uint32), (0, 0)).tolist() == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]
    ones = 2**32 - 1
    made = philox(np.full((1, 4), ones, np.uint32), (ones, ones))
    assert made.tolist() == [[0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]]


def test_threefry_is_that_of_its_authors():
    assert threefry(np.zeros((1, 2), np.uint32), (0, 0)).tolist() == [[0x6B200159, 0x99BA4EFE]]
    ones = 2**32 - 1
    made = threefry(np.full((1, 2), ones, np.uint32), (ones, ones))
    assert made.tolist() == [[0x1CB996FC, 0xBB002BE7]]


def test_counters_carry_into_the_upper_word_and_wrap():
    assert counters(2**32 - 1, 2, 7).tolist() == [[2**32 - 1, 0, 7], [0, 1, 7]]
    assert counters(2**64 - 1, 2).tolist() == [[2**32 - 1, 2**32 - 1], [0, 0]]


def test_a_certain_class():
    (y,) = ours(*multinomial(np.float32([[-100, 100, -100], [0, -np.inf, -np.inf]]), 5))
    assert y.tolist() == [[1] * 5, [0] * 5]


# ---- without seeds: any numbers, of the right distribution


def test_uniform_numbers():
    content, arrays = random("RANDOM_UNIFORM", [40000])
    (a,), (b,) = ours(content, [arrays, arrays], sequence=True)
    (c,) = ours(content, arrays)
    for y in (a, b, c):
        assert y.min() >= 0 and y.max() < 1
        counts = np.histogram(y, 100, (0, 1))[0]
        assert ((counts - 400) ** 2 / 400).sum() < 180  # chi-square with 99 degrees of freedom, beyond 1e-6
    for y, z in ((a, b), (a, c), (a[:-1], a[1:])):
        assert abs(np.corrcoef(y, z)[0, 1]) < 5 / 200  # 5 standard deviations


def test_normal_numbers():
    content, arrays = random("RANDOM_STANDARD_NORMAL", [200, 200])
    (y,) = ours(content, arrays)
    assert abs(y.mean()) < 5 / 200 and abs(y.var() - 1) < 5 * np.sqrt(2) / 200
    for limit, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert abs((np.abs(y) < limit).mean() - share) < 5 * np.sqrt(share * (1 - share)) / 200
    assert abs(np.corrcoef(y[:, 0::2].ravel(), y[:, 1::2].ravel())[0, 1]) < 5 / np.sqrt(20000)


def test_multinomial_numbers():
    logits = np.float32([[0, 1, 2, -1], [1, 1, 1, 1]])
    (y,) = ours(*multinomial(logits, 20000))
    for row, samples in zip(logits, y, strict=True):
        expected = 20000 * np.exp(row) / np.exp(row).sum()
        found = np.bincount(samples, minlength=4)
        assert ((found - expected) ** 2 / expected).sum() < 33  # chi-square with 3 degrees of freedom, beyond 1e-6


# ---- with seeds: the official numbers


@pytest.mark.parametrize("op", RANDOM)
@pytest.mark.parametrize("constant", [True, False])
def test_random(official, op, constant):
    """Uniform numbers are equal; normal ones take a logarithm, a root and a sine of the C library."""

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shapes = rng.integers(rng.random() < 0.9, 7, (3, rng.integers(5))).astype(np.int32)
        content, _ = random(op, shapes[0], constant, **some_seeds(rng))
        turns = [[] if constant else [shape] for shape in shapes]
        check(content, turns, sequence=True, ulps=4 if op == "RANDOM_STANDARD_NORMAL" else None)

    run()


@pytest.mark.parametrize("op", RANDOM)
def test_many_numbers(official, op):
    check(*random(op, [70001], seed=1, seed2=2), ulps=4 if op == "RANDOM_STANDARD_NORMAL" else None)


@pytest.mark.parametrize("output", ["int32", "int64"])
@pytest.mark.parametrize("constant", [True, False])
def test_multinomial(official, output, constant):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape = (int(rng.integers(rng.random() < 0.9, 5)), int(rng.integers(1, 8)))
        logits = [array(data.draw, "float32", shape, special=rng.random() < 0.2) for _ in range(2)]
        samples = int(rng.integers(rng.random() < 0.9, 20))
        content, arrays = multinomial(logits[0], samples, constant, output, **some_seeds(rng))
        turns = [[x, *arrays[1:]] for x in logits]
        check(content, turns, sequence=True)

    run()


def test_many_samples(official):
    logits = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    check(*multinomial(logits, 30001, seed=1, seed2=2))


@pytest.mark.parametrize("output", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("algorithm", ["DEFAULT", "PHILOX", "THREEFRY"])
def test_bits(official, algorithm, output):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        state = rng.integers(0, 2**64, 2 if algorithm == "THREEFRY" else rng.integers(2, 4), np.uint64)
        if rng.random() < 0.2:
            state[1] = 2**64 - int(rng.integers(1, 5))  # the counter wraps
        shape = tuple(rng.integers(0 if rng.random() < 0.1 else 1, 6, rng.integers(0, 4)))
        check(*bits(algorithm, state, shape, output))

    run()


def test_many_bits(official):
    for algorithm in ("PHILOX", "THREEFRY"):
        check(*bits(algorithm, np.uint64([3, 2**32 - 10000]), (70001,)))


# ---- where a stream stands


@pytest.mark.parametrize("op", [*RANDOM, "MULTINOMIAL"])
@pytest.mark.parametrize("seed", [0, 5])
def test_copies_go_on_where_the_original_stands(op, seed):
    if op == "MULTINOMIAL":
        content, _ = multinomial(Arg(np.zeros((1, 1000), np.float32), constant=True), 6, seed=seed)
    else:
        content, _ = random(op, [6], seed=seed)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.invoke()
    pickled = pickle.loads(pickle.dumps(interpreter))
    twin, fresh = interpreter.clone(state=True), interpreter.clone()
    fresh.allocate_tensors()

    def following(it):
        it.invoke()
        return it.get_tensor(it.get_output_details()[0]["index"]).tolist()

    first, second = following(fresh), following(fresh)
    expected = following(interpreter)
    assert following(pickled) == following(twin) == expected
    assert following(pickled) == following(twin) == following(interpreter) != expected
    assert (second == expected) == bool(seed) and first != expected


def test_a_new_allocation_starts_a_seeded_stream_anew(official):
    m = Model()
    x, y, z = m.input((2,)), m.tensor((3,)), m.tensor((2,))
    m.op("RANDOM_UNIFORM", [m.constant(np.int32([3]))], [y], seed=1, seed2=2)
    m.op("ABS", [x], [z])
    m.output(y, z)
    turns = [[np.zeros(n, np.float32)] for n in (2, 2, 3, 3, 2, 2)]
    check(m.content(), turns, sequence=True)
    mine = ours(m.content(), turns, sequence=True)
    assert np.array_equal(mine[0][0], mine[2][0]) and np.array_equal(mine[1][0], mine[5][0])
    # there and back is a new allocation too
    interpreter = Interpreter(model_content=m.content())
    interpreter.allocate_tensors()
    interpreter.invoke()
    for n in (3, 2):
        interpreter.resize_tensor_input(0, [n])
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert np.array_equal(interpreter.get_tensor(y), mine[0][0])


def test_two_nodes_have_a_stream_each(official):
    m = Model()
    shape, a, b = m.constant(np.int32([3])), m.tensor((3,)), m.tensor((3,))
    m.op("RANDOM_UNIFORM", [shape], [a], seed=1)
    m.op("RANDOM_UNIFORM", [shape], [b], seed=1)
    m.output(a, b)
    check(m.content(), [[], []], sequence=True)


def test_after_a_tensor_whose_shape_depends_on_data(official):
    """Nodes behind it start anew when that shape changes; the node that makes it goes on."""
    m = Model()
    shape, a, b = m.input((1,), "int32"), m.tensor((3,)), m.tensor((3,))
    m.op("RANDOM_UNIFORM", [shape], [a], seed=1)
    m.op("RANDOM_UNIFORM", [m.constant(np.int32([3]))], [b], seed=1)
    m.output(a, b)
    turns = [[np.int32([n])] for n in (3, 3, 4, 4, 3)]
    check(m.content(), turns, sequence=True)
    mine = ours(m.content(), turns, sequence=True)
    assert np.array_equal(mine[0][1], mine[2][1]) and np.array_equal(mine[1][1], mine[3][1])
    assert len({turn[0][0] for turn in mine}) == 5


def _random_sum(m, name, seed):
    """A subgraph: y = x + a random number; also the number of turns, which it counts up."""
    s = m.subgraph(name)
    n, x = s.input((), "int32"), s.input((3,))
    following, numbers, y = s.tensor((), "int32"), s.tensor((1,)), s.tensor((3,))
    s.op("ADD", [n, s.constant(np.int32(1))], [following])
    s.op("RANDOM_UNIFORM", [s.constant(np.int32([1]))], [numbers], seed=seed)
    s.op("ADD", [x, numbers], [y])
    s.output(following, y)
    return s


def test_branches_start_anew_at_each_call(official):
    m = Model()
    condition, n, x = m.input((), "bool"), m.input((), "int32"), m.input((3,))
    results = [(m.tensor((), "int32"), m.tensor((3,))) for _ in range(2)]
    branches = {"then_subgraph_index": _random_sum(m, "a", 1), "else_subgraph_index": _random_sum(m, "b", 2)}
    for result in results:
        m.op("IF", [condition, n, x], result, **branches)
        m.output(*result)
    content, rng = m.content(), np.random.default_rng(0)
    for _ in range(200):
        turns = [[np.array(flag), np.int32(0), np.zeros(3, np.float32)] for flag in rng.integers(0, 2, 5).astype(bool)]
        check(content, turns, sequence=True)


@pytest.mark.parametrize("grows", [False, True])
def test_a_loop_goes_on_from_turn_to_turn(official, grows):
    """Within one run of the loop; the next run starts anew. `grows`: its values change their shape."""
    m = Model()
    n, x = m.input((), "int32"), m.input((3,))
    test, body = m.subgraph("test"), _random_sum(m, "body", 1)
    count, _, flag = test.input((), "int32"), test.input((3,)), test.tensor((), "bool")
    test.op("LESS", [count, test.constant(np.int32(3))], [flag])
    test.output(flag)
    if grows:
        total = body._tree["outputs"].pop()
        longer = body.tensor((6,))
        body.op("CONCATENATION", [total, total], [longer])
        body.output(longer)
    results = m.tensor((), "int32"), m.tensor((3,))
    m.op("WHILE", [n, x], results, cond_subgraph_index=test, body_subgraph_index=body)
    m.output(*results)
    turns = [[np.int32(first), np.zeros(3, np.float32)] for first in (0, 1, 0, 3, 2)]
    check(m.content(), turns, sequence=True)


# ---- refusals


@pytest.mark.parametrize("op", RANDOM)
@pytest.mark.parametrize("shape, constant", [([-1], True), ([2, -3], True), (3, True), ([[3]], True), ([[3]], False)])
def test_wrong_shapes(official, op, shape, constant):
    content, arrays = random(op, shape, constant, seed=1)
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_a_negative_shape_that_comes_late():
    """Officially the process dies."""
    with pytest.raises(OursFailed, match=r"invoke.*negative"):
        ours(*random("RANDOM_UNIFORM", [-1], False))


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "shape, samples", [((2, 3), -1), ((2, 3), [4]), ((3,), 4), ((1, 2, 3), 4), ((2, 0), 4), ((2, 3), [[4]])]
)
def test_wrong_samples(official, shape, samples, fixed, constant):
    logits = Arg(np.zeros(shape, np.float32), constant=fixed)
    outcome = check(*multinomial(logits, samples, constant), must_run=False)
    assert outcome == f"error at {'allocate' if fixed and constant and samples == -1 else 'invoke'}"


@pytest.mark.parametrize(
    "algorithm, state, fields, stage",
    [
        ("THREEFRY", [1, 2, 3], {}, "invoke"),
        ("PHILOX", [1, 2, 3, 4], {}, "invoke"),
        ("DEFAULT", [1], {}, "invoke"),
        (3, [1, 2], {}, "invoke"),
        ("PHILOX", [1, 2], {"following": (3,)}, "allocate"),
        ("PHILOX", [[1, 2]], {}, "allocate"),
    ],
)
def test_wrong_states(official, algorithm, state, fields, stage):
    content, arrays = bits(algorithm, np.array(state, np.uint64), (4,), **fields)
    assert check(content, arrays, must_run=False) == f"error at {stage}"


def test_types(official):
    numbers = [t for t in TYPES if t not in ("string", "bfloat16") and "int4" not in t and "int2" not in t]

    def numbered(type, y):
        return random("RANDOM_UNIFORM", [2], True, type, y, seed=1)

    def sampled(logits, samples, y):
        one = Arg(np.array(1, samples), constant=True)
        return multinomial(blank(logits, (1, 1)), one, output=y, seed=1)

    def generated(state, following, y):
        return bits("PHILOX", np.zeros(2, state), (4,), y, following)

    assert sweep(numbered, (numbers, TYPES)) == {("int32", "float32")}
    assert sweep(sampled, (["float32", "float64"], ["int32", "int64"], TYPES)) == {
        ("float32", "int32", y) for y in ("int32", "int64")
    }
    assert sweep(generated, (["uint64", "int64", "uint32"], ["uint64", "int64"], TYPES)) == {
        ("uint64", "uint64", y) for y in ("int32", "int64", "uint32", "uint64")
    }
