"""AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, OursFailed, array, check, differential, ours, quantization
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

INTEGERS = ("int8", "uint8", "int16")
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1", "TANH", "SIGN_BIT")


NEWEST = {"AVERAGE_POOL_2D": 3, "MAX_POOL_2D": 3, "L2_POOL_2D": 1}
OPS = tuple(NEWEST)


def pool(op, x, filter, stride=(1, 1), padding="VALID", activation="NONE", y=None, version=None):
    options = {
        "filter_height": filter[0],
        "filter_width": filter[1],
        "stride_h": stride[0],
        "stride_w": stride[1],
        "padding": padding,
        "fused_activation_function": activation,
    }
    return one_op(op, [x], [(y or x.type, x.quantization)], version=version or NEWEST[op], **options)


def one_image(op, rows, type, *args, **keywords):
    x = np.array(rows, type)[None, :, :, None]
    return run(op, [Arg(x)], [type], **keywords)[0][0, :, :, 0].tolist()


# ---- worked by hand


def test_an_average_counts_only_what_lies_inside():
    # 3 x 3 windows around each of 2 x 2 values all see the four of them; around 1 x 3 values, two, three and two
    options = {"filter_height": 3, "filter_width": 3, "stride_h": 1, "stride_w": 1, "padding": "SAME"}
    assert one_image("AVERAGE_POOL_2D", [[1, 2], [3, 6]], "float32", **options) == [[3, 3], [3, 3]]
    assert one_image("AVERAGE_POOL_2D", [[2, 4, 9]], "float32", **options) == [[3, 5, 6.5]]


def test_an_integer_average_rounds_half_away_from_zero():
    # 1 / 2, 3 / 2, -1 / 2, -3 / 2
    options = {"filter_height": 1, "filter_width": 2, "stride_h": 1, "stride_w": 2, "padding": "VALID"}
    assert one_image("AVERAGE_POOL_2D", [[0, 1, 1, 2, -1, 0, -1, -2]], "int8", **options) == [[1, 2, -1, -2]]


def test_the_largest_and_the_root_of_the_mean_square():
    options = {"filter_height": 1, "filter_width": 2, "stride_h": 1, "stride_w": 2, "padding": "SAME"}
    assert one_image("MAX_POOL_2D", [[3, -1, -5, -4, -7]], "float32", **options) == [[3, -4, -7]]
    # sqrt((1 + 49) / 2), sqrt(9 / 1)
    assert one_image("L2_POOL_2D", [[1, 7, -3]], "float32", **options) == [[5, 3]]


# ---- against the official runtime


def drawn(draw, type, special=False, sides=9, most=7):
    """(x, (filter, stride, padding, activation)); a window may be larger than the image under SAME."""
    rng = np.random.default_rng(draw(SEEDS))
    padding = ("SAME", "VALID")[rng.integers(2)]
    filter = rng.integers(1, most, 2, endpoint=True)
    sides = [int(rng.integers(1 if padding == "SAME" else n, max(sides, n), endpoint=True)) for n in filter]
    shape = (int(rng.integers(1, 3)), *sides, int(rng.choice([1, 2, 3, 5, 17])))
    values = array(draw, type, shape, special=special)
    x = Arg(values, type, **(draw(quantization(type)) if type in INTEGERS else {}))
    stride = rng.integers(1, 4, 2, endpoint=True)
    return x, (filter.tolist(), stride.tolist(), padding, ACTIVATIONS[draw(st.integers(0, 5))])


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("type", INTEGERS)
def test_integers(official, op, type):
    @differential()
    @given(st.data())
    def run(data):
        x, options = drawn(data.draw, type)
        check(*pool(op, x, *options))

    run()


@pytest.mark.parametrize("type", INTEGERS)
def test_averages_of_large_windows(official, type):
    """Ties in windows of even counts, and sums that float32 can't hold."""

    @differential(40)
    @given(st.data())
    def run(data):
        x, options = drawn(data.draw, type, sides=60, most=40)
        check(*pool("AVERAGE_POOL_2D", x, *options))

    run()


def test_maximum_of_floats(official):
    @differential()
    @given(st.data())
    def run(data):
        x, options = drawn(data.draw, "float32", special=True)
        check(*pool("MAX_POOL_2D", x, *options))

    run()


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "L2_POOL_2D"])
def test_sums_of_floats(official, op):
    """Either side is within count roundings of the truth, and what follows the sum takes three more."""

    @differential()
    @given(st.data())
    def run(data):
        x, options = drawn(data.draw, "float32")
        terms = options[0][0] * options[0][1]
        most = float(np.abs(x.array).max(initial=0))
        slack = (terms + 4) * 2.0**-24 * most
        check(*pool(op, x, *options), bound=slack, ulps=2 if op == "L2_POOL_2D" else None)

    run()


@pytest.mark.parametrize("op", OPS)
def test_infinities(official, op):
    x = np.float32([np.inf, 1, -np.inf, 2, 3e38, 3e38, np.nan, 1, np.nan, np.nan, -np.inf, -np.inf])
    for activation in ACTIVATIONS:
        check(*pool(op, Arg(x.reshape(1, 1, 12, 1)), (1, 2), (1, 2), "VALID", activation))


