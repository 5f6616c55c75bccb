"""FULLY_CONNECTED."""

import numpy as np
import pytest
from hypothesis import given

from minitfl.build import Model
from minitfl.kernels import dense_rows
from minitfl.kernels.hybrid import quantize_rows
from tests.cases import SEEDS, OursFailed, check, differential, ours
from tests.kernels.one_op import sample, temporaries
from tests.kernels.sparse import constant, draw_sparse
from tests.oracle import official
from tests.sweep import TYPES, sweep

BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
STORED = {"int4": "int8", "int2": "int8"}
RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int4": (-8, 7), "int2": (-2, 1)}


def model(x, w, bias, y, *, constant=True, **options):
    """The bytes of a one-op model; x, y: (type, shape, quantization), w, bias: (type, array, quantization) or None."""
    m = Model()
    handles = [m.input(x[1], x[0], **x[2])]
    type, values, numbers = w
    handles.append(m.constant(values, type=type, **numbers) if constant else m.input(values.shape, type, **numbers))
    if bias is not None:
        handles.append(m.constant(bias[1], type=bias[0], **bias[2]))
    result = m.tensor(y[1], y[0], **y[2])
    m.op("FULLY_CONNECTED", handles, [result], **{"version": 14, **options})
    m.output(result)
    return m.content()


def numbers(scale, zero=0, **more):
    return {"scale": scale, "zero_point": zero, **more}


def float_case(seed, w_type="float32", biased=True):
    """(content, x, the part of the bound that no order of summation exceeds) of a float or hybrid model."""
    rng = np.random.default_rng(seed)
    batch, depth, units = draw_sizes(rng)
    x = values(rng, (batch, depth))
    quantization = {}
    if w_type == "float32":
        w = values(rng, (units, depth))
    else:
        low, high = RANGES["int8" if w_type == "uint8" else w_type]
        w = rng.integers(max(low, -127), high, (units, depth), endpoint=True).astype(np.int8)
        scales = np.float32(2.0 ** rng.uniform(-9, 0, units if rng.random() < 0.5 and w_type != "uint8" else 1))
        quantization = numbers(scales, np.zeros(len(scales), np.int64))
        if w_type == "uint8":
            w = w.view(np.uint8)
    bias = values(rng, units)
    given = ("float32", bias, {}) if biased else None
    options = {"fused_activation_function": ACTIVATIONS[rng.integers(4)], "version": int(rng.integers(1, 15))}
    if rng.random() < 0.3:
        x = x.reshape(1, batch, depth)
        options["keep_num_dims"] = bool(rng.integers(2))
    if w_type != "float32":
        options["asymmetric_quantize_inputs"] = bool(rng.integers(2))
    keep = options.get("keep_num_dims")
    y_shape = (*x.shape[:-1], units) if keep else (batch, units)
    constant = rng.random() < 0.8 or w_type in STORED
    content = model(
        ("float32", x.shape, {}),
        (w_type, w, quantization),
        given,
        ("float32", y_shape, {}),
        constant=constant,
        **options,
    )
    inputs = [x] if constant else [x, w]
    total = np.abs(x.reshape(batch, depth)).astype(np.float64) @ np.abs(w.astype(np.float64)).T
    bound = 2 * (depth + 4) * 2.0**-24 * (total + np.abs(bias if biased else 0))
    return content, inputs, bound.reshape(y_shape)


def draw_sizes(rng):
    depth = int(rng.choice([1, 2, 3, 7, 8, 16, 31, 64, 100]) if rng.random() < 0.9 else rng.integers(1000, 3000))
    return int(rng.integers(1, 6)), depth, int(rng.integers(1, 13))


def values(rng, shape):
    """Floats: normal, halves (ties when quantized), of one sign, or mostly zero."""
    kind = rng.integers(4)
    x = rng.normal(size=shape) * 10.0 ** rng.integers(-2, 3)
    if kind == 1 and x.size:
        x = np.round(x * 4) / 2
        x.flat[0] = 63.5
    if kind == 2:
        x = np.abs(x) * rng.choice([-1, 1])
    if kind == 3:
        x = np.where(rng.random(shape) < 0.8, 0, x)
    return x.astype(np.float32)


