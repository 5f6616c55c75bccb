"""What the tests of the three convolutions share: one-op models, drawn and by hand, and the mathematics in float64."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels.windows import window
from tests.cases import RANGES, check, differential
from tests.kernels.one_op import sample

VERSIONS = {"CONV_2D": 8, "DEPTHWISE_CONV_2D": 6, "TRANSPOSE_CONV": 5}  # the latest that the reference resolver has
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@dataclass
class Case:
    """One convolution: `arrays` are what its inputs get; x, w, bias real numbers, or stored ones less their zeros."""

    content: bytes
    arrays: list
    x: np.ndarray
    w: np.ndarray
    bias: np.ndarray
    stride: tuple
    dilation: tuple
    pad: tuple
    shape: tuple  # of y
    scales: np.ndarray = field(default_factory=lambda: np.ones(1, np.float32))  # of w


def at(start, count, stride, size):
    """(i, position) of start + i * stride within range(size), for i in range(count)."""
    i = np.arange(count)
    position = start + i * stride
    inside = (position >= 0) & (position < size)
    return i[inside], position[inside]


def convolve(x, w, stride, dilation, pad, shape):
    """CONV_2D's sums of products in float64, with groups."""
    y = np.zeros(shape)
    units, tall, wide, depth = w.shape
    groups = x.shape[3] // depth
    for k in range(tall):
        i, up = at(k * dilation[0] - pad[0], shape[1], stride[0], x.shape[1])
        for m in range(wide):
            j, left = at(m * dilation[1] - pad[1], shape[2], stride[1], x.shape[2])
            for g in range(groups):
                some = slice(g * units // groups, (g + 1) * units // groups)
                part = x[:, up][:, :, left, g * depth : (g + 1) * depth].astype(np.float64)
                y[:, i[:, None], j, some] += part @ w[some, k, m].T.astype(np.float64)
    return y


def depthwise(x, w, stride, dilation, pad, shape):
    """DEPTHWISE_CONV_2D's sums of products: a convolution in as many groups as channels."""
    _, tall, wide, units = w.shape
    return convolve(x, w.reshape(tall, wide, units, 1).transpose(2, 0, 1, 3), stride, dilation, pad, shape)


def transpose(x, w, stride, dilation, pad, shape):
    """TRANSPOSE_CONV's sums of products."""
    y = np.zeros(shape)
    for k in range(w.shape[1]):
        i, up = at(k - pad[0], x.shape[1], stride[0], shape[1])
        for m in range(w.shape[2]):
            j, left = at(m - pad[1], x.shape[2], stride[1], shape[2])
            y[:, up[:, None], left] += x[:, i][:, :, j].astype(np.float64) @ w[:, k, m].T.astype(np.float64)
    return y


SUMS = {"CONV_2D": convolve, "DEPTHWISE_CONV_2D": depthwise, "TRANSPOSE_CONV": transpose}


def bound(op, case):
    """(depth + 4) * 2**-24 * (sum|x * w| + |bias|)."""
    terms = case.w.size // case.w.shape[3 if op == "DEPTHWISE_CONV_2D" else 0]
    total = SUMS[op](
        np.abs(case.x), np.abs(case.w * spread(op, case)), case.stride, case.dilation, case.pad, case.shape
    )
    return (terms + 4) * 2.0**-24 * (total + np.abs(case.bias))


def spread(op, case):
    """The filter's scales along its units."""
    return case.scales if op == "DEPTHWISE_CONV_2D" else case.scales.reshape(-1, 1, 1, 1)


def drawn(data):
    """A generator of which Hypothesis draws the seed."""
    return np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))


def sides(rng, padding, most, most_filter):
    """(size, filter, stride, dilation) of one axis."""
    size, filter = (int(rng.integers(1, n + 1)) for n in (most, most_filter))
    stride, dilation = int(rng.choice((1, 1, 2, 3))), int(rng.choice((1, 1, 2, 5)))
    if padding == "VALID":
        filter = min(filter, size)
        if (filter - 1) * dilation >= size:
            dilation = 1
    return size, filter, stride, dilation


def values(rng, type, shape, low=None, high=None):
    """Contents: spread, extremes only, small, or one value."""
    kind = rng.choice(("spread", "spread", "extremes", "small", "same"))
    if type == "float32":
        if kind == "same":
            return np.full(shape, rng.normal(), np.float32)
        return (rng.normal(size=shape) * {"extremes": 100, "small": 0.01}.get(kind, 1)).astype(np.float32)
    least, most = RANGES[type]
    least, most = least if low is None else low, most if high is None else high
    dtype = "int8" if type == "int4" else type
    if kind == "extremes":
        return rng.choice(np.array([least, most], dtype), shape)
    if kind == "small":
        least, most = max(least, -3), min(most, 3)
    drawn = rng.integers(least, most, () if kind == "same" else shape, endpoint=True)
    return np.full(shape, drawn).astype(dtype)


