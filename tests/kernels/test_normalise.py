"""L2_NORMALIZATION, LOCAL_RESPONSE_NORMALIZATION."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, OursFailed, array, check, differential, ours, quantization, shapes
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op, run
from tests.sweep import TYPES, sweep

UNIT = {"uint8": {"scale": 1 / 128, "zero_point": 128}, "int8": {"scale": 1 / 128, "zero_point": 0}}
OPTIMISED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


def l2(x, y=None, version=2, **options):
    return one_op("L2_NORMALIZATION", [x], [y or (x.type, UNIT.get(x.type, {}))], version=version, **options)


def lrn(x, radius, bias=1.0, alpha=1.0, beta=0.5, y="float32"):
    options = {"radius": radius, "bias": bias, "alpha": alpha, "beta": beta}
    return one_op("LOCAL_RESPONSE_NORMALIZATION", [x], [y], **options)


# ---- worked by hand


def test_rows_get_length_1():
    (y,) = ours(*l2(Arg(np.float32([[3, 4], [0, 0], [0, 1e-7]]))))
    # the last one is divided by 1e-6
    np.testing.assert_allclose(y, [[0.6, 0.8], [0, 0], [0, 0.1]], rtol=1e-6)
    (y,) = ours(*l2(Arg(np.int8([[13, 14], [10, 10]]), scale=0.3, zero_point=10)))
    # 128 * 0.6 = 76.8, 128 * 0.8 = 102.4
    assert y.tolist() == [[77, 102], [0, 0]]


def test_a_response_counts_its_neighbours_on_both_sides():
    x = np.float32([1, 2, 3]).reshape(1, 1, 1, 3)
    options = {"radius": 1, "bias": 2.0, "alpha": 3.0, "beta": 1.0}
    (y,) = run("LOCAL_RESPONSE_NORMALIZATION", [Arg(x)], ["float32"], **options)
    # 2 + 3 * (1 + 4), 2 + 3 * (1 + 4 + 9), 2 + 3 * (4 + 9)
    np.testing.assert_allclose(y.ravel(), [1 / 17, 2 / 44, 3 / 41], rtol=1e-6)


# ---- against the official runtime


@pytest.mark.parametrize("type", ["uint8", "int8"])
def test_integers(official, type):
    @differential(400)
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 4, 5))
        shape = (*shape[:-1], shape[-1] * (1, 1, 7, 100)[draw(st.integers(0, 3))])
        x = Arg(array(draw, type, shape), type, **draw(quantization(type)))
        check(*l2(x))

    run()


@pytest.mark.parametrize("type", ["uint8", "int8"])
def test_every_sum_of_few_squares(official, type):
    """1 and 0 are cases of their own, as is a sum of 2**29 and more."""
    values = np.stack(np.meshgrid(np.arange(25), np.arange(-100, 101)), -1).reshape(-1, 2)
    x = Arg(
        (values + (120 if type == "uint8" else 0)).astype(type), scale=1.0, zero_point=120 if type == "uint8" else 0
    )
    check(*l2(x))
    low = np.iinfo(type).min
    x = Arg(np.full((1, 20000), low + 255).astype(type), scale=1.0, zero_point=low)
    check(*l2(x))


def test_floats(official):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 5, 6))
        shape = (*shape[:-1], shape[-1] * (1, 1, 40)[data.draw(st.integers(0, 2))])
        x = array(data.draw, "float32", shape)
        relative = (shape[-1] + 12) * 2.0**-24
        check(*l2(Arg(x)), bound=lambda y: relative * np.abs(y))

    run()


def test_local_response(official):
    """By the optimised kernel: the reference kernel's window is short by one channel."""

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape = data.draw(shapes(4, 4, 5))
        shape = (*shape[:-1], shape[-1] * int(rng.choice([1, 1, 12])))
        radius = int(rng.choice([0, 1, 2, 5, 9, 80]))
        bias, alpha = float(rng.uniform(0.5, 3)), float(rng.choice([0, 1e-4, 0.3, 1]))
        beta = float(rng.choice([1, 0.5, 0.75, 2, rng.uniform(0, 3)]))
        x = array(data.draw, "float32", shape, low=-10)
        # the optimised kernel slides its sum along: each step leaves a rounding behind
        terms = shape[-1] + 2 * radius
        total = bias + alpha * float(np.square(x.astype(np.float64)).sum(axis=-1).max())
        relative = ((terms + 12) * 2.0**-24 * total / bias + 12 * 2.0**-24) * max(beta, 1)
        content, arrays = lrn(Arg(x), radius, bias, alpha, beta)
        check(content, arrays, bound=lambda y: relative * np.abs(y) + 1e-38, resolver=OPTIMISED)
        np.testing.assert_allclose(ours(content, arrays)[0], truth(x, radius, bias, alpha, beta), rtol=3e-6, atol=1e-38)

    run()


