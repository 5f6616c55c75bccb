"""ADD SUB MUL DIV FLOOR_DIV FLOOR_MOD POW SQUARED_DIFFERENCE MAXIMUM MINIMUM ATAN2."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.elementwise import model, numbers, shape_of, two_shapes
from tests.oracle import official

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
FUSED = ("ADD", "SUB", "MUL", "DIV")


def options(draw, op):
    return {"fused_activation_function": draw(st.sampled_from(ACTIVATIONS))} if op in FUSED else {}


def run(op, type, arrays, result=None, quantizations=({}, {}, {}), **options):
    """Our output for two arrays."""
    q1, q2, q3 = quantizations
    x1, x2 = arrays
    result = result or type
    y = (result, np.broadcast_shapes(x1.shape, x2.shape), q3)
    return ours(model(op, [(type, x1.shape, q1), (type, x2.shape, q2)], y, **options), arrays)[0]


# ---- worked by hand


def test_add_int8_by_hand():
    """(10 - 2) * 0.5 + (-6 + 4) * 0.25 = 3.5; 3.5 / 0.125 - 1 = 27."""
    q = ({"scale": 0.5, "zero_point": 2}, {"scale": 0.25, "zero_point": -4}, {"scale": 0.125, "zero_point": -1})
    assert run("ADD", "int8", [np.int8([10]), np.int8([-6])], quantizations=q) == 27


def test_mul_uint8_by_hand():
    """(130 - 128) * 0.5 * (7 - 10) * 0.5 = -1.5; -1.5 / 0.25 + 100 = 94."""
    q = ({"scale": 0.5, "zero_point": 128}, {"scale": 0.5, "zero_point": 10}, {"scale": 0.25, "zero_point": 100})
    assert run("MUL", "uint8", [np.uint8([130]), np.uint8([7])], quantizations=q) == 94


def test_mul_int16_to_int8_by_hand():
    """0.5 * 0.5 = 0.25 = 32 / 128."""
    q = ({"scale": 2.0**-15, "zero_point": 0},) * 2 + ({"scale": 2.0**-7, "zero_point": 3},)
    half = np.int16([1 << 14])
    assert run("MUL", "int16", [half, half], "int8", q) == 32 + 3


def test_floor_mod_takes_the_sign_of_the_divisor():
    x, d = np.int32([7, -7, 7, -7]), np.int32([3, 3, -3, -3])
    np.testing.assert_array_equal(run("FLOOR_MOD", "int32", [x, d]), [1, 2, -2, -1])
    np.testing.assert_array_equal(run("FLOOR_DIV", "int32", [x, d]), [2, -3, -3, 2])
    np.testing.assert_array_equal(run("DIV", "int32", [x, d]), [2, -2, -2, 2])
    np.testing.assert_array_equal(run("FLOOR_MOD", "float32", [np.float32(x), np.float32(d)]), [1, 2, -2, -1])


def test_a_float_sum_stays_finite():
    big = np.float32([3e38, -3e38, np.inf, np.nan])
    limit = np.finfo(np.float32).max
    np.testing.assert_array_equal(run("ADD", "float32", [big, big]), np.float32([limit, -limit, limit, np.nan]))
    np.testing.assert_array_equal(run("DIV", "float32", [np.float32([1, -1]), np.float32([0, 0])]), [limit, -limit])


def test_maximum_takes_the_second_where_one_is_nan():
    a, b = np.float32([np.nan, 1, 2]), np.float32([1, np.nan, 3])
    np.testing.assert_array_equal(run("MAXIMUM", "float32", [a, b]), np.float32([1, np.nan, 3]))
    np.testing.assert_array_equal(run("MINIMUM", "float32", [a, b]), np.float32([1, np.nan, 2]))


# ---- against the official runtime: numbers that stand for themselves

PLAIN = {
    "ADD": "float32 float16 int16 int32 int64",
    "SUB": "float32 int32 int64",
    "MUL": "float32 float16 int16 int32 int64 uint32 complex64",
    "DIV": "float32 int32",
    "FLOOR_DIV": "float32 int32 int16 int8",
    "FLOOR_MOD": "float32 int64 int32 int16 int8",
    "POW": "float32 int32",
    "SQUARED_DIFFERENCE": "float32 int32",
    "MAXIMUM": "float32 float16 bfloat16 uint8 int8 int16 int32 int64",
    "MINIMUM": "float32 float16 bfloat16 uint8 int8 int16 int32 int64",
}
ULPS = {"POW": 4, "DIV": 2}


@pytest.mark.parametrize("op,type", [(op, type) for op, types in PLAIN.items() for type in types.split()])
@differential()
@given(data=st.data())
def test_plain(op, type, data):
    draw = data.draw
    shape1, shape2 = draw(two_shapes())
    floats = type.startswith(("float", "bfloat", "complex"))
    special = type in ("float32", "float16", "bfloat16") and draw(st.booleans())
    x1 = array(draw, type, shape1, special=special)
    x2 = array(draw, type, shape2, special=special)
    if op in ("DIV", "FLOOR_DIV", "FLOOR_MOD") and not (floats and op != "FLOOR_DIV"):
        x2 = np.where(x2 == 0, np.ones_like(x2), x2)
        # the lowest number over -1 kills the official process
        x1 = (
            np.where((x1 == x1.dtype.type(0)) | (x1 > x1.min()), x1, x1.dtype.type(1)) if not floats and x1.size else x1
        )
    if op == "POW":
        x1, x2 = powers(draw, type, x1, x2)
    chosen = {} if type == "complex64" else options(draw, op)
    content = model(op, [(type, shape1, {}), (type, shape2, {})], (type, shape_of(shape1, shape2), {}), **chosen)
    # a product of complex numbers is a sum of two products
    bound = np.abs(x1) * np.abs(x2) * 2.0**-22 if type == "complex64" else None
    check(content, [x1, x2], ulps=ULPS.get(op, 2 if floats else None), bound=bound)


def powers(draw, type, x1, x2):
    """Operands of POW: whole numbers whose powers fit, positive real bases, small exponents."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if type == "int32":
        return rng.integers(-6, 7, x1.shape, np.int32), rng.integers(0, 9, x2.shape, np.int32)
    x2 = np.float32(rng.integers(-4, 9, x2.shape) if draw(st.booleans()) else rng.normal(size=x2.shape) * 3)
    return np.float32(np.abs(np.clip(np.nan_to_num(x1), -30, 30)) + 0.01), x2