def draw_case(
    rng, op, x_type, w_type=None, *, bias_type=None, per_channel=False, dynamic=None, said=None, depth=0, bias=None
):
    """A drawn Case. `said`: quantized_bias_type; depth: many channels; w_type, bias_type: where not the usual ones."""
    grouped = op == "CONV_2D" and rng.integers(4) == 0
    padding = str(rng.choice(("SAME", "VALID")))
    small = 3 if depth else 8
    height, tall, sh, dh = sides(rng, padding, small, 4)
    width, wide, sw, dw = sides(rng, padding, small, 4)
    if op == "TRANSPOSE_CONV":
        dh = dw = 1
    channels = depth or int(rng.integers(1, 6))
    multiple = int(rng.integers(1, 4))
    groups = int(rng.integers(2, 4)) if grouped else 1
    units = channels * multiple if op == "DEPTHWISE_CONV_2D" else groups * int(rng.integers(1, 7))
    batch = int(rng.choice((1, 1, 2)))
    axes = [window(padding, n, f, s, d) for n, f, s, d in ((height, tall, sh, dh), (width, wide, sw, dw))]
    out = (axes[0][0], axes[1][0])
    x_shape, y_shape = (batch, height, width, channels * groups), (batch, *out, units)
    if op == "TRANSPOSE_CONV":
        x_shape, y_shape = (batch, *out, channels), (batch, height, width, units)
    w_shape = (1, tall, wide, units) if op == "DEPTHWISE_CONV_2D" else (units, tall, wide, channels)
    activation = str(rng.choice(ACTIVATIONS))
    dynamic = rng.integers(5) == 0 if dynamic is None else dynamic
    w_type = w_type or {"int16": "int8"}.get(x_type, x_type)
    bias_type = bias_type or {"float32": "float32", "int16": "int64"}.get(x_type, "int32")
    bias = (op == "CONV_2D" or rng.integers(5) > 0) if bias is None else bias

    m = Model()
    x_numbers, w_numbers, y_numbers, bias_numbers, x_zero, w_zero = numbers(
        rng, x_type, w_type, units, per_channel, 3 if op == "DEPTHWISE_CONV_2D" else 0
    )
    arrays = [values(rng, x_type, x_shape)]
    handles = [m.input(x_shape, x_type, **x_numbers)]
    # -128 is a fault of its own, see test_conv.test_hybrid_takes_minus_128
    hybrid = x_type == "float32" != w_type
    w = values(rng, w_type, w_shape, low=-127 if w_type == "int8" else None)
    if hybrid and w_type == "uint8":
        w = np.where(w == 0x80, 0, w)  # -128, as its bytes count
    if dynamic and w_type != "int4":
        arrays.append(w)
        handles.append(m.input(w_shape, w_type, **w_numbers))
    else:
        handles.append(m.constant(w, type=w_type, **w_numbers))
    added = np.zeros(units)
    if bias:
        limits = () if x_type == "float32" else (-(2**20), 2**20)
        added = values(rng, bias_type, (units,), *limits)
        handles.append(m.constant(added, **bias_numbers))
    if op == "TRANSPOSE_CONV":
        handles = [m.constant(np.int32(y_shape)), handles[1], handles[0], *handles[2:]]
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "fused_activation_function": activation}
    if op != "TRANSPOSE_CONV":
        options |= {"dilation_h_factor": dh, "dilation_w_factor": dw}
    if op == "DEPTHWISE_CONV_2D":
        options |= {"depth_multiplier": multiple}
    if said:
        options |= {"quantized_bias_type": said}
    y = m.tensor((), x_type, **y_numbers)
    m.op(op, handles, [y], version=int(rng.integers(1, VERSIONS[op] + 1)), **options)
    m.output(y)
    real = arrays[0].astype(np.float64) - x_zero
    scales = np.float32(w_numbers["scale"]) if w_numbers and x_type == "float32" else np.ones(1, np.float32)
    pad = (axes[0][1], axes[1][1])
    weights = (w.view(np.int8) if hybrid and w_type == "uint8" else w).astype(np.float64) - w_zero
    return Case(m.content(), arrays, real, weights, added, (sh, sw), (dh, dw), pad, y_shape, scales)


def numbers(rng, x_type, w_type, units, per_channel, axis):
    """(x's, w's, y's, bias's quantization, x_zero, w_zero), such that all shifts from -14 to 2 come up."""

    def scale():
        return float(np.float32(10.0 ** rng.uniform(-3, 0)))

    def zero(type):
        low, high = RANGES[type]
        return 0 if type == "int16" else int(rng.choice([low, high, rng.integers(low, high)]))

    w_zero = zero("uint8") if w_type == x_type == "uint8" else 0
    one = scale()
    scales = np.float32(one * 2.0 ** rng.uniform(-4, 4, units)) if per_channel else np.float32([one])
    w_numbers = {"scale": scales.tolist(), "zero_point": [w_zero] * len(scales)}
    if per_channel:
        w_numbers["axis"] = axis
    if w_type == "float32":
        return {}, {}, {}, {}, 0, 0
    if x_type == "float32":
        return {}, w_numbers, {}, {}, 0, 0
    x_scale, x_zero = scale(), zero(x_type)
    product = float(np.float32(x_scale) * np.float32(one))
    y_scale = float(np.float32(product * 2.0 ** rng.uniform(-2, 14)))
    if per_channel:
        y_scale *= 8
    y_numbers = {"scale": y_scale, "zero_point": zero(x_type)}
    return (
        {"scale": x_scale, "zero_point": x_zero},
        w_numbers,
        y_numbers,
        {"scale": product, "zero_point": 0},
        x_zero,
        w_zero,
    )


