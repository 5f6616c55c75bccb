"""SHAPE, RANK, RANGE, FILL, ZEROS_LIKE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import array, check, differential, ours, shapes


def model(op, inputs, out, constants=(), **options):
    m = Model()
    handles = [m.input(shape, type) for shape, type in inputs] + [m.constant(np.asarray(c)) for c in constants]
    y = m.tensor((), out)
    m.op(op, handles, [y], **options)
    m.output(y)
    return m.content()


def test_a_chain_of_shapes_is_folded():
    """SHAPE -> RESHAPE is known while planning, and follows a resize."""
    m = Model()
    x = m.input((2, 3), signature=(-1, 3))
    s, y = m.tensor((2,), "int32"), m.tensor((2, 3))
    m.op("SHAPE", [x], [s], out_type="INT32")
    m.op("RESHAPE", [x, s], [y])
    m.output(y)
    (y,) = ours(m.content(), [np.ones((5, 3), np.float32)])
    assert y.shape == (5, 3)


@pytest.mark.parametrize("out", ("int32", "int64"))
def test_shape(official, out):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 5, 4))
        check(model("SHAPE", [(shape, "float32")], out, out_type=out.upper()), [np.zeros(shape, np.float32)])

    run()


@pytest.mark.parametrize("type", ("float32", "int8", "int32", "bool"))
def test_rank(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 5, 4))
        check(model("RANK", [(shape, type)], "int32"), [np.zeros(shape, type)])

    run()


@pytest.mark.parametrize("type", ("float32", "int32", "int64"))
def test_range(official, type):
    @differential()
    @given(st.data())
    def run(data):
        number = st.floats(-20, 20, width=32) if type == "float32" else st.integers(-40, 40)
        start, limit = data.draw(number), data.draw(number)
        delta = data.draw(st.floats(0.125, 8, width=32) if type == "float32" else st.integers(1, 9))
        delta = delta if start <= limit else -delta
        values = [np.array(v, type) for v in (start, limit, delta)]
        if data.draw(st.booleans()):
            check(model("RANGE", [((), type)] * 3, type), values)
        else:
            check(model("RANGE", [], type, values), [])

    run()


@pytest.mark.parametrize("type", ("float32", "int8", "int16", "int32", "int64", "bool"))
def test_fill(official, type):
    @differential()
    @given(st.data())
    def run(data):
        dims = np.array(data.draw(shapes(1, 4, 4)), data.draw(st.sampled_from(["int32", "int64"])))
        value = array(data.draw, type, ())
        if data.draw(st.booleans()):
            check(model("FILL", [(dims.shape, str(dims.dtype)), ((), type)], type), [dims, value])
        else:
            m = Model()
            d, v = m.constant(dims), m.input((), type)
            y = m.tensor((), type)
            m.op("FILL", [d, v], [y])
            m.output(y)
            check(m.content(), [value])

    run()


@pytest.mark.parametrize("type", ("float32", "int32", "int64"))
def test_zeros_like(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 4, 4))
        check(model("ZEROS_LIKE", [(shape, type)], type), [array(data.draw, type, shape)])

    run()


@pytest.mark.parametrize("values", [(0, 5, 0), (0, 5, -1), (5, 0, 1)])
def test_ranges_that_never_end_are_refused(official, values):
    arrays = [np.array(v, np.int32) for v in values]
    assert check(model("RANGE", [((), "int32")] * 3, "int32"), arrays, must_run=False) == "error at invoke"


def test_fill_refuses_a_negative_size(official):
    m = Model()
    d, v = m.constant(np.int32([2, -1])), m.input((), "float32")
    y = m.tensor(())
    m.op("FILL", [d, v], [y])
    m.output(y)
    assert check(m.content(), [np.float32(1)], must_run=False) == "error at allocate"