def integer_case(seed, x_type, w_type, bias_type, per_unit):
    """(content, inputs) of an integer model whose sums are spread over the output's range, some on ties."""
    rng = np.random.default_rng(seed)
    batch, depth, units = draw_sizes(rng)
    symmetric = x_type == "int16"
    low, high = RANGES[x_type]
    x_zero = 0 if symmetric else int(rng.choice([low, high, 0 if low else 128, rng.integers(low, high)]))
    y_zero = 0 if symmetric else int(rng.choice([low, high, 0 if low else 128, rng.integers(low, high)]))
    x = rng.integers(low, high, (batch, depth), endpoint=True)
    if rng.random() < 0.2:
        x = np.where(rng.random(x.shape) < 0.5, low, high)
    w_low, w_high = RANGES[w_type]
    w = rng.integers(w_low, w_high, (units, depth), endpoint=True)
    if rng.random() < 0.2:
        w = np.where(rng.random(w.shape) < 0.5, w_low, w_high)
    w_zero = int(rng.integers(w_low, w_high)) if w_type == "uint8" or (w_type == "int8" and rng.random() < 0.2) else 0
    powers = rng.random() < 0.4  # powers of two put sums on ties
    x_scale = 2.0 ** rng.integers(-8, 1) if powers else 2 ** rng.uniform(-8, 0)
    count = units if per_unit else 1
    w_scale = 2.0 ** rng.integers(-8, 1, count) if powers else 2 ** rng.uniform(-8, 0, count)
    x_scale, w_scale = np.float32(x_scale), np.float32(w_scale)
    spread = np.abs((x - x_zero) @ (w - w_zero).T).max() or 1
    y_scale = float(x_scale) * float(w_scale.max()) * spread / (high - low) * 2.0 ** rng.uniform(-2, 2)
    y_scale = 2.0 ** np.round(np.log2(y_scale)) if powers else y_scale
    bias = None
    if bias_type:
        size = int(min(spread, 2**30))
        stored = rng.integers(-size, size, units, endpoint=True).astype(bias_type)
        scales = np.float32(np.float64(x_scale) * w_scale)
        bias = (bias_type, stored, numbers(scales, np.zeros(count, np.int64)))
    options = {"fused_activation_function": ACTIVATIONS[rng.integers(4)], "version": int(rng.integers(1, 15))}
    if x_type == "int16":
        options["quantized_bias_type"] = (bias_type or str(rng.choice(["float32", "int32", "int64"]))).upper()
    zeros = np.full(count, w_zero, np.int64) if not per_unit else np.zeros(count, np.int64)
    stored = w.astype(STORED.get(w_type, w_type))
    constant = w_type in STORED or rng.random() < 0.8
    content = model(
        (x_type, x.shape, numbers(x_scale, x_zero)),
        (w_type, stored, numbers(w_scale, zeros)),
        bias,
        (x_type, (batch, units), numbers(np.float32(y_scale), y_zero)),
        constant=constant,
        **options,
    )
    x = x.astype(x_type)
    return content, [x] if constant else [x, stored]


# ---- worked by hand


def test_float_by_hand():
    """[1 2] @ [[3 4], [-5 1]].T + [10 1] = [1*3 + 2*4 + 10, -5 + 2 + 1] = [21 -2]; RELU: [21 0]."""
    w, bias = np.float32([[3, 4], [-5, 1]]), np.float32([10, 1])
    x = np.float32([[1, 2]])
    for activation, wanted in (("NONE", [21, -2]), ("RELU", [21, 0]), ("RELU6", [6, 0]), ("RELU_N1_TO_1", [1, -1])):
        content = model(
            ("float32", (1, 2), {}),
            ("float32", w, {}),
            ("float32", bias, {}),
            ("float32", (1, 2), {}),
            fused_activation_function=activation,
        )
        np.testing.assert_array_equal(ours(content, [x])[0], np.float32([wanted]))


def test_int8_by_hand():
    """Sums (5-1)*3 + (-7-1)*2 + 7 = 3 and -(5-1) - (-7-1) + 0 = 4; times 0.5*0.25/0.25 = 0.5: 1.5 and 2, ties go up."""
    content = model(
        ("int8", (1, 2), numbers(0.5, 1)),
        ("int8", np.int8([[3, 2], [-1, -1]]), numbers(0.25)),
        ("int32", np.int32([7, 0]), numbers(0.125)),
        ("int8", (1, 2), numbers(0.25, -3)),
    )
    np.testing.assert_array_equal(ours(content, [np.int8([[5, -7]])])[0], np.int8([[2 - 3, 2 - 3]]))


def test_a_negative_tie_goes_away_from_zero():
    """-3 * 0.5 = -1.5 -> -2, not -1; -5 * 0.5 = -2.5 -> -3, not the even -2."""
    content = model(
        ("int8", (2, 1), numbers(0.5)),
        ("int8", np.int8([[1]]), numbers(0.5)),
        None,
        ("int8", (2, 1), numbers(0.5)),
    )
    x = np.int8([[-3], [-5]])
    np.testing.assert_array_equal(ours(content, [x])[0], [[-2], [-3]])
    np.testing.assert_array_equal(official.run(content, [x])[0], [[-2], [-3]])


