"""IF, WHILE, STABLEHLO_CASE, STABLEHLO_COMPOSITE: what each takes. tests/test_control.py puts them together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import OursFailed, array, check, differential, ours
from tests.kernels.convolutions import drawn
from tests.kernels.subgraphs import BOOL, INT, apply, below, handle, loop, model, plus, read, starts
from tests.sweep import TYPES, sweep

# STABLEHLO_CASE is not in the reference resolver
OPTIMISED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
DRAWN = ("float32", "int8", "int16", "int32", "int64", "bool", "string")


def case(m, index, inputs, kinds, branches, results, op="STABLEHLO_CASE"):
    """Outputs of a STABLEHLO_CASE, or of an op that calls one or two subgraphs, with branches[0] for index 0."""
    subgraphs = [m._model.subgraph(f"branch{i}") for i in range(len(branches))]
    for s, make in zip(subgraphs, branches):
        s.output(*make(s, *[s.input(*kind) for kind in kinds]))
    outputs = [m.tensor(*kind) for kind in results]
    if op == "STABLEHLO_CASE":
        m.op(op, [index, *inputs], outputs, branch_subgraph_indices=subgraphs)
    elif op == "IF":
        m.op(op, [index, *inputs], outputs, then_subgraph_index=subgraphs[1], else_subgraph_index=subgraphs[0])
    else:
        options = {"name": "test.op", "composite_attributes": b"", "version": 1}
        m.op(op, inputs, outputs, decomposition_subgraph_index=subgraphs[0], **options)
    return outputs


# ---- worked by hand


def test_a_case_runs_one_branch(official):
    kind = ((2,), "float32")
    content = model(
        [INT, kind],
        lambda m, i, x: case(
            m,
            i,
            [x],
            [kind],
            [
                lambda s, x: [apply(s, "NEG", x), x],
                lambda s, x: [x, s.constant(np.float32([7, 8]))],
                lambda s, x: [apply(s, "SQUARE", x), apply(s, "ABS", x)],
            ],
            [kind, kind],
        ),
    )
    x = np.float32([1, -2])
    expected = {0: [[-1, 2], [1, -2]], 1: [[1, -2], [7, 8]], 2: [[1, 4], [1, 2]]}
    for i in (0, 1, 2, 3, -1, 100):
        assert [y.tolist() for y in ours(content, [np.int32(i), x])] == expected[i if i in expected else 2]
    check(content, [[np.int32(i), x + i] for i in (0, 2, 1, 3, -1)], sequence=True, resolver=OPTIMISED)


def test_a_composite_is_its_decomposition(official):
    kind = ((2,), "float32")
    content = model(
        [kind, kind],
        lambda m, x, y: case(
            m,
            None,
            [x, y],
            [kind, kind],
            [lambda s, x, y: [apply(s, "SUB", x, y), y]],
            [kind, kind],
            op="STABLEHLO_COMPOSITE",
        ),
    )
    inputs = [np.float32([5, 6]), np.float32([1, 2])]
    assert [y.tolist() for y in ours(content, inputs)] == [[4, 4], [1, 2]]
    check(content, inputs)
    check(content, [inputs, [np.ones((3, 1), np.float32)] * 2], sequence=True)


def test_a_composite_in_a_composite(official):
    """The inner one is called twice by the outer one, with a shape each."""
    m = Model()
    x = m.input((4,), "int32")
    inner, outer = m.subgraph("inner"), m.subgraph("outer")
    inner.output(plus(inner, inner.input((4,), "int32"), np.int32([10])))
    a = outer.input((4,), "int32")
    options = {"name": "test.op", "composite_attributes": b"", "decomposition_subgraph_index": inner}
    b, c = outer.tensor((4,), "int32"), outer.tensor((2, 2), "int32")
    outer.op("STABLEHLO_COMPOSITE", [a], [b], **options)
    outer.op("STABLEHLO_COMPOSITE", [apply(outer, "RESHAPE", b, np.int32([2, 2]), type="int32")], [c], **options)
    outer.output(c)
    y = m.tensor((2, 2), "int32")
    m.op("STABLEHLO_COMPOSITE", [x], [y], **{**options, "decomposition_subgraph_index": outer})
    m.output(y)
    x = np.arange(4, dtype=np.int32)
    assert ours(m.content(), [x])[0].tolist() == [[20, 21], [22, 23]]
    check(m.content(), [x])


def test_only_the_branches_are_branches():
    """Officially every later subgraph has to fit, and all outputs have one type."""
    m = Model()
    i, x = m.input(*INT), m.input((2,), "int32")
    results = [((2,), "int32"), ((2,), "bool")]
    outputs = case(
        m,
        i,
        [x],
        [((2,), "int32")],
        [lambda s, x: [x, below(s, x, 2)], lambda s, x: [apply(s, "NEG", x, type="int32"), below(s, x, 3)]],
        results,
    )
    stray = m.subgraph("stray")
    stray.output(plus(stray, stray.input(*INT), stray.input(*INT)))
    m.output(*outputs)
    x = np.int32([2, 3])
    assert [y.tolist() for y in ours(m.content(), [np.int32(0), x])] == [[2, 3], [False, False]]
    assert [y.tolist() for y in ours(m.content(), [np.int32(1), x])] == [[-2, -3], [True, False]]


# ---- against the official runtime


@pytest.mark.parametrize("type", DRAWN)
@pytest.mark.parametrize("op", ["IF", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE"])
def test_branches(official, op, type):
    """Outputs that are inputs, constants or computed; of one shape, of a shape for each branch; other shapes later."""

    @differential(200)
    @given(st.data())
    def run(data):
        rng = drawn(data)

        def shape():
            return tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 4, rng.integers(1, 4)))

        count = {"IF": 2, "STABLEHLO_CASE": int(rng.integers(1, 4)), "STABLEHLO_COMPOSITE": 1}[op]
        inputs, results = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        first = shape()
        kinds = [(first, type)] * inputs
        flat = rng.random(count) < (0.5 if rng.random() < 0.3 else 0)  # branches of another shape

        def one(s, given, flat):
            x = given[rng.integers(inputs)]
            if flat:
                return apply(s, "RESHAPE", x, np.int32([-1]), type=type)
            if rng.random() < 0.4 and all(x != y for y in taken):
                taken.append(x)
                return x
            if rng.random() < 0.3 and type != "string":  # officially a constant of strings kills the process
                return s.constant(array(data.draw, type, first), type=type)
            return apply(s, "RESHAPE", x, np.int32(first), type=type)

        def branch(flat):
            def make(s, *given):
                taken.clear()
                return [one(s, given, flat) for _ in range(results)]

            return make

        taken = []
        selector = (
            [] if op == "STABLEHLO_COMPOSITE" else [((1,) if rng.integers(2) else (), {"IF": "bool"}.get(op, "int32"))]
        )
        content = model(
            [*selector, *kinds],
            lambda m, *handles: case(
                m,
                handles[0],
                handles[len(selector) :],
                kinds,
                [branch(f) for f in flat],
                [((), type) if flat.any() else (first, type)] * results,
                op=op,
            ),
        )
        turns = []
        for _ in range(2):
            index = [
                rng.integers(0, 2, of).astype(bool) if t == "bool" else rng.integers(-1, count + 1, of).astype(np.int32)
                for of, t in selector
            ]
            turns.append([*(np.asarray(i) for i in index), *(array(data.draw, type, first) for _ in range(inputs))])
        check(content, turns, sequence=True, resolver=OPTIMISED if op == "STABLEHLO_CASE" else "BUILTIN_REF")

    run()


def test_loops_over_strings(official):
    """Each turn puts the words in another order, or takes some more than once."""

    @differential(200)
    @given(st.data())
    def run(data):
        rng = drawn(data)
        size, turns = (int(rng.integers(1, n)) for n in (6, 5))
        kinds, order = [INT, ((size,), "string")], rng.integers(0, size, size).astype(np.int32)

        def body(s, i, x):
            return [plus(s, i, np.int32(1)), apply(s, "GATHER", x, order, type="string")]

        content = model(kinds, lambda m, *state: loop(m, list(state), kinds, lambda s, i, _: below(s, i, turns), body))
        check(
            content,
            [[np.int32(i), array(data.draw, "string", (size,))] for i in rng.integers(0, turns + 1, 2)],
            sequence=True,
        )

    run()


def test_loops_over_variables(official):
    """The handle is part of the state; the variable keeps what the loop of the run before made of it."""

    @differential(200)
    @given(st.data())
    def run(data):
        rng = drawn(data)
        shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 4)))
        first, step = (rng.integers(-9, 9, shape).astype(np.float32) for _ in range(2))
        turns = int(rng.integers(1, 5))

        def body(s, i, v):
            y = s.tensor(shape)
            s.op("READ_VARIABLE", [v], [y])
            s.op("ASSIGN_VARIABLE", [v, plus(s, y, step, "float32")], [])
            return [plus(s, i, np.int32(1)), v]

        def make(m, i):
            starts(m, "v", first)
            state, kinds = [i, handle(m, "v")], [INT, ((), "resource")]
            i, _ = loop(m, state, kinds, lambda s, i, v: below(s, i, turns), body)
            return [i, read(m, "v", shape)]

        check(model([INT], make), [[np.int32(i)] for i in rng.integers(0, turns + 1, 3)], sequence=True)

    run()


@pytest.mark.parametrize("op", ["IF", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "WHILE"])
def test_types(official, op):
    """One type throughout: carried as it is and, in the other branch or turn, moved."""

    def make(type):
        kind = ((2, 1), type)

        def moved(s, x):
            return apply(s, "RESHAPE", x, np.int32([2, 1]), type=type)

        def content(index):
            if op == "WHILE":
                return model(
                    [kind],
                    lambda m, x: loop(
                        m,
                        [m.constant(np.int32(0)), x],
                        [INT, kind],
                        lambda s, i, x: below(s, i, 2),
                        lambda s, i, x: [plus(s, i, np.int32(1)), moved(s, x)],
                    ),
                )
            branches = [lambda s, x: [moved(s, x)], lambda s, x: [x]]
            branches = branches[:1] if op == "STABLEHLO_COMPOSITE" else branches
            return model([index, kind], lambda m, i, x: case(m, i, [x], [kind], branches, [kind], op=op))

        x = array(lambda _: 3, type, (2, 1)) if type not in ("int4", "uint4") else np.int8([[-8], [7]])
        if op == "WHILE":
            return content(None), [x]
        return content(BOOL if op == "IF" else INT), [np.array(0, bool if op == "IF" else np.int32), x]

    resolver = OPTIMISED if op == "STABLEHLO_CASE" else "BUILTIN_REF"
    taken = sweep(make, (TYPES,), resolver=resolver)
    assert taken == {(t,) for t in TYPES}


@pytest.mark.parametrize("op", ["IF", "STABLEHLO_CASE"])
def test_types_of_selectors(official, op):
    def make(type):
        kind = ((2,), "float32")
        branches = [lambda s, x: [apply(s, "NEG", x)], lambda s, x: [x]]
        content = model([((), type), kind], lambda m, i, x: case(m, i, [x], [kind], branches, [kind], op=op))
        index = np.array([b"a"], object)[0] if type == "string" else array(lambda _: 0, type, ())
        return content, [index, np.float32([1, 2])]

    resolver = OPTIMISED if op == "STABLEHLO_CASE" else "BUILTIN_REF"
    assert sweep(make, (TYPES,), resolver=resolver) == {("bool" if op == "IF" else "int32",)}


# ---- refusals


def bad_case(index=INT, count=1, **options):
    """A STABLEHLO_CASE of one branch, but for what is given."""
    m = Model()
    i, x = m.input(*index), m.input((2,), "float32")
    s = m.subgraph("branch")
    s.output(*[apply(s, "NEG", s.input((2,), "float32"))] * count)
    y = m.tensor((2,), "float32")
    m.op("STABLEHLO_CASE", [i, x], [y], **({"branch_subgraph_indices": [1]} | options))
    m.output(y)
    return m.content()


@pytest.mark.parametrize(
    "content, index",
    [
        (bad_case(index=((2,), "int32")), np.int32([0, 0])),
        (bad_case(index=((), "int64")), np.int64(0)),
        (bad_case(count=2), np.int32(0)),
        (bad_case(branch_subgraph_indices=[]), np.int32(0)),
    ],
    ids=["two indices", "an index of int64", "two outputs", "no branches"],
)
def test_a_bad_case(official, content, index):
    assert check(content, [index, np.ones(2, np.float32)], must_run=False, resolver=OPTIMISED) == "error at allocate"


@pytest.mark.parametrize("subgraph", [2, -1])
def test_a_case_of_a_subgraph_that_is_not_there(subgraph):
    """The official runtime looks only when the branch is chosen, and behind the end of its list for its shapes."""
    with pytest.raises(OursFailed, match=f"subgraph {subgraph} is not one of the 2") as caught:
        ours(bad_case(branch_subgraph_indices=[1, subgraph]), [np.int32(0), np.ones(2, np.float32)])
    assert caught.value.stage == "allocate"


def bad_composite(inputs=1, count=1, subgraph=1):
    m = Model()
    x = m.input((2,), "float32")
    s = m.subgraph("decomposition")
    s.output(*[apply(s, "NEG", s.input((2,), "float32"))] * count)
    y = m.tensor((2,), "float32")
    options = {"name": "test.op", "composite_attributes": b"", "decomposition_subgraph_index": subgraph}
    m.op("STABLEHLO_COMPOSITE", [x] * inputs, [y], **options)
    m.output(y)
    return m.content()


@pytest.mark.parametrize(
    "content",
    [bad_composite(inputs=0), bad_composite(inputs=2), bad_composite(count=2), bad_composite(subgraph=2)],
    ids=["no inputs", "two inputs", "two outputs", "no subgraph"],
)
def test_a_bad_composite(official, content):
    assert check(content, [np.ones(2, np.float32)], must_run=False) == "error at allocate"


def test_a_composite_of_itself():
    """The official runtime recurs until its stack is full."""
    with pytest.raises(OursFailed, match="calls itself"):
        ours(bad_composite(subgraph=0), [np.ones(2, np.float32)])


@pytest.mark.parametrize("absent, type, text", [(True, "float32", "optional"), (False, "int32", "is float32")])
def test_a_branch_takes_what_it_declares(absent, type, text):
    """Officially an input that no branch reads may be absent, and the types of a branch are overridden."""
    m = Model()
    c, x, y = m.input(*BOOL), m.input((2,), type), m.tensor((2,), type)
    branches = [m.subgraph("then"), m.subgraph("other")]
    for s in branches:
        s.output(apply(s, "NEG", s.input((2,), "float32")))
        s.input((2,), "float32")
    inputs = [c, x, None if absent else x]
    m.op("IF", inputs, [y], then_subgraph_index=branches[0], else_subgraph_index=branches[1])
    m.output(y)
    with pytest.raises(OursFailed, match=text) as caught:
        ours(m.content(), [np.array(True), np.ones(2, type)])
    assert caught.value.stage == "allocate"
