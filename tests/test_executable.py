"""Plans and frames: lives, late nodes, folding, variables, clones. Models are built by hand."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.errors import ModelError
from minitfl.executable import NoData
from minitfl.load import load_model
from minitfl.op import _PREPARATIONS, WORKSPACE_FREE, find
from minitfl.runtime import Runtime
from tests.cases import check, shared_model
from tests.test_arena import overlapping
from tests.test_lockstep import drawn_inputs


def instance(model, **keywords):
    made = Runtime(load_model(model.content()), **keywords).instance(0)
    made.allocate()
    return made


def run(made, **values):
    for name, value in values.items():
        index = next(t.index for t in made.subgraph.tensors if t.name == name)
        made.put(index, np.asarray(value, made.subgraph.tensors[index].dtype))
    made.invoke()
    return [made.array(i).copy() for i in made.subgraph.outputs]


def chain(*ops, shape=(1, 64)):
    """x -> op -> op -> ... -> y, element by element."""
    m = Model()
    now = m.input(shape, name="x")
    for op in ops:
        then = m.tensor(shape)
        m.op(op, [now], [then])
        now = then
    m.output(now)
    return m


# ---- memory


def test_a_chain_in_little_memory():
    made = instance(chain("NEG", "EXP", "NEG", "SQUARE", "NEG", "EXP"))
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)
    (y,) = run(made, x=x)
    np.testing.assert_allclose(y, np.exp(-np.square(-np.exp(-x))), rtol=1e-6)
    plan = made.memory_plan()
    # the input lives for the whole run, beside what a step reads and what it writes
    assert plan.arena_nbytes == plan.bound_nbytes == 3 * 256


def test_invoke_may_be_repeated():
    made = instance(chain("NEG", "EXP", "NEG", "SQUARE"))
    (first,) = run(made, x=np.ones((1, 64)))
    made.invoke()
    assert np.array_equal(made.array(made.subgraph.outputs[0]), first)


def reshaped_then_used_late():
    """x -> a -> (reshape) b; noise in between; b is read at the end."""
    m = Model()
    x = m.input((4, 16), name="x")
    a, b = m.tensor((4, 16)), m.tensor((64,))
    m.op("NEG", [x], [a])
    m.op("RESHAPE", [a], [b], new_shape=[64])
    noise = x
    for _ in range(4):
        then = m.tensor((4, 16))
        m.op("EXP", [noise], [then])
        noise = then
    y = m.tensor((64,))
    m.op("NEG", [b], [y])
    m.output(y, noise)
    return m


def test_what_is_reshaped_stays_alive():
    made = instance(reshaped_then_used_late())
    x = np.arange(64).reshape(4, 16) / 64
    y, _ = run(made, x=x)
    np.testing.assert_array_equal(y, x.reshape(-1).astype(np.float32))


def test_an_output_is_not_a_view_of_an_input():
    m = Model()
    x, y = m.input((2, 3), name="x"), m.tensor((6,))
    m.op("RESHAPE", [x], [y], new_shape=[6])
    m.output(y)
    made = instance(m)
    (before,) = run(made, x=np.ones((2, 3)))
    made.put(0, np.zeros((2, 3), np.float32))
    assert np.array_equal(made.array(1), before)


def test_what_was_overwritten_is_not_shown():
    made = instance(chain("NEG", "EXP", "NEG", "SQUARE", "NEG", "EXP"))
    run(made, x=np.ones((1, 64)))
    reasons = []
    for i in range(1, 6):
        try:
            made.array(i)
        except NoData as error:
            reasons.append(error.reason)
    assert reasons.count("reused") >= 3
    kept = instance(chain("NEG", "EXP", "NEG", "SQUARE", "NEG", "EXP"), preserve_all=True)
    run(kept, x=np.ones((1, 64)))
    assert kept.array(1)[0, 0] == -1 and kept.array(3)[0, 0] == -kept.array(2)[0, 0]


def test_the_arena_reaches_the_bound():
    """On every shared model that can be planned; what can't is judged by the lockstep tests."""
    planned = 0
    for path in sorted(shared_model("").glob("*/*.tflite")):
        try:
            plan = Runtime(load_model(path.read_bytes())).planner.plan(0, {})
        except ModelError:
            continue
        planned += 1
        lives = [life for life in plan.lives if isinstance(life.key, int)]
        assert plan.arena_nbytes == plan.bound_nbytes, path
        assert len(plan.memory().records) == len(lives)
        assert not overlapping(lives, plan.places), path
    assert planned == 148


