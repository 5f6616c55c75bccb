"""VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE: what each takes. tests/test_control.py puts them together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.subgraphs import assign, handle, model, read, starts
from tests.sweep import TYPES, sweep

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def through(shape, type="float32", *, of=(2, 3), handle_shape=(), handle_type="resource", read_as=None):
    """x -> a variable -> y; shape: what the file says of y's."""
    m = Model()
    x, h = m.input(of, type), m.tensor(handle_shape, handle_type)
    m.op("VAR_HANDLE", [], [h], shared_name="v")
    m.op("ASSIGN_VARIABLE", [h, x], [])
    y = m.tensor(shape, read_as or type)
    m.op("READ_VARIABLE", [h], [y])
    m.output(y)
    return m.content()


# ---- worked by hand


@pytest.mark.parametrize("shape, expected", [((), (2, 3)), ((6,), (6,)), ((1, 3, 2), (1, 3, 2)), ((2, 3), (2, 3))])
def test_the_file_may_give_the_values_a_shape(official, shape, expected):
    (y,) = ours(through(shape), [X])
    assert y.shape == expected and y.ravel().tolist() == X.ravel().tolist()
    check(through(shape), [X])


@pytest.mark.parametrize("shape", [(4,), (3, 3), (0,)])
def test_a_shape_for_another_number_of_values_is_not_used(shape):
    """The official runtime copies as many bytes as that shape has, from wherever they are."""
    assert ours(through(shape), [X])[0].tolist() == X.tolist()


# ---- against the official runtime


@pytest.mark.parametrize(
    "type", ["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool", "complex64"]
)
def test_variables(official, type):
    """Two variables, one with a first value; what is read before and after assigning; shapes that change."""

    @differential(200)
    @given(st.data())
    def run(data):
        draw = data.draw
        first, *others = (draw(shapes(0, 4, 4)) for _ in range(3))

        def make(m, x):
            starts(m, "v", array(draw, type, first))
            before = read(m, "v", (), type)
            assign(m, "v", x)
            assign(m, "w", before)
            return [before, read(m, "v", (), type), read(m, "w", (), type)]

        check(model([(others[0], type)], make), [[array(draw, type, shape)] for shape in others], sequence=True)

    run()


def test_variables_by_number(official):
    """Handles that are constants of int32, as older converters wrote them."""

    @differential(200)
    @given(st.data())
    def run(data):
        draw = data.draw
        number, shapes_of = draw(st.integers(-(2**31), 2**31 - 1)), [draw(shapes(0, 4, 4)) for _ in range(2)]
        m = Model()
        h, x, y = m.constant(np.int32([number])), m.input(shapes_of[0], "float32"), m.tensor((), "float32")
        m.op("ASSIGN_VARIABLE", [h, x], [])
        m.op("READ_VARIABLE", [h], [y])
        m.output(y)
        check(m.content(), [[array(draw, "float32", shape)] for shape in shapes_of], sequence=True)

    run()


def test_types(official):
    def make(type, read_as):
        content = through((), type, of=(3,), read_as=read_as)
        return content, [np.int8([1, -2, 3]) if type == "int4" else array(lambda _: 3, type, (3,))]

    known = {("string", "string"): "the official runtime dies"}
    taken = sweep(make, (TYPES, TYPES))
    assert taken == {(t, t) for t in TYPES} - set(known)


def test_types_of_handles(official):
    def make(type):
        return through((2, 3), handle_type=type), [X]

    assert sweep(make, (["resource", *(t for t in TYPES if t != "int32")],)) == {("resource",)}


def test_a_handle_has_no_number():
    """Officially it may be put in an int32; here it is a name."""
    with pytest.raises(OursFailed, match="int32, not a resource"):
        ours(through((2, 3), handle_type="int32"), [X])


@pytest.mark.parametrize("shape, runs", [((1,), True), ((1, 1), True), ((2,), False), ((0,), False)])
def test_shapes_of_handles(official, shape, runs):
    outcome = check(through((2, 3), handle_shape=shape), [X], must_run=False)
    assert outcome == ("equal" if runs else "error at allocate")


# ---- refusals


@pytest.mark.parametrize(
    "op, inputs, outputs",
    [
        ("ASSIGN_VARIABLE", 1, 0),
        ("ASSIGN_VARIABLE", 2, 1),
        ("READ_VARIABLE", 2, 1),
        ("READ_VARIABLE", 1, 2),
        ("READ_VARIABLE", 0, 1),
        ("VAR_HANDLE", 0, 0),
    ],
)
def test_numbers_of_tensors(official, op, inputs, outputs):
    def make(m, x):
        given = [handle(m, "v"), x] if inputs else []
        results = [m.tensor((2,), "resource" if op == "VAR_HANDLE" else "float32") for _ in range(outputs)]
        m.op(op, given[:inputs], results)
        return [x]

    assert check(model([((2,), "float32")], make), [np.float32([1, 2])], must_run=False) == "error at allocate"