@pytest.mark.parametrize("exponent", [1, 2, 3, 7, 2.000001, 2.00002, -2, 0, 0.5, 30])
def test_power_of_one(exponent):
    """A single exponent near a whole number is a chain of products, clamped to the finite numbers."""
    x = np.float32([-3.3, -1, 0, 0.1, 1.7, 12, 3e20, np.inf, np.nan])
    content = model("POW", [("float32", (9,), {}), ("float32", (1, 1), {})], ("float32", (1, 9), {}))
    check(content, [x, np.float32([[exponent]])], ulps=4)


@pytest.mark.parametrize("type", ["float32", "float64", "float16", "bfloat16"])
@differential()
@given(data=st.data())
def test_atan2(type, data):
    shape = data.draw(shapes(0, 4, 5, min_side=0))
    special = data.draw(st.booleans())
    x = [array(data.draw, type, shape, special=special) for _ in range(2)]
    check(model("ATAN2", [(type, shape, {})] * 2, (type, shape, {})), x, ulps=4 if type == "float32" else 1)


# ---- against the official runtime: quantized


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
@differential()
@given(data=st.data())
def test_quantized(op, type, data):
    draw = data.draw
    shape1, shape2 = draw(two_shapes())
    q1, q2, q3 = (numbers(draw, type) for _ in range(3))
    if op == "MUL":  # a product that int32 can't hold before it is rounded wraps officially
        ratio = q1["scale"] * q2["scale"] / q3["scale"]
        assume(ratio < (0.99 if type == "int16" else 2**13))
    x1, x2 = array(draw, type, shape1), array(draw, type, shape2)
    chosen = options(draw, op)
    if op in ("ADD", "SUB") and type == "int16":
        chosen["pot_scale_int16"] = False
    content = model(op, [(type, shape1, q1), (type, shape2, q2)], (type, shape_of(shape1, shape2), q3), **chosen)
    check(content, [x1, x2])


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
@differential()
@given(data=st.data())
def test_quantized_div(type, data):
    """Where the quotient is shifted by more than 31 bits the official kernel gives garbage; it is next to zero."""
    draw = data.draw
    shape1, shape2 = draw(two_shapes())
    q1, q2, q3 = (numbers(draw, type) for _ in range(3))
    x1, x2 = array(draw, type, shape1), array(draw, type, shape2)
    x2 = np.where(x2 == q2["zero_point"], x2.dtype.type(q2["zero_point"] ^ 1), x2)
    chosen = options(draw, "DIV")
    content = model("DIV", [(type, shape1, q1), (type, shape2, q2)], (type, shape_of(shape1, shape2), q3), **chosen)
    mine, theirs = ours(content, [x1, x2])[0], official.run(content, [x1, x2])[0]
    with np.errstate(all="ignore"):
        ratio = np.float32(q1["scale"]) / (np.float32(q2["scale"]) * np.float32(q3["scale"]))
    right = div_shift(x1.astype(int) - q1["zero_point"], x2.astype(int) - q2["zero_point"], np.frexp(ratio)[1])
    sound = (right >= 0) & (right <= 31)
    np.testing.assert_array_equal(mine[sound], theirs[sound])
    (zero,) = run("ADD", type, [np.full(1, q3["zero_point"], type)] * 2, quantizations=(q3,) * 3, **chosen)
    assert (mine[right > 31] == zero).all()