def test_every_product_of_a_deep_row_counts():
    """1501 * 255 * 127 = 48609885 is odd and beyond 2**24, so no float32. The bias leaves 3 or -2 of it."""
    depth = 1501
    content = model(
        ("int8", (1, depth), numbers(1.0, -128)),
        ("int8", np.full((2, depth), 127, np.int8), numbers(1.0)),
        ("int32", np.int32([3, -2]) - depth * 255 * 127, numbers(1.0)),
        ("int8", (1, 2), numbers(1.0)),
    )
    np.testing.assert_array_equal(ours(content, [np.full((1, depth), 127, np.int8)])[0], np.int8([[3, -2]]))


def test_hybrid_by_hand():
    """x = [127 1], max 127: scale 1, q = x; 127*2 - 1 = 253, times w's scale 0.5."""
    content = model(("float32", (1, 2), {}), ("int8", np.int8([[2, -1]]), numbers(0.5)), None, ("float32", (1, 1), {}))
    np.testing.assert_array_equal(ours(content, [np.float32([[127, 1.25]])])[0], [[126.5]])


def test_hybrid_rows_have_scales_of_their_own():
    """A row of zeros, a tiny one and a huge one: each is off by at most half of its own step times the weights' sum."""
    x = np.float32([[0, 0], [1e-20, -1e-20], [1e20, 5e19]])
    for asymmetric in (False, True):
        content = model(
            ("float32", (3, 2), {}),
            ("int8", np.int8([[100, 50]]), numbers(1.0)),
            None,
            ("float32", (3, 1), {}),
            asymmetric_quantize_inputs=asymmetric,
        )
        np.testing.assert_allclose(ours(content, [x])[0], [[0], [5e-19], [1.25e22]], rtol=0.012)


def test_hybrid_row_with_nan_spoils_that_row_alone():
    x = np.float32([[1, np.nan], [np.inf, 0], [1, 1]])
    for asymmetric in (False, True):
        content = model(
            ("float32", (3, 2), {}),
            ("int8", np.int8([[1, 1]]), numbers(1.0)),
            None,
            ("float32", (3, 1), {}),
            asymmetric_quantize_inputs=asymmetric,
        )
        y = ours(content, [x])[0]
        assert not np.isfinite(y[:2]).any()
        np.testing.assert_allclose(y[2], 2, rtol=1e-6)


def test_no_depth_leaves_zero():
    """The official kernel stores 0 and adds no bias."""
    content = model(
        ("int8", (2, 0), numbers(0.5, 1)),
        ("int8", np.zeros((3, 0), np.int8), numbers(0.25)),
        ("int32", np.int32([7, 0, 1]), numbers(0.125)),
        ("int8", (2, 3), numbers(0.25, -3)),
    )
    assert check(content, [np.zeros((2, 0), np.int8)]) == "equal"


@pytest.mark.parametrize("shapes", [((0, 4), (3, 4)), ((2, 4), (0, 4))])
@pytest.mark.parametrize("types", [("float32", "float32"), ("float32", "int8"), ("int8", "int8"), ("int16", "int16")])
def test_nothing_to_compute(types, shapes):
    (x_type, w_type), (x, w) = types, shapes
    x_q, w_q = ({} if type == "float32" else numbers(0.5) for type in types)
    content = model((x_type, x, x_q), (w_type, np.zeros(w, w_type), w_q), None, (x_type, (x[0], w[0]), x_q))
    check(content, [np.zeros(x, x_type)])
    assert ours(content, [np.zeros(x, x_type)])[0].shape == (x[0], w[0])


# ---- against the official runtime


@pytest.mark.parametrize("biased", (True, False), ids=("", "no bias"))
@differential()
@given(seed=SEEDS)
def test_float(biased, seed):
    content, inputs, bound = float_case(seed, biased=biased)
    check(content, inputs, bound=bound)


@pytest.mark.parametrize("biased", (True, False), ids=("", "no bias"))
@pytest.mark.parametrize("w_type", ["int8", "uint8", "int4", "int2"])
@differential()
@given(seed=SEEDS)
def test_hybrid(w_type, biased, seed):
    """Equal to the bit: the sums are integers, and the floats after them are computed in the official order."""
    content, inputs, _ = float_case(seed, w_type, biased)
    check(content, inputs)


