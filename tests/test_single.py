"""run_op, one_op and quantized: one operator on arrays."""

import numpy as np
import pytest

from minitfl import Interpreter, ModelError, build, one_op, quantized, run_op
from minitfl.commands.classify import MODEL
from minitfl.entry import random_array
from minitfl.kernels.index import FAMILY_OF
from minitfl.op import find
from minitfl.schema.options import OP_OPTIONS
from minitfl.substitute import describe
from tests.cases import ours, shared_model

PIXELS = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
CORNERS = np.float32([[1, 0], [0, -1]]).reshape(1, 2, 2, 1)
BIAS = np.float32([10])
SHARED = (
    "mlperf_tiny/ad01_int8.tflite",
    "mlperf_tiny/kws_ref_model.tflite",
    "mlperf_tiny/pretrainedResnet_quant.tflite",
    "litert/lstm_calibrated.bin.tflite",
    "micro/micro_speech_quantized.tflite",
)
STRIDES = {"stride_w": 1, "stride_h": 1}


# ---- values with a type and a quantization


def test_reals_are_quantized_and_integers_are_stored():
    reals = quantized(np.array([-1.0, 0.25, 0.75, 99]), 0.5, 3)
    assert reals.type == "int8" and reals.array.tolist() == [1, 4, 5, 127]  # halves go away from zero
    assert reals.real.tolist() == [-1, 0.5, 1, 62]
    stored = quantized(np.array([1, 4], np.int16), 0.5, 3)
    assert stored.type == "int16" and stored.real.tolist() == [-1, 0.5]
    assert np.asarray(stored).tolist() == [1, 4] and not stored.array.flags.writeable
    assert repr(stored) == "<tensor: int16 2, scale 0.5, zero 3>"


def test_scales_along_an_axis():
    w = quantized(np.ones((2, 3)), [0.5, 0.25], axis=0, type="int8")
    assert w.array.tolist() == [[2, 2, 2], [4, 4, 4]] and w.zero_point.tolist() == [0, 0]
    assert quantized(np.ones((2, 3)), [1, 2, 3], axis=-1).axis == 1
    with pytest.raises(ValueError, match=r"2 scales along axis 1 of an array of shape \(2, 3\)"):
        quantized(np.ones((2, 3)), [0.5, 0.25], axis=1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((np.int64([300]), None, 0, 0, "int8"), "values from 300 to 300 do not fit the type int8"),
        ((np.int8([9]), None, 0, 0, "int4"), "must be between -8 and 7"),
        ((np.float32([1]), None, 0, 0, "int9"), "there is no tensor type 'int9'"),
        ((np.float32([np.nan]), 1.0), "NaN has no place"),
        ((np.float32([1]), 0.0), "scales are positive numbers"),
    ],
)
def test_wrong_values(arguments, text):
    with pytest.raises(ValueError, match=text):
        quantized(*arguments)


# ---- one operator


def test_a_convolution_by_hand():
    """0 1 2 / 3 4 5 / 6 7 8, each less what lies below to the right, which is 4 more; plus 10."""
    y = run_op("CONV_2D", [PIXELS, CORNERS, BIAS], padding="VALID", **STRIDES)
    assert y.dtype == np.float32 and y.tolist() == [[[[6], [6]], [[6], [6]]]]
    y = run_op("CONV_2D", [PIXELS, CORNERS, BIAS], padding="SAME", fused_activation_function="RELU6", **STRIDES)
    assert y[0, :, :, 0].tolist() == [[6, 6, 6], [6, 6, 6], [6, 6, 6]]


