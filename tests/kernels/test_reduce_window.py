"""REDUCE_WINDOW, STABLEHLO_REDUCE_WINDOW."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import SEEDS, OursFailed, check, differential, ours
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

TAKEN = ("float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
FUNCTIONS = ("ADD", "MUL", "MINIMUM", "MAXIMUM", "ALL", "ANY")
BODIES = {
    "ADD": "ADD",
    "MUL": "MUL",
    "MINIMUM": "MINIMUM",
    "MAXIMUM": "MAXIMUM",
    "ALL": "LOGICAL_AND",
    "ANY": "LOGICAL_OR",
}


def values(rng, type, shape, function):
    if type == "bool":
        # officially 1 + 1 is a bool of 2, which is true
        return rng.integers(0, 2, shape).astype(bool)
    if type[0] == "f":
        x = rng.normal(size=shape) * 10.0 ** rng.integers(-2, 3)
        odd = [np.nan, np.inf, -np.inf, 0.0, -0.0]
        return np.where(rng.random(shape) < 0.1, rng.choice(odd, shape), x).astype(type)
    limits = np.iinfo(type)
    low, high = (limits.min, limits.max) if rng.random() < 0.5 else (max(limits.min, -2), 2)
    return rng.integers(low, high, shape, endpoint=True, dtype=type)


def stablehlo(x, init, function, shape=(), body=None, **options):
    """(content, arrays); body(subgraph) writes another one. x, init: Args."""
    m = Model()
    handles = [m.constant(a.array, a.type) if a.constant else m.input(a.array.shape, a.type) for a in (x, init)]
    s = m.subgraph()
    if body is None:
        # what the body's tensors are does not count
        kind = "bool" if function in ("ALL", "ANY") else "float32"
        a, b, y = s.input((), kind), s.input((), kind), s.tensor((), kind)
        s.op(BODIES[function], [a, b], [y])
        s.output(y)
    else:
        body(s)
    y = m.tensor(shape, x.type)
    m.op("STABLEHLO_REDUCE_WINDOW", handles, [y], **{"body_subgraph_index": s, **options})
    m.output(y)
    return m.content(), [a.array for a in (x, init) if not a.constant]


# ---- worked by hand


def test_windows_with_gaps():
    x = Arg(np.arange(1, 17, dtype=np.int32).reshape(4, 4))
    window = [np.int64([2, 2]), np.int64([1, 1]), np.int64([2, 3])]
    (y,) = run("REDUCE_WINDOW", [x, np.int32(100), *window], ["int32"], reduce_function="ADD")
    assert y.tolist() == [[100 + 1 + 4 + 9 + 12], [100 + 5 + 8 + 13 + 16]]


def test_what_is_spread_and_padded_is_the_first_value():
    x, init = Arg(np.int32([1, 2, 3])), Arg(np.int32(5), constant=True)
    options = {"window_dimensions": [2], "base_dilations": [2], "padding": [1, -2]}
    (y,) = ours(*stablehlo(x, init, "MUL", **options))
    # 1 . 2 . 3 -> . 1 . 2
    assert y.tolist() == [5 * 5 * 1, 5 * 1 * 5, 5 * 5 * 2]


def test_nan_lasts_only_if_it_comes_last():
    x = Arg(np.float32([[np.nan, 1], [1, np.nan]]))
    window = [np.int64([1, 2]), np.int64([1, 1]), np.int64([1, 1])]
    (y,) = run("REDUCE_WINDOW", [x, np.float32(0), *window], ["float32"], reduce_function="MAXIMUM")
    assert y[0].tolist() == [1] and np.isnan(y[1, 0])


# ---- against the official runtime


def drawn_sides(rng, rank):
    """(shape, window, stride, dilation)"""
    most = 9 if rank < 3 else 5 if rank < 5 else 3
    shape, size = rng.integers(1, most, rank), rng.integers(1, 4 if rank < 5 else 3, rank)
    if rng.random() < 0.05:
        shape[rng.integers(rank)] = 0
    return shape, size, rng.integers(1, 4, rank), rng.integers(1, 4, rank)


@pytest.mark.parametrize("type", TAKEN)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_reduce_window(official, function, type):
    @differential(60)  # for each of six functions
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape, *window = drawn_sides(rng, rng.integers(1, 7))
        x = Arg(values(rng, type, shape, function), constant=rng.random() < 0.2)
        init = Arg(values(rng, type, (1,) * rng.integers(2), function), constant=rng.random() < 0.7)
        arguments = [x, init, *(n.astype(np.int64) for n in window)]
        check(*one_op("REDUCE_WINDOW", arguments, [type], reduce_function=function))

    run()


@pytest.mark.parametrize("type", TAKEN)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_stablehlo(official, function, type):
    @differential(60)
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        rank = rng.integers(1, 7)
        shape, size, stride, dilation = drawn_sides(rng, rank)
        base, padding = rng.integers(1, 4, rank), rng.integers(-2, 4, 2 * rank)
        if rng.random() < 0.5:
            base[:] = 1
        if 0 in shape and rng.random() < 0.9:
            base[:] = 1
        if rng.random() < 0.5:
            padding[:] = 0
        spread = (shape - 1) * base + 1 + padding[::2] + padding[1::2]
        # officially an empty x that is spread crashes, and sides below 1 are refused
        runs = (spread > 0).all() and not (0 in shape and (base > 1).any())
        options = {"window_dimensions": size, "window_strides": stride, "window_dilations": dilation}
        options |= {"base_dilations": base, "padding": padding}
        left_out = [name for name in options if rng.random() < 0.1 and name in ("window_strides", "window_dilations")]
        options = {name: n.tolist() for name, n in options.items() if name not in left_out}
        x = Arg(values(rng, type, shape, function), constant=rng.random() < 0.2)
        init = Arg(values(rng, type, (), function), constant=rng.random() < 0.7)
        check(*stablehlo(x, init, function, **options), must_run=runs)

    run()


def test_other_shapes_each_time(official):
    turns = [[np.float32(np.ones(n)), np.float32(i)] for i, n in enumerate(((3, 4), (5, 2), (1, 1), (0, 3)))]
    window = [np.int64([2, 1]), np.int64([1, 2]), np.int64([1, 1])]
    content, _ = one_op("REDUCE_WINDOW", [*map(Arg, turns[0]), *window], ["float32"], reduce_function="ADD")
    check(content, turns, sequence=True)
    options = {"window_dimensions": [2, 1], "padding": [1, 0, 0, 0]}
    check(stablehlo(*map(Arg, turns[0]), "ADD", **options)[0], turns, sequence=True)


# ---- refusals

X, INIT = Arg(np.zeros((3, 2), np.float32)), Arg(np.float32(0), constant=True)
ONES = np.int64([1, 1])


@pytest.mark.parametrize(
    "arguments, options",
    [
        ([X, INIT, Arg(ONES), ONES, ONES], {}),
        ([X, INIT, ONES, ONES, Arg(ONES)], {}),
        ([X, INIT, np.int32([1, 1]), ONES, ONES], {}),
        ([X, np.int32(0), ONES, ONES, ONES], {}),
        ([X, INIT, ONES, ONES], {}),
        ([Arg(np.float32(1)), INIT, ONES, ONES, ONES], {}),
        ([Arg(np.zeros((1,) * 7, np.float32)), INIT, *[np.ones(7, np.int64)] * 3], {}),
    ],
)
def test_refused(official, arguments, options):
    content, arrays = one_op("REDUCE_WINDOW", arguments, ["float32"], reduce_function="ADD", **options)
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_windows_that_would_leave_memory():
    """Strides of 0 crash the official runtime, and what goes backwards is read in front of the input."""
    for window in (
        [-ONES, ONES, ONES],
        [ONES, 0 * ONES, ONES],
        [ONES, -ONES, ONES],
        [ONES, ONES, -ONES],
        [ONES[:1], ONES, ONES],
    ):
        with pytest.raises(OursFailed, match="at allocate: ModelRuntimeError"):
            run("REDUCE_WINDOW", [X, INIT, *window], ["float32"], reduce_function="ADD")


def test_windows_of_nothing(official):
    """A window without values gives the first one; a dilation of 0 meets a value several times."""
    x = Arg(np.float32([1, 2, 3]))
    for window, dilation in (([0], [2]), ([3], [0])):
        arguments = [x, np.float32(5), np.int64(window), np.int64([1]), np.int64(dilation)]
        check(*one_op("REDUCE_WINDOW", arguments, ["float32"], reduce_function="ADD"))


def two_nodes(s):
    a, b, y, z = s.input(()), s.input(()), s.tensor(()), s.tensor(())
    s.op("ADD", [a, b], [y])
    s.op("ADD", [y, b], [z])
    s.output(z)


def a_subtraction(s):
    a, b, y = s.input(()), s.input(()), s.tensor(())
    s.op("SUB", [a, b], [y])
    s.output(y)


@pytest.mark.parametrize(
    "options",
    [
        {"body": two_nodes},
        {"body": a_subtraction},
        {"body_subgraph_index": 7},
        {"body_subgraph_index": -1},
        {"padding": [-3, 0, 0, 0]},
        {"padding": [-4, 0, 0, 0]},
        {"window_dimensions": [1, 0]},
        {"window_strides": [0, 1]},
        {"window_dilations": [1, -1]},
        {"base_dilations": [1, 0]},
    ],
)
def test_stablehlo_refused(official, options):
    content, arrays = stablehlo(X, INIT, "ADD", **{"window_dimensions": [1, 1], **options})
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


# ---- types


def test_types(official):
    def make(x, y):
        arguments = [Arg(zeros(x, (3,)), x), Arg(zeros(x, ()), x), *[ONES[:1]] * 3]
        return one_op("REDUCE_WINDOW", arguments, [y], reduce_function="MAXIMUM")

    assert sweep(make, (TYPES, ("float32", "int32"))) == {("float32", "float32"), ("int32", "int32")}
    assert sweep(lambda x: make(x, x), (TYPES,)) == {(x,) for x in TAKEN}


def test_types_of_stablehlo(official):
    def make(x):
        return stablehlo(Arg(zeros(x, (3,)), x), Arg(zeros(x, ()), x), "MAXIMUM", window_dimensions=[1])

    assert sweep(make, (TYPES,)) == {(x,) for x in TAKEN}