# ---- models by hand


def one(
    op, x, w, bias=None, shape=None, *, y=("float32", {}), x_numbers=None, w_numbers=None, bias_numbers=None, **options
):
    """(content, arrays) of one op; arrays give the types. shape: of a TRANSPOSE_CONV's output, a list for an input."""
    m = Model()
    arrays = [x]
    handles = [m.input(x.shape, x.dtype.name, **(x_numbers or {})), m.constant(w, **(w_numbers or {}))]
    if bias is not None:
        handles.append(m.constant(bias, **(bias_numbers or {})))
    if op == "TRANSPOSE_CONV":
        late = isinstance(shape, list)
        size = m.input((len(shape),), "int32") if late else m.constant(np.asarray(shape, np.int32))
        arrays += [np.int32(shape)] if late else []
        handles = [size, handles[1], handles[0], *handles[2:]]
    out = m.tensor((), y[0], **y[1])
    m.op(op, handles, [out], **{"padding": "VALID", "stride_h": 1, "stride_w": 1, **options})
    m.output(out)
    return m.content(), arrays


def plain(op, change=None, *, x="int8", w="int8", bias="int32", y="int8"):
    """(content, arrays) of a sound case after `change` has been at the arguments of `one`."""

    def numbers(type, scale=0.5):
        return {"scale": scale, "zero_point": 0} if type in RANGES else {}

    parts = {
        "x": np.zeros((1, 3, 3, 2), x),
        "w": np.zeros((1, 2, 2, 4) if op == "DEPTHWISE_CONV_2D" else (4, 2, 2, 2), w),
        "bias": np.zeros(4, bias),
        "shape": (1, 4, 4, 4),
        "x_numbers": numbers(x),
        "w_numbers": numbers(w),
        "bias_numbers": numbers(bias, 0.25),
        "y": (y, numbers(y)),
    }
    return one(op, **(parts | (change or {})))


REFUSALS = {
    "rank of x": {"x": np.zeros((3, 3, 2), np.int8)},
    "rank of w": {"w": np.zeros((4, 2, 4), np.int8)},
    "bias length": {"bias": np.zeros(5, np.int32)},
    "bias type": {"bias": np.zeros(4, np.int64)},
    "bias zero": {"bias_numbers": {"scale": 0.25, "zero_point": 3}},
    "filter scales": {"w_numbers": {"scale": [0.5, 0.5], "zero_point": [0, 0], "axis": 1}},
    "filter without scale": {"w_numbers": {}},
    "input without scale": {"x_numbers": {}},
    "type of y": {"y": ("int16", {"scale": 0.5, "zero_point": 0})},
    "stride": {"stride_h": 0},
}


def typed(op, x, w, bias, y):
    """(content, arrays) of any types, with scales for integers; bias may be None."""
    m = Model()

    def numbers(type, scale=0.5):
        return {"scale": scale, "zero_point": 0} if type in RANGES else {}

    data = sample(x, (1, 3, 3, 2))
    filter = sample(w, (1, 2, 2, 2) if op == "DEPTHWISE_CONV_2D" else (2, 2, 2, 2))
    handles = [m.input(data.shape, x, **numbers(x)), m.constant(filter, w, **numbers(w))]
    if op == "TRANSPOSE_CONV":
        handles = [m.constant(np.int32([1, 4, 4, 2])), *reversed(handles)]
    if bias:
        handles.append(m.constant(sample(bias, 2), bias, **numbers(bias, 0.25)))
    out = m.tensor((), y, **numbers(y))
    m.op(op, handles, [out], padding="VALID", stride_h=1, stride_w=1)
    m.output(out)
    return m.content(), [data]


# ---- against the official runtime


def hold(op, cases, depths=(0,), **kind):
    """Draws that many cases of a kind, see draw_case, and holds ours against the official runtime."""

    @differential(cases)
    @given(st.data())
    def run(data):
        rng = drawn(data)
        case = draw_case(rng, op, depth=int(rng.choice(depths)), **kind)
        if op == "CONV_2D" and kind["x_type"] == "float32" != kind.get("w_type", "float32"):
            if case.x.shape[3] != case.w.shape[3] and not kind.get("per_channel"):
                # grouped and with one scale: refused on both sides
                assert check(case.content, case.arrays, must_run=False) == "error at allocate"
                return
        check(case.content, case.arrays, bound=bound(op, case) if kind["x_type"] == "float32" else None)

    run()
