"""HASHTABLE, HASHTABLE_IMPORT, HASHTABLE_FIND, HASHTABLE_SIZE: alone, over subgraphs, signatures and copies."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter
from minitfl.build import Model
from tests.cases import OursFailed, check, differential, ours
from tests.kernels.convolutions import drawn
from tests.sweep import TYPES, sweep

# not in the reference resolver
OPTIMISED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
PAIRS = [("int64", "string"), ("string", "int64")]
WORDS = [b"", b"a", b"abc", "\u00e4\u20ac".encode(), b"\x00\x01", b"a\x00"]
NUMBERS = [0, 1, -1, 7, 2**63 - 1, -(2**63)]


def table(s, number, key, value):
    handle = s.tensor((1,), "resource")
    s.op("HASHTABLE", [], [handle], table_id=number, key_dtype=key, value_dtype=value)
    return handle


def find(s, handle, keys, default, type, shape=()):
    y = s.tensor(shape, type)
    s.op("HASHTABLE_FIND", [handle, keys, default], [y])
    return y


def size(s, handle):
    y = s.tensor((1,), "int64")
    s.op("HASHTABLE_SIZE", [handle], [y])
    return y


def contents(values, type):
    """An array of strings or int64."""
    return np.array(values, object if type == "string" else np.int64)


# ---- worked by hand


def words():
    """Keys (2,) to numbers: {"one": 1, "two": 2}, else -1; the table is filled in a subgraph."""
    m = Model()
    x = m.input((2,), "string", name="x")
    start = m.subgraph("start")
    keys, values = start.constant(contents([b"one", b"two"], "string")), start.constant(np.int64([1, 2]))
    start.op("HASHTABLE_IMPORT", [table(start, 5, "string", "int64"), keys, values], [])
    m.op("CALL_ONCE", [], [], init_subgraph_index=start)
    handle = table(m, 5, "string", "int64")
    y, n = find(m, handle, x, m.constant(np.int64(-1)), "int64"), size(m, handle)
    m.output(y, n)
    m.signature("number", {"x": x}, {"y": y, "n": n})
    return m.content()


def test_a_key_that_is_missing_gives_the_default(official):
    x = [contents([b"two", b"three"], "string")]
    y, n = ours(words(), x)
    assert y.tolist() == [2, -1] and n.tolist() == [2]
    check(words(), x, resolver=OPTIMISED)


def filled_by_inputs(key, value, size_first=False):
    """keys, values, what is asked, default -> the size, the answers."""
    m = Model()
    keys, values, asked, default = (m.input((2,), t) for t in (key, value, key, value))
    handle = table(m, 1, key, value)
    n = [size(m, handle)] if size_first else []
    m.op("HASHTABLE_IMPORT", [handle, keys, values], [])
    m.output(*n, size(m, handle), find(m, handle, asked, default, value))
    return m.content()


def test_a_table_is_filled_once_and_first_keys_count(official):
    content = filled_by_inputs("int64", "string", size_first=True)
    keys, asked, default = np.int64([3, 3]), np.int64([3, 4]), contents([b"none", b"other"], "string")
    turns = [[keys, contents(v, "string"), asked, default] for v in ([b"first", b"second"], [b"third", b"fourth"])]
    before, after, y = ours(content, turns[0])
    assert (before.tolist(), after.tolist(), y.tolist()) == ([0], [1], [b"first", b"none"])
    assert ours(content, turns, sequence=True)[1][2].tolist() == [b"first", b"none"]
    check(content, turns, sequence=True, resolver=OPTIMISED)


# ---- against the official runtime


@pytest.mark.parametrize("key, value", PAIRS)
def test_tables(official, key, value):
    """Two tables, entries as constants or inputs, several imports, shapes that change from run to run."""

    @differential(200)
    @given(st.data())
    def run(data):
        rng = drawn(data)

        def draw(type, shape):
            pool = contents(WORDS if type == "string" else NUMBERS, type)
            return np.array(pool[rng.integers(0, len(pool), shape)], pool.dtype).reshape(shape)

        def shape(least=0):
            return tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 4, rng.integers(least, 4)))

        scalar = 1  # the official set_tensor stores a pointer for a scalar string; constants may be scalars

        m = Model()
        asked = m.input(shape(scalar), key)
        others, turns = [], [[], []]
        s = m.subgraph("start") if rng.random() < 0.5 else m
        for number in (7, int(rng.integers(-(2**31), 2**31))):
            for _ in range(rng.integers(1, 3)):
                constants = [s is not m or bool(rng.integers(2)) for _ in range(2)]
                of = shape(0 if all(constants) else scalar)
                handles = []
                for type, constant in zip((key, value), constants):
                    if constant:
                        handles.append(s.constant(draw(type, of)))
                    else:
                        handles.append(m.input(of, type))
                        for turn in turns:
                            turn.append(draw(type, of))
                s.op("HASHTABLE_IMPORT", [table(s, number, key, value), *handles], [])
            others.append(number)
        if s is not m:
            m.op("CALL_ONCE", [], [], init_subgraph_index=s)
        default = m.constant(draw(value, ((), (1,), (2,))[rng.integers(3)]))
        for number in others:
            handle = table(m, number, key, value)
            m.output(find(m, handle, asked, default, value), size(m, handle))
        turns = [[draw(key, shape(scalar)), *turn] for turn in turns]
        check(m.content(), turns, sequence=True, resolver=OPTIMISED)

    run()


def test_types(official):
    """Of HASHTABLE_IMPORT and HASHTABLE_FIND, whatever the table says."""

    def make(key, value):
        m = Model()
        handle = table(m, 1, "int64", "string")
        k, v = m.input((1,), key), m.input((1,), value)
        m.op("HASHTABLE_IMPORT", [handle, k, v], [])
        m.output(find(m, handle, k, v, value))
        return m.content(), [_some(key), _some(value)]

    assert sweep(make, (TYPES, TYPES), resolver=OPTIMISED) == {("int64", "string")}


@pytest.mark.parametrize("table_types", PAIRS)
def test_types_of_tables(official, table_types):
    """HASHTABLE's own options; IMPORT and FIND follow the given pair."""

    def make(key, value):
        m = Model()
        handle = table(m, 1, key, value)
        k, v = m.input((1,), table_types[0]), m.input((1,), table_types[1])
        m.op("HASHTABLE_IMPORT", [handle, k, v], [])
        m.output(find(m, handle, k, v, table_types[1]))
        return m.content(), [_some(table_types[0]), _some(table_types[1])]

    assert sweep(make, (TYPES, TYPES), resolver=OPTIMISED) == {table_types}


