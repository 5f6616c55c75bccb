"""What `minitfl.inspect` says of a model."""

import json

import numpy as np
import pytest

from minitfl import Interpreter, inspect
from minitfl.build import Model
from tests.cases import shared_models


def describe(m):
    return inspect.describe(Interpreter(model_content=m.content()))


def macs(m):
    return [operator["macs"] for operator in describe(m)["subgraphs"][0]["operators"]]


def product(op, x, weights, y, bias=None, **options):
    """The MACs of one operator; weights are shapes of float constants."""
    m = Model()
    result = m.tensor(y)
    constants = [m.constant(np.zeros(shape, np.float32)) for shape in weights]
    constants += [m.constant(np.zeros(bias, np.float32))] if bias else []
    m.op(op, [m.input(x), *constants], [result], **options)
    m.output(result)
    return macs(m)[0]


def test_macs_by_hand():
    # 3x4 places, 5 units, a 2x2 kernel on 3 channels
    strides = {"padding": "SAME", "stride_w": 1, "stride_h": 1}
    assert product("CONV_2D", (1, 3, 4, 3), [(5, 2, 2, 3)], (1, 3, 4, 5), (5,), **strides) == 12 * 5 * 12
    # 2x2 places, 6 channels, each 3x3
    strides |= {"stride_w": 2, "stride_h": 2, "depth_multiplier": 2}
    assert product("DEPTHWISE_CONV_2D", (1, 4, 4, 3), [(1, 3, 3, 6)], (1, 2, 2, 6), (6,), **strides) == 4 * 6 * 9
    assert product("FULLY_CONNECTED", (2, 7), [(3, 7)], (2, 3)) == 2 * 3 * 7
    assert product("BATCH_MATMUL", (2, 3, 5), [(2, 5, 4)], (2, 3, 4)) == 2 * 3 * 4 * 5
    assert product("BATCH_MATMUL", (2, 5, 3), [(2, 5, 4)], (2, 3, 4), adj_x=True) == 2 * 3 * 4 * 5
    assert product("ADD", (2, 3), [(2, 3)], (2, 3)) == 0


def test_macs_of_a_transposed_convolution():
    m = Model()
    # each of 2x2x3 input values meets 3x3 taps of 4 units
    w = m.constant(np.zeros((4, 3, 3, 3), np.float32))
    y = m.tensor((1, 4, 4, 4))
    shape = m.constant(np.int32([1, 4, 4, 4]))
    m.op("TRANSPOSE_CONV", [shape, w, m.input((1, 2, 2, 3))], [y], padding="SAME", stride_w=2, stride_h=2)
    m.output(y)
    assert macs(m) == [12 * 9 * 4]


def test_shapes_are_those_of_a_run():
    m = Model()
    y = m.tensor((1, 1))  # the file is wrong about it
    m.op("RESHAPE", [m.input((1, 6)), m.constant(np.int32([2, 3]))], [y])
    m.output(y)
    assert describe(m)["subgraphs"][0]["tensors"][y]["shape"] == [2, 3]


