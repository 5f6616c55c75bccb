"""CAST, QUANTIZE, DEQUANTIZE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import OursFailed, array, check, differential, ours, quantization, scales, shapes
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op
from tests.sweep import TYPES, sweep

CASTS = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool", "float16", "float64")
WIDE = (*CASTS, "uint16", "uint32", "complex64", "bfloat16")
NARROW = ("int4", "uint4", "int2")


def model(op, shape, x_type, y_type, x_numbers=None, y_numbers=None, version=1, **options):
    m = Model()
    x = m.input(shape, x_type, **(x_numbers or {}))
    y = m.tensor((), y_type, **(y_numbers or {}))
    m.op(op, [x], [y], version=version, **options)
    m.output(y)
    return m.content()


# ---- worked by hand


def test_halves_are_rounded_away_from_zero():
    numbers = {"scale": 0.5, "zero_point": 1}
    (y,) = ours(model("QUANTIZE", (4,), "float32", "int8", y_numbers=numbers), [np.float32([0.25, -0.25, 0.74, 100])])
    # 0.5 -> 1, -0.5 -> -1, 1.48 -> 1, 200 -> saturates; plus zero 1
    assert y.tolist() == [2, 0, 2, 127]


def test_just_below_one_half_is_rounded_down():
    """In float32 0.49999997 + 0.5 is 1."""
    content = model("QUANTIZE", (2,), "float32", "int8", y_numbers={"scale": 1.0, "zero_point": 0})
    assert ours(content, [np.float32([0.49999997, -0.49999997])])[0].tolist() == [0, 0]


def test_int8_and_uint8_differ_by_128():
    content = model(
        "QUANTIZE", (3,), "int8", "uint8", {"scale": 0.1, "zero_point": 0}, {"scale": 0.1, "zero_point": 128}
    )
    assert ours(content, [np.int8([-128, 0, 127])])[0].tolist() == [0, 128, 255]


def test_a_cast_to_integers_saturates():
    x = np.float32([3e9, -3e9, 1.9, -1.9])
    assert ours(model("CAST", (4,), "float32", "int8"), [x])[0].tolist() == [127, -128, 1, -1]
    assert ours(model("CAST", (4,), "float32", "int32"), [x])[0].tolist() == [2**31 - 1, -(2**31), 1, -1]


def test_bfloat16_ties_go_to_the_even_number():
    """bfloat16 has 7 bits after the point; 1 + 2**-8 lies in the middle of two, and so does 1 + 3 * 2**-8."""
    m = Model()
    x, half, y = m.input((2,), "float32"), m.tensor((), "bfloat16"), m.tensor((), "float32")
    m.op("CAST", [x], [half], version=8)
    m.op("CAST", [half], [y], version=8)
    m.output(y)
    tied = np.float32([1 + 2.0**-8, 1 + 3 * 2.0**-8])
    assert ours(m.content(), [tied])[0].tolist() == [1, 1 + 2.0**-6]
    check(m.content(), [tied])


def test_dequantize_per_channel():
    numbers = {"scale": [0.5, 2.0], "zero_point": [0, 1], "axis": 1}
    (y,) = ours(model("DEQUANTIZE", (1, 2), "int8", "float32", numbers), [np.int8([[4, 4]])])
    assert y.tolist() == [[2.0, 6.0]]


# ---- against the official runtime


@pytest.mark.parametrize("source", (*WIDE, *NARROW))
@differential()
@given(data=st.data())
def test_cast(source, data):
    """To every type at once; what the official API can't show, bfloat16, is taken on to float32."""
    draw = data.draw
    shape = draw(shapes(0, 3, 5, min_side=0 if source in WIDE else 1))
    x = array(draw, source, shape, special=True)
    version = draw(st.integers(1, 9))
    m = Model()
    if source in ("uint4", "int2"):  # the official API can't set them
        a = m.constant(x, type=source)
    else:
        a = m.input(shape, source)
    for target in ("float32",) if source in NARROW else (*WIDE, *(NARROW if source == "float32" else ())):
        y = m.tensor((), target)
        m.op("CAST", [a], [y], version=version)
        if target == "bfloat16":
            shown = m.tensor((), "float32")
            m.op("CAST", [y], [shown], version=version)
            y = shown
        m.output(y)
    check(m.content(), [] if source in ("uint4", "int2") else [x])