def truth(x, radius, bias, alpha, beta):
    """The formula, in float64."""
    squares = np.square(x.astype(np.float64))
    depth = x.shape[-1]
    total = [squares[..., max(0, c - radius) : c + radius + 1].sum(axis=-1) for c in range(depth)]
    bias, alpha, beta = (float(np.float32(n)) for n in (bias, alpha, beta))
    return x * (bias + alpha * np.stack(total, -1)) ** -beta


def test_the_reference_window_is_still_short(official):
    """Fails once it is mended; then this op can be held against the reference kernel like all others."""
    content, arrays = lrn(Arg(np.ones((1, 1, 1, 3), np.float32)), 1)
    difference = official.run(content, arrays)[0] - ours(content, arrays)[0]
    assert (abs(difference[..., :2]) > 0.01).all()


def test_rows_in_blocks(official):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 40, 40, 30)).astype(np.float32)
    np.testing.assert_allclose(ours(*lrn(Arg(x), 2))[0], truth(x, 2, 1, 1, 0.5), rtol=3e-6)
    for type in ("uint8", "int8"):
        check(*l2(Arg(rng.integers(0, 100, (2, 40, 40, 30), type), scale=1.0, zero_point=4)))


@pytest.mark.parametrize("type", ["float32", "uint8", "int8"])
def test_empty(official, type):
    for shape in ((0, 3), (3, 0), (0,), (2, 0, 3)):
        check(*l2(Arg(np.zeros(shape, type), type, **UNIT.get(type, {}))))
    if type == "float32":
        for shape in ((0, 1, 1, 3), (1, 1, 1, 0)):
            check(*lrn(Arg(np.zeros(shape, type)), 1), must_run=False)


def test_other_shapes_each_time(official):
    turns = [[np.ones(shape, np.float32)] for shape in ((1, 2, 2, 3), (3, 1, 1, 5), (1, 2, 2, 3))]
    check(l2(Arg(turns[0][0]))[0], turns, sequence=True, ulps=4)
    check(lrn(Arg(turns[0][0]), 2)[0], turns, sequence=True, ulps=4, resolver=OPTIMISED)


def test_versions(official):
    for version in (1, 2):
        check(*l2(Arg(X), version=version), ulps=4)
    assert check(*l2(Arg(X), version=3), must_run=False).startswith("error")


def test_types(official):
    def make(x, y):
        numbers = {"scale": 1.0, "zero_point": 0} if x in UNIT else {}
        return l2(Arg(zeros(x, (2, 3)), x, **numbers), (y, UNIT.get(y, {})))

    taken = sweep(make, (TYPES, ("float32", "uint8", "int8", "int16")))
    assert taken == {(x, x) for x in ("float32", "uint8", "int8")}
    taken = sweep(lambda x: lrn(Arg(zeros(x, (1, 1, 2, 3)), x), 1, y=x), (TYPES,), resolver=OPTIMISED)
    assert taken == {("float32",)}


# ---- refusals

X = np.ones((1, 2, 2, 3), np.float32)


@pytest.mark.parametrize(
    "x, y, options",
    [
        (Arg(np.float32(1)), None, {}),
        (Arg(X.astype(np.int16)), None, {}),
        (Arg(X.astype(np.int32)), None, {}),
        (Arg(X.astype(np.float16)), None, {}),
        (Arg(X), ("int8", UNIT["int8"]), {}),
        (Arg(X.astype(np.int8), scale=1.0, zero_point=0), ("uint8", UNIT["uint8"]), {}),
        (Arg(X.astype(np.int8), scale=1.0, zero_point=0), ("int8", {"scale": 1 / 127, "zero_point": 0}), {}),
        (Arg(X.astype(np.int8), scale=1.0, zero_point=0), ("int8", {"scale": 1 / 128, "zero_point": 1}), {}),
        (Arg(X.astype(np.uint8), scale=1.0, zero_point=0), ("uint8", {"scale": 1 / 128, "zero_point": 0}), {}),
        (Arg(X.astype(np.int8), scale=1.0, zero_point=0), "int8", {}),
        (Arg(X), None, {"fused_activation_function": "RELU"}),
    ],
)
def test_refused(official, x, y, options):
    assert check(*l2(x, y, **options), must_run=False) == "error at allocate"


@pytest.mark.parametrize(
    "x, y",
    [(Arg(X[0]), "float32"), (Arg(X[None]), "float32"), (Arg(X.astype(np.int8)), "int8"), (Arg(X), "int8")],
)
def test_local_response_refused(official, x, y):
    assert check(*lrn(x, 1, y=y), must_run=False) == "error at allocate"


def test_a_negative_radius():
    with pytest.raises(OursFailed, match="a radius of -1"):
        ours(*lrn(Arg(X), -1))
