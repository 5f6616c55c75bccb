"""BATCH_MATMUL."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels.matmul import BLOCK_NBYTES, parts, stacks, workspace
from minitfl.kernels.matmul import TYPES as TAKEN
from tests.cases import SEEDS, check, differential, ours
from tests.kernels.one_op import sample
from tests.kernels.test_dense import RANGES, numbers, values
from tests.sweep import TYPES, sweep


def model(x, w, y, *, constant=None, **options):
    """The bytes of a one-op model; x, w, y: (type, shape, quantization); constant: the contents of w."""
    m = Model()
    handles = [m.input(x[1], x[0], **x[2])]
    if constant is None:
        handles.append(m.input(w[1], w[0], **w[2]))
    else:
        handles.append(m.constant(constant, type=w[0], **w[2]))
    result = m.tensor((1,), y[0], **y[1])
    m.op("BATCH_MATMUL", handles, [result], **{"version": 4, **options})
    m.output(result)
    return m.content()


def drawn(rng, most_axes=3, least=1):
    """(x_shape, w_shape, adj_x, adj_y): stacks that broadcast, matrices that multiply once transposed."""
    rows, depth, units = (int(n) for n in rng.choice([1, 2, 3, 5, 8], 3))
    if rng.random() < 0.3:
        depth = int(rng.choice([16, 33, 200, 1500]))
    if rng.random() < 0.05:
        rows, depth, units = (int(n) for n in rng.integers(least, 3, 3))
    batch = [int(n) for n in rng.integers(1, 4, rng.integers(0, most_axes + 1))]
    ones = [n if rng.random() < 0.7 else 1 for n in batch]
    both = [batch, ones[int(rng.integers(len(ones) + 1)) :]]
    rng.shuffle(both)
    adj_x, adj_y = (bool(b) for b in rng.integers(0, 2, 2))
    x = (*both[0], depth, rows) if adj_x else (*both[0], rows, depth)
    w = (*both[1], units, depth) if adj_y else (*both[1], depth, units)
    return x, w, adj_x, adj_y


def oriented(a, adj):
    return np.swapaxes(a, -1, -2) if adj else a


# ---- worked by hand


def test_by_hand():
    """[[1 2]] @ [[3], [4]] = 11; all four ways to lay the operands."""
    for adj_x in (False, True):
        for adj_y in (False, True):
            x, w = oriented(np.float32([[1, 2]]), adj_x), oriented(np.float32([[3], [4]]), adj_y)
            content = model(
                ("float32", x.shape, {}), ("float32", w.shape, {}), ("float32", {}), adj_x=adj_x, adj_y=adj_y
            )
            np.testing.assert_array_equal(ours(content, [x, w])[0], [[11]])


def test_int8_by_hand():
    """(5 - 1) * (3 + 1) + (-7 - 1) * (2 + 1) = -8; times 0.5 * 0.5 / 0.5 = -4; - 3 = -7."""
    x, w = np.int8([[5, -7]]), np.int8([[3], [2]])
    content = model(("int8", x.shape, numbers(0.5, 1)), ("int8", w.shape, numbers(0.5, -1)), ("int8", numbers(0.5, -3)))
    np.testing.assert_array_equal(ours(content, [x, w])[0], [[-7]])


def test_every_product_of_a_deep_row_counts():
    """1501 * 127 * 127 = 24209629 is odd and beyond 2**24, so no float32."""
    x, w = np.full((1, 1501), 127, np.int8), np.full((1501, 1), 127, np.int8)
    content = model(("int8", x.shape, numbers(0.5)), ("int8", w.shape, numbers(0.5)), ("int32", {}))
    assert ours(content, [x, w])[0].tolist() == [[24209629]]


# ---- against the official runtime


@differential(300)
@given(seed=SEEDS)
def test_float(seed):
    rng = np.random.default_rng(seed)
    x_shape, w_shape, adj_x, adj_y = drawn(rng, least=0)
    x, w = values(rng, x_shape), values(rng, w_shape)
    content = model(
        ("float32", x_shape, {}),
        ("float32", w_shape, {}),
        ("float32", {}),
        adj_x=adj_x,
        adj_y=adj_y,
        version=1 + seed % 4,
    )
    total = np.abs(oriented(x, adj_x)).astype(np.float64) @ np.abs(oriented(w, adj_y))
    check(content, [x, w], bound=2 * (oriented(x, adj_x).shape[-1] + 4) * 2.0**-24 * total)


@pytest.mark.parametrize("per_unit", [False, True])
@differential()
@given(seed=SEEDS)
def test_hybrid(per_unit, seed):
    """Up to 3 axes; where a stack has more the official kernel takes the scales of other rows."""
    rng = np.random.default_rng(seed)
    x_shape, w_shape, adj_x, adj_y = drawn(rng, most_axes=1)
    x = values(rng, x_shape)
    w = rng.integers(-128, 127, w_shape, endpoint=True).astype(np.int8)
    units, axis = (w_shape[-2], len(w_shape) - 2) if adj_y else (w_shape[-1], len(w_shape) - 1)
    count = units if per_unit else 1
    scales = np.float32(2.0 ** rng.uniform(-9, 0, count))
    q = numbers(scales, np.zeros(count, np.int64), axis=axis) if per_unit else numbers(scales, np.zeros(1, np.int64))
    asymmetric = bool(rng.integers(2))
    constant = rng.random() < 0.7
    content = model(
        ("float32", x_shape, {}),
        ("int8", w_shape, q),
        ("float32", {}),
        constant=w if constant else None,
        adj_x=adj_x,
        adj_y=adj_y,
        asymmetric_quantize_inputs=asymmetric,
        version=int(rng.integers(1, 5)),
    )
    depth = oriented(x, adj_x).shape[-1]
    total = np.abs(oriented(x, adj_x)).astype(np.float64) @ np.abs(oriented(w, adj_y).astype(np.float64))
    # to the bit while zero times the sum of weights stays below 2**24, which is computed in float32
    bound = None if depth < 1000 else 4 * 2.0**-24 * total * scales.max() * 2
    check(content, [x] if constant else [x, w], bound=bound)


INTEGERS = [
    ("int8", "int8", "int8"),
    ("int8", "int8", "int32"),
    ("int16", "int16", "int16"),
    ("int16", "int8", "int16"),
]


@pytest.mark.parametrize("x_type,w_type,y_type", INTEGERS)
@differential()
@given(seed=SEEDS)
def test_integers(x_type, w_type, y_type, seed):
    rng = np.random.default_rng(seed)
    x_shape, w_shape, adj_x, adj_y = drawn(rng, least=0)
    x = rng.integers(*RANGES[x_type], x_shape, endpoint=True).astype(x_type)
    w = rng.integers(*RANGES[w_type], w_shape, endpoint=True).astype(w_type)
    x_zero, w_zero, y_zero = (int(z) for z in rng.integers(-128, 128, 3)) if x_type == "int8" else (0, 0, 0)
    wide = oriented(x, adj_x).astype(np.int64) - x_zero, oriented(w, adj_y).astype(np.int64) - w_zero
    total = np.abs(wide[0] @ wide[1]).max(initial=1) if wide[0].size and wide[1].size else 1
    powers = rng.random() < 0.4
    x_scale, w_scale = np.float32(2.0 ** rng.integers(-8, 1, 2) if powers else 2 ** rng.uniform(-8, 0, 2))
    y_scale = float(x_scale) * float(w_scale) * total / (RANGES[x_type][1] * 2) * 2.0 ** rng.uniform(-2, 2)
    y_scale = max(y_scale, float(x_scale) * float(w_scale) / 64)  # more than 7 bits to the left is undefined for int16
    y_scale = np.float32(2.0 ** np.round(np.log2(y_scale)) if powers else y_scale)
    content = model(
        (x_type, x_shape, numbers(x_scale, x_zero)),
        (w_type, w_shape, numbers(w_scale, w_zero)),
        (y_type, numbers(y_scale, y_zero) if y_type != "int32" else {}),
        constant=w if seed % 2 else None,
        adj_x=adj_x,
        adj_y=adj_y,
        version=1 + seed % 4,
    )
    check(content, [x] if seed % 2 else [x, w])


def test_rescaled_sums_wrap(official):
    """256 products of 16 bits, times 3.4: beyond 32 bits, and the official kernel keeps the lower 32."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-30000, 30000, shape).astype(np.int16) for shape in ((4, 256), (256, 8)))
    sides = [("int16", array.shape, numbers(scale)) for array, scale in ((x, 2.25907e-05), (w, 0.00045647))]
    content = model(*sides, ("int16", numbers(3.05185e-09)))
    check(content, [x, w])
    assert 0 < (np.sign(ours(content, [x, w])[0]) != np.sign(x.astype(float) @ w)).sum() < 32