@pytest.mark.parametrize("type", ["int8", "uint8", "int16"])
@differential()
@given(data=st.data())
def test_quantized_div_of_large_numbers(type, data):
    """Every quotient is one that the official kernel shifts by 0 to 31 bits: the others are made large."""
    draw = data.draw
    shape = draw(shapes(0, 4, 5, min_side=0))
    q1, q2, q3 = (numbers(draw, type) for _ in range(3))
    shift = np.frexp(np.float32(q1["scale"]) / (np.float32(q2["scale"]) * np.float32(q3["scale"])))[1]
    assume(-8 <= shift <= 15)
    x1, x2 = array(draw, type, shape), array(draw, type, shape)
    zero1, zero2, info = q1["zero_point"], q2["zero_point"], np.iinfo(type)
    x2 = np.where(x2 == zero2, x2.dtype.type(zero2 ^ 1), x2)
    right = div_shift(x1.astype(int) - zero1, x2.astype(int) - zero2, shift)
    unsound = (right < 0) | (right > 31)
    x1 = np.where(unsound, x1.dtype.type(max(info.max, info.min, key=lambda n: abs(n - zero1))), x1)
    x2 = np.where(unsound, x2.dtype.type(zero2 ^ 1), x2)
    content = model("DIV", [(type, shape, q1), (type, shape, q2)], (type, shape, q3), **options(draw, "DIV"))
    check(content, [x1, x2])


def div_shift(x1, x2, shift):
    """The bits by which DIV shifts the quotient right: those that x1 lacks to 31 and x2 has, less the scales' share."""
    dividend = x1 * np.sign(x2)
    headroom = 31 - bit_length(np.where(dividend < 0, ~dividend, dividend))
    return headroom + bit_length(np.abs(x2)) - 1 - shift


def bit_length(x):
    return np.frexp(x.astype(float))[1]


def test_div_of_a_small_number():
    """1 / 64 is next to 0; official: the highest number."""
    q = {"scale": 0.5, "zero_point": 0}
    content = model("DIV", [("int8", (1,), q)] * 2, ("int8", (1,), q))
    x = [np.int8([1]), np.int8([64])]
    assert ours(content, x)[0] == 0
    assert official.run(content, x)[0] == 127


@pytest.mark.parametrize("op", ["ADD", "SUB"])
@differential()
@given(data=st.data())
def test_powers_of_two(op, data):
    """int16 with pot_scale_int16: shifts where the scales are powers of two, the general rule elsewhere."""
    draw = data.draw
    shape1, shape2 = draw(two_shapes()) if op == "SUB" else (draw(shapes(0, 4, 5)),) * 2
    power = draw(st.integers(-14, -2))
    finer = draw(st.integers(0, 8))
    scale = draw(st.sampled_from([2.0**power, 2.0**power * 1.0003, 0.013]))
    scales = [scale, scale * 2.0**-finer]
    if draw(st.booleans()):
        scales.reverse()
    q1, q2, q3 = ({"scale": s, "zero_point": 0} for s in (*scales, scale))
    x1, x2 = array(draw, "int16", shape1), array(draw, "int16", shape2)
    chosen = {**options(draw, op), "pot_scale_int16": True}
    content = model(
        op, [("int16", shape1, q1), ("int16", shape2, q2)], ("int16", shape_of(shape1, shape2), q3), **chosen
    )
    check(content, [x1, x2])


