"""IF, WHILE, CALL_ONCE and resource variables, alone and inside each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter, ModelError
from minitfl.build import Model
from minitfl.executable import Frame
from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.subgraphs import (
    BOOL,
    INT,
    apply,
    assign,
    below,
    branch,
    handle,
    loop,
    model,
    plus,
    read,
    starts,
)

# ---- worked by hand


def fibonacci():
    """(i, a, b) -> (i + 1, b, a + b) while i < n: outputs that are inputs of another place."""
    return model(
        [INT, INT, INT, INT],
        lambda m, i, n, a, b: loop(
            m,
            [i, n, a, b],
            [INT] * 4,
            lambda s, i, n, a, b: apply(s, "LESS", i, n, type="bool"),
            lambda s, i, n, a, b: [plus(s, i, np.int32(1)), n, b, plus(s, a, b)],
        ),
    )


def test_fibonacci(official):
    numbers = [np.int32(v) for v in (0, 10, 0, 1)]
    assert [int(y) for y in ours(fibonacci(), numbers)] == [10, 10, 55, 89]
    check(fibonacci(), numbers)
    check(fibonacci(), [[np.int32(v) for v in (0, n, 0, 1)] for n in (3, 0, 20, 1)], sequence=True)


def test_an_if_runs_one_branch(official):
    content = model(
        [BOOL, ((3,), "float32")],
        lambda m, c, x: branch(
            m,
            c,
            [x],
            [((3,), "float32")],
            lambda s, x: [apply(s, "NEG", x), x],
            lambda s, x: [x, s.constant(np.float32([7, 8, 9]))],
            [((3,), "float32")] * 2,
        ),
    )
    x = np.float32([1, -2, 3])
    assert [y.tolist() for y in ours(content, [np.array(True), x])] == [[-1, 2, -3], [1, -2, 3]]
    assert [y.tolist() for y in ours(content, [np.array(False), x])] == [[1, -2, 3], [7, 8, 9]]
    check(content, [[np.array(c), x + c] for c in (True, False, False, True)], sequence=True)


# ---- WHILE against the official runtime


@pytest.mark.parametrize("type", ("float32", "int32", "int64"))
def test_while(official, type):
    """State of one shape: a counter, an invariant, two that may move to the left, one that adds up."""

    @differential(200)
    @given(st.data())
    def run(data):
        draw = data.draw
        kind = (draw(shapes(0, 3, 4)), type)
        kinds = [INT, kind, kind, kind, kind]
        turns = draw(st.integers(0, 5))
        moves = draw(st.booleans())

        def body(s, i, k, a, b, c):
            following = [b, plus(s, a, c, type)] if moves else [a, b]
            return [plus(s, i, np.int32(1)), k, *following, plus(s, c, k, type)]

        content = model(kinds, lambda m, *state: loop(m, list(state), kinds, lambda s, i, *_: below(s, i, turns), body))
        inputs = [np.int32(0), *(array(draw, type, kind[0], low=-1000, high=1000) for _ in range(4))]
        check(content, [inputs, [np.int32(turns), *inputs[1:]]], sequence=True)

    run()


@pytest.mark.parametrize("turns", range(4))
def test_a_loop_may_swap_its_state(turns):
    """The official kernel copies a body's outputs one by one over its inputs, so that both become the second."""
    kinds = [INT, ((2,), "float32"), ((2,), "float32")]
    content = model(
        kinds,
        lambda m, *state: loop(
            m,
            list(state),
            kinds,
            lambda s, i, a, b: below(s, i, turns),
            lambda s, i, a, b: [plus(s, i, np.int32(1)), b, a],
        ),
    )
    _, a, b = ours(content, [np.int32(0), np.float32([1, 2]), np.float32([3, 4])])
    assert (a.tolist(), b.tolist()) == (([1, 2], [3, 4]) if turns % 2 == 0 else ([3, 4], [1, 2]))


