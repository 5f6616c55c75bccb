"""The builder of models: what is in the file, by hand, and what the official runtime makes of it."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model, bfloat16_bits, encode, encode_strings
from minitfl.schema.enums import BuiltinOperator, TensorType
from minitfl.schema.flexbuffers import read_flexbuffer
from minitfl.schema.options import OP_OPTIONS
from minitfl.schema.reader import read_model, verify
from tests.cases import differential


def reading(model):
    found = read_model(model.content())
    verify(found)
    return found


def constant_bytes(array, type=None, **fields):
    m = Model()
    handle = m.constant(array, type, **fields)
    model = reading(m)
    tensor = model.subgraphs[0].tensors[handle]
    return model.buffers[tensor.buffer].data.tobytes(), TensorType(tensor.type).name, tuple(tensor.shape)


# ---- the file


def test_an_empty_model():
    model = reading(Model())
    assert (model.version, len(model.subgraphs), len(model.buffers), len(model.operator_codes)) == (3, 1, 1, 0)
    assert model.subgraphs[0].name == "main" and not model.buffers[0].has("data")


def test_tensors():
    m = Model()
    x = m.input((1, 8), "int8", scale=0.1, zero_point=3, name="x", signature=(-1, 8))
    w = m.constant(np.zeros((4, 8), np.int8), scale=[0.5, 0.25, 1, 2], axis=0)
    y = m.tensor((1, 4))
    v = m.variable((2,), "int16", scale=0.5)
    m.output(y)
    m.output(v, x)
    graph = reading(m).subgraphs[0]
    assert (x, w, y, v) == (0, 1, 2, 3)
    assert graph.inputs.tolist() == [0] and graph.outputs.tolist() == [2, 3, 0]
    a, b, c, d = graph.tensors
    assert (a.name, a.type, a.buffer, a.is_variable, a.has_rank) == ("x", TensorType.INT8, 0, False, True)
    assert a.shape.tolist() == [1, 8] and a.shape_signature.tolist() == [-1, 8]
    assert a.quantization.scale.tolist() == [np.float32(0.1)] and a.quantization.zero_point.tolist() == [3]
    assert b.buffer == 1 and b.quantization.zero_point.tolist() == [0] * 4
    assert b.quantization.scale.tolist() == [0.5, 0.25, 1, 2]
    assert (c.name, c.type, c.quantization, c.has("shape_signature")) == ("tensor2", TensorType.FLOAT32, None, False)
    assert d.is_variable


def test_further_fields_of_tensors():
    m = Model()
    details = {"scales": 5, "zero_points": -1, "block_size": 32}
    m.tensor((4, 64), "int4", quantization={"details_type": 2, "details": details})
    m.tensor((4, 3), "int8", scale=[1, 2, 3], axis=1, quantization={"min": [0.0], "max": [1.0]})
    m.tensor(None, "resource", variant_tensors=[{"shape": [2], "type": TensorType.INT32}])
    a, b, c = reading(m).subgraphs[0].tensors
    assert a.quantization.details._name == "BlockwiseQuantization" and a.quantization.details.block_size == 32
    assert (b.quantization.quantized_dimension, b.quantization.max.tolist()) == (1, [1.0])
    assert (c.has("shape"), c.has_rank, c.variant_tensors[0].type) == (False, False, 2)


def test_ops_and_their_options():
    m = Model()
    x = m.input((1, 4, 4, 1))
    y = m.tensor((1, 4, 4, 1))
    options = {"padding": "valid", "fused_activation_function": "RELU6", "dilation_w_factor": 2}
    assert m.op("CONV_2D", [x, x, None], [y], version=5, intermediates=[y], **options) == 0
    assert m.op("stablehlo_dot_general", [x], [-1], precision_config=["HIGH", 2], lhs_batching_dimensions=(1,)) == 1
    m.op("CAST", [x], [y], in_data_type="float32", out_data_type=TensorType.INT32)
    m.op("RELU", [x], [y], mutating_variable_inputs=[True])
    m.op("CONV_2D", [x], [y], version=5, no_options=True)
    model = reading(m)
    conv, dot, cast, relu, bare = model.subgraphs[0].operators
    assert conv.inputs.tolist() == [0, 0, -1] and conv.outputs.tolist() == [1] and conv.intermediates.tolist() == [1]
    found = conv.builtin_options
    assert (found._name, found.padding, found.fused_activation_function) == ("Conv2DOptions", 1, 3)
    assert (found.dilation_w_factor, found.dilation_h_factor, found.has("dilation_h_factor")) == (2, 1, False)
    assert (dot.builtin_options, dot.builtin_options_2._name) == (None, "StablehloDotGeneralOptions")
    assert dot.builtin_options_2.precision_config.tolist() == [1, 2] and dot.outputs.tolist() == [-1]
    assert (cast.builtin_options.in_data_type, cast.builtin_options.out_data_type) == (0, 2)
    assert (relu.builtin_options_type, relu.mutating_variable_inputs.tolist()) == (0, [True])
    assert bare.builtin_options is None and bare.opcode_index == conv.opcode_index
    codes = [(c.deprecated_builtin_code, c.builtin_code, c.version) for c in model.operator_codes]
    assert codes == [(3, 3, 5), (127, 197, 1), (53, 53, 1), (19, 19, 1)]


@pytest.mark.parametrize("op", [op.name for op in BuiltinOperator])
def test_every_op_finds_its_options(op):
    m = Model()
    m.op(op, [], [])
    operator = reading(m).subgraphs[0].operators[0]
    options = operator.builtin_options or operator.builtin_options_2
    assert (options and options._name) == OP_OPTIONS.get(op, (None, None))[1]


def test_custom_ops():
    m = Model()
    m.custom("Mine", [], [], options={"max": 10, "scale": 0.5, "fast": True}, version=3)
    m.custom("Mine", [], [], options=b"raw")
    m.custom("Other", [], [])
    model = reading(m)
    first, second, third = model.subgraphs[0].operators
    assert read_flexbuffer(first.custom_options) == {"max": 10, "scale": 0.5, "fast": True}
    assert second.custom_options.tobytes() == b"raw" and not third.has("custom_options")
    codes = [(c.custom_code, c.builtin_code, c.version) for c in model.operator_codes]
    assert codes == [("Mine", 32, 3), ("Mine", 32, 1), ("Other", 32, 1)]


def test_subgraphs_signatures_and_metadata():
    m = Model(description="about")
    x = m.input((1,), "bool")
    body = m.subgraph("body")
    a = body.input((2,))
    body.output(a)
    m.op("IF", [x], [x], then_subgraph_index=body, else_subgraph_index=0)
    m.op("STABLEHLO_CASE", [x], [x], branch_subgraph_indices=[m, body])
    m.signature("main", {"x": x}, {"y": x})
    m.signature("body", {"a": a}, {}, subgraph=body)
    m.metadata("NAME", b"text")
    model = reading(m)
    assert [s.name for s in model.subgraphs] == ["main", "body"] and len(model.subgraphs[1].tensors) == 1
    assert model.subgraphs[0].operators[0].builtin_options.then_subgraph_index == 1
    assert model.subgraphs[0].operators[1].builtin_options_2.branch_subgraph_indices.tolist() == [0, 1]
    found = [
        (s.signature_key, s.subgraph_index, [(t.name, t.tensor_index) for t in s.inputs]) for s in model.signature_defs
    ]
    assert found == [("main", 0, [("x", 0)]), ("body", 1, [("a", 0)])]
    assert model.metadata[0].name == "NAME" and model.buffers[model.metadata[0].buffer].data.tobytes() == b"text"
    assert model.description == "about"


def test_building_goes_on_after_content():
    m = Model()
    m.input((1,))
    first = m.content()
    m.output(m.constant(np.zeros(3, np.float32)))
    assert len(read_model(first).subgraphs[0].tensors) == 1 and len(reading(m).subgraphs[0].tensors) == 2


@pytest.mark.parametrize(
    "mistake, error, text",
    [
        (lambda m: m.op("CONV2D", [], []), ValueError, "BuiltinOperator has no member 'CONV2D'"),
        (lambda m: m.op("CONV_2D", [], [], stride=1), TypeError, r"CONV_2D has no options \['stride'\].*'stride_w'"),
        (lambda m: m.op("RELU", [], [], axis=1), TypeError, r"RELU has no options, got \['axis'\]"),
        (lambda m: m.op("CONV_2D", [], [], padding="FULL"), ValueError, "Padding has no member 'FULL'"),
        (lambda m: m.tensor((1,), "float"), ValueError, "TensorType has no member 'float'"),
        (lambda m: m.constant(b"ab", "int8"), TypeError, "needs type= and shape="),
        (lambda m: m.constant([8], "int4"), ValueError, r"values of 4 bits lie in -8\.\.7, got 8\.\.8"),
        (lambda m: m.constant([0, -1], "uint4"), ValueError, r"lie in 0\.\.15, got -1\.\.0"),
        (lambda m: m.constant([300], "uint8"), ValueError, "of int64 do not fit the type UINT8"),
        (lambda m: m.constant([0.5], "int32"), ValueError, "of float64 do not fit the type INT32"),
        (lambda m: m.constant([1], "resource"), TypeError, "no constants of type RESOURCE"),
        (lambda m: m.constant([1], "bfloat16"), TypeError, "made of its bits in uint16, not of int64"),
    ],
)
def test_mistakes(mistake, error, text):
    with pytest.raises(error, match=text):
        mistake(Model())


# ---- contents of constants


@pytest.mark.parametrize(
    "array, type, data",
    [
        ([1, -2, 3], "int4", [0xE1, 0x03]),  # 1 | (-2 & 15) << 4, then 3 alone
        ([1, 15], "uint4", [0xF1]),
        ([1, -1, 0, -2, 1], "INT2", [0b10_00_11_01, 0b01]),
        ([], "int4", []),
        (np.array([1, -2], np.int16), None, [1, 0, 0xFE, 0xFF]),
        (np.array([True, False]), None, [1, 0]),
        (np.array([1.5], np.float16), None, [0, 0x3E]),
        (np.array([1, 258], ">i4"), None, [1, 0, 0, 0, 2, 1, 0, 0]),
        (np.array([1 - 2j], np.complex64), None, [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]),
        ([1.5, -2.0], "bfloat16", [0xC0, 0x3F, 0, 0xC0]),
        (np.array([0x3FC0], np.uint16), "bfloat16", [0xC0, 0x3F]),
        (np.array([0x3C], np.uint8), "float8_e5m2", [0x3C]),
        (b"ab", "string", [1, 0, 0, 0, 12, 0, 0, 0, 14, 0, 0, 0, 97, 98]),
    ],
)
def test_bytes_of_constants(array, type, data):
    array = np.array([array], object) if isinstance(array, bytes) else np.asarray(array)
    found, name, shape = constant_bytes(array, type)
    assert list(found) == data and shape == array.shape
    assert name == (type or array.dtype.newbyteorder("=").name).upper()


def test_constants_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert constant_bytes(np.array([1.5, -2], ml_dtypes.bfloat16)) == (b"\xc0\x3f\0\xc0", "BFLOAT16", (2,))
    assert constant_bytes(np.array([1, -2], ml_dtypes.int4)) == (b"\xe1", "INT4", (2,))
    assert constant_bytes(np.array([1.0], ml_dtypes.float8_e4m3fn)) == (b"\x38", "FLOAT8_E4M3FN", (1,))


def test_constants_given_as_bytes():
    assert constant_bytes(b"\x21\x03", "int4", shape=(3,)) == (b"\x21\x03", "INT4", (3,))


def test_constants_of_another_shape():
    assert constant_bytes(np.array([5, 7], np.int8), shape=(100, 100)) == (b"\x05\x07", "INT8", (100, 100))


def test_strings():
    expected = struct.pack("<4i", 2, 16, 17, 19) + b"a" + "é".encode()
    assert encode_strings([b"a", "é"]) == expected
    for array in (np.array([b"a", "é"], object), np.array(["a", "é"])):
        assert constant_bytes(array) == (expected, "STRING", (2,))
    assert encode_strings([]) == struct.pack("<2i", 0, 8)


@pytest.mark.parametrize(
    "bits, rounded",
    [
        (0x3F808000, 0x3F80),  # halfway, the lower one is even
        (0x3F818000, 0x3F82),  # halfway, the upper one is even
        (0x3F808001, 0x3F81),
        (0x3F807FFF, 0x3F80),
        (0x7F7FFFFF, 0x7F80),  # the largest number becomes infinite
        (0xFF800000, 0xFF80),
        (0x80000001, 0x8000),
        (0x7F800001, 0x7FC0),  # NaN whose upper half alone would be infinity
        (0xFFC12345, 0xFFC1),
    ],
)
def test_bfloat16_rounding(bits, rounded):
    assert bfloat16_bits(np.array([bits], np.uint32).view(np.float32)).tolist() == [rounded]


@differential(200)
@given(st.integers(0, 2**32 - 1))
def test_bfloat16_is_the_nearest(bits):
    value = np.array([bits], np.uint32).view(np.float32)
    if np.isfinite(value[0]) and abs(value[0]) < 3e38:
        found = int(bfloat16_bits(value)[0])
        near = np.array([found - 1, found, found + 1], np.int64).clip(0, 0xFFFF).astype(np.uint32) << 16
        distance = np.abs(near.view(np.float32).astype(np.float64) - np.float64(value[0]))
        distance[np.isnan(distance)] = np.inf
        assert distance[1] == distance.min()
        assert (distance == distance[1]).sum() == 1 or found % 2 == 0 or near[1] % 0x80000000 == 0


@differential(50)
@given(st.sampled_from([("int4", 4), ("int2", 2)]), st.data())
def test_packing_can_be_undone(kind, data):
    type, bits = kind
    values = data.draw(st.lists(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1), max_size=20))
    whole = int.from_bytes(encode(np.array(values, np.int64), type), "little")
    fields = [whole >> bits * i & (1 << bits) - 1 for i in range(len(values))]
    assert [f - (1 << bits) if f >> bits - 1 else f for f in fields] == values


# ---- what the official runtime makes of it


def test_the_model_of_the_docstring(official):
    m = Model()
    x = m.input((1, 4), "float32", name="x")
    y = m.tensor((1, 4), name="y")
    m.op("LEAKY_RELU", [x], [y], alpha=0.5)
    m.output(y)
    (found,) = official.run(m.content(), [np.array([[-2, -1, 0, 3]], np.float32)])
    assert found.tolist() == [[-1, -0.5, 0, 3]]


def test_packed_and_half_constants(official):
    m = Model()
    outputs = []
    for array, type, scale in (([1, -8, 7], "int4", 0.5), ([1.5, -2.0, 3.0], "float16", None)):
        x = m.constant(np.asarray(array), type, scale=scale)
        outputs.append(m.tensor((3,)))
        m.op("DEQUANTIZE", [x], [outputs[-1]])
    x = m.constant([1.5, -2.25, 3.0], "bfloat16")
    outputs.append(m.tensor((3,)))
    m.op("CAST", [x], [outputs[-1]], in_data_type="bfloat16", out_data_type="float32")
    m.output(*outputs)
    found = [array.tolist() for array in official.run(m.content(), [])]
    assert found == [[0.5, -4.0, 3.5], [1.5, -2.0, 3.0], [1.5, -2.25, 3.0]]


def test_string_constants(official):
    m = Model()
    m.output(m.constant(np.array([[b"one", b""], [b"\xff", b"four"]], object)))
    (found,) = official.run(m.content(), [])
    assert found.tolist() == [[b"one", b""], [b"\xff", b"four"]]


def test_two_subgraphs(official):
    m = Model()
    condition, x = m.input((1,), "bool"), m.input((2,))
    y = m.tensor((2,))
    branches = []
    for op in ("NEG", "ABS"):
        branch = m.subgraph(op)
        a, b = branch.input((2,)), branch.tensor((2,))
        branch.op(op, [a], [b])
        branch.output(b)
        branches.append(branch)
    m.op("IF", [condition, x], [y], then_subgraph_index=branches[0], else_subgraph_index=branches[1])
    m.output(y)
    for flag, expected in ((True, [-1, 2]), (False, [1, 2])):
        (found,) = official.run(m.content(), [np.array([flag]), np.array([1, -2], np.float32)])
        assert found.tolist() == expected