def test_types_of_defaults_and_sizes(official):
    def make(default, size_type):
        m = Model()
        x, d = m.input((1,), "string"), m.input((1,), default)
        handle = table(m, 1, "string", "int64")
        m.op("HASHTABLE_IMPORT", [handle, x, m.constant(np.int64([4]))], [])
        n = m.tensor((1,), size_type)
        m.op("HASHTABLE_SIZE", [handle], [n])
        m.output(find(m, handle, x, d, "int64"), n)
        return m.content(), [_some("string"), _some(default)]

    assert sweep(make, (TYPES, TYPES), resolver=OPTIMISED) == {("int64", "int64")}


def _some(type):
    if type == "string":
        return contents([b"a"], type)
    if type == "bfloat16":
        import ml_dtypes

        return np.ones(1, ml_dtypes.bfloat16)
    return np.ones(1, {"int4": "int8"}.get(type, type))


# ---- what outlives a run


def answers(interpreter):
    """The numbers of "one" and "three", and the table's size, after one run."""
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], contents([b"one", b"three"], "string"))
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]).tolist() for d in interpreter.get_output_details()]


def state(interpreter):
    return interpreter._interpreter.runtime.state


@pytest.mark.parametrize(
    "made",
    [lambda i: i.clone(state=True), lambda i: pickle.loads(pickle.dumps(i)), copy.deepcopy],
    ids=["clone", "pickle", "deepcopy"],
)
def test_copies_carry_the_table(made):
    original = Interpreter(model_content=words())
    assert answers(original) == [[1, -1], [2]]
    twin = made(original)
    # what fills the table does not run again, so this can only be in the copy of it
    state(twin).table(5).entries[b"three"] = 3
    assert answers(twin) == [[1, 3], [3]]
    assert answers(original) == [[1, -1], [2]]


def test_a_clone_without_state_has_no_table():
    original = Interpreter(model_content=words())
    answers(original)
    assert state(original).tables and not state(original.clone()).tables


def test_tables_outlive_resize_allocate_and_reset(official):
    content = filled_by_inputs("string", "int64")
    keys, default = contents([b"a", b"b"], "string"), np.int64([0, 0])
    turns = [[keys, np.int64([1, 2]), keys, default]]
    turns.append([keys, np.int64([3, 4]), np.append(keys, b"c"), default])
    interpreter = Interpreter(model_content=content)
    for turn in turns:
        for detail, value in zip(interpreter.get_input_details(), turn):
            interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        interpreter.reset_all_variables()
        for detail, value in zip(interpreter.get_input_details(), turn):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[1]["index"]).tolist() == [1, 2, 0]
    check(content, turns, sequence=True, resolver=OPTIMISED)


def test_signatures_share_tables(official):
    """fill(keys, values) and find(keys), two subgraphs."""
    m = Model()
    keys, values = m.input((2,), "int64", name="keys"), m.input((2,), "string", name="values")
    handle = table(m, 3, "int64", "string")
    m.op("HASHTABLE_IMPORT", [handle, keys, values], [])
    n = size(m, handle)
    m.output(n)
    s = m.subgraph("find")
    asked = s.input((1,), "int64", name="asked")
    y = find(s, table(s, 3, "int64", "string"), asked, s.constant(contents([b"?"], "string")), "string", (1,))
    s.output(y)
    m.signature("fill", {"keys": keys, "values": values}, {"n": n})
    m.signature("find", {"asked": asked}, {"y": y}, subgraph=s)
    calls = [
        ("fill", {"keys": np.int64([1, 2]), "values": contents([b"x", b"y"], "string")}),
        ("find", {"asked": np.int64([2])}),
        ("find", {"asked": np.int64([3])}),
    ]
    theirs = official.signatures(m.content(), calls, resolver=OPTIMISED)
    interpreter = Interpreter(model_content=m.content())
    mine = [interpreter.get_signature_runner(key)(**inputs) for key, inputs in calls]
    assert [{k: v.tolist() for k, v in r.items()} for r in mine] == [
        {k: v.tolist() for k, v in r.items()} for r in theirs
    ]
    assert mine[1]["y"].tolist() == [b"y"] and mine[2]["y"].tolist() == [b"?"]


