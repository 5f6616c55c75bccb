"""CONV_3D and CONV_3D_TRANSPOSE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels import conv3d, windows
from tests.cases import check, differential, ours
from tests.kernels.convolutions import ACTIVATIONS, at, drawn, sides, values
from tests.kernels.one_op import temporaries
from tests.sweep import TYPES, sweep

CONV, BACK = "CONV_3D", "CONV_3D_TRANSPOSE"
EPSILON = 2.0**-24


def one(op, x, w, bias=None, shape=None, *, constants=True, types=("float32",) * 4, **options):
    """(content, arrays) of one op; shape: of the output of a CONV_3D_TRANSPOSE, an input where it is a list."""
    m = Model()
    data = m.input(x.shape, types[0])
    arrays = [x]
    if constants:
        handles = [m.constant(w, types[1])]
    else:
        handles = [m.input(w.shape, types[1])]
        arrays.append(w)
    handles.insert(0 if op == CONV else 1, data)
    if bias is not None:
        handles.append(m.constant(bias, types[2]))
    if op == BACK and isinstance(shape, list):
        handles.insert(0, m.input((len(shape),), "int32"))
        arrays.append(np.int32(shape))
    elif op == BACK:
        handles.insert(0, m.constant(np.asarray(shape)))
    out = m.tensor((), types[3])
    m.op(op, handles, [out], **{"padding": "VALID", "stride_d": 1, "stride_h": 1, "stride_w": 1, **options})
    m.output(out)
    return m.content(), arrays


def sums(op, x, w, steps, shape):
    """The sums of products in float64; steps: (stride, dilation, pad), each (depth, height, width)."""
    y = np.zeros(shape)
    few, many = (y.shape[1:4], x.shape[1:4]) if op == CONV else (x.shape[1:4], y.shape[1:4])
    for tap in np.ndindex(w.shape[:3]):
        places = [at(tap[n] * steps[1][n] - steps[2][n], few[n], steps[0][n], many[n]) for n in range(3)]
        i, p = np.ix_(*(a for a, _ in places)), np.ix_(*(b for _, b in places))
        i, p = (slice(None), *i), (slice(None), *p)
        if op == CONV:
            y[i] += x[p].astype(np.float64) @ w[tap]
        else:
            y[p] += x[i].astype(np.float64) @ w[tap].T
    return y


def draw_case(rng, op, biased):
    """(content, arrays, bound)."""
    padding = str(rng.choice(("SAME", "VALID")))
    axes = [sides(rng, padding, 6, 3) for _ in range(3)]
    size, taps, stride, dilation = (tuple(axis[n] for axis in axes) for n in range(4))
    out = [windows.window(padding, *axis) for axis in axes]
    few, pad = tuple(n for n, _, _ in out), tuple(before for _, before, _ in out)
    batch, channels, units = int(rng.choice((1, 1, 2))), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    x_shape, y_shape, ends = (batch, *size, channels), (batch, *few, units), (channels, units)
    if op == BACK:
        x_shape, y_shape, ends = (batch, *few, channels), (batch, *size, units), (units, channels)
    x, w = values(rng, "float32", x_shape), values(rng, "float32", (*taps, *ends))
    bias = values(rng, "float32", units) if biased else None
    shape = list(y_shape) if rng.integers(3) == 0 else np.int32(y_shape)
    options = {"padding": padding, "fused_activation_function": str(rng.choice(ACTIVATIONS))}
    for n, axis in enumerate("dhw"):
        options |= {f"stride_{axis}": stride[n], f"dilation_{axis}_factor": dilation[n]}
    content, arrays = one(op, x, w, bias, shape, constants=bool(rng.integers(4)), **options)
    total = sums(op, np.abs(x), np.abs(w), (stride, dilation, pad), y_shape)
    total += 0 if bias is None else np.abs(bias)
    return content, arrays, 2 * (w[..., 0].size + 4) * EPSILON * total


# ---- worked by hand


def test_by_hand():
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 2, 2, 2, 1)
    w = np.float32(10) ** np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1, 1)
    # 1 + 2 * 10 + 3 * 100 + ...; float32 holds it to within 4
    (y,) = ours(*one(CONV, x, w / 10, np.float32([0.5])))
    assert abs(y.item() - 8765432.6) <= 1
    # each value of x is spread over 2x2x2 places; the middle gets them all, the last tap of the first and so on
    (y,) = ours(*one(BACK, x, np.ones((2, 2, 2, 1, 1), np.float32), np.float32([0.5]), np.int32([1, 3, 3, 3, 1])))
    assert y[0, :, 0, 0, 0].tolist() == [1.5, 1 + 5 + 0.5, 5.5]
    assert y[0, 1, 1, 1, 0] == x.sum() + 0.5


def test_channels_and_units_are_exchanged_in_the_transposed_filter():
    x = np.float32([1, 2]).reshape(1, 1, 1, 1, 2)
    w = np.float32([[1, 10, 100], [2, 20, 200]])
    (y,) = ours(*one(CONV, x, w.reshape(1, 1, 1, 2, 3)))
    assert y.ravel().tolist() == [5, 50, 500]
    (y,) = ours(*one(BACK, x, w.T.reshape(1, 1, 1, 3, 2), shape=np.int32([1, 1, 1, 1, 3])))
    assert y.ravel().tolist() == [5, 50, 500]


# ---- against the official runtime


@pytest.mark.parametrize("op", (CONV, BACK))
@pytest.mark.parametrize("biased", (True, False), ids=("bias", "no bias"))
@pytest.mark.parametrize("block", (windows.BLOCK, 100), ids=("", "small blocks"))
def test_differential(official, monkeypatch, op, biased, block):
    monkeypatch.setattr(conv3d, "BLOCK", block)

    @differential(200 if block > 100 else 40)
    @given(st.data())
    def run(data):
        content, arrays, bound = draw_case(drawn(data), op, biased)
        check(content, arrays, bound=bound)

    run()


@pytest.mark.parametrize("activation", ("TANH", "SIGN_BIT"))
@pytest.mark.parametrize("op", (CONV, BACK))
def test_other_activations_are_passed_over(official, op, activation):
    x, w = np.full((1, 1, 1, 1, 1), -3, np.float32), np.ones((1, 1, 1, 1, 1), np.float32)
    content, arrays = one(op, x, w, shape=np.int32([1] * 5), fused_activation_function=activation)
    check(content, arrays)
    assert ours(content, arrays)[0].item() == -3


def test_nothing_to_do(official):
    w = np.ones((2, 2, 2, 1, 1), np.float32)
    # (1 + 1 - 2) // 1 = 0 windows
    for shape in ((0, 3, 3, 3, 1), (1, 1, 3, 3, 1)):
        content, arrays = one(CONV, np.ones(shape, np.float32), w)
        check(content, arrays)
        assert ours(content, arrays)[0].size == 0


def test_another_shape_in_a_later_run(official):
    w = np.ones((2, 2, 2, 1, 3), np.float32)
    content, _ = one(CONV, np.zeros((1, 2, 2, 2, 1), np.float32), w)
    turns = [[np.ones((1, *size, 1), np.float32)] for size in ((2, 2, 2), (3, 4, 2), (2, 2, 2))]
    check(content, turns, sequence=True)
    content, _ = one(BACK, np.zeros((1, 2, 2, 2, 3), np.float32), w, shape=[1, 3, 3, 3, 1])
    turns = [[np.ones((1, n, 2, 2, 3), np.float32), np.int32([1, n + 1, 3, 3, 1])] for n in (2, 4)]
    check(content, turns, sequence=True)


@pytest.mark.parametrize("op", (CONV, BACK))
@pytest.mark.parametrize("size,channels,units", [((9, 40, 40), 8, 16), ((3, 3, 3), 3000, 2), ((3, 3, 3), 2, 100000)])
def test_temporaries_stay_within_the_workspace(op, size, channels, units):
    taps = (1, 1, 1) if max(channels, units) > 100 else (3, 3, 3)
    x, y = (1, *size, channels), (1, *size, units)
    w = np.ones((*taps, *((channels, units) if op == CONV else (units, channels))), np.float32)
    peak, allowed = temporaries(*one(op, np.ones(x, np.float32), w, None, np.int32(y), padding="SAME"))
    assert peak <= allowed <= 5 << 20


# ---- refusals


def test_types(official):
    shape = np.int32([1, 2, 2, 2, 1])

    def conv(x, w, bias, y):
        return model(CONV, x, w, bias, y)

    def back(x, w, bias, y):
        return model(BACK, x, w, bias, y)

    def model(op, *types):
        if {"string", "bfloat16"} & set(types):
            return None
        arrays = [np.zeros((1, 2, 2, 2, 1), _stored(types[0])), np.zeros((1, 1, 1, 1, 1), _stored(types[1]))]
        return one(op, *arrays, np.zeros(1, _stored(types[2])), shape, types=types)

    some = ("float32", "float16", "float64", "int8", "int32")
    for make in (conv, back):
        assert sweep(make, (TYPES, some, ("float32",), ("float32",))) == {("float32",) * 4}
        assert sweep(make, (("float32",), ("float32",), TYPES, ("float32", "int8"))) == {("float32",) * 4}


def _stored(type):
    return {"int4": np.int8}.get(type, type)


ONES = np.ones((2, 2, 2, 3, 4), np.float32)
REFUSALS = {
    "rank of x": {"x": np.ones((3, 3, 3, 3), np.float32)},
    "rank of w": {"w": np.ones((2, 2, 3, 3), np.float32)},
    "channels": {"w": np.ones((2, 2, 2, 2, 2), np.float32)},
    "empty image": {"x": np.ones((1, 3, 0, 3, 3), np.float32)},
    "bias length": {"bias": np.ones(5, np.float32)},
    "stride": {"stride_d": 0},
    "stride below 0": {"stride_w": -1},
    "dilation": {"dilation_h_factor": 0},
    "shape of 4": {"shape": np.int32([1, 4, 4, 3])},
    "shape below 0": {"shape": np.int32([1, 4, -4, 4, 3])},
    "shape of int64": {"shape": np.int64([1, 4, 4, 4, 3])},
    "batch": {"shape": np.int32([2, 4, 4, 4, 3])},
    "units": {"shape": np.int32([1, 4, 4, 4, 6])},
    "size": {"shape": np.int32([1, 4, 5, 4, 3])},
    "window too large": {"dilation_d_factor": 7},
    "batch, late": {"shape": [2, 4, 4, 4, 3]},
    "size, late": {"shape": [1, 4, 5, 4, 3]},
}


@pytest.mark.parametrize("what", REFUSALS)
@pytest.mark.parametrize("op", (CONV, BACK))
def test_refuses(official, op, what):
    parts = {"x": np.ones((1, 3, 3, 3, 3 if op == CONV else 4), np.float32), "w": ONES}
    change = REFUSALS[what]
    outcome = check(*one(op, **{**parts, "shape": np.int32([1, 4, 4, 4, 3]), **change}), must_run=False)
    late = "error at invoke" if "late" in what else "error at allocate"
    assert outcome == ("equal" if op == CONV and "shape" in change else late)
