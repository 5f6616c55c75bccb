"""The loops forms of kernels against their NumPy forms: as plain Python, and compiled with bounds checking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.errors import ModelError
from minitfl.load import load_model
from minitfl.op import Kernel
from minitfl.runtime import Runtime
from tests.bounds import float_bound
from tests.cases import compare, shared_model
from tests.engine.between import drawn
from tests.small_models import permute

SEEDS = st.integers(0, 2**32 - 1)


def forms(content, make, seed=0):
    """Runs a model in NumPy and each step that has a loops form also as make(kernel); the ops of those steps."""
    instance = Runtime(load_model(content), layer="numpy").instance(0)
    instance.allocate()
    frame, chance, found = instance.frame, np.random.default_rng(seed), []
    for i in instance.subgraph.inputs:
        instance.array(i)[...] = drawn(frame.arrays[i], chance)
    for step in instance.steps():
        kernel = frame.plan.steps[step.number].call and frame.plan.steps[step.number].call.kernel
        if kernel is None or kernel.loops is None or step.skipped:
            step.run()
            continue
        found.append(step.node.op)
        live = {i: a.copy() for i in step.inputs if i >= 0 and (a := frame.arrays[i]) is not None}
        make(kernel)(*step.args)
        mine = [frame.arrays[i].copy() for i in step.outputs]
        for i, array in live.items():
            assert (frame.arrays[i] == array).all(), "an input has changed"
        for i in step.outputs:
            frame.arrays[i].view(np.uint8)[...] = 0xA5
        step.run()
        ours = [frame.arrays[i] for i in step.outputs]
        bound = [float_bound(step, y) if y.dtype.kind == "f" else None for y in ours]
        compare(mine, ours, bound=bound, place=f"node {step.node.index} {step.node.op}, loops against NumPy: ")
    return found


def plain(kernel):
    return kernel.loops


# ---- drawn operators, as plain Python


def quantized(chance, type):
    """scale and zero point of activations."""
    zero = {"uint8": int(chance.integers(0, 256)), "int8": int(chance.integers(-128, 128))}.get(type, 0)
    return {"scale": float(chance.uniform(0.01, 0.1)), "zero_point": zero}


def weights(m, chance, x_scale, shape, type, axis):
    """Handles of drawn weights, scaled along an axis but for uint8, and of a bias to match."""
    units = shape[axis]
    if type == "float32":
        w = chance.uniform(-1, 1, shape).astype(np.float32)
        return m.constant(w), m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    if type == "uint8":
        w = chance.integers(0, 256, shape).astype(np.uint8)
        numbers = {"scale": 0.01, "zero_point": int(chance.integers(256))}
    else:
        w = chance.integers(-127, 128, shape).astype(np.int8)
        scales = chance.uniform(0.001, 0.02, units).astype(np.float32)
        numbers = {"scale": scales, "zero_point": np.zeros(units, np.int64), "axis": axis}
    bias = chance.integers(-2000, 2000, units).astype(np.int64 if type == "int16" else np.int32)
    products = np.atleast_1d(x_scale * np.asarray(numbers["scale"]))
    return m.constant(w, **numbers), m.constant(bias, scale=products, zero_point=np.zeros(len(products), np.int64))


@given(SEEDS, st.sampled_from(["float32", "uint8", "int8", "int16"]), st.sampled_from(["SAME", "VALID"]))
def test_convolutions(seed, type, padding):
    chance = np.random.default_rng(seed)
    channels, times, batch = chance.integers(1, 4, 3)
    filter, stride, dilation = (chance.integers(1, n, 2) for n in (4, 3, 3))
    size = (filter - 1) * dilation + chance.integers(1, 6, 2)
    for op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        deep = op != "CONV_2D"
        units = int(channels * times)
        shape = (1, *filter, units) if deep else (units, *filter, channels)
        m = Model()
        numbers = {} if type == "float32" else quantized(chance, type)
        x = m.input((batch, *size, channels), type, **numbers)
        w, bias = weights(m, chance, numbers.get("scale"), shape, type, 3 if deep else 0)
        y = m.tensor((1, 1, 1, units), type, **({} if type == "float32" else quantized(chance, type)))
        multiplier = {"depth_multiplier": int(times)} if deep else {}
        m.op(op, [x, w, bias], [y], padding=padding, stride_h=int(stride[0]), stride_w=int(stride[1]),
             dilation_h_factor=int(dilation[0]), dilation_w_factor=int(dilation[1]),
             fused_activation_function=str(chance.choice(["NONE", "RELU", "RELU6"])), **multiplier)  # fmt: skip
        m.output(y)
        assert forms(m.content(), plain, seed) == [op]


@given(SEEDS, st.sampled_from(["float32", "uint8", "int8", "int16"]))
def test_dense(seed, type):
    chance = np.random.default_rng(seed)
    batch, units, depth = (int(n) for n in chance.integers(1, 7, 3))
    m = Model()
    numbers = {} if type == "float32" else quantized(chance, type)
    x = m.input((batch, depth), type, **numbers)
    w, bias = weights(m, chance, numbers.get("scale"), (units, depth), type, 0)
    y = m.tensor((batch, units), type, **({} if type == "float32" else quantized(chance, type)))
    m.op("FULLY_CONNECTED", [x, w, bias], [y])
    m.output(y)
    assert forms(m.content(), plain, seed) == ["FULLY_CONNECTED"]


@given(SEEDS, st.sampled_from(["float32", "uint8", "int8", "int16"]), st.sampled_from(["SAME", "VALID"]))
def test_pools(seed, type, padding):
    chance = np.random.default_rng(seed)
    filter, stride = (chance.integers(1, n, 2) for n in (4, 3))
    size = filter + chance.integers(0, 6, 2)
    numbers = {} if type == "float32" else quantized(chance, type)
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        m = Model()
        x = m.input((2, *size, 3), type, **numbers)
        y = m.tensor((1, 1, 1, 3), type, **numbers)
        m.op(op, [x], [y], padding=padding, stride_h=int(stride[0]), stride_w=int(stride[1]),
             filter_height=int(filter[0]), filter_width=int(filter[1]), fused_activation_function="RELU6")  # fmt: skip
        m.output(y)
        assert forms(m.content(), plain, seed) == [op]


# ---- compiled, with bounds checking


def test_reading_out_of_bounds_is_caught():
    numba = pytest.importorskip("numba")
    assert numba
    from minitfl.jit import checked, compiled

    @Kernel
    def first(x, y):
        y[0] = x[0]

    @first.fast
    def first_loops(x, y):
        y[0] = x[len(y) + 6]

    x, y = np.arange(7.0), np.zeros(1)
    with pytest.raises(IndexError):
        checked(first)(x, y)
    compiled(first)(np.arange(20.0), y)
    assert y[0] == 7


def test_a_host_without_an_instruction_set_runs_loops(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr("minitfl.engine.engine.library", lambda: None)
    instance = Runtime(load_model(permute()), layer="numba").instance(0)
    instance.allocate()
    instance.put(0, np.float32([[1, 2, 3, 4]]))
    instance.invoke()
    (step,) = instance.steps()
    assert step.layer == "loops" and step.kernel.py_func.__name__ == "dense_float_loops"
    assert instance.array(2).tolist() == [[4, 3, 2, 1]]


# how many steps of each folder have a loops form
STEPS = {"coral": 252, "litert": 15, "mediapipe": 1, "micro": 14, "mlperf_tiny": 99}


@pytest.mark.parametrize("folder", STEPS)
def test_shared_models(folder):
    pytest.importorskip("numba")
    from minitfl.jit import checked

    count = 0
    for path in sorted(shared_model(folder).glob("*.tflite")):
        try:
            count += len(forms(path.read_bytes(), checked))
        except (ModelError, ValueError):  # test_lockstep has the models that are refused
            continue
    assert count == STEPS[folder]