def test_temporaries_stay_within_the_workspace():
    """Each step of each shared model, its first run aside: what it allocates, as tracemalloc sees it."""
    measured = 0
    for path in sorted(shared_model("").glob("*/*.tflite")):
        try:
            graph = load_model(path.read_bytes())
            made = Runtime(graph, preserve_all=True).instance(0)
            made.allocate()
            for i, value in zip(made.subgraph.inputs, drawn_inputs(graph, 0), strict=True):
                made.put(i, value)
            made.invoke()
        except ModelError:
            continue
        calls = {step.node.index: step.call for step in made.frame.plan.steps}
        for step in made.steps():
            call = calls[step.node.index]
            if call is None:
                step.run()
                continue
            tracemalloc.start()
            step.run()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            measured += 1
            assert peak <= call.workspace + WORKSPACE_FREE, f"{path}: node {step.node.index}, {step.node.op}"
    assert measured > 500


# ---- late nodes and folding


def test_a_late_shape_changes_from_run_to_run():
    m = Model()
    x, y = m.input((4,), "bool", name="x"), m.tensor((), "int64")
    m.op("WHERE", [x], [y])
    m.output(y)
    made = instance(m)
    assert run(made, x=[1, 0, 0, 1])[0].tolist() == [[0], [3]]
    assert run(made, x=[0, 1, 0, 0])[0].tolist() == [[1]]
    assert run(made, x=[0, 0, 0, 0])[0].shape == (0, 1)


def test_a_dynamic_output_has_no_data_before_it_is_computed():
    m = Model()
    x, y = m.input((4,), "bool", name="x"), m.tensor((), "int64")
    m.op("WHERE", [x], [y])
    m.output(y)
    made = instance(m)
    with pytest.raises(NoData) as error:
        made.array(1)
    assert error.value.reason == "dynamic"


def test_shapes_are_folded_away():
    m = Model()
    x = m.input((2, 3, 4), name="x")
    s, y = m.tensor((3,), "int32"), m.tensor((2, 3, 4))
    m.op("SHAPE", [x], [s], out_type="INT32")
    m.op("RESHAPE", [x, s], [y])
    m.output(y)
    made = instance(m)
    assert [step.node.op for step in made.steps()] == ["RESHAPE"]
    assert made.array(1).tolist() == [2, 3, 4]


@pytest.mark.parametrize("pure", [True, False])
def test_only_pure_operators_are_folded(monkeypatch, pure):
    m = Model()
    y = m.tensor((2,))
    m.op("NEG", [m.constant(np.ones(2, np.float32))], [y])
    m.output(y)
    monkeypatch.setitem(_PREPARATIONS, "NEG", replace(find("NEG"), pure=pure))
    made = instance(m)
    assert [step.node.op for step in made.steps()] == ([] if pure else ["NEG"])
    assert run(made)[0].tolist() == [-1, -1]


def test_a_handle_is_the_same_for_every_run():
    m = Model()
    h, v, y = m.tensor((), "resource"), m.constant(np.ones(2, np.float32)), m.tensor((2,))
    m.op("VAR_HANDLE", [], [h], shared_name="v")
    m.op("ASSIGN_VARIABLE", [h, v], [])
    m.op("READ_VARIABLE", [h], [y])
    m.output(y)
    made = instance(m)
    assert [step.node.op for step in made.steps()] == ["ASSIGN_VARIABLE", "READ_VARIABLE"]
    assert run(made)[0].tolist() == [1, 1]


def test_what_comes_after_dynamic_outputs_is_refused_at_its_turn(official):
    """Officially nothing behind a node with outputs of unknown shape, or of strings, is looked at before."""
    for op, type in (("WHERE", "int64"), ("RESHAPE", "string")):
        m = Model()
        x, y, z = m.input((2,), "string" if type == "string" else "int32"), m.tensor((), type), m.tensor((2,))
        m.op(op, [x] if op == "WHERE" else [x, m.constant(np.int32([2, 1]))], [y])
        m.op("ADD", [m.constant(np.float32([1, 2])), m.constant(np.float32([1, 2, 3]))], [z])
        m.output(y, z)
        inputs = [np.array([b"a", b"b"], object) if type == "string" else np.int32([1, 0])]
        assert check(m.content(), inputs, must_run=False) == "error at invoke"


def test_what_nothing_writes_is_an_error_at_its_turn():
    m = Model()
    x, stray, y = m.input((2,), name="x"), m.tensor((2,), name="stray"), m.tensor((2,))
    m.op("ADD", [x, stray], [y])
    m.output(y)
    made = instance(m)
    with pytest.raises(RuntimeError, match=r"Input tensor 1 lacks data.*stray"):
        made.invoke()


def test_the_error_says_where():
    m = Model()
    x, y = m.input((2, 3), name="x"), m.tensor((), name="block3/reshape")
    m.op("RESHAPE", [x], [y], new_shape=[4])
    m.output(y)
    with pytest.raises(RuntimeError, match=r"(?s)node 0, RESHAPE -> 'block3/reshape'.*failed to prepare") as error:
        instance(m)
    assert isinstance(error.value, ModelError)