@pytest.mark.parametrize("activation", ["TANH", "SIGN_BIT"])
def test_hybrid_takes_any_activation(activation):
    rng = np.random.default_rng(3)
    content = model(
        ("float32", (4, 8), {}),
        ("int8", rng.integers(-9, 9, (6, 8)).astype(np.int8), numbers(0.1)),
        None,
        ("float32", (4, 6), {}),
        fused_activation_function=activation,
    )
    check(content, [rng.normal(size=(4, 8)).astype(np.float32)], ulps=4)


BIASES = {"int8": ("int32", None), "uint8": ("int32", None), "int16": ("int32", "int64", None)}
WEIGHTS = {"int8": ("int8", "int4", "int2"), "uint8": ("uint8",), "int16": ("int8", "int4", "int2", "int16")}
INTEGERS = [(x, w, bias) for x, weights in WEIGHTS.items() for w in weights for bias in BIASES[x]]


@pytest.mark.parametrize("x_type,w_type,bias_type", INTEGERS)
@differential()
@given(seed=SEEDS)
def test_integers(x_type, w_type, bias_type, seed):
    content, inputs = integer_case(seed, x_type, w_type, bias_type, per_unit=x_type != "uint8" and seed % 2 == 0)
    check(content, inputs)


@differential()
@given(seed=SEEDS)
def test_uint8_to_int16(seed):
    """With a bias; without one the official process dies."""
    rng = np.random.default_rng(seed)
    batch, depth, units = draw_sizes(rng)
    scale = np.float32(2 ** rng.uniform(-6, 0))
    w = rng.integers(0, 256, (units, depth)).astype(np.uint8)
    bias = rng.integers(-1000, 1000, units).astype(np.int32)
    content = model(
        ("uint8", (batch, depth), numbers(scale, int(rng.integers(256)))),
        ("uint8", w, numbers(0.25, int(rng.integers(256)))),
        ("int32", bias, numbers(np.float32(scale * 0.25))),
        ("int16", (batch, units), numbers(np.float32(2 ** rng.uniform(-8, 0)))),
    )
    check(content, [rng.integers(0, 256, (batch, depth)).astype(np.uint8)])


@pytest.mark.parametrize("constant", (True, False))
def test_another_shape_in_a_later_run(constant):
    rng = np.random.default_rng(0)
    weights = rng.integers(-9, 9, (3, 4)).astype(np.int8)
    q = numbers(0.5)
    content = model(("int8", (2, 4), q), ("int8", weights, q), None, ("int8", (2, 3), q), constant=constant)
    rest = [] if constant else [weights]
    turns = [[rng.integers(-9, 9, shape).astype(np.int8), *rest] for shape in ((2, 4), (5, 4), (2, 3, 4), (2, 4))]
    check(content, turns, sequence=True)


# ---- weights in blocks, shuffled, sparse