# ---- refusals


def refused(make, *arrays, inputs=(((1,), "string"),)):
    m = Model()
    make(m, *[m.input(*kind) for kind in inputs])
    return check(m.content(), list(arrays), must_run=False, resolver=OPTIMISED)


A = contents([b"a"], "string")


def test_a_table_that_is_not_filled_can_not_be_asked(official):
    def make(m, x):
        m.output(find(m, table(m, 1, "string", "int64"), x, m.constant(np.int64([1])), "int64"))

    assert refused(make, A) == "error at invoke"


def test_keys_and_values_have_one_shape(official):
    def make(m, x):
        handle = table(m, 1, "string", "int64")
        m.op("HASHTABLE_IMPORT", [handle, x, m.constant(np.int64([1, 2]))], [])
        m.output(size(m, handle))

    assert refused(make, A) == "error at invoke"


def test_a_table_of_other_types(official):
    """The number was given to a table of strings first; that is noticed only while running."""

    def make(m, x):
        m.op("HASHTABLE_IMPORT", [table(m, 1, "string", "int64"), x, m.constant(np.int64([1]))], [])
        handle = table(m, 1, "int64", "string")
        m.output(find(m, handle, m.constant(np.int64([1])), x, "string"))

    assert refused(make, A) == "error at invoke"


@pytest.mark.parametrize("shape", [(), (1, 1), (2,)])
def test_a_handle_of_another_shape(official, shape):
    def make(m, x):
        handle = m.tensor(shape, "resource")
        m.op("VAR_HANDLE", [], [handle], shared_name="v")
        m.output(size(m, handle))

    assert refused(make, A) == "error at allocate"


def test_a_variable_is_no_table(official):
    def make(m, x):
        handle = m.tensor((1,), "resource")
        m.op("VAR_HANDLE", [], [handle], shared_name="v")
        m.op("ASSIGN_VARIABLE", [handle, m.constant(np.int64([1]))], [])
        m.output(size(m, handle))

    assert refused(make, A) == "error at invoke"


def test_a_table_is_no_variable(official):
    def read(m, x):
        y = m.tensor((1,), "int64")
        m.op("READ_VARIABLE", [table(m, 1, "string", "int64")], [y])
        m.output(y)

    def assign(m, x):
        handle = table(m, 1, "string", "int64")
        m.op("ASSIGN_VARIABLE", [handle, m.constant(np.int64([1]))], [])
        m.output(size(m, handle))

    assert refused(read, A) == "error at invoke"
    assert refused(assign, A) == "error at invoke"


def test_a_number_that_is_a_variable_s(official):
    def make(m, x):
        m.op("ASSIGN_VARIABLE", [m.constant(np.int32([1])), m.constant(np.int64([1]))], [])
        m.output(size(m, table(m, 1, "string", "int64")))

    assert refused(make, A) == "error at invoke"


@pytest.mark.parametrize("op", ["HASHTABLE", "HASHTABLE_IMPORT", "HASHTABLE_FIND", "HASHTABLE_SIZE"])
def test_numbers_of_tensors(official, op):
    """Each op with too few or too many inputs or outputs. What comes after a table is looked at only while running."""
    wanted = {"HASHTABLE": (0, 1), "HASHTABLE_IMPORT": (3, 0), "HASHTABLE_FIND": (3, 1), "HASHTABLE_SIZE": (1, 1)}[op]
    for inputs, outputs in {(0, 1), (1, 1), (2, 1), (4, 1), (3, 0), (3, 2)} - {wanted}:

        def make(m, x, inputs=inputs, outputs=outputs):
            given = [table(m, 1, "string", "int64"), x, m.constant(np.int64([1])), x][:inputs]
            options = {"key_dtype": "string", "value_dtype": "int64"} if op == "HASHTABLE" else {}
            results = [m.tensor((1,), "resource" if op == "HASHTABLE" else "int64") for _ in range(outputs)]
            m.op(op, given, results, **options)
            m.output(size(m, table(m, 1, "string", "int64")))

        assert refused(make, A) == "error at invoke"


def test_an_empty_default():
    """The official runtime reads what is not there."""
    m = Model()
    x = m.input((1,), "string")
    m.output(find(m, table(m, 1, "string", "int64"), x, m.constant(np.zeros(0, np.int64)), "int64"))
    with pytest.raises(OursFailed, match="default is empty") as caught:
        ours(m.content(), [A])
    assert caught.value.stage == "invoke"