# ---- state


def adds_a_variable():
    m = Model()
    x = m.input((1, 2), name="x", signature=(-1, 2))
    v, y = m.variable((1, 2), "float32", name="v"), m.tensor((1, 2))
    m.op("ADD", [x, v], [y])
    m.output(y)
    return m


def test_a_resize_resets_variables(official):
    content = adds_a_variable().content()
    script = [
        ("allocate_tensors",),
        ("set_tensor", 1, np.float32([[5, 6]])),
        ("resize_tensor_input", 0, [3, 2]),
        ("allocate_tensors",),
        ("get_tensor", 1),
    ]
    theirs = official.steps(content, script)[-1][1]
    made = Runtime(load_model(content)).instance(0)
    made.allocate()
    made.put(1, np.float32([[5, 6]]))
    made.resize(0, (3, 2))
    made.allocate()
    assert np.array_equal(made.array(1), theirs)


def test_allocating_again_keeps_variables():
    made = instance(adds_a_variable())
    made.put(1, np.float32([[5, 6]]))
    made.resize(0, (1, 2))
    made.allocate()
    assert run(made, x=[[1, 1]])[0].tolist() == [[6, 7]]


def counter():
    """A resource variable that each run adds x to, first assigned by CALL_ONCE."""
    m = Model()
    once = m.subgraph("init")
    h = once.tensor((), "resource")
    once.op("VAR_HANDLE", [], [h], shared_name="count")
    once.op("ASSIGN_VARIABLE", [h, once.constant(np.zeros(1, np.float32))], [])
    x, h = m.input((1,), name="x"), m.tensor((), "resource")
    old, y = m.tensor((1,)), m.tensor((1,))
    m.op("CALL_ONCE", [], [], init_subgraph_index=once)
    m.op("VAR_HANDLE", [], [h], shared_name="count")
    m.op("READ_VARIABLE", [h], [old])
    m.op("ADD", [old, x], [y])
    m.op("ASSIGN_VARIABLE", [h, y], [])
    m.output(y)
    return m


def test_a_resource_variable_counts():
    made = instance(counter())
    assert [run(made, x=[2])[0].tolist() for _ in range(3)] == [[2], [4], [6]]


def test_a_clone_starts_afresh():
    made = instance(counter())
    run(made, x=[2])
    twin = made.runtime.clone().instance(0)
    twin.allocate()
    assert run(twin, x=[1])[0].tolist() == [1]
    same = made.runtime.clone(state=True).instance(0)
    assert run(same, x=[1])[0].tolist() == [3]
    assert run(made, x=[1])[0].tolist() == [3]


def test_a_clone_shares_the_plan():
    made = instance(counter())
    twin = made.runtime.clone().instance(0)
    twin.allocate()
    assert twin.frame.plan is made.frame.plan and twin.frame is not made.frame


def test_a_variable_is_a_copy():
    m = Model()
    x, h = m.input((2,), name="x"), m.tensor((), "resource")
    m.op("VAR_HANDLE", [], [h], shared_name="v")
    m.op("ASSIGN_VARIABLE", [h, x], [])
    m.output(h)
    made = instance(m)
    made.put(0, np.float32([1, 2]))
    made.invoke()
    made.put(0, np.float32([7, 7]))
    assert made.runtime.state.variables["/v"].value.tolist() == [1, 2]


def test_plans_are_kept_by_shape():
    made = instance(chain("NEG"))
    first = made.frame.plan
    made.resize(0, (2, 64))
    made.allocate()
    assert made.frame.plan is not first
    made.resize(0, (1, 64))
    made.allocate()
    assert made.frame.plan is first


def test_a_subgraph_that_calls_itself_is_refused():
    m = Model()
    x, y = m.input((1,), name="x"), m.tensor((1,))
    c, again = m.input((1,), "bool"), m.subgraph("again")
    a, d = again.input((1,)), again.input((1,), "bool")
    b = again.tensor((1,))
    again.op("IF", [d, a, d], [b], then_subgraph_index=again, else_subgraph_index=again)
    again.output(b)
    m.op("IF", [c, x, c], [y], then_subgraph_index=again, else_subgraph_index=again)
    m.output(y)
    with pytest.raises(RuntimeError, match="calls itself"):
        instance(m)