def test_operators_options_and_tensors():
    m = Model()
    x = m.input((1, 4), "int8", scale=0.5, zero_point=3, name="x", signature=(-1, 4))
    w = m.constant(np.ones((2, 4), np.int8), scale=[0.25, 0.5], zero_point=[0, 0], name="w")
    y = m.tensor((1, 2), "int8", scale=0.125, zero_point=-1, name="y")
    m.op("FULLY_CONNECTED", [x, w, None], [y], version=4, fused_activation_function="RELU", keep_num_dims=True)
    m.output(y)
    m.signature("serve", {"x": x}, {"y": y})
    m.metadata("note", b"12345")
    model = describe(m)
    (operator,) = model["subgraphs"][0]["operators"]
    assert operator["inputs"] == [0, 1, -1] and operator["version"] == 4 and operator["macs"] == 8
    assert operator["options"]["fused_activation_function"] == "RELU" and operator["options"]["keep_num_dims"] is True
    given, weights, result = model["subgraphs"][0]["tensors"]
    assert given["quantization"] == {"scale": [0.5], "zero_point": [3]} and given["shape_signature"] == [-1, 4]
    assert weights["quantization"] == {"scale": [0.25, 0.5], "zero_point": [0, 0], "axis": 0}
    assert weights["constant"] and not given["constant"] and result["nbytes"] == 2
    assert model["signatures"] == [{"key": "serve", "subgraph": 0, "inputs": {"x": 0}, "outputs": {"y": 2}}]
    assert model["metadata"] == {"note": 5}
    assert model["totals"]["constants"] == 8 and model["totals"]["constants_nbytes"] == 8
    rows = list(inspect.tensor_rows(model["subgraphs"][0]))
    assert rows[0][1:6] == ("in", "int8", "?x4", "4", "0.5, zero 3") and rows[1][5] == "2 scales on axis 0"
    (line,) = inspect.operator_rows(model["subgraphs"][0])
    assert line[:6] == ("0", "FULLY_CONNECTED v4", "t0 t1 -", "t2", "8", "numpy")
    assert "fused_activation_function RELU" in line[6]


def test_packed_integers_take_their_packed_bytes():
    m = Model()
    m.constant(np.ones((3, 3), np.int8), type="int4", scale=1.0, zero_point=0)
    m.output(m.input((1,)))
    assert describe(m)["totals"]["constants_nbytes"] == 5


def test_the_memory_is_that_of_the_plan():
    m = Model()
    x = m.input((1, 100))
    y = m.tensor((1, 100))
    m.op("ADD", [x, x], [y])
    m.output(y)
    interpreter = Interpreter(model_content=m.content())
    memory = inspect.describe(interpreter)["memory"]
    plan = interpreter.memory_plan()
    # two tensors of 400 bytes, each rounded up to 448
    assert memory["arena_nbytes"] == plan.arena_nbytes == memory["bound_nbytes"] == 896


def test_layers():
    """What invoke would use, whatever the interpreter that is looked at uses; nothing is compiled for it."""
    m = Model()
    x, y, z = m.input((2, 3)), m.tensor((2, 4)), m.tensor((8,))
    m.op("FULLY_CONNECTED", [x, m.constant(np.ones((4, 3), np.float32)), None], [y])
    m.op("RESHAPE", [y, m.constant(np.int32([8]))], [z])
    m.output(z)
    interpreter = Interpreter(model_content=m.content(), kernels="numpy")

    def layers(**keywords):
        return [o["layer"] for o in inspect.describe(interpreter, **keywords)["subgraphs"][0]["operators"]]

    assert layers() == layers(kernels="numpy") == ["numpy", ""]
    pytest.importorskip("numba")
    assert layers(kernels="numba") == ["numba", ""]


def test_custom_options():
    m = Model()
    y, z = m.tensor((1,)), m.tensor((1,))
    m.custom("One", [m.input((1,))], [y], options={"beta": 0.5, "names": ["a"]})
    m.custom("Two", [y], [z], options=b"\xff\xff\xff")
    m.output(z)
    model = describe(m)
    assert [o["options"] for o in model["subgraphs"][0]["operators"]] == [{"beta": 0.5, "names": ["a"]}, {"nbytes": 3}]
    assert "One" in model["problem"] and model["memory"] is None


@pytest.mark.parametrize("path", shared_models())
def test_real_models(path):
    try:
        interpreter = Interpreter(str(path))
    except ValueError:
        return  # what the constructor refuses is not there to be described
    model = inspect.describe(interpreter)
    assert json.loads(json.dumps(model, allow_nan=False)) == model
    assert model["nbytes"] == path.stat().st_size
    assert all(isinstance(line, str) for line in inspect.lines(model))
    for subgraph in model["subgraphs"]:
        assert len(list(inspect.tensor_rows(subgraph))) == len(subgraph["tensors"])
        assert len(list(inspect.operator_rows(subgraph))) == len(subgraph["operators"])