def test_integers_by_hand():
    """(8 - 3 + 1) * 0.5 / 0.25 + 7 = 19, see quantized for the numbers' meaning."""
    x, y = quantized(np.int8([[8]]), 0.5, 3), ("int8", 0.25, 7)
    w, bias = quantized(np.int8([[1]]), 1.0), quantized(np.int32([1]), 0.5)
    assert run_op("FULLY_CONNECTED", [x, w, bias], output=y).tolist() == [[19]]
    assert run_op("FULLY_CONNECTED", [x, w, None], output=y).tolist() == [[17]]
    assert run_op("FULLY_CONNECTED", [x, w, bias], output=x).tolist() == [[9]]  # (6) * 0.5 / 0.5 + 3
    assert run_op("QUANTIZE", [np.float32([1.0])], output=("uint8", 0.5, 1)).tolist() == [3]
    assert run_op("DEQUANTIZE", [x], output=np.float32).tolist() == [[2.5]]


@pytest.mark.parametrize("constants", [(), (0,), (1,), (0, 1), None])
def test_what_is_constant_makes_no_difference(constants):
    x, shape = np.arange(6, dtype=np.int32), np.int32([2, 3])
    assert run_op("RESHAPE", [x, shape], constants=constants).tolist() == [[0, 1, 2], [3, 4, 5]]
    w = quantized(np.int8([[1, 2], [3, 4]]), 1.0)
    x = quantized(np.int8([[1, 1]]), 1.0)
    assert run_op("FULLY_CONNECTED", [x, w, None], constants=constants).tolist() == [[3, 7]]


def test_the_type_of_the_output_is_found():
    assert run_op("EQUAL", [np.arange(3), np.int64([0, 2, 2])]).tolist() == [True, False, True]
    assert run_op("ARG_MAX", [np.float32([1, 5, 2]), np.int32(0)], output_type="INT64").dtype == np.int64
    assert run_op("WHERE", [np.array([True, False, True])]).tolist() == [[0], [2]]  # known only at its turn
    assert run_op("GATHER", [np.float32([5, 6]), np.int32([1, 1])]).tolist() == [6, 6]
    assert run_op("TRANSPOSE_CONV", [np.int32([1, 3, 3, 1]), CORNERS, PIXELS[:, :2, :2]], padding="VALID", **STRIDES)[
        0, :, :, 0
    ].tolist() == [[0, 1, 0], [3, 4, -1], [0, -3, -4]]


def test_several_outputs():
    halves = run_op("SPLIT", [np.int32(0), np.arange(4, dtype=np.float32)], outputs=2, num_splits=2)
    assert [h.tolist() for h in halves] == [[0, 1], [2, 3]]
    values, places = run_op("TOPK_V2", [np.float32([1, 5, 2]), np.int32(2)], outputs=["float32", "int32"])
    assert values.tolist() == [5, 2] and places.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="outputs= those of several"):
        run_op("TOPK_V2", [np.float32([1, 5, 2]), np.int32(2)])


def test_types_that_numpy_lacks():
    w = quantized(np.int8([[1, -8]]), 0.5, type="int4")
    x = quantized(np.int8([[2, 1]]), 1.0)
    assert run_op("FULLY_CONNECTED", [x, w, None], output=("int8", 0.5, 0)).tolist() == [[-6]]
    texts = run_op("EQUAL", [np.array(["a", "b"]), np.array([b"a", b"c"])], output=bool)
    assert texts.tolist() == [True, False]


def test_variables_start_with_what_is_given():
    """SVDF of one filter: the state moves back by one, its new end is x * 2; y = 10 * older + 1 * newer."""
    arrays = np.float32([[3]]), np.float32([[2]]), np.float32([[10, 1]])
    state = np.float32([[7, 5]])
    y = run_op("SVDF", [*arrays, None, state], variables=(4,), rank=1)
    assert y.tolist() == [[56]]


def test_custom_operators():
    cube = {"Cube": lambda inputs, options: inputs[0] ** options["power"]}
    assert run_op("Cube", [np.float32([2])], custom_ops=cube, power=3).tolist() == [8]


