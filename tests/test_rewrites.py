"""Steps merged into others: the same results, and only where they are the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.load import load_model
from minitfl.runtime import Runtime
from tests.cases import compare


def padded(
    chance,
    op="CONV_2D",
    type="float32",
    paddings=((0, 0), (1, 2), (0, 1), (0, 0)),
    value=None,
    weight=None,
    twice=False,
):
    """PAD, then a convolution without padding."""
    numbers = {} if type == "float32" else {"scale": 0.05, "zero_point": 3}
    m = Model()
    x = m.input((2, 5, 4, 3), type, **numbers)
    shape = tuple(n + before + after for n, (before, after) in zip((2, 5, 4, 3), paddings))
    middle = m.tensor(shape, type, **numbers)
    arguments = [x, m.constant(np.array(paddings, np.int32))]
    if value is not None:
        arguments.append(m.constant(np.array([value], type), **numbers))
    m.op("PADV2" if value is not None else "PAD", arguments, [middle])
    channels = shape[3]
    form = (1, 3, 2, channels) if op == "DEPTHWISE_CONV_2D" else (4, 3, 2, channels)
    units = form[3] if op == "DEPTHWISE_CONV_2D" else 4
    if type == "float32":
        stored = chance.uniform(-1, 1, form).astype(np.float32)
        if weight is not None:
            stored.flat[0] = weight
        w, bias = m.constant(stored), m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    else:
        scales = {"scale": np.full(units, 0.01), "zero_point": np.zeros(units, int)}
        w = m.constant(chance.integers(-127, 128, form).astype(np.int8), axis=3 if form[0] == 1 else 0, **scales)
        bias = m.constant(chance.integers(-99, 99, units).astype(np.int32))
    y = m.tensor((2, 1, 1, units), type, **numbers)
    strides = {"stride_h": 2, "stride_w": 2, "padding": "VALID"}
    if op == "DEPTHWISE_CONV_2D":
        strides["depth_multiplier"] = 1
    m.op(op, [middle, w, bias], [y], **strides)
    m.output(y)
    if twice:
        m.output(middle)
    return m.content()


def steps(content):
    instance = Runtime(load_model(content)).instance(0)
    instance.allocate()
    return [step.node.op for step in instance.frame.plan.steps]


def outputs(content, x, **options):
    interpreter = Interpreter(model_content=content, **options)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D"]),
    st.sampled_from(["float32", "int8"]),
    st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * 2),
)
@pytest.mark.filterwarnings("ignore:experimental_preserve_all_tensors")
def test_padding_is_left_to_the_convolution(seed, op, type, sides):
    chance = np.random.default_rng(seed)
    content = padded(chance, op, type, ((0, 0), *sides, (0, 0)))
    assert steps(content) == [op]
    x = chance.integers(-100, 100, (2, 5, 4, 3)).astype(type)
    whole = outputs(content, x, experimental_preserve_all_tensors=True)
    compare(outputs(content, x), whole, bound=1e-4 if type == "float32" else None)  # 54 products below 100


@pytest.mark.parametrize(
    "different",
    [
        {"value": 1.0},
        {"weight": np.inf},
        {"weight": np.nan},
        {"twice": True},
        {"paddings": ((0, 0), (1, 1), (1, 1), (0, 1))},
        {"paddings": ((1, 0), (1, 1), (1, 1), (0, 0))},
        {"type": "int8", "value": 0},
    ],
    ids=str,
)
def test_other_padding_stays(different):
    assert steps(padded(np.random.default_rng(0), **different)) == [
        "PADV2" if "value" in different else "PAD",
        "CONV_2D",
    ]


def test_the_value_may_be_given():
    assert steps(padded(np.random.default_rng(0), type="int8", value=3)) == ["CONV_2D"]
    assert steps(padded(np.random.default_rng(0), value=0.0)) == ["CONV_2D"]


def test_what_is_left_out_cannot_be_read():
    interpreter = Interpreter(model_content=padded(np.random.default_rng(0)))
    interpreter.allocate_tensors()
    interpreter.invoke()
    with pytest.raises(ValueError, match="experimental_preserve_all_tensors"):
        interpreter.get_tensor(1)
    pad, conv = interpreter.trace()
    assert pad.op == "PAD" and pad.merged and pad.outputs[0].array is None
    assert conv.op == "CONV_2D" and not conv.merged


def test_the_input_lives_until_the_convolution():
    """Its memory is not that of the output, which it would be if the padding still took a step of its own."""
    instance = Runtime(load_model(padded(np.random.default_rng(0)))).instance(0)
    instance.allocate()
    lives = {life.key: life for life in instance.frame.plan.lives}
    (step,) = instance.frame.plan.steps
    assert step.inputs[0] == 0 and lives[0].last >= 0 and 1 not in lives


def gated(type="float32", other=False, twice=False, swapped=False, activation="NONE"):
    """LOGISTIC, then MUL by the same or another tensor."""
    numbers = [{}] * 3
    if type != "float32":
        low = np.iinfo(type).min
        scales = ((0.04, low + 100), (1 / 256, low), (0.03, low + 17))
        numbers = [{"scale": scale, "zero_point": zero} for scale, zero in scales]
    m = Model()
    x = m.input((2, 3, 200), type, **numbers[0])
    z = m.input((2, 3, 200), type, **numbers[0])
    gate, y = m.tensor((2, 3, 200), type, **numbers[1]), m.tensor((2, 3, 200), type, **numbers[2])
    m.op("LOGISTIC", [x], [gate])
    pair = [z if other else x, gate]
    m.op("MUL", pair[::-1] if swapped else pair, [y], fused_activation_function=activation)
    m.output(y)
    if twice:
        m.output(gate)
    return m.content()


@pytest.mark.parametrize("type", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
@pytest.mark.filterwarnings("ignore:experimental_preserve_all_tensors")
def test_the_product_with_its_own_logistic_function_is_one_step(type, swapped, activation):
    content = gated(type, swapped=swapped, activation=activation)
    assert steps(content) == ["MUL"]
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 200)).astype(type)
    if type == "float32":
        x = (x - 128) / np.float32(8)
    whole = outputs(content, x, experimental_preserve_all_tensors=True)
    compare(outputs(content, x), whole, bound=1e-6 if type == "float32" else None)


@pytest.mark.parametrize("different", [{"other": True}, {"twice": True}], ids=str)
def test_other_products_stay(different):
    assert steps(gated(**different)) == ["LOGISTIC", "MUL"]