@pytest.mark.parametrize("w_type", ("float32", "int8"))
def test_another_shape_in_a_later_run(w_type):
    w = np.arange(12).reshape(3, 4).astype(w_type)
    content = model(
        ("float32", (2, 3), {}),
        (w_type, w.shape, {} if w_type == "float32" else numbers(0.5)),
        ("float32", {}),
        constant=w,
    )
    turns = [[np.arange(np.prod(s), dtype=np.float32).reshape(s)] for s in ((2, 3), (5, 3), (2, 1, 3), (2, 3))]
    check(content, turns, sequence=True, ulps=1)


@pytest.mark.parametrize("shape", [(4, 3), (1, 4, 3), (1, 1, 4, 3)])
@pytest.mark.parametrize("x_type", ("float32", "int8", "int16"))
def test_constant_and_computed_weights_agree(x_type, shape):
    """Scales per unit among them, which the official kernels take for 0 with integers."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-99, 99, (2, 5, 4)).astype(x_type), rng.integers(-127, 128, shape).astype(np.int8)
    q = numbers([0.5, 0.25, 1.0], [0] * 3, axis=len(shape) - 1)
    x_q, y_q = ({}, {}) if x_type == "float32" else (numbers(0.5), numbers(99.0))
    results = []
    for constant in (w, None):
        content = model((x_type, x.shape, x_q), ("int8", shape, q), (x_type, y_q), constant=constant)
        results.append(ours(content, [x] if constant is not None else [x, w])[0])
    np.testing.assert_array_equal(*results)
    exact = x.astype(np.float64) @ (w * np.float64([0.5, 0.25, 1])) * (1 if x_type == "float32" else 0.5 / 99)
    step = np.abs(x).max() / 127 / 2 * np.abs(w.astype(int)).max() * 4 if x_type == "float32" else 0.51
    low, high = RANGES.get(x_type, (-np.inf, np.inf))
    assert np.abs(results[0] - np.clip(exact, low, high)).max() < step


# ---- where the official runtime is wrong: against the mathematics


@pytest.mark.parametrize("stack", [(2, 3), (2, 3, 1)])
def test_hybrid_with_more_axes(stack):
    """The official kernel takes the scales of other rows there."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(*stack, 4, 8)).astype(np.float32)
    w = rng.integers(-127, 128, (*stack[1:-1], 3 if stack[-1] == 3 else 2, 8, 5)).astype(np.int8)
    content = model(("float32", x.shape, {}), ("int8", w.shape, numbers(0.5)), ("float32", {}))
    scale = np.abs(x).max(-1, keepdims=True).astype(np.float64) / 127
    wanted = np.rint(x / scale) * scale @ (w * 0.5)
    np.testing.assert_allclose(ours(content, [x, w])[0], wanted, rtol=1e-5, atol=1e-4)