@pytest.mark.parametrize("turns", range(4))
def test_a_state_that_grows(official, turns):
    """x is joined to itself in each turn, so that each turn has another shape."""
    kinds = [INT, ((2, 3), "float32")]
    content = model(
        kinds,
        lambda m, *state: loop(
            m,
            list(state),
            kinds,
            lambda s, i, x: below(s, i, turns),
            lambda s, i, x: [plus(s, i, np.int32(1)), apply(s, "CONCATENATION", x, x, axis=0)],
        ),
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    check(content, [np.int32(0), x])
    check(content, [[np.int32(i), x + i] for i in (1, 0, 2)], sequence=True)


def test_a_state_that_starts_empty():
    """The official runtime can't copy a constant without elements."""
    kinds = [INT, ((0,), "int32")]
    content = model(
        [INT],
        lambda m, i: loop(
            m,
            [i, m.constant(np.zeros(0, np.int32))],
            kinds,
            lambda s, i, x: below(s, i, 3),
            lambda s, i, x: [
                plus(s, i, np.int32(1)),
                apply(s, "CONCATENATION", x, apply(s, "RESHAPE", i, np.int32([1]), type="int32"), type="int32", axis=0),
            ],
        ),
    )
    assert [ours(content, [np.int32(i)])[1].tolist() for i in (0, 2, 3)] == [[0, 1, 2], [2], []]


def test_a_state_that_grows_by_padding_and_then_is_used(official):
    kinds = [INT, ((2,), "float32")]

    def make(m, i, x):
        i, x = loop(
            m,
            [i, x],
            kinds,
            lambda s, i, x: below(s, i, 3),
            lambda s, i, x: [plus(s, i, np.int32(1)), apply(s, "PAD", x, np.int32([[1, 0]]))],
        )
        return [apply(m, "NEG", x), plus(m, i, np.int32(1)), apply(m, "SHAPE", x, type="int32", out_type="INT32")]

    content = model(kinds, make)
    check(content, [[np.int32(0), np.float32([1, 2])], [np.int32(5), np.float32([3, 4])]], sequence=True)


def test_a_loop_over_what_is_known_only_while_running(official):
    """The state comes from WHERE; inside, a shape is made of a value."""
    kinds = [((2, 1), "int64"), INT]

    def make(m, flags):
        found = apply(m, "WHERE", flags, type="int64")
        return loop(
            m,
            [found, m.constant(np.int32(0))],
            kinds,
            lambda s, x, i: below(s, i, 3),
            lambda s, x, i: [
                apply(s, "RESHAPE", x, apply(s, "SHAPE", x, type="int32", out_type="INT32"), type="int64"),
                plus(s, i, np.int32(1)),
            ],
        )

    content = model([((5,), "bool")], make)
    rng = np.random.default_rng(0)
    for _ in range(200):
        some = rng.integers(0, 2, 5)
        check(content, [[np.array(f, bool)] for f in (some, [1, 0, 0, 0, 0], [1, 1, 1, 1, 1])], sequence=True)


@pytest.mark.parametrize("before, after", [((), (1,)), ((1,), ())])
@pytest.mark.parametrize("turns", (0, 1, 3))
def test_a_scalar_may_become_a_vector_of_one(official, before, after, turns):
    kinds = [INT, (before, "float32")]
    content = model(
        kinds,
        lambda m, *state: loop(
            m,
            list(state),
            kinds,
            lambda s, i, x: below(s, i, turns),
            lambda s, i, x: [
                plus(s, i, np.int32(1)),
                apply(s, "RESHAPE", plus(s, x, np.full(before, 1, np.float32), "float32"), np.array(after, np.int32))
                if after
                else apply(s, "SQUEEZE", plus(s, x, np.full(before, 1, np.float32), "float32")),
            ],
        ),
    )
    check(content, [np.int32(0), np.full(before, 5, np.float32)])


def test_strings_may_be_carried(official):
    kinds = [INT, ((2,), "string")]
    content = model(
        kinds,
        lambda m, *state: loop(
            m,
            list(state),
            kinds,
            lambda s, i, x: below(s, i, 2),
            lambda s, i, x: [plus(s, i, np.int32(1)), apply(s, "GATHER", x, np.int32([1, 0]), type="string")],
        ),
    )
    words = np.array([b"one", b"two"], object)
    check(content, [np.int32(0), words])
    assert ours(content, [np.int32(1), words])[1].tolist() == [b"two", b"one"]


# ---- IF against the official runtime


def test_branches_of_two_shapes(official):
    kind = ((2, 3), "float32")
    content = model(
        [BOOL, kind],
        lambda m, c, x: [
            apply(m, "NEG", y)
            for y in branch(
                m,
                c,
                [x],
                [kind],
                lambda s, x: [apply(s, "CONCATENATION", x, x, axis=1)],
                lambda s, x: [x],
                [((), "float32")],
            )
        ],
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    check(content, [[np.array(c), x - c] for c in (True, False, True)], sequence=True)
    check(content, [np.array(True), np.ones((4, 1), np.float32)])


def test_a_branch_may_find_its_shape_while_running(official):
    content = model(
        [BOOL, ((4,), "int32")],
        lambda m, c, x: branch(
            m,
            c,
            [x],
            [((4,), "int32")],
            lambda s, x: [apply(s, "WHERE", x, type="int64")],
            lambda s, x: [s.constant(np.int64([[5]]))],
            [((), "int64")],
        ),
    )
    rng = np.random.default_rng(0)
    for _ in range(200):
        x = rng.integers(-1, 2, 4).astype(np.int32)
        check(content, [[np.array(c), x] for c in (True, False, True)], sequence=True)


@pytest.mark.parametrize("flag", [True, False])
def test_a_constant_condition(official, flag):
    kinds = [((2,), "float32")]
    content = model(
        kinds,
        lambda m, x: branch(
            m,
            m.constant(np.array([flag])),
            [x],
            kinds,
            lambda s, x: [apply(s, "NEG", x)],
            lambda s, x: [apply(s, "SQUARE", x)],
            kinds,
        ),
    )
    check(content, [np.float32([2, 3])])


# ---- one inside the other


def collatz(m, x, turns):
    """x -> 3 x + 1 where odd, x / 2 where even, `turns` times: an IF in a WHILE."""

    def body(s, i, x):
        odd = apply(s, "EQUAL", apply(s, "FLOOR_MOD", x, np.int32(2), type="int32"), np.int32(1), type="bool")
        (y,) = branch(
            s,
            odd,
            [x],
            [INT],
            lambda t, x: [plus(t, apply(t, "MUL", x, np.int32(3), type="int32"), np.int32(1))],
            lambda t, x: [apply(t, "FLOOR_DIV", x, np.int32(2), type="int32")],
            [INT],
        )
        return [plus(s, i, np.int32(1)), y]

    start = m.constant(np.int32(0))
    return loop(m, [start, x], [INT, INT], lambda s, i, x: below(s, i, turns), body)


@pytest.mark.parametrize("turns", (0, 1, 7))
def test_an_if_in_a_while(official, turns):
    content = model([INT], lambda m, x: collatz(m, x, turns))
    check(content, [[np.int32(v)] for v in (27, 8, 1)], sequence=True)
    assert int(ours(model([INT], lambda m, x: collatz(m, x, 7)), [np.int32(27)])[1]) == 47


@pytest.mark.parametrize("grows", [False, True])
def test_a_while_in_a_while(official, grows):
    """i * j turns; the inner state may grow by one value in each."""
    vector = ((1,), "float32")

    def inner(s, j, x):
        y = apply(s, "PAD", x, np.int32([[0, 1]])) if grows else plus(s, x, np.float32([1]), "float32")
        return [plus(s, j, np.int32(1)), y]

    def outer(s, i, x):
        start = s.constant(np.int32(0))
        _, y = loop(s, [start, x], [INT, vector], lambda t, j, x: below(t, j, 2), inner)
        return [plus(s, i, np.int32(1)), apply(s, "NEG", y)]

    content = model(
        [INT, vector], lambda m, i, x: loop(m, [i, x], [INT, vector], lambda s, i, x: below(s, i, 3), outer)
    )
    check(content, [[np.int32(i), np.float32([5])] for i in (0, 2, 3, 0)], sequence=True)


def test_a_while_in_an_if(official):
    def then(s, x):
        start = s.constant(np.int32(0))
        state = loop(
            s,
            [start, x],
            [INT, INT],
            lambda t, j, x: below(t, j, 4),
            lambda t, j, x: [plus(t, j, np.int32(1)), plus(t, x, x)],
        )
        return state[1:]

    content = model([BOOL, INT], lambda m, c, x: branch(m, c, [x], [INT], then, lambda s, x: [x], [INT]))
    check(content, [[np.array(c), np.int32(3)] for c in (True, False, True)], sequence=True)
    assert int(ours(content, [np.array(True), np.int32(3)])[0]) == 48


# ---- variables


@pytest.mark.parametrize("shape", [(2,), ()])
def test_a_variable_is_started_once(official, shape):
    """`shape`: what the file says of what is read; () leaves it to the variable."""

    def make(m, x):
        starts(m, "v", np.float32([10, 20]))
        y = plus(m, read(m, "v", shape), x, "float32")
        assign(m, "v", y)
        return [y]

    content = model([((2,), "float32")], make)
    turns = [[np.float32(v)] for v in ([1, 2], [0, 0], [5, 5])]
    assert [y[0].tolist() for y in ours(content, turns, sequence=True)] == [[11, 22], [11, 22], [16, 27]]
    check(content, turns, sequence=True)


def test_a_variable_takes_the_shape_of_what_is_assigned(official):
    def make(m, x):
        assign(m, "v", x)
        return [apply(m, "NEG", read(m, "v", ()))]

    content = model([((2,), "float32")], make)
    check(content, [[np.float32(v)] for v in ([1, 2], [3, 4, 5], [6, 7])], sequence=True)


@pytest.mark.parametrize("type", ("int8", "int32", "int64", "bool", "float32"))
def test_types_of_variables(official, type):
    def make(m, x):
        assign(m, "v", x)
        return [read(m, "v", (3,), type)]

    check(model([((3,), type)], make), [np.array([1, 0, 1], type)])


def test_variables_are_told_apart_by_container_and_name(official):
    def make(m, x):
        for name, container, value in (("a", "", 1), ("b", "", 2), ("a", "c", 3)):
            m.op("ASSIGN_VARIABLE", [handle(m, name, container), m.constant(np.float32([value]))], [])
        results = []
        for name, container in (("a", "c"), ("a", ""), ("b", "")):
            y = m.tensor((1,))
            m.op("READ_VARIABLE", [handle(m, name, container)], [y])
            results.append(plus(m, y, x, "float32"))
        return results

    content = model([((1,), "float32")], make)
    assert [y.tolist() for y in ours(content, [np.float32([10])])] == [[13], [11], [12]]
    check(content, [np.float32([10])])


def test_what_was_read_stays_when_the_variable_changes(official):
    def make(m, x):
        starts(m, "v", np.float32([1, 1]))
        before = read(m, "v", (2,))
        assign(m, "v", x)
        return [before, read(m, "v", (2,)), plus(m, before, x, "float32")]

    content = model([((2,), "float32")], make)
    check(content, [[np.float32([3, 4])], [np.float32([5, 6])]], sequence=True)


def test_a_branch_may_assign(official):
    """The variable is written in one branch and read behind the IF and in the other branch."""

    def then(s, x):
        assign(s, "v", x)
        return [x]

    def make(m, c, x):
        starts(m, "v", np.float32([1, 2]))
        kind = ((2,), "float32")
        (y,) = branch(m, c, [x], [kind], then, lambda s, x: [plus(s, read(s, "v", (2,)), x, "float32")], [kind])
        return [y, read(m, "v", (2,))]

    content = model([BOOL, ((2,), "float32")], make)
    turns = [[np.array(c), np.float32(x)] for c, x in ((False, [1, 1]), (True, [5, 5]), (False, [1, 1]))]
    check(content, turns, sequence=True)


def test_a_loop_may_count_in_a_variable(official):
    """The handle is part of the state."""
    kinds = [INT, ((), "resource")]

    def body(s, i, v):
        y = s.tensor((1,))
        s.op("READ_VARIABLE", [v], [y])
        s.op("ASSIGN_VARIABLE", [v, plus(s, y, np.float32([2]), "float32")], [])
        return [plus(s, i, np.int32(1)), v]

    def make(m, i):
        starts(m, "v", np.float32([100]))
        i, _ = loop(m, [i, handle(m, "v")], kinds, lambda s, i, v: below(s, i, 3), body)
        return [i, read(m, "v", (1,))]

    content = model([INT], make)
    assert ours(content, [np.int32(0)])[1].tolist() == [106]
    check(content, [[np.int32(i)] for i in (0, 3, 1)], sequence=True)


def two_entries():
    """add(x): v += x; get(): v. Two subgraphs, two signatures, one variable; both start it."""
    m = Model()
    x = m.input((2,), "float32", name="x")
    starts(m, "v", np.float32([100, 200]))
    start = 1
    y = plus(m, read(m, "v", (2,)), x, "float32")
    assign(m, "v", y)
    m.output(y)
    s = m.subgraph("get")
    unused = s.input((1,), "float32", name="unused")
    s.op("CALL_ONCE", [], [], init_subgraph_index=start)
    z = plus(s, read(s, "v", (2,)), unused, "float32")
    s.output(z)
    m.signature("add", {"x": x}, {"y": y})
    m.signature("get", {"unused": unused}, {"z": z}, subgraph=s)
    return m.content()


def test_signatures_share_variables(official):
    content = two_entries()
    x, unused = {"x": np.float32([1, 2])}, {"unused": np.zeros(1, np.float32)}
    calls = [("get", unused), ("add", x), ("add", x), ("get", unused)]
    interpreter = Interpreter(model_content=content)
    runners = {key: interpreter.get_signature_runner(key) for key in ("add", "get")}
    results = [runners[key](**inputs) for key, inputs in calls]
    assert results[-1]["z"].tolist() == [102, 204]
    for mine, theirs in zip(results, official.signatures(content, calls)):
        assert {k: v.tolist() for k, v in mine.items()} == {k: v.tolist() for k, v in theirs.items()}


def test_variables_outlive_allocate_and_reset():
    interpreter = Interpreter(model_content=two_entries())
    runner = interpreter.get_signature_runner("add")
    runner(x=np.float32([1, 1]))
    interpreter.allocate_tensors()
    interpreter.reset_all_variables()
    assert runner(x=np.float32([1, 1]))["y"].tolist() == [102, 202]


def test_handles_that_are_numbers(official):
    """As older converters wrote them; the number is the variable."""

    def make(m, x):
        for number, value in ((0, x), (1, m.constant(np.float32([5])))):
            m.op("ASSIGN_VARIABLE", [m.constant(np.int32(number)), value], [])
        return [apply(m, "NEG", apply(m, "READ_VARIABLE", np.int32(number))) for number in (1, 0)]

    check(model([((1,), "float32")], make), [np.float32([3])])


def test_strings_in_variables():
    """The official runtime dies here."""

    def make(m, x):
        assign(m, "v", x)
        return [read(m, "v", (), "string")]

    (y,) = ours(model([((2,), "string")], make), [np.array([b"a", b"bc"], object)])
    assert y.tolist() == [b"a", b"bc"]


# ---- late nodes


def prepared(monkeypatch, content, turns):
    """How many nodes are prepared in each invoke, beside the results being right."""
    counts = []
    bind = Frame._bind_late
    monkeypatch.setattr(Frame, "_bind_late", lambda self, step: counts.append(step.node.op) or bind(self, step))
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for arrays in turns:
        counts.clear()
        for detail, value in zip(interpreter.get_input_details(), arrays):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        found.append(list(counts))
    return found


def test_a_late_call_lasts_as_long_as_its_arrays(official, monkeypatch):
    """Behind WHERE nothing is prepared again while the number of what it finds stays the same."""

    def make(m, flags, x):
        rows = apply(m, "GATHER_ND", x, apply(m, "WHERE", flags, type="int64"))
        return [apply(m, "NEG", apply(m, "SQUARE", rows))]

    content = model([((4,), "bool"), ((4, 2), "float32")], make)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    turns = [[np.array(f, bool), x + n] for n, f in enumerate(([1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]))]
    whole = ["WHERE", "GATHER_ND", "SQUARE", "NEG"]
    assert prepared(monkeypatch, content, turns) == [whole, ["WHERE"], whole, ["WHERE"]]
    check(content, turns, sequence=True)


def test_a_late_shape_that_is_a_value_is_read_anew(official, monkeypatch):
    """RESHAPE behind WHERE to a shape that is an input: prepared for each run, as its contents decide."""

    def make(m, flags, shape):
        return [apply(m, "RESHAPE", apply(m, "WHERE", flags, type="int64"), shape, type="int64")]

    content = model([((4,), "bool"), ((2,), "int32")], make)
    flags = np.array([1, 1, 0, 0], bool)
    turns = [[flags, np.int32(shape)] for shape in ([1, 2], [2, 1], [2, 1])]
    assert prepared(monkeypatch, content, turns) == [["WHERE", "RESHAPE"]] * 3
    check(content, turns, sequence=True)


def test_a_late_loop_is_bound_once(official, monkeypatch):
    kinds = [INT, ((1, 1), "int64")]

    def make(m, flags):
        found = apply(m, "WHERE", flags, type="int64")
        return loop(
            m,
            [m.constant(np.int32(0)), found],
            kinds,
            lambda s, i, x: below(s, i, 3),
            lambda s, i, x: [plus(s, i, np.int32(1)), plus(s, x, x, "int64")],
        )

    content = model([((4,), "bool")], make)
    turns = [[np.array(f, bool)] for f in ([1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0])]
    assert prepared(monkeypatch, content, turns) == [["WHERE", "WHILE"], ["WHERE"], ["WHERE", "WHILE"]]
    check(content, turns, sequence=True)


# ---- refusals


def bad_loop(condition=None, body=None, kinds=(INT,), **indices):
    """A WHILE that counts to 3, but for what is given."""
    m = Model()
    state = [m.input(*kind) for kind in kinds]
    c, b = m.subgraph("condition"), m.subgraph("body")
    c.output(*(condition or (lambda s, i: [below(s, i, 3)]))(c, *[c.input(*kind) for kind in kinds]))
    b.output(*(body or (lambda s, i: [plus(s, i, np.int32(1))]))(b, *[b.input(*kind) for kind in kinds]))
    outputs = [m.tensor(*kind) for kind in kinds]
    m.op("WHILE", state, outputs, **{"cond_subgraph_index": c, "body_subgraph_index": b} | indices)
    m.output(*outputs)
    return m.content()


@pytest.mark.parametrize(
    "content",
    [
        bad_loop(cond_subgraph_index=7),
        bad_loop(body_subgraph_index=7),
        bad_loop(cond_subgraph_index=2),
        bad_loop(condition=lambda s, i: [plus(s, i, i)]),
        bad_loop(condition=lambda s, i: [below(s, i, 3), below(s, i, 3)]),
        bad_loop(condition=lambda s, i: [s.constant(np.array([True, False]))]),
        bad_loop(condition=lambda s, i: [s.constant(np.array([[True]]))]),
        bad_loop(body=lambda s, i: [i, i]),
    ],
    ids=lambda _: "",
)
def test_a_bad_loop(official, content):
    assert check(content, [np.int32(0)], must_run=False) == "error at allocate"


def bad_branch(condition=BOOL, results=1, **indices):
    m = Model()
    c, x = m.input(*condition), m.input(*INT)
    subgraphs = [m.subgraph("then"), m.subgraph("other")]
    for s in subgraphs:
        s.output(plus(s, s.input(*INT), np.int32(1)))
    outputs = [m.tensor(*INT) for _ in range(results)]
    indices = {"then_subgraph_index": subgraphs[0], "else_subgraph_index": subgraphs[1]} | indices
    m.op("IF", [c, x], outputs, **indices)
    m.output(*outputs)
    return m.content()


@pytest.mark.parametrize(
    "content, condition",
    [
        (bad_branch(condition=INT), np.int32(1)),
        (bad_branch(condition=((2,), "bool")), np.array([True, True])),
        (bad_branch(then_subgraph_index=9), np.array(True)),
        (bad_branch(else_subgraph_index=9), np.array(True)),
        (bad_branch(results=2), np.array(True)),
    ],
    ids=lambda _: "",
)
def test_a_bad_branch(official, content, condition):
    assert check(content, [condition, np.int32(0)], must_run=False) == "error at allocate"


def bad_start(index=1, inputs=0):
    m = Model()
    x = m.input(*INT)
    s = m.subgraph("start")
    for _ in range(inputs):
        s.input(*INT)
    assign(s, "v", s.constant(np.int32(1)))
    m.op("CALL_ONCE", [], [], init_subgraph_index=index)
    m.output(plus(m, x, x))
    return m.content()


@pytest.mark.parametrize("content", [bad_start(index=0), bad_start(index=7), bad_start(inputs=1)], ids=lambda _: "")
def test_a_bad_start(official, content):
    assert check(content, [np.int32(0)], must_run=False) == "error at allocate"


def test_a_variable_is_read_before_it_has_a_value(official):
    content = model([((1,), "float32")], lambda m, x: [plus(m, read(m, "v", (1,)), x, "float32")])
    assert check(content, [np.float32([1])], must_run=False) == "error at invoke"


def test_a_variable_of_another_type(official):
    def make(m, x):
        assign(m, "v", x)
        return [read(m, "v", (1,), "int32")]

    assert check(model([((1,), "float32")], make), [np.float32([1])], must_run=False) == "error at invoke"


def test_a_handle_that_is_none(official):
    content = model([((1,), "float32")], lambda m, x: [apply(m, "READ_VARIABLE", x)])
    assert check(content, [np.float32([1])], must_run=False) == "error at allocate"


def test_a_start_that_fails_is_tried_again():
    """The official runtime marks it as done only when it is done."""

    def make(m, x):
        s = m.subgraph("start")
        y = read(s, "other", (1,))
        assign(s, "v", y)
        m.op("CALL_ONCE", [], [], init_subgraph_index=s)
        return [read(m, "v", (1,))]

    interpreter = Interpreter(model_content=model([((1,), "float32")], make))
    interpreter.allocate_tensors()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"other.*before anything was assigned"):
            interpreter.invoke()


def test_subgraphs_that_call_each_other_are_refused():
    def make(m, c):
        a, b = m.subgraph("a"), m.subgraph("b")
        for s, callee in ((a, b), (b, a)):
            d, y = s.input(*BOOL), s.tensor(*BOOL)
            s.op("IF", [d, d], [y], then_subgraph_index=callee, else_subgraph_index=callee)
            s.output(y)
        y = m.tensor(*BOOL)
        m.op("IF", [c, c], [y], then_subgraph_index=a, else_subgraph_index=a)
        return [y]

    with pytest.raises(OursFailed, match="calls itself") as caught:
        ours(model([BOOL], make), [np.array(True)])
    assert caught.value.stage == "allocate" and isinstance(caught.value.error, ModelError)