def test_constants_are_counted_each_and_shared_ones_once():
    m = Model()
    x, y, z = m.input((1, 64), name="x"), m.tensor((1, 64)), m.tensor((1, 64))
    m.op("ADD", [x, m.constant(np.ones((1, 64), np.float32))], [y])
    m.op("MUL", [y, m.constant(np.full(1, 2, np.float32))], [z])
    m.output(z)
    assert instance(m).memory_plan().constants_nbytes == 64 * 4 + 4
    assert instance(int8_convolution(1)).memory_plan().constants_nbytes == 2 * 2 + 2 * 4


# ---- packed weights


def int8_convolution(batch):
    """x -> CONV_2D -> y, twice through the same filter."""
    m = Model()
    numbers = {"scale": 0.1, "zero_point": 0}
    x = m.input((batch, 4, 4, 2), "int8", name="x", signature=(-1, 4, 4, 2), **numbers)
    w = m.constant(np.ones((2, 1, 1, 2), np.int8), **numbers)
    b = m.constant(np.zeros(2, np.int32), scale=0.01, zero_point=0)
    y, z = (m.tensor((batch, 4, 4, 2), "int8", **numbers) for _ in range(2))
    m.op("CONV_2D", [x, w, b], [y], version=3, stride_w=1, stride_h=1)
    m.op("CONV_2D", [y, w, b], [z], version=3, stride_w=1, stride_h=1)
    m.output(z)
    return m


def test_the_memory_plan_counts_what_is_packed():
    made = instance(int8_convolution(1))
    assert made.memory_plan().packed_nbytes == 0
    run(made, x=np.ones((1, 4, 4, 2)))
    assert made.memory_plan().packed_nbytes == 4 * 2 * 2  # one filter, as floats


def test_the_memory_plan_of_machine_code():
    made = instance(int8_convolution(1))
    program = type("Program", (), {"ranges": {0: (0, 1)}, "workspace_nbytes": 128, "constants_nbytes": 256})()
    numpy = made.memory_plan().workspace_nbytes
    assert numpy >= WORKSPACE_FREE
    half = made.frame.plan.memory(program)
    assert (half.workspace_nbytes, half.packed_nbytes) == (128 + numpy, 256)
    program.ranges[1] = (1, 2)
    assert made.frame.plan.memory(program).workspace_nbytes == 128


def test_a_filter_is_packed_once():
    made = instance(int8_convolution(1))
    planner = made.runtime.planner
    assert planner.packings == 0  # a fast form may never need it
    run(made, x=np.ones((1, 4, 4, 2)))
    assert planner.packings == 1
    twin = made.runtime.clone().instance(0)
    for other in (made, twin):
        other.resize(0, (3, 4, 4, 2))
        other.allocate()
        run(other, x=np.ones((3, 4, 4, 2)))
    assert planner.packings == 1


class GivesUp:
    """Stands for the fast form of all steps: gives up on some of them, and notes where it was started."""

    def __init__(self, steps, on):
        self.program = type("Program", (), {"ranges": {n: (i, i + 1) for i, n in enumerate(steps)}})
        self._on = on
        self.started = []

    def whole(self):
        steps = tuple(self.program.ranges)
        n = self.run(steps[0], steps[-1] + 1)
        return 0 if n < 0 else 1 + self.program.ranges[n][0]

    def step(self, failed):
        return tuple(self.program.ranges)[failed - 1]

    def run(self, first, last):
        assert first in self.program.ranges and last - 1 in self.program.ranges
        self.started.append(first)
        return next((n for n in self._on if first <= n < last), -1)


@pytest.mark.parametrize(("threads", "on"), [(1, [0, 3, 4]), (2, [0, 3, 4]), (1, []), (1, [3])])
def test_steps_that_the_fast_form_gives_up_on(monkeypatch, threads, on):
    """They run in NumPy, each once and in order; a RESHAPE between fast steps does not part them."""
    m = Model()
    x = now = m.input((4, 16), name="x")
    for op in ("NEG", "NEG", "RESHAPE", "NEG", "NEG"):
        then = m.tensor((4, 16))
        m.op(op, [now], [then], **({"new_shape": [4, 16]} if op == "RESHAPE" else {}))
        now = then
    m.output(now)
    made = instance(m)
    assert x == 0 and made.frame.plan.steps[2].skip
    fast, ran = GivesUp([0, 1, 3, 4], on), []
    functions = {"bind": lambda self, frame, ask: fast, "news": lambda self: 0, "expects": lambda *_: False}
    engine = type("Engine", (), functions)
    made.runtime.engine, made.runtime.threads = engine(), threads
    made.frame._turns = made.frame._arrange()
    assert [turn.steps for turn in made.frame._turns] == [(0, 1, 3, 4)]
    monkeypatch.setattr(made.frame, "_run_numpy", ran.append)
    made.invoke()
    assert ran == on
    assert fast.started == [0, *(n for n in (1, 4) if {1: 0, 4: 3}[n] in on)]