SPECIAL = [0.0, -0.0, 1.5, -1.5, 2.5, 100.7, -3.9, 300, -300, 70000.5, -70000, 3e9, -3e9, 5e18, 1e19, -1e19, 1e30]
SPECIAL += [np.nan, np.inf, -np.inf, 65519.99999, 65520, 2049.0000001, 1.00048828125001, 1e-8, 1e-45, 7.9, -8.9]
ALL = (*WIDE, "int4")


def special(type):
    """Values at the ends of types, and floats that come out otherwise when they are rounded once."""
    if type == "int4":
        return np.arange(-8, 8).astype(np.int8)
    if type == "bool":
        return np.array([True, False])
    if type == "bfloat16":
        import ml_dtypes

        with np.errstate(all="ignore"):
            return np.array(SPECIAL).astype(ml_dtypes.bfloat16)
    if type == "complex64":
        with np.errstate(all="ignore"):
            return np.concatenate([np.array(SPECIAL, type), np.array(SPECIAL, type) + 3j])
    if type.startswith("float"):
        with np.errstate(all="ignore"):
            return np.array(SPECIAL).astype(type)
    i = np.iinfo(type)
    return np.array([0, 1, 2, 100, i.max, i.min, i.max - 1, i.max // 2, i.max // 3, min(2049, i.max)], type)


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", (*ALL, "uint4", "uint64", "string", "complex128"))
def test_cast_of_special_values(official, source, target):
    x = special(source)
    m = Model()
    a, b, c = m.input(x.shape, source), m.tensor((), target), m.tensor((), "float32")
    m.op("CAST", [a], [b])
    if target == "bfloat16":  # the official API can't show it
        m.op("CAST", [b], [c])
    m.output(c if target == "bfloat16" else b)
    outcome = check(m.content(), [x], must_run=False)
    runs = source == "float32" if target in ("int4", "uint4") else target in ALL
    runs = target == "float32" if source == "int4" else runs
    assert outcome == ("equal" if runs else "error at invoke")


def test_cast_of_many_values(official):
    """Blocks that hold what saturates, and others that don't."""
    x = np.linspace(-300, 300, 100_000).astype(np.float32)
    for target in ("int8", "uint8", "int32", "float16", "bool"):
        check(model("CAST", x.shape, "float32", target), [x])


@pytest.mark.parametrize("target", ("int8", "uint8", "int16", "int4", "uint4"))
def test_quantize_values_beyond_int32(official, target):
    x = np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 2**31, -(2**31), 2**31 - 128, 1e-45, 0.49999997, -0.49999997])
    for zero in (0, 5) if target.startswith("u") else (-5, 0, 5):
        for scale in (1.0, 0.5, 1e-30):
            numbers = {"scale": scale, "zero_point": zero}
            for part in (x, x[3:], x[8:]):
                check(model("QUANTIZE", part.shape, "float32", target, y_numbers=numbers, version=2), [part])


@pytest.mark.parametrize("target", ("int4", "uint4"))
def test_quantize_to_four_bits(official, target):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 5))
        numbers = data.draw(quantization(target))
        x = array(data.draw, "float32", shape)
        if data.draw(st.booleans()):  # ties
            x = (np.round(x * 8) / 2 * np.float32(numbers["scale"])).astype(np.float32)
        check(model("QUANTIZE", shape, "float32", target, y_numbers=numbers, version=2), [x])

    run()