@pytest.mark.parametrize("op", ["ADD", "SUB"])
@differential()
@given(data=st.data())
def test_powers_of_two_far_apart(op, data):
    """From 2**16 apart on, 16-bit shifts leave -1 and 1."""
    draw = data.draw
    shape, far = draw(shapes(0, 4, 5)), draw(st.integers(9, 31))
    coarse, fine = (("int16", shape, {"scale": scale, "zero_point": 0}) for scale in (0.5, 0.5 * 2.0**-far))
    operands = [coarse, fine] if draw(st.booleans()) else [fine, coarse]
    content = model(op, operands, coarse, pot_scale_int16=True)
    check(content, [array(draw, "int16", shape) for _ in operands])


@pytest.mark.parametrize("type", ["int8", "uint8"])
@differential()
@given(data=st.data())
def test_mul_int16_to_8_bits(type, data):
    draw = data.draw
    shape = draw(shapes(0, 4, 5))
    q = {"scale": 2.0**-15, "zero_point": 0}
    q3 = {"scale": 2.0**-7, "zero_point": draw(st.integers(-20, 20)) + (128 if type == "uint8" else 0)}
    x = [array(draw, "int16", shape) for _ in range(2)]
    content = model("MUL", [("int16", shape, q), ("int16", shape, q)], (type, shape, q3), **options(draw, "MUL"))
    check(content, x)


@differential()
@given(data=st.data())
def test_squared_difference_int8(data):
    draw = data.draw
    shape1, shape2 = draw(two_shapes())
    q1, q2, q3 = (numbers(draw, "int8") for _ in range(3))
    assume(4 * max(q1["scale"], q2["scale"]) ** 2 / (2**14 * q3["scale"]) < 0.999)
    x1, x2 = array(draw, "int8", shape1), array(draw, "int8", shape2)
    content = model(
        "SQUARED_DIFFERENCE",
        [("int8", shape1, q1), ("int8", shape2, q2)],
        ("int8", shape_of(shape1, shape2), q3),
    )
    check(content, [x1, x2])


def test_powers_of_two_broadcast():
    """2 + 4 / 2 and 3 + 4 / 2 in steps of 0.5; officially ADD ends the process where its operands broadcast."""
    q = ({"scale": 0.5, "zero_point": 0}, {"scale": 0.25, "zero_point": 0}, {"scale": 0.5, "zero_point": 0})
    x = [np.int16([[2], [3]]), np.int16([4, 4])]
    y = run("ADD", "int16", x, quantizations=q, pot_scale_int16=True)
    np.testing.assert_array_equal(y, [[4, 4], [5, 5]])


# ---- in blocks


@pytest.mark.parametrize("shape1,shape2", [
    ((70001,), (70001,)), ((70001,), ()), ((3, 40000), (3, 1)), ((1, 2, 40000), (40000,)), ((5, 1, 20000), (4, 1)),
    ((1, 1, 90000), (2, 1, 1)), ((2, 300, 200), (300, 1)),
])  # fmt: skip
@pytest.mark.parametrize("op,type", [("ADD", "int8"), ("MUL", "uint8"), ("FLOOR_DIV", "float32"), ("DIV", "int32")])
def test_large(op, type, shape1, shape2):
    """More than one block, cut along different axes."""
    rng = np.random.default_rng(3)
    x1, x2 = (rng.integers(1, 100, shape).astype(type) for shape in (shape1, shape2))
    q = {"scale": 0.1, "zero_point": 3} if type in ("int8", "uint8") else {}
    check(model(op, [(type, shape1, q), (type, shape2, q)], (type, shape_of(shape1, shape2), q)), [x1, x2])


# ---- refusals


