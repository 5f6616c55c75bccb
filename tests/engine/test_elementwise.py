"""The fast forms of operations that go element by element against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.engine.emit.in_floats import product_factors
from tests.engine.between import between
from tests.kernels.elementwise import model, numbers, shape_of

pytest.importorskip("numba")
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
SEEDS = st.integers(0, 2**32 - 1)


# ---- real numbers


@st.composite
def operands(draw):
    """Shapes of two operands: the same, a number, rows that serve several, and what serves the images of a batch."""
    channels, pixels = draw(st.integers(1, 130)), draw(st.integers(1, 40))
    whole = (draw(st.integers(1, 3)), pixels, draw(st.integers(1, 3)), channels)
    kinds = [whole, (), (1,), (channels,), (1, 1, 1, channels), (*whole[:1], 1, 1, channels), (*whole[:3], 1)]
    pair = [whole, draw(st.sampled_from(kinds))]
    return pair if draw(st.booleans()) else pair[::-1]


@given(operands(), st.sampled_from(["ADD", "SUB", "MUL", "DIV"]), ACTIVATIONS, st.booleans(), SEEDS)
def test_clamped(pair, op, activation, constant, seed):
    data = np.random.default_rng(seed).uniform(-2, 2, pair[1]).astype(np.float32)
    second = ("float32", pair[1], {}, *([data] if constant else []))
    result = ("float32", shape_of(*pair), {})
    content = model(op, [("float32", pair[0], {}), second], result, fused_activation_function=activation)
    assert between(content, seed=seed)["numba"] == [op]


@given(operands(), st.sampled_from(["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"]), SEEDS)
def test_simple(pair, op, seed):
    content = model(op, [("float32", shape, {}) for shape in pair], ("float32", shape_of(*pair), {}))
    assert between(content, seed=seed)["numba"] == [op]


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
def test_special_numbers(op):
    """Every pair of infinities, NaN, zeros of both signs and denormals."""
    special = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3e38, -3e38, 5])
    x1, x2 = (part.reshape(-1) for part in np.meshgrid(special, special))
    content = model(op, [("float32", x1.shape, {})] * 2, ("float32", x1.shape, {}))
    assert between(content, [x1, x2])["numba"] == [op]


UNARY = [
    *("ABS NEG SQUARE SQRT RSQRT EXP LOG CEIL FLOOR ROUND TANH LOGISTIC ELU GELU HARD_SWISH RELU RELU6".split()),
    *("RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU".split()),
]


def options(op):
    return {"alpha": 0.2} if op == "LEAKY_RELU" else {}


@given(st.integers(1, 300), st.sampled_from(UNARY), SEEDS)
def test_functions(size, op, seed):
    content = model(op, [("float32", (size,), {})], ("float32", (size,), {}), **options(op))
    assert between(content, seed=seed)["numba"] == [op]


@pytest.mark.parametrize("op", [*UNARY, "GELU approximate"])
def test_functions_of_all_magnitudes(op):
    """A million numbers spread evenly over all bit patterns, infinities and NaN among them."""
    approximate = {"approximate": True} if op.endswith("approximate") else {}
    op = op.split()[0]
    x = np.arange(0, 2**32, 4201, np.uint32).view(np.float32)
    x = np.concatenate([x, np.float32([0, -0.0, np.inf, -np.inf, np.nan, -9, 88.73, -87.4, -103.98, 1e-45])])
    content = model(op, [("float32", x.shape, {})], ("float32", x.shape, {}), **options(op), **approximate)
    assert between(content, [x])["numba"] == [op]


@given(operands(), SEEDS)
def test_prelu(pair, seed):
    whole = shape_of(*pair)
    slope = next((shape for shape in pair if shape != whole), whole)
    content = model("PRELU", [("float32", whole, {}), ("float32", slope, {})], ("float32", whole, {}))
    assert between(content, seed=seed)["numba"] == ["PRELU"]


# ---- stored numbers


def every(type):
    return np.arange(np.iinfo(type).min, np.iinfo(type).max + 1).astype(type)


@given(st.data(), st.sampled_from(["ADD", "SUB", "MUL"]), st.sampled_from(["int8", "uint8"]), ACTIVATIONS)
def test_all_pairs_of_bytes(data, op, type, activation):
    pair = [(256, 1), (256,)]
    quantizations = [numbers(data.draw, type, 2.0**-9, 2.0**-3) for _ in range(3)]
    operands = [(type, shape, q) for shape, q in zip(pair, quantizations)]
    content = model(op, operands, (type, (256, 256), quantizations[2]), fused_activation_function=activation)
    assert between(content, [every(type).reshape(shape) for shape in pair])["numba"] == [op]


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("type", ["int8", "uint8"])
def test_middles_go_away_from_zero(op, type):
    """Scales for which a quarter of all sums, and an eighth of all products, lie in the middle of two results."""
    zero = 0 if type == "int8" else 128
    pair = [(256, 1), (256,)]
    operands = [(type, shape, {"scale": scale, "zero_point": zero}) for shape, scale in zip(pair, (0.5, 0.75))]
    content = model(op, operands, (type, (256, 256), {"scale": 1.5, "zero_point": zero}))
    assert between(content, [every(type).reshape(shape) for shape in pair])["numba"] == [op]


def test_products_by_gates_are_computed_in_floats():
    """By gates of scale 1 / 256 many lie in the middle of two results."""
    assert product_factors(33915, (1 << 30, -6), -6, -128, 127) is not None
    quantizations = [{"scale": 0.25, "zero_point": 7}, {"scale": 2.0**-8, "zero_point": -128}]
    operands = [("int8", shape, q) for shape, q in zip([(256, 1), (256,)], quantizations)]
    content = model("MUL", operands, ("int8", (256, 256), {"scale": 0.125, "zero_point": -6}))
    assert between(content, [every("int8").reshape(256, 1), every("int8")])["numba"] == ["MUL"]


@given(
    operands(), st.sampled_from(["ADD", "SUB", "MUL"]), st.sampled_from(["int8", "uint8", "int16"]), st.data(), SEEDS
)
def test_stored(pair, op, type, data, seed):
    quantizations = [numbers(data.draw, type, 2.0**-9, 2.0**-1) for _ in range(3)]
    if type == "int16":
        quantizations = [q | {"zero_point": 0} for q in quantizations]
    operands = [(type, shape, q) for shape, q in zip(pair, quantizations)]
    plain = {} if op == "MUL" else {"pot_scale_int16": False}
    content = model(op, operands, (type, shape_of(*pair), quantizations[2]), **plain)
    assert between(content, seed=seed)["numba"] == [op]


@given(operands(), st.data(), SEEDS)
def test_squares_of_stored_differences(pair, data, seed):
    quantizations = [numbers(data.draw, "int8") for _ in range(3)]
    operands = [("int8", shape, q) for shape, q in zip(pair, quantizations)]
    content = model("SQUARED_DIFFERENCE", operands, ("int8", shape_of(*pair), quantizations[2]))
    assert between(content, seed=seed)["numba"] == ["SQUARED_DIFFERENCE"]


@given(st.integers(1, 300), st.sampled_from(["RELU", "RELU6", "HARD_SWISH", "LEAKY_RELU", "TANH"]), SEEDS)
def test_tables(size, op, seed):
    """Of every byte, and for every length of the last vector."""
    chance = np.random.default_rng(seed)
    q = {"scale": float(chance.uniform(0.01, 0.1)), "zero_point": int(chance.integers(-128, 128))}
    alpha = {"alpha": 0.1} if op == "LEAKY_RELU" else {}
    content = model(op, [("int8", (256 + size,), q)], ("int8", (256 + size,), q), **alpha)
    x = np.concatenate([every("int8"), chance.integers(-128, 128, size).astype(np.int8)])
    assert between(content, [x])["numba"] == [op]


@given(st.integers(1, 150), st.sampled_from(["RELU", "RELU6", "LEAKY_RELU", "PRELU"]), st.data(), SEEDS)
def test_int16_activations(size, op, data, seed):
    scales = [numbers(data.draw, "int16") | {"zero_point": 0} for _ in range(2)]
    slope = [("int8", (size,), numbers(data.draw, "int8"))] if op == "PRELU" else []
    content = model(op, [("int16", (3, size), scales[0]), *slope], ("int16", (3, size), scales[1]), **options(op))
    assert between(content, seed=seed)["numba"] == [op]


@given(operands(), st.sampled_from(["int8", "uint8"]), st.data(), SEEDS)
def test_prelu_of_bytes(pair, type, data, seed):
    whole = shape_of(*pair)
    slope = next((shape for shape in pair if shape != whole), whole)
    quantizations = [numbers(data.draw, type) for _ in range(3)]
    operands = [(type, shape, q) for shape, q in zip((whole, slope), quantizations)]
    content = model("PRELU", operands, (type, whole, quantizations[2]))
    assert between(content, seed=seed)["numba"] == ["PRELU"]


# ---- other types


@given(st.integers(1, 300), st.sampled_from(["int8", "uint8", "int16"]), st.data(), SEEDS)
def test_quantize(size, type, data, seed):
    q = numbers(data.draw, type)
    x = np.random.default_rng(seed).uniform(-300, 300, size).astype(np.float32) * np.float32(q["scale"])
    x[::3] = (np.round(x[::3] / np.float32(q["scale"])) + np.float32(0.5)) * np.float32(q["scale"])  # near the middles
    content = model("QUANTIZE", [("float32", (size,), {})], (type, (size,), q))
    assert between(content, [x])["numba"] == ["QUANTIZE"]


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-3, 3e-30, 7e28])
def test_quantize_all_magnitudes(type, scale):
    x = np.arange(0, 2**32, 40009, np.uint32).view(np.float32)
    x = np.concatenate(
        [x, np.float32([np.inf, -np.inf, np.nan, 2.0**31, -(2.0**31), 0.49999997, 0.5]) * np.float32(scale)]
    )
    content = model("QUANTIZE", [("float32", x.shape, {})], (type, x.shape, {"scale": scale, "zero_point": 100}))
    assert between(content, [x])["numba"] == ["QUANTIZE"]


@given(st.integers(1, 300), st.sampled_from(["int8", "uint8", "int16"]), st.data(), SEEDS)
def test_dequantize(size, type, data, seed):
    q = numbers(data.draw, type) | ({"zero_point": 0} if type == "int16" else {})
    content = model("DEQUANTIZE", [(type, (size,), q)], ("float32", (size,), {}))
    assert between(content, seed=seed)["numba"] == ["DEQUANTIZE"]


PAIRS = [("int8", "int16"), ("uint8", "int16"), ("int16", "int8"), ("int16", "int16"), ("int8", "uint8")]


@given(st.integers(1, 300), st.sampled_from(PAIRS), st.data(), SEEDS)
def test_requantize(size, types, data, seed):
    fine, coarse = sorted((numbers(data.draw, t) for t in types), key=lambda q: q["scale"])
    zeros = [{"zero_point": 0 if "int16" in (t, types[0]) else 3} for t in types]
    quantizations = [fine | zeros[0], coarse | zeros[1]]
    content = model("QUANTIZE", [(types[0], (size,), quantizations[0])], (types[1], (size,), quantizations[1]))
    assert between(content, seed=seed)["numba"] == ["QUANTIZE"]


CASTS = [
    *((x, "float32") for x in ("int8", "uint8", "bool", "int16", "int32", "int64", "float16")),
    *(("float32", y) for y in ("int8", "uint8", "bool", "int16", "int32", "float16")),
    *((x, "int32") for x in ("int8", "uint8", "bool", "int16", "int64")),
    *(("int32", y) for y in ("int8", "uint8", "int16", "int64", "bool")),
    *((x, "int64") for x in ("int8", "uint8", "bool")),
    *(("int64", y) for y in ("int8", "uint8")),
]


@pytest.mark.parametrize("types", CASTS, ids="-".join)
@pytest.mark.parametrize("size", [1, 37, 1000])
def test_cast(types, size):
    content = model("CAST", [(types[0], (size,), {})], (types[1], (size,), {}))
    x = np.random.default_rng(size).integers(-300, 300, size).astype(types[0])
    if types[0].startswith("float"):
        x /= 2
        limit = 60000.0 if types[0] == "float16" else 2.0**31
        x[: size // 2] = np.resize(np.array([np.nan, np.inf, -np.inf, limit, 1e-7, -0.5], types[0]), size // 2)
    assert between(content, [x])["numba"] == ["CAST"]


# ---- integers that stand for themselves, comparisons, choices

WHOLE = st.sampled_from(["int32", "int64"])


@given(operands(), st.sampled_from(["ADD", "SUB", "MUL"]), WHOLE, ACTIVATIONS, SEEDS)
def test_integers(pair, op, type, activation, seed):
    content = model(op, [(type, shape, {}) for shape in pair], (type, shape_of(*pair), {}),
                    fused_activation_function=activation)  # fmt: skip
    assert between(content, seed=seed)["numba"] == [op]


TYPES = ["float32", "int8", "uint8", "int16", "int32", "int64"]


@given(operands(), st.sampled_from(["MAXIMUM", "MINIMUM"]), st.sampled_from(TYPES), SEEDS)
def test_choices(pair, op, type, seed):
    q = {"scale": 0.1, "zero_point": 0} if type in ("int8", "uint8", "int16") else {}
    content = model(op, [(type, shape, q) for shape in pair], (type, shape_of(*pair), q))
    assert between(content, seed=seed)["numba"] == [op]


RELATIONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]


@given(operands(), st.sampled_from(RELATIONS), st.sampled_from(["float32", "int32", "int64"]), SEEDS)
def test_comparisons(pair, op, type, seed):
    chance = np.random.default_rng(seed)
    inputs = [chance.integers(-2, 3, shape).astype(type) for shape in pair]
    if type == "float32":
        inputs[0][chance.uniform(size=pair[0]) < 0.1] = np.nan
    content = model(op, [(type, shape, {}) for shape in pair], ("bool", shape_of(*pair), {}))
    assert between(content, inputs)["numba"] == [op]


@given(operands(), st.sampled_from(["LOGICAL_AND", "LOGICAL_OR", "EQUAL", "NOT_EQUAL"]), SEEDS)
def test_logic(pair, op, seed):
    content = model(op, [("bool", shape, {}) for shape in pair], ("bool", shape_of(*pair), {}))
    assert between(content, seed=seed)["numba"] == [op]


def test_not():
    content = model("LOGICAL_NOT", [("bool", (777,), {})], ("bool", (777,), {}))
    assert between(content)["numba"] == ["LOGICAL_NOT"]


@given(operands(), st.booleans(), st.sampled_from([*TYPES, "bool"]), SEEDS)
def test_select(pair, rows, type, seed):
    q = {"scale": 0.1, "zero_point": 0} if type in ("int8", "uint8", "int16") else {}
    whole = shape_of(*pair)
    condition = pair[0] if rows else whole
    content = model("SELECT_V2", [("bool", condition, {}), *((type, shape, q) for shape in pair)], (type, whole, q))
    assert between(content, seed=seed)["numba"] == ["SELECT_V2"]