def blockwise_case(rng, biased, **options):
    """(content, x, the result in float64, its bound). Officially right from 32 depths and 4 units on."""
    size = int(rng.choice((8, 16, 32)))
    depth, units, batch = size * int(rng.integers(32 // size, 6)), int(rng.integers(4, 13)), int(rng.integers(1, 5))
    x = values(rng, (batch, depth))
    w = rng.integers(-8, 8, (units, depth)).astype(np.int8)
    scales = (2.0 ** rng.uniform(-9, 0, (units, depth // size))).astype(np.float16)
    bias = values(rng, units)
    m = Model()
    details = {"scales": m.constant(scales), "zero_points": -1, "block_size": size}
    handles = [m.input(x.shape), m.constant(w, "int4", quantization={"details_type": 2, "details": details})]
    if biased:
        handles.append(m.constant(bias))
    y = m.tensor((batch, units))
    m.op("FULLY_CONNECTED", handles, [y], version=13, **options)
    m.output(y)
    q, scale, zero = quantize_rows(x, True)
    real = (w.reshape(units, -1, size) * scales.astype(np.float64)[..., None]).reshape(w.shape)
    # the official kernel takes the zero points out at the end
    most = (np.abs(q.astype(np.float64)) + np.abs(zero)[:, None]) @ np.abs(real).T * scale[:, None]
    wanted = (q - zero[:, None]) @ real.T * scale[:, None] + (bias if biased else 0)
    return m.content(), x, wanted, 2 * (depth + 4) * 2.0**-24 * (most + np.abs(wanted))


@pytest.mark.parametrize("biased", (True, False), ids=("", "no bias"))
@differential()
@given(seed=SEEDS)
def test_blockwise(biased, seed):
    """The reference kernels make nothing of blocks; the optimised ones do."""
    content, x, _, bound = blockwise_case(np.random.default_rng(seed), biased)
    check(content, [x], bound=bound, resolver=BUILTIN)


@pytest.mark.parametrize("activation", ("RELU", "RELU6", "TANH"))
def test_blockwise_activation(activation):
    """Officially left out."""
    content, x, wanted, bound = blockwise_case(np.random.default_rng(1), True, fused_activation_function=activation)
    exact = {"RELU": lambda a: np.maximum(a, 0), "RELU6": lambda a: np.clip(a, 0, 6), "TANH": np.tanh}[activation]
    assert np.all(np.abs(ours(content, [x])[0] - exact(wanted)) <= bound + 1e-6)
    assert np.all(np.abs(official.run(content, [x], resolver=BUILTIN)[0] - wanted) <= bound)


def test_blocks_that_do_not_fit_are_refused():
    m = Model()
    details = {"scales": m.constant(np.ones((7, 3), np.float16)), "zero_points": -1, "block_size": 32}
    w = m.constant(np.zeros((7, 64), np.int8), "int4", quantization={"details_type": 2, "details": details})
    y = m.tensor((1, 7))
    m.op("FULLY_CONNECTED", [m.input((1, 64)), w], [y], version=13)
    m.output(y)
    with pytest.raises(OursFailed, match="21 scales for 2 blocks of 7 units"):
        ours(m.content(), [np.zeros((1, 64), np.float32)])


def shuffled_case(rng, batch, bias_type="int32", **options):
    """(content, x, x as the second output shows it, the sums of products)."""
    units, depth = 4 * int(rng.integers(1, 6)), 16 * int(rng.integers(1, 5))
    x, w = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((batch, depth), (units, depth)))
    stored = w.reshape(units // 4, 4, depth // 16, 16).transpose(0, 2, 1, 3).reshape(w.shape) ^ 0x80
    x_scale, w_scale, y_scale = np.float32(2 ** rng.uniform((-6, -6, -8), 0))
    bias = rng.integers(-10000, 10000, units).astype(bias_type)
    m = Model()
    handles = [
        m.input(x.shape, "uint8", **numbers(x_scale, 128)),
        m.constant(stored, **numbers(w_scale, 128)),
        m.constant(bias, **numbers(x_scale * w_scale)),
    ]
    y, second = m.tensor((batch, units), "int16", **numbers(y_scale)), m.tensor(x.shape, "uint8")
    m.op("FULLY_CONNECTED", handles, [y, second], version=2, weights_format=1, **options)
    m.output(y, second)
    turned = x.reshape(batch, depth // 16, 16).swapaxes(0, 1).reshape(x.shape) ^ 0x80
    total = (x.astype(np.int64) - 128) @ (w.astype(np.int64) - 128).T + bias
    return m.content(), x, turned, total * (float(x_scale * w_scale) / float(y_scale))


@differential()
@given(seed=SEEDS)
def test_shuffled(seed):
    rng = np.random.default_rng(seed)
    content, x, *_ = shuffled_case(rng, int(rng.choice((1, 4))), fused_activation_function=ACTIVATIONS[seed % 4])
    check(content, [x])


@pytest.mark.parametrize("batch,bias_type", [(2, "int32"), (7, "int32"), (1, "int64"), (4, "int64")])
def test_shuffled_where_the_official_kernel_gives_garbage(batch, bias_type):
    """It knows batches of 1 and 4, and reads any bias as int32."""
    content, x, turned, exact = shuffled_case(np.random.default_rng(3), batch, bias_type)
    y, second = ours(content, [x])
    np.testing.assert_array_equal(second, turned)
    assert np.abs(y - np.clip(exact, -32768, 32767)).max() <= 1


SPARSE = {
    "by element": ("ds", ()),
    "by row and element": ("ss", ()),
    "1x4": ("dsd", ((1, 4),)),
    "1x16": ("dsd", ((1, 16),)),
    "4x16": ("dsdd", ((0, 4), (1, 16))),
}


@pytest.mark.parametrize("format", SPARSE)
@differential(60)
@given(seed=SEEDS)
def test_sparse_float(format, seed):
    rng = np.random.default_rng(seed)
    content, x, w, bias = sparse_case(rng, "float32", SPARSE[format], {}, lambda units: {}, {})
    total = np.abs(x).astype(np.float64) @ np.abs(w).T + np.abs(bias)
    check(content, [x], bound=2 * (w.shape[1] + 4) * 2.0**-24 * total)


@differential()
@given(seed=SEEDS)
def test_sparse_int8(seed):
    """In blocks of 1x16, the one format that the official kernel knows."""
    rng = np.random.default_rng(seed)
    x_scale, y_scale, w_scale = np.float32(2 ** rng.uniform((-6, -2, -6), (0, 6, 0)))

    def scales(units):
        several = np.float32(2 ** rng.uniform(-6, 0, units if rng.integers(2) else 1))
        several[0] = w_scale
        return numbers(several, np.zeros(len(several), np.int64))

    x_q, y_q = numbers(x_scale, int(rng.integers(-128, 128))), numbers(y_scale, int(rng.integers(-20, 20)))
    content, x, *_ = sparse_case(rng, "int8", SPARSE["1x16"], x_q, scales, y_q, numbers(x_scale * w_scale))
    check(content, [x])


@pytest.mark.parametrize("asymmetric", (False, True))
@differential(100)
@given(seed=SEEDS)
def test_sparse_hybrid(asymmetric, seed):
    """In blocks of 1x16. The official kernel takes the zero points out at the end."""
    rng = np.random.default_rng(seed)
    scale = np.float32(2 ** rng.uniform(-9, 0))
    options = {"asymmetric_quantize_inputs": asymmetric}
    content, x, w, bias = sparse_case(
        rng, "float32", SPARSE["1x16"], {}, lambda _: numbers(scale), {}, w_type="int8", **options
    )
    most = np.abs(x).max(1, initial=0, keepdims=True).astype(np.float64) * np.abs(w.astype(np.float64)).sum(1) * scale
    check(content, [x], bound=8 * 2.0**-24 * (2 * most + np.abs(bias)))


def sparse_case(rng, type, format, x_q, w_q, y_q, bias_q=None, *, w_type=None, **options):
    """(content, x, w, bias); w_q: a function of the units that gives the quantization of the weights."""
    formats, blocks = format
    depth, units, batch = 16 * int(rng.integers(1, 5)), 4 * int(rng.integers(1, 6)), int(rng.integers(1, 5))
    x = values(rng, (batch, depth)) if type == "float32" else rng.integers(-128, 128, (batch, depth)).astype(type)
    w = draw_sparse(rng, w_type or type, (units, depth))
    bias = values(rng, units) if type == "float32" else rng.integers(-1000, 1000, units).astype(np.int32)
    m = Model()
    handles = [
        m.input(x.shape, type, **x_q),
        constant(m, w, list(range(len(formats))), formats, blocks, **w_q(units)),
        m.constant(bias, **(bias_q or {})),
    ]
    y = m.tensor((batch, units), type, **y_q)
    options |= {"fused_activation_function": ACTIVATIONS[rng.integers(4)]}
    m.op("FULLY_CONNECTED", handles, [y], version=8, **options)
    m.output(y)
    return m.content(), x, w, bias


def test_sparse_int8_in_another_format():
    """The official kernel refuses it; there are results all the same."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (2, 8)).astype(np.int8), draw_sparse(rng, "int8", (4, 8))
    m = Model()
    y = m.tensor((2, 4), "int8", **numbers(3.3))
    w_handle = constant(m, w, [1, 0], "ss", **numbers(0.5))
    m.op("FULLY_CONNECTED", [m.input(x.shape, "int8", **numbers(0.5)), w_handle], [y], version=8)
    m.output(y)
    exact = x.astype(np.int64) @ w.T / (4 * 3.3)
    assert (
        np.abs(ours(m.content(), [x])[0] - exact).max() < 0.5 + 2.0**-4 + 1e-9
    )  # rounded twice, the second time in steps of 2**-3


# ---- where the official runtime is wrong or dies: against the mathematics


def exact(x, x_q, w, w_q, y_type, y_q):
    total = (x.astype(np.int64) - x_q[1]) @ (w.astype(np.int64) - w_q[1]).T * (x_q[0] * w_q[0] / y_q[0])
    return np.clip(np.sign(total) * np.floor(np.abs(total) + 0.5) + y_q[1], *RANGES[y_type]).astype(y_type)


@pytest.mark.parametrize(
    "x_type,w_type,y_type", [("int8", "int8", "int16"), ("int16", "int8", "int8"), ("uint8", "int8", "uint8")]
)
def test_mixed_types(x_type, w_type, y_type):
    """The official kernels read the operands' bytes as other types than they are, or die."""
    rng = np.random.default_rng(5)
    x = rng.integers(*RANGES[x_type], (3, 8)).astype(x_type)
    w = rng.integers(*RANGES[w_type], (4, 8)).astype(w_type)
    x_q, w_q = (0.5, 0), (0.25, 0)
    y_q = (0.5 if y_type == "int16" else 500.0, 0)
    content = model((x_type, x.shape, numbers(*x_q)), (w_type, w, numbers(*w_q)), None, (y_type, (3, 4), numbers(*y_q)))
    np.testing.assert_array_equal(ours(content, [x])[0], exact(x, x_q, w, w_q, y_type, y_q))


def test_hybrid_weight_of_minus_128():
    """Officially -128 times a negative number has the wrong sign from a depth of 16 on (x86)."""
    x = np.full((1, 16), -127, np.float32)
    content = model(
        ("float32", x.shape, {}), ("int8", np.full((1, 16), -128, np.int8), numbers(1.0)), None, ("float32", (1, 1), {})
    )
    assert ours(content, [x])[0] == 127 * 128 * 16
    assert official.run(content, [x])[0] != 127 * 128 * 16


def test_int16_with_an_int32_bias_that_no_option_announces():
    """The official kernel then reads the bias as int64, beyond its end."""
    w, x = np.int8([[1, 2], [3, 4]]), np.int16([[100, 200]])
    content = model(
        ("int16", x.shape, numbers(0.5)),
        ("int8", w, numbers(0.5)),
        ("int32", np.int32([4, -8]), numbers(0.25)),
        ("int16", (1, 2), numbers(0.25)),
    )
    np.testing.assert_array_equal(ours(content, [x])[0], [[504, 1092]])


# ---- types


def typed(x_type, w_type, bias_type, y_type):
    """A model of any types, with scales for integers."""
    m = Model()

    def quantized(type):
        return numbers(0.5) if type in RANGES else {}

    x = sample(x_type, (2, 4))
    handles = [
        m.input(x.shape, x_type, **quantized(x_type)),
        m.constant(sample(w_type, (3, 4)), w_type, **quantized(w_type)),
    ]
    if bias_type:
        handles.append(m.constant(sample(bias_type, 3), bias_type, **(numbers(0.25) if "int" in bias_type else {})))
    y = m.tensor((2, 3), y_type, **quantized(y_type))
    options = (
        {"quantized_bias_type": bias_type.upper()} if x_type == "int16" and bias_type in ("int32", "int64") else {}
    )
    m.op("FULLY_CONNECTED", handles, [y], version=14, **options)
    m.output(y)
    return m.content(), [x]


FLOATS = {("float32", w, None, "float32") for w in ("float32", "int8", "uint8", "int4", "int2")}
SAME = {(x, w, None, x) for x, weights in WEIGHTS.items() for w in weights}
# the official kernels read the bytes of one type as another's; these are small positive numbers, the same in both
READ = {(x, w, None, "uint8") for x in ("int8", "uint8") for w in ("int8", "uint8")} - SAME
READ |= {("uint8", w, None, "int8") for w in ("int8", "uint8", "int4", "int2")}
READ |= {("int8", "uint8", None, "int8"), ("int16", "uint8", None, "int16")}
MIXED = "the official kernels read 16 bits as 8"


def test_types(official):
    known = {("int16", w, None, y): MIXED for w in ("int8", "uint8") for y in ("int8", "uint8")}
    known |= {("int16", w, None, "int8"): MIXED for w in ("int4", "int2")}
    choices = ((*TYPES, "int2"), (*TYPES, "int2"), (None,), ("float32", "int8", "uint8", "int16"))
    assert sweep(typed, choices, known) == FLOATS | SAME | READ


BIAS_TYPES = {
    ("float32", "float32"): {"float32"},
    ("float32", "int8"): {"float32"},
    ("int8", "int8"): {"int32"},
    ("uint8", "uint8"): {"int32"},
    ("int16", "int8"): {"int32", "int64"},
    ("int16", "int16"): {"int32", "int64"},
}


@pytest.mark.parametrize("x,w", BIAS_TYPES)
def test_bias_types(official, x, w):
    known = {("int64",): "officially read as int32"} if x in ("int8", "uint8") else {}
    taken = sweep(lambda bias: typed(x, w, bias, x), (TYPES,), known)
    assert {bias for (bias,) in taken} == BIAS_TYPES[x, w]


# ---- refusals

INT8 = ("int8", (2, 4), numbers(0.1))
W8 = ("int8", np.ones((3, 4), np.int8), numbers(0.1))
Y8 = ("int8", (2, 3), numbers(0.5))
F32, FW, FY = ("float32", (2, 4), {}), ("float32", np.ones((3, 4), np.float32), {}), ("float32", (2, 3), {})
REFUSED = {
    "bias of another size": (INT8, W8, ("int32", np.zeros(4, np.int32), numbers(0.01)), Y8, {}),
    "bias of another scale": (INT8, W8, ("int32", np.zeros(3, np.int32), numbers(1.0)), Y8, {}),
    "float bias": (INT8, W8, ("float32", np.zeros(3, np.float32), {}), Y8, {}),
    "integer bias": (F32, FW, ("int32", np.zeros(3, np.int32), {}), FY, {}),
    "weights of rank 3": (INT8, ("int8", np.ones((3, 4, 1), np.int8), numbers(0.1)), None, Y8, {}),
    "no scale": (("int8", (2, 4), {}), W8, None, Y8, {}),
    "TANH on integers": (INT8, W8, None, Y8, {"fused_activation_function": "TANH"}),
    "TANH on floats": (F32, FW, None, FY, {"fused_activation_function": "TANH"}),
    "int4 with a zero point": (INT8, ("int4", np.ones((3, 4), np.int8), numbers(0.1, 1)), None, Y8, {}),
    "int16 with a zero point": (
        ("int16", (2, 4), numbers(0.1, 1)),
        W8,
        None,
        ("int16", (2, 3), numbers(0.1)),
        {},
    ),
    "scales per unit of uint8": (
        ("uint8", (2, 4), numbers(0.1)),
        ("uint8", np.ones((3, 4), np.uint8), numbers([0.1, 0.2, 0.3], [0, 0, 0])),
        None,
        ("uint8", (2, 3), numbers(0.1)),
        {},
    ),
    "scales along the depth": (
        INT8,
        ("int8", np.ones((4, 4), np.int8), numbers([0.1, 0.2, 0.3, 0.4], [0] * 4, axis=1)),
        None,
        ("int8", (2, 4), numbers(0.1)),
        {},
    ),
    "another depth": (("int8", (2, 2, 4), numbers(0.1)), ("int8", np.ones((3, 2), np.int8), numbers(0.1)), None, Y8)
    + ({"keep_num_dims": True},),
    "float to int8": (F32, FW, None, Y8, {}),
    "int32 activations": (("int32", (2, 4), numbers(0.1)), W8, None, Y8, {}),
    "int4 to uint8": (
        ("uint8", (2, 4), numbers(0.1)),
        ("int4", np.ones((3, 4), np.int8), numbers(0.1)),
        None,
        ("uint8", (2, 3), numbers(0.1)),
        {},
    ),
    "another bias type than announced": (
        ("int16", (2, 4), numbers(0.1)),
        W8,
        ("int64", np.zeros(3, np.int64), numbers(0.01)),
        ("int16", (2, 3), numbers(0.1)),
        {"quantized_bias_type": "INT32"},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    x, w, bias, y, options = REFUSED[case]
    outcome = check(model(x, w, bias, y, **options), [np.zeros(x[1], x[0])], must_run=False)
    assert outcome == ("error at invoke" if case == "int4 to uint8" else "error at allocate")


def test_rows_that_do_not_fit_are_refused():
    """The official kernel leaves the last elements out without a word."""
    content = model(("int8", (1, 7), numbers(0.1)), W8, None, ("int8", (1, 3), numbers(0.5)))
    with pytest.raises(OursFailed, match="7 elements"):
        ours(content, [np.zeros((1, 7), np.int8)])


# ---- blocks


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    x, w = rng.integers(-128, 128, (30, 2000)).astype(np.int8), rng.integers(-127, 128, (20, 2000)).astype(np.int8)
    monkeypatch.setattr(dense_rows, "BLOCK", 7 * 2080)
    y = np.empty((30, 20), np.int8)
    dense_rows.dense_int(x, 3, w, 0, None, np.zeros(20, np.int32), np.full(20, 1e-4), 1, -128, 127, y)
    total = (x.astype(np.int64) - 3) @ w.T.astype(np.int64) * 1e-4
    np.testing.assert_array_equal(y, np.clip(np.sign(total) * np.floor(np.abs(total) + 0.5) + 1, -128, 127))


@pytest.mark.parametrize("constant", (True, False))
@pytest.mark.parametrize("types", [("int8", "int8"), ("float32", "int8"), ("int16", "int8"), ("int16", "int16")])
@pytest.mark.parametrize("batch,depth,units", [(1, 2048, 512), (500, 300, 300), (3, 20, 30000), (20000, 2, 2)])
def test_temporaries_stay_within_the_workspace(batch, depth, units, types, constant):
    x_type, w_type = types
    x, w = np.ones((batch, depth), x_type), np.ones((units, depth), w_type)
    q, y_q = ({}, {}) if x_type == "float32" else (numbers(0.5), numbers(5000.0))
    content = model(
        (x_type, x.shape, q), (w_type, w, numbers(0.5)), None, (x_type, (batch, units), y_q), constant=constant
    )
    peak, allowed = temporaries(content, [x] if constant else [x, w])
    assert peak <= allowed <= (8 << 20) + (0 if constant else 24 * w.size)