@pytest.mark.parametrize("op,type", [
    ("ADD", "bool"), ("ADD", "float64"), ("ADD", "uint32"), ("SUB", "float16"), ("SUB", "bool"), ("MUL", "float64"),
    ("DIV", "int64"), ("DIV", "float16"), ("FLOOR_DIV", "int64"), ("FLOOR_DIV", "uint8"), ("FLOOR_MOD", "float16"),
    ("POW", "int64"), ("SQUARED_DIFFERENCE", "uint8"), ("SQUARED_DIFFERENCE", "int64"), ("MAXIMUM", "bool"),
    ("MINIMUM", "float64"), ("ATAN2", "int32"),
])  # fmt: skip
def test_refused_type(op, type):
    content = model(op, [(type, (2,), {})] * 2, (type, (2,), {}))
    assert check(content, [np.ones(2, type)] * 2, must_run=False).startswith("error")


@pytest.mark.parametrize("op", [*PLAIN])
@pytest.mark.parametrize("types,shapes", [(("float32", "int32"), ((2,), (2,))), (("float32",) * 2, ((2,), (3,)))])
def test_refused_operands(op, types, shapes):
    content = model(op, [(type, shape, {}) for type, shape in zip(types, shapes)], ("float32", (2,), {}))
    x = [np.ones(shape, type) for type, shape in zip(types, shapes)]
    assert check(content, x, must_run=False).startswith("error")


@pytest.mark.parametrize("op,type", [
    ("DIV", "int32"), ("FLOOR_DIV", "int32"), ("FLOOR_DIV", "float32"), ("FLOOR_MOD", "int64"), ("FLOOR_MOD", "int8"),
])  # fmt: skip
def test_refused_zero(op, type):
    content = model(op, [(type, (2,), {})] * 2, (type, (2,), {}))
    x = [np.ones(2, type), np.array([1, 0], type)]
    assert check(content, x, must_run=False) == "error at invoke"


def test_refused_zero_quantized():
    q = {"scale": 0.5, "zero_point": 5}
    content = model("DIV", [("int8", (2,), q)] * 2, ("int8", (2,), q))
    assert check(content, [np.int8([1, 2]), np.int8([4, 5])], must_run=False) == "error at invoke"


def test_refused_negative_exponent():
    content = model("POW", [("int32", (2,), {})] * 2, ("int32", (2,), {}))
    assert check(content, [np.int32([1, 2]), np.int32([1, -1])], must_run=False) == "error at invoke"


def test_refused_zero_points():
    q, odd = {"scale": 0.5, "zero_point": 0}, {"scale": 0.5, "zero_point": 1}
    for op, stage in (("ADD", "allocate"), ("SUB", "allocate"), ("MUL", "invoke")):
        content = model(op, [("int16", (1,), q), ("int16", (1,), odd)], ("int16", (1,), q))
        assert check(content, [np.ones(1, np.int16)] * 2, must_run=False) == f"error at {stage}"


def test_refused_activation_of_complex_numbers():
    content = model("MUL", [("complex64", (1,), {})] * 2, ("complex64", (1,), {}), fused_activation_function="RELU")
    assert check(content, [np.ones(1, np.complex64)] * 2, must_run=False) == "error at allocate"


def test_refused_shifts():
    """Of two powers of two neither is the result's."""
    scales = (0.25, 0.125, 0.5)
    q1, q2, q3 = ({"scale": scale, "zero_point": 0} for scale in scales)
    content = model("ADD", [("int16", (1,), q1), ("int16", (1,), q2)], ("int16", (1,), q3), pot_scale_int16=True)
    assert check(content, [np.ones(1, np.int16)] * 2, must_run=False) == "error at allocate"


@pytest.mark.parametrize("op", ["ADD", "SUB"])
def test_without_quantization(op):
    """Official: the process ends."""
    content = model(op, [("int8", (1,), {})] * 2, ("int8", (1,), {}))
    with pytest.raises(OursFailed, match="quantization"):
        ours(content, [np.ones(1, np.int8)] * 2)
    with pytest.raises(official.Died):
        official.run(content, [np.ones(1, np.int8)] * 2)


@pytest.mark.parametrize("op,version", [("ADD", 7), ("SUB", 6), ("MUL", 9), ("DIV", 3), ("POW", 2), ("MAXIMUM", 5)])
def test_refused_version(op, version):
    content = model(op, [("int32", (1,), {})] * 2, ("int32", (1,), {}), version=version)
    assert check(content, [np.ones(1, np.int32)] * 2, must_run=False).startswith("error")
