"""ARG_MAX, ARG_MIN, TOPK_V2."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import array, check, differential, ours, shapes
from tests.kernels.one_op import Arg, one_op, run

NAN, INF = np.nan, np.inf

# ---- worked by hand


def test_the_first_of_equals_wins():
    x = Arg(np.float32([[3, 7, 7], [-1, -1, -2]]))
    assert run("ARG_MAX", [x, np.int32(1)], ["int32"], output_type="INT32")[0].tolist() == [1, 0]
    assert run("ARG_MIN", [x, np.int32(0)], ["int64"], output_type="INT64")[0].tolist() == [1, 1, 1]
    values, indices = run("TOPK_V2", [x, np.int32(2)], ["float32", "int32"])
    assert values.tolist() == [[7, 7], [-1, -1]] and indices.tolist() == [[1, 2], [0, 1]]


def test_nan_is_behind_everything():
    x = Arg(np.float32([[NAN, -INF, NAN, -INF], [NAN, NAN, NAN, NAN], [2, NAN, 2, 5]]))
    assert run("ARG_MAX", [x, np.int32(1)], ["int32"], output_type="INT32")[0].tolist() == [1, 0, 3]
    _, indices = run("TOPK_V2", [x, np.int32(4)], ["float32", "int32"])
    assert indices.tolist() == [[1, 3, 0, 2], [0, 1, 2, 3], [3, 0, 2, 1]]


# ---- against the official runtime


@pytest.mark.parametrize("type", ("float32", "uint8", "int8", "int32", "bool"))
@pytest.mark.parametrize("op", ("ARG_MAX", "ARG_MIN"))
def test_arg(official, op, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = list(draw(shapes(1, 5, 5, min_side=0)))
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        shape[axis] = draw(st.integers(1, 40))
        axis = np.array(axis, draw(st.sampled_from(["int32", "int64"]))).reshape((1,) * draw(st.integers(0, 1)))
        result = draw(st.sampled_from(["int32", "int64"]))
        x = Arg(array(draw, type, shape, special=draw(st.booleans())), type)
        axis = Arg(axis, constant=draw(st.booleans()))
        check(*one_op(op, [x, axis], [result], version=2, output_type=result))

    run()


@pytest.mark.parametrize("type", ("float32", "uint8", "int8", "int16", "int32", "int64"))
def test_top_k(official, type):
    @differential(300)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = [*draw(shapes(0, 3, 3, min_side=0)), draw(st.integers(0, 40))]
        k = np.array(draw(st.integers(-1, shape[-1])), draw(st.sampled_from(["int32", "int16"])))
        small = draw(st.booleans())
        x = array(draw, type, shape, low=-2 if small and type[0] == "i" else None, high=2 if small else None)
        if type == "float32":
            x = array(draw, type, shape, special=draw(st.booleans()))
        result = draw(st.sampled_from(["int32", "int32", "int16"]))
        arguments = [Arg(x, type), Arg(k, constant=draw(st.booleans()))]
        check(*one_op("TOPK_V2", arguments, [type, result], version=2))

    run()


@pytest.mark.parametrize("type", ("float32", "uint8", "int16", "int64"))
def test_top_k_of_long_rows(official, type):
    @differential(20)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = (draw(st.integers(1, 3)), draw(st.integers(4096, 9000)))
        x = array(draw, type, shape, special=True)
        k = np.int32(draw(st.integers(1, 900)))
        check(*one_op("TOPK_V2", [Arg(x, type), k], [type, "int32"], version=2))

    run()


# ---- refusals

X = Arg(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "op, arguments, outputs, options",
    [
        ("ARG_MAX", [X, np.int32(2)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MIN", [X, np.int32(-3)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [X, np.int32([0, 1])], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [X, np.float32(0)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [X, np.int32(0)], ["float32"], {"output_type": "FLOAT32"}),
        ("ARG_MAX", [Arg(np.float32(1)), np.int32(0)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [Arg(np.zeros((2, 0), np.float32)), np.int32(1)], ["int32"], {"output_type": "INT32"}),
        ("ARG_MAX", [Arg(np.zeros(3, np.int64)), np.int32(0)], ["int32"], {"output_type": "INT32"}),
        ("TOPK_V2", [X, np.int32(4)], ["float32", "int32"], {}),
        ("TOPK_V2", [X, np.int32([1, 1])], ["float32", "int32"], {}),
        ("TOPK_V2", [X, np.int64(1)], ["float32", "int32"], {}),
        ("TOPK_V2", [X, np.int32(1)], ["int32", "int32"], {}),
        ("TOPK_V2", [X, np.int32(1)], ["float32", "int64"], {}),
        ("TOPK_V2", [Arg(np.float32(1)), np.int32(1)], ["float32", "int32"], {}),
        ("TOPK_V2", [Arg(np.zeros(3, np.float64)), np.int32(1)], ["float64", "int32"], {}),
    ],
)
def test_refused(official, op, arguments, outputs, options, constant):
    x, argument = arguments
    content, arrays = one_op(op, [x, Arg(argument, constant=constant)], outputs, **options)
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


def test_a_row_too_long_for_its_indices(official):
    x = Arg(np.zeros(32768, np.float32))
    content, arrays = one_op("TOPK_V2", [x, np.int32(1)], ["float32", "int16"])
    assert check(content, arrays, must_run=False) == "error at invoke"
    content, arrays = one_op("TOPK_V2", [Arg(np.zeros(32767, np.float32)), np.int32(1)], ["float32", "int16"])
    assert ours(content, arrays)[1].tolist() == [0]