@pytest.mark.parametrize("op", OPS)
def test_images_in_blocks(official, op):
    """Wide images are worked through a few rows at a time."""
    rng = np.random.default_rng(5)
    x = Arg(rng.normal(size=(2, 30, 100, 120)).astype(np.float32))
    for filter, stride, padding in (((3, 3), (2, 2), "SAME"), ((7, 2), (1, 1), "VALID"), ((30, 100), (1, 1), "VALID")):
        terms = filter[0] * filter[1]
        bound = 0 if op == "MAX_POOL_2D" else (terms + 4) * 2.0**-24 * float(np.abs(x.array).max())
        check(*pool(op, x, filter, stride, padding), bound=bound)
    for type in INTEGERS:
        x = Arg(
            rng.integers(*(np.iinfo(type).min, np.iinfo(type).max), (1, 60, 100, 120), type), scale=0.5, zero_point=3
        )
        if op != "L2_POOL_2D":
            check(*pool(op, x, (4, 4), (2, 3), "SAME", "RELU6"))
            check(*pool(op, x, (60, 100), (1, 1), "VALID"))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", [(0, 3, 3, 2), (1, 0, 3, 2), (1, 3, 0, 2), (1, 3, 3, 0)])
def test_empty(official, op, shape):
    for padding in ("SAME", "VALID"):
        for type in ("float32", "int8"):
            if op != "L2_POOL_2D" or type == "float32":
                check(*pool(op, Arg(np.zeros(shape, type)), (2, 2), (1, 1), padding), must_run=False)


def test_a_filter_of_any_size(official):
    """The taps that never meet the image cost nothing."""
    x = Arg(np.arange(12, dtype=np.int8).reshape(1, 3, 4, 1))
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        check(*pool(op, x, (2**16, 2**16), (2, 2), "SAME"))


@pytest.mark.parametrize("op", OPS)
def test_other_shapes_each_time(official, op):
    turns = [[np.ones(shape, np.float32)] for shape in ((1, 4, 4, 2), (2, 7, 3, 2), (1, 1, 1, 1), (1, 4, 4, 2))]
    content, _ = pool(op, Arg(turns[0][0]), (2, 3), (2, 1), "SAME")
    check(content, turns, sequence=True)


@pytest.mark.parametrize("op", OPS)
def test_versions(official, op):
    for version in range(1, NEWEST[op] + 1):
        check(*pool(op, Arg(X), (2, 2), version=version))
    assert check(*pool(op, Arg(X), (2, 2), version=NEWEST[op] + 1), must_run=False).startswith("error")


@pytest.mark.parametrize("op", OPS)
def test_types(official, op):
    def make(x, y):
        return pool(op, Arg(zeros(x, X.shape), x), (2, 2), y=x if y == "same" else y)

    taken = sweep(make, (TYPES, ("same", "float32")))
    numbers = ("float32",) if op == "L2_POOL_2D" else ("float32", *INTEGERS)
    assert taken == {(x, "same") for x in numbers} | {("float32", "float32")}


# ---- refusals


X = np.ones((1, 4, 4, 2), np.float32)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    "x, filter, stride, padding, y",
    [
        (X[0], (2, 2), (1, 1), "SAME", None),
        (X[None], (2, 2), (1, 1), "SAME", None),
        (X, (2, 2), (0, 1), "SAME", None),
        (X, (2, 2), (1, -1), "SAME", None),
        (X, (2, 2), (1, 1), "SAME", "int8"),
        (X.astype(np.int32), (2, 2), (1, 1), "SAME", None),
        (X.astype(np.float16), (2, 2), (1, 1), "SAME", None),
        (X.astype(np.int64), (2, 2), (1, 1), "SAME", None),
    ],
)
def test_refused(official, op, x, filter, stride, padding, y):
    outcome = check(*pool(op, Arg(x), filter, stride, padding, y=y), must_run=False)
    assert outcome.startswith("error"), outcome


@pytest.mark.parametrize("type", INTEGERS)
def test_integers_have_no_l2_pool(official, type):
    outcome = check(*pool("L2_POOL_2D", Arg(X.astype(type)), (2, 2)), must_run=False)
    assert outcome == ("error at invoke" if type == "int16" else "error at allocate")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("filter", [(0, 2), (2, 0), (-1, 2), (5, 2), (2, 5), (9, 9)])
def test_windows_that_do_not_fit_leave_nothing(official, op, filter):
    for stride in ((1, 1), (3, 2)):
        check(*pool(op, Arg(X), filter, stride, "VALID"))


@pytest.mark.parametrize("type", INTEGERS)
def test_a_range_without_a_scale(official, type):
    """NONE needs none. The others divide by the missing scale: officially an error for one op and type, else chance."""
    x = Arg(np.arange(16).astype(type).reshape(1, 4, 4, 1))
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        for activation in ("NONE", "TANH"):
            check(*pool(op, x, (2, 2), (1, 1), "VALID", activation))
        for activation in ("RELU", "RELU6", "RELU_N1_TO_1"):
            with pytest.raises(OursFailed, match="lacks a scale"):
                ours(*pool(op, x, (2, 2), (1, 1), "VALID", activation))
    outcome = check(*pool("AVERAGE_POOL_2D", Arg(X.astype(np.uint8)), (2, 2), activation="RELU"), must_run=False)
    assert outcome == "error at invoke"