def test_the_highest_version_is_the_default():
    graph = one_op("CONV_2D", [PIXELS, CORNERS, BIAS], **STRIDES)._interpreter.graph
    assert graph.subgraphs[0].nodes[0].version == find("CONV_2D").max_version
    graph = one_op("CONV_2D", [PIXELS, CORNERS, BIAS], version=2, **STRIDES)._interpreter.graph
    assert graph.subgraphs[0].nodes[0].version == 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (("CONV2D", []), {}, ValueError, "there is no operator 'CONV2D'; did you mean CONV_2D"),
        (("CONV_2D", [PIXELS, CORNERS, BIAS]), {"stride": 1}, TypeError, r"CONV_2D has no options \['stride'\]"),
        (("CONV_2D", [PIXELS, CORNERS, BIAS]), {"padding": "SOME"}, ValueError, "Padding has no member 'SOME'"),
        (("ABS", [PIXELS]), {"output": "int7"}, ValueError, "'int7' is no tensor type"),
        (("ABS", [PIXELS]), {"output": bool, "outputs": 1}, ValueError, "not both"),
        (("ABS", [PIXELS]), {"output": bool}, RuntimeError, "node 0, ABS -> 'output0'"),
        (("ABS", [quantized(None, 1.0)]), {}, ValueError, "input 0 has no contents"),
    ],
)
def test_wrong_use(arguments, options, error, text):
    with pytest.raises(error, match=text):
        run_op(*arguments, **options)


@pytest.mark.parametrize("name", sorted(n for n in FAMILY_OF if n in OP_OPTIONS))
def test_an_unknown_option_is_named(name):
    with pytest.raises(TypeError, match=r"has no options \['colour'\]; \w+Options has \["):
        run_op(name, [PIXELS], colour=1)


APART = "IF WHILE CALL_ONCE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE".split()  # their work is in other nodes


def again(interpreter, arrays):
    """How many nodes of a model give the same when each is run alone, on what a trace says of it: all, or it fails."""
    subgraph = interpreter._interpreter.graph.subgraphs[0]
    count = 0
    for step in interpreter.trace(*arrays):
        if step.op in APART or step.op.startswith("HASHTABLE"):
            continue
        node = subgraph.nodes[step.index]
        kept = [k for k, i in enumerate(node.inputs) if i >= 0 and subgraph.tensors[i].is_variable]
        between = [describe(subgraph.tensors[i]) for i in node.intermediates]
        results = run_op(
            step.op,
            step.inputs,
            outputs=step.outputs,
            version=step.version,
            variables=kept,
            intermediates=between,
            **step.options,
        )
        for result, y in zip(results, step.outputs, strict=True):
            assert result.dtype == y.array.dtype and np.array_equal(result, y.array, equal_nan=result.dtype.kind == "f")
        count += 1
    return count


def test_each_node_of_a_model_alone():
    chance = np.random.default_rng(0)
    assert again(Interpreter(str(MODEL)), [chance.integers(-128, 128, (2, 8, 8, 1)).astype(np.int8)]) == 12


@pytest.mark.parametrize("name", SHARED)
def test_each_node_of_a_shared_model_alone(name):
    interpreter = Interpreter(str(shared_model(name)))
    chance = np.random.default_rng(0)
    graph = interpreter._interpreter.graph.subgraphs[0]
    assert again(interpreter, [random_array(graph.tensors[i], chance) for i in graph.inputs]) == len(graph.nodes)


def test_as_a_model_written_by_hand():
    """The same numbers as the same node in a model; a refusal is a ModelError."""
    m = build.Model()
    x = m.input((1, 3, 3, 1))
    y = m.tensor((1, 2, 2, 1))
    m.op("CONV_2D", [x, m.constant(CORNERS), m.constant(BIAS)], [y], padding="VALID", **STRIDES)
    m.output(y)
    mine = run_op("CONV_2D", [PIXELS, CORNERS, BIAS], padding="VALID", **STRIDES)
    assert np.array_equal(mine, ours(m.content(), [PIXELS])[0])
    with pytest.raises(ModelError):
        run_op("CONV_2D", [PIXELS[0], CORNERS, BIAS], **STRIDES)