def test_hybrid_without_depth():
    """The official process dies."""
    content = model(("float32", (2, 0), {}), ("int8", (0, 4), numbers(0.5)), ("float32", {}))
    (y,) = ours(content, [np.zeros((2, 0), np.float32), np.zeros((0, 4), np.int8)])
    assert y.tolist() == [[0] * 4] * 2


@pytest.mark.parametrize("shapes", [((0, 3), (3, 4)), ((2, 3), (3, 0)), ((2, 0, 3), (2, 3, 4)), ((1, 2, 3), (0, 3, 4))])
@pytest.mark.parametrize("types", [("float32", "float32"), ("float32", "int8"), ("int8", "int8"), ("int16", "int16")])
def test_nothing_to_compute(types, shapes):
    x, w = ((type, shape, {} if type == "float32" else numbers(0.5)) for type, shape in zip(types, shapes))
    check(model(x, w, (x[0], x[2])), [np.zeros(x[1], x[0]), np.zeros(w[1], w[0])])


# ---- refusals

F, I8, I16 = ("float32", (2, 3), {}), ("int8", (2, 3), numbers(0.5)), ("int16", (2, 3), numbers(0.5))
REFUSED = {
    "float times int16": (F, ("int16", (3, 4), numbers(0.5)), ("float32", {})),
    "int8 times int16": (I8, ("int16", (3, 4), numbers(0.5)), ("int8", numbers(0.5))),
    "int32": (("int32", (2, 3), {}), ("int32", (3, 4), {}), ("int32", {})),
    "a zero point of int16": (("int16", (2, 3), numbers(0.5, 1)), ("int16", (3, 4), numbers(0.5)))
    + (("int16", numbers(0.5)),),
    "a vector": (("float32", (3,), {}), ("float32", (3, 4), {}), ("float32", {})),
    "six axes": (("float32", (1, 1, 1, 1, 2, 3), {}), ("float32", (3, 4), {}), ("float32", {})),
    "other depths": (F, ("float32", (4, 4), {}), ("float32", {})),
    "stacks that don't broadcast": (("float32", (2, 2, 3), {}), ("float32", (3, 3, 4), {}), ("float32", {})),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    x, w, y = REFUSED[case]
    inputs = [np.zeros(x[1], x[0]), np.zeros(w[1], w[0])]
    assert check(model(x, w, y), inputs, must_run=False) == "error at allocate"


def typed(x_type, w_type, y_type):
    """(content, arrays) of any types, with scales for integers."""
    x, w = sample(x_type, (2, 3)), sample(w_type, (3, 4))
    quantized = [numbers(0.5) if type in RANGES else {} for type in (x_type, w_type, y_type)]
    constant = w if w_type == "int2" else None
    content = model(
        (x_type, x.shape, quantized[0]), (w_type, w.shape, quantized[1]), (y_type, quantized[2]), constant=constant
    )
    return content, [x, w] if constant is None else [x]


def test_types(official):
    """The official kernels write their numbers into an output of any type; here it has to be the one they are of."""
    results = ("float32", "int8", "int16", "int32", "int64", "uint8")
    pairs = {(x, w) for x, w, _ in TAKEN}
    known = {(*pair, y): "another type's numbers" for pair in pairs for y in results if (*pair, y) not in TAKEN}
    assert sweep(typed, (TYPES, (*TYPES, "int2"), results), known) == TAKEN


# ---- blocks


@given(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300000)))
def test_parts_cover_the_result_once_and_are_small(sizes):
    batch, units, depth = sizes
    area = 0
    for b, u in parts(batch, units, depth):
        area += len(range(batch)[b]) * len(range(units)[u])
    assert area == batch * units
    assert workspace(batch, units, depth) <= 6 * BLOCK_NBYTES + 24 * depth


@differential(60)
@given(seed=SEEDS)
def test_stacks_cover_the_result_once(seed):
    rng = np.random.default_rng(seed)
    x_shape, w_shape, *_ = drawn(rng)
    grown = [n * int(rng.integers(1, 40)) if n > 1 else n for n in np.broadcast_shapes(x_shape[:-2], w_shape[:-2])]
    rows, depth = (int(n) for n in rng.integers(1, 400, 2))
    x = np.broadcast_to(np.float32(1), (*grown, rows, depth))
    w = np.broadcast_to(np.float32(1), (depth, 300))
    y = np.broadcast_to(np.int8(0), (*grown, rows, 300))
    area = 0
    for part_x, part_w, part_y in stacks(x, w, y):
        assert np.broadcast_shapes(part_x.shape[:-2], part_w.shape[:-2]) == part_y.shape[:-2]
        assert part_x.shape[-2] == part_y.shape[-2] and part_w.shape[-1] == part_y.shape[-1]
        area += part_y.size
        assert part_y.size * 4 <= BLOCK_NBYTES
    assert area == y.size