@pytest.mark.parametrize("target", ("int8", "uint8", "int16"))
@pytest.mark.parametrize("channels", (False, True))
def test_quantize(official, target, channels):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 5))
        numbers = data.draw(quantization(target))
        if channels:
            axis = data.draw(st.integers(0, len(shape) - 1))
            many = [data.draw(scales()) for _ in range(shape[axis])]
            numbers = {"scale": many, "zero_point": [numbers["zero_point"]] * len(many), "axis": axis}
        x = array(data.draw, "float32", shape)
        if data.draw(st.booleans()):  # ties
            x = (np.round(x * 8) / 2 * np.float32(np.ravel(numbers["scale"])[0])).astype(np.float32)
        check(model("QUANTIZE", shape, "float32", target, y_numbers=numbers, version=2), [x])

    run()


@pytest.mark.parametrize(
    "source, target",
    [("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("int16", "int8")]
    + [("int16", "int16"), ("int16", "int32"), ("int32", "int8"), ("int32", "int16"), ("uint8", "int16")],
)
def test_requantize(official, source, target):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 3, 6))
        x_numbers = data.draw(quantization(source))
        y_numbers = data.draw(quantization(target))
        if data.draw(st.integers(0, 3)) == 0:
            y_numbers["scale"] = x_numbers["scale"]
        low, high = (-(2**20), 2**20) if source == "int32" else (None, None)
        x = array(data.draw, source, shape, low, high)
        check(model("QUANTIZE", shape, source, target, x_numbers, y_numbers, version=2), [x])

    run()


@pytest.mark.parametrize("source", ("int8", "uint8", "int16", "int4", "uint4", "int2"))
@pytest.mark.parametrize("channels", (False, True))
def test_dequantize(official, source, channels):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 5))
        numbers = data.draw(quantization(source))
        if channels:
            axis = data.draw(st.integers(0, len(shape) - 1))
            many = [data.draw(scales()) for _ in range(shape[axis])]
            numbers = {"scale": many, "zero_point": [numbers["zero_point"]] * len(many), "axis": axis}
        x = array(data.draw, source, shape)
        if source in ("uint4", "int2"):  # the official API can't set them
            content, arrays = one_op("DEQUANTIZE", [Arg(x, source, constant=True, **numbers)], ["float32"])
        else:
            content, arrays = model("DEQUANTIZE", shape, source, "float32", numbers, version=2), [x]
        outcome = check(content, arrays, must_run=False)
        refused = source == "int16" and channels and np.size(numbers["scale"]) > 1
        assert outcome == ("error at invoke" if refused else "equal")

    run()


def test_dequantize_float16(official):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 3, 5))
        check(
            model("DEQUANTIZE", shape, "float16", "float32", version=3),
            [array(data.draw, "float16", shape, special=True)],
        )

    run()


# ---- types and versions


def test_types_of_cast(official):
    def make(source, target):
        if target == "bfloat16":  # the official API can't show it
            return None
        return model("CAST", (3,), source, target), [zeros(source, (3,))]

    wide = {(x, y) for x in WIDE for y in WIDE if y != "bfloat16"}
    assert sweep(make, (TYPES, (*TYPES, "uint4", "int2"))) == wide | {
        ("int4", "float32"),
        *(("float32", y) for y in NARROW),
    }


@pytest.mark.parametrize("op", ("QUANTIZE", "DEQUANTIZE"))
def test_types_of_quantization(official, op):
    numbers = {"scale": 0.5, "zero_point": 0}

    def make(source, target):
        return model(op, (3,), source, target, numbers, numbers, version=2), [zeros(source, (3,))]

    taken = sweep(make, (TYPES, (*TYPES, "uint4", "int2")))
    if op == "DEQUANTIZE":  # float32, whatever the file says
        assert taken == {(x, y) for x in ("int4", "int8", "uint8", "int16", "float16") for y in (*TYPES, *NARROW[1:])}
    else:
        integers = {(x, y) for x in ("int8", "uint8") for y in ("int8", "uint8", "int16")}
        integers |= {("int16", "int8"), ("int16", "int16"), ("int16", "int32"), ("int32", "int8"), ("int32", "int16")}
        assert taken == integers | {("float32", y) for y in ("int4", "uint4", "int8", "uint8", "int16")}


@pytest.mark.parametrize("op,last", [("CAST", 9), ("QUANTIZE", 6), ("DEQUANTIZE", 9)])
def test_versions(official, op, last):
    numbers = {"scale": 0.5, "zero_point": 0}
    source, target = ("int8", "float32") if op == "DEQUANTIZE" else ("float32", "int8")
    for version in range(1, last + 2):
        content = model(op, (3,), source, target, numbers, numbers, version=version)
        outcome = check(content, [np.ones(3, source)], must_run=False)
        assert (outcome == "equal") == (version <= last)


@pytest.mark.parametrize("op", ("CAST", "QUANTIZE", "DEQUANTIZE"))
def test_a_resize_is_followed(official, op):
    numbers = {"scale": 0.5, "zero_point": 0}
    source, target = ("int8", "float32") if op == "DEQUANTIZE" else ("float32", "int8")
    turns = [[np.ones(shape, source)] for shape in ((3,), (2, 2), (0, 2), ())]
    check(model(op, (3,), source, target, numbers, numbers), turns, sequence=True)


def test_dequantize_of_nothing_per_channel():
    """Officially a crash."""
    numbers = {"scale": [0.5, 1.0], "zero_point": [0, 0], "axis": 1}
    (y,) = ours(model("DEQUANTIZE", (0, 2), "int8", "float32", numbers), [np.zeros((0, 2), np.int8)])
    assert y.shape == (0, 2)


# ---- refusals


@pytest.mark.parametrize(
    "content, x",
    [
        (model("QUANTIZE", (2,), "float32", "int8"), np.float32([1, 2])),
        (model("QUANTIZE", (2,), "int64", "int8", y_numbers={"scale": 1.0, "zero_point": 0}), np.int64([1, 2])),
        (model("DEQUANTIZE", (2,), "int32", "float32", {"scale": 1.0, "zero_point": 0}), np.int32([1, 2])),
        (
            model("QUANTIZE", (2,), "int16", "int16", {"scale": 1.0, "zero_point": 3}, {"scale": 1.0, "zero_point": 0}),
            np.int16([1, 2]),
        ),
        (model("DEQUANTIZE", (2,), "int16", "float32", {"scale": 1.0, "zero_point": 1}), np.int16([1, 2])),
    ],
)
def test_refused(official, content, x):
    assert check(content, [x], must_run=False) == "error at allocate"


CHANNELS = {"scale": [0.5, 1.0], "zero_point": [1, 0], "axis": 0}


@pytest.mark.parametrize(
    "op, source, target, x_numbers, y_numbers",
    [
        ("DEQUANTIZE", "int16", "float32", CHANNELS, None),
        ("DEQUANTIZE", "float16", "float32", CHANNELS, None),
        ("QUANTIZE", "float32", "int4", None, CHANNELS),
        ("QUANTIZE", "float32", "uint4", None, CHANNELS),
    ],
)
def test_channels_refused(official, op, source, target, x_numbers, y_numbers):
    content = model(op, (2,), source, target, x_numbers, y_numbers)
    assert check(content, [np.ones(2, source)], must_run=False) == "error at invoke"


@pytest.mark.parametrize("op, source, target", [("DEQUANTIZE", "int8", "float32"), ("QUANTIZE", "float32", "int8")])
def test_channels_that_a_resize_leaves_without_scales(op, source, target):
    """Officially they are read beyond the end."""
    numbers = {"scale": [0.5, 1.0], "zero_point": [0, 0], "axis": 0}
    m = Model()
    x = m.input((2,), source, **(numbers if source == "int8" else {}))
    y = m.tensor((2,), target, **(numbers if target == "int8" else {}))
    m.op(op, [x], [y])
    m.output(y)
    with pytest.raises(OursFailed, match="2 scales along axis 0"):
        ours(m.content(), [np.ones(3, source)])


@pytest.mark.parametrize("source, target", [("int8", "int16"), ("int32", "int8")])
def test_integers_are_not_rescaled_without_scales(source, target):
    """Officially a missing scale counts as 0, and so does everything else."""
    with pytest.raises(OursFailed, match="quantization"):
        ours(model("QUANTIZE", (2,), source, target, None, {"scale": 0.5, "zero_point": 0}), [np.ones(2, source)])
