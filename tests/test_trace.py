"""Interpreter.trace and verbose: what is told of each node, and that the telling changes nothing."""

import warnings

import numpy as np
import pytest

from minitfl import Interpreter, one_op, quantized
from minitfl.build import Model
from minitfl.commands.classify import MODEL, PICTURE
from tests import small_models as models

X = np.arange(8, dtype=np.float32)[None]


def digits(**keywords):
    interpreter = Interpreter(str(MODEL), **keywords)
    return interpreter, (np.load(PICTURE).reshape(1, 8, 8, 1).astype(np.int16) - 128).astype(np.int8)


def double_rounding(total, multiplier, shift):
    """rescale_twice in Python's whole numbers, for shift <= 0."""
    product = (total * multiplier + (1 << 30)) >> 31
    half = (1 << -shift) >> 1
    return (abs(product) + half >> -shift) * (1 if product >= 0 else -1)


def convolved():
    rng = np.random.default_rng(5)
    x = quantized(rng.integers(-128, 128, (1, 1, 40, 3)).astype(np.int8), 0.1, 4)
    w = quantized(rng.integers(-127, 128, (2, 1, 1, 3)).astype(np.int8), [0.02, 0.005])
    bias = quantized(np.int32([100, -50]), np.float32([0.1 * 0.02, 0.1 * 0.005]))
    interpreter = one_op("CONV_2D", [x, w, bias], output=("int8", 0.5, -3), stride_w=1, stride_h=1)
    return x, w, bias, interpreter


def test_the_numbers_of_a_convolution():
    """With the traced multipliers and shifts the output follows by hand, and the sums' range is that of the sums."""
    x, w, bias, interpreter = convolved()
    (step,) = interpreter.trace()
    assert (step.op, step.kernel, step.file, step.late) == ("CONV_2D", "conv_int", "kernels/conv.py", False)
    assert step.options.padding == "SAME" and step.options["stride_w"] == 1
    (rescaling,) = step.rescalings
    sums = (x.array[0, 0].astype(int) - 4) @ w.array[:, 0, 0].astype(int).T + bias.array
    assert (rescaling.rule, rescaling.count) == ("rescale_twice", sums.size)
    assert (rescaling.lowest, rescaling.highest) == (sums.min(), sums.max())
    assert np.allclose(rescaling.factor, np.float32(0.1) * np.float32([0.02, 0.005]) / 0.5)
    rescaled = [
        [double_rounding(int(t), int(m), int(s)) for t, m, s in zip(row, rescaling.multiplier, rescaling.shift)]
        for row in sums
    ]
    assert np.array_equal(step.outputs[0].array[0, 0], np.clip(np.array(rescaled) - 3, -128, 127))
    assert (step.inputs[0].scale, step.inputs[0].zero_point) == (np.float32(0.1), 4)
    assert step.inputs[1].constant and step.inputs[1].scale.shape == (2,)


def test_three_rescalings_of_a_sum():
    """ADD brings both operands to one unit, and their sum to the output's."""
    a, b = quantized(np.int8([10, -20]), 0.5), quantized(np.int8([3, 4]), 0.25)
    (step,) = one_op("ADD", [a, b], output=("int8", 0.5, 0)).trace()
    assert [r.rule for r in step.rescalings] == ["rescale_twice"] * 3
    first, second, _ = step.rescalings
    assert (first.lowest >> 20, first.highest >> 20) == (-20, 10) and (second.lowest >> 20) == 3
    assert step.outputs[0].array.tolist() == [12, -18]  # 11.5 and -18 halves: ties go away from zero
    assert np.isclose(first.factor[0] / second.factor[0], 2)


def test_blocks_of_one_rescaling_count_as_one():
    """A picture too large for one block of windows; one factor for each unit, one range for all the sums."""
    rng = np.random.default_rng(0)
    x = quantized(rng.integers(-128, 128, (1, 400, 400, 1)).astype(np.int8), 0.1)
    w = quantized(rng.integers(-127, 128, (3, 1, 2, 1)).astype(np.int8), [0.01, 0.02, 0.03])
    bias = quantized(np.int32([5, 6, 7]), np.float32([0.001, 0.002, 0.003]))
    options = {"output": ("int8", 1.0, 0), "padding": "VALID", "stride_w": 1, "stride_h": 1}
    (step,) = one_op("CONV_2D", [x, w, bias], **options).trace()
    (rescaling,) = step.rescalings
    pixels, weights = x.array[0, :, :, 0].astype(int), w.array[:, 0, :, 0].astype(int)
    sums = pixels[:, :-1, None] * weights[:, 0] + pixels[:, 1:, None] * weights[:, 1] + bias.array
    assert (rescaling.count, rescaling.multiplier.shape) == (sums.size, (3,))
    assert (rescaling.lowest, rescaling.highest) == (sums.min(), sums.max())


def test_a_rule_that_takes_a_real_factor():
    x, w = quantized(np.int8([[10, -4]]), 0.1), quantized(np.int8([[3, 1], [2, 2]]), [0.1, 0.2])
    (step,) = one_op("FULLY_CONNECTED", [x, w, None], output=("int8", 0.5, 0)).trace()
    (rescaling,) = step.rescalings
    assert (rescaling.rule, rescaling.multiplier, rescaling.shift) == ("rescale_real", None, None)
    assert (rescaling.lowest, rescaling.highest, rescaling.count) == (12, 26, 2)
    assert np.allclose(rescaling.factor, np.float32(0.1) * np.float32([0.1, 0.2]) / 0.5)
    assert "factor 0.02..0.04" in repr(step)


def test_a_trace_computes_what_invoke_computes():
    interpreter, x = digits()
    steps = list(interpreter.trace(x))
    traced = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.array_equal(traced, interpreter(x)["output_0"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept, _ = digits(experimental_preserve_all_tensors=True)
    kept(x)
    assert [step.index for step in steps] == list(range(12))
    for step in steps:
        for value in step.outputs:
            assert np.array_equal(value.array, kept.get_tensor(value.index)), step


def test_without_inputs_it_runs_on_those_that_are_set():
    interpreter = Interpreter(model_content=models.chain(5))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, X)
    steps = list(interpreter.trace())
    for n, step in enumerate(steps):  # the memory has been used again; what it held is here
        assert np.array_equal(step.outputs[0].array, X if n % 2 else -X)
        assert np.array_equal(step.inputs[0].array, -X if n % 2 else X)
    assert len(steps) == 5


def test_folded_late_and_shared_nodes():
    interpreter, x = digits()
    steps = {step.op: step for step in interpreter.trace(x)}
    assert steps["PACK"].folded and steps["PACK"].outputs[0].array.tolist() == [1, 256]
    assert steps["PACK"].kernel == "" and "(folded)" in repr(steps["PACK"])
    assert steps["RESHAPE"].kernel == "" and not steps["RESHAPE"].folded  # nothing is computed
    (late,) = Interpreter(model_content=models.reshape_by_input()).trace(X[:, :6], np.int32([2, 3]))
    assert late.late and late.outputs[0].shape == (2, 3) and late.kernel and "(late)" in repr(late)


def test_layers():
    """What invoke would use; the trace itself has the rescalings that only the NumPy forms tell of."""
    interpreter, x = digits()
    steps = {step.op: step for step in interpreter.trace(x)}
    assert steps["CONV_2D"].layer == "numpy" and steps["PACK"].layer == steps["RESHAPE"].layer == ""
    pytest.importorskip("numba")
    weights, bias = np.ones((3, 8), np.float32), np.zeros(3, np.float32)
    interpreter = one_op("FULLY_CONNECTED", [X, weights, bias])
    interpreter = Interpreter(model_content=interpreter._interpreter.source.bytes(), kernels="numba")
    (step,) = interpreter.trace(X)
    assert step.layer == "numba" and "(numba)" in repr(step) and step.kernel == "dense_float"


def test_custom_operators_are_named():
    def sinh(inputs, options):
        return np.sinh(inputs[0])

    interpreter = Interpreter(model_content=models.custom("Sinh"), custom_ops={"Sinh": sinh})
    (step,) = interpreter.trace(np.float32([[1, 2, 3, 4]]))
    assert (step.kernel, step.file) == ("sinh", __file__)


def test_floats_and_tables_rescale_nothing():
    (step,) = one_op("ADD", [X, X]).trace()
    assert step.rescalings == () and step.outputs[0].array.tolist() == (2 * X).tolist()


def test_nothing_is_watched_once_a_trace_is_left():
    interpreter, x = digits()
    for step in interpreter.trace(x):
        if step.op == "CONV_2D":
            break
    from minitfl.kernels.fixedpoint import OBSERVER

    assert OBSERVER.get() is None
    interpreter.invoke()  # and the interpreter is free


def test_a_step_that_fails_has_told_those_before():
    m = Model()
    x, i = m.input((2,)), m.input((1,), "int32")
    between, y = m.tensor((2,)), m.tensor((1,))
    m.op("NEG", [x], [between])
    m.op("GATHER", [between, i], [y])
    m.output(y)
    steps = Interpreter(model_content=m.content()).trace(np.float32([1, 2]), np.int32([7]))
    assert next(steps).op == "NEG"
    with pytest.raises(RuntimeError, match="node 1, GATHER"):
        next(steps)


# ---- verbose


@pytest.mark.parametrize("level", (1, 2, 3))
def test_verbose(level, capsys):
    interpreter, x = digits(verbose=level)
    quiet, _ = digits()
    result = interpreter(x)["output_0"]
    told = capsys.readouterr().out
    assert np.array_equal(result, quiet(x)["output_0"])
    lines = told.splitlines()
    heads = [line for line in lines if "->" in line]
    assert len(heads) == 12 and heads[0].split()[:4] == ["0", "CONV_2D", "v3", "kernels/conv.py"]
    assert (len(lines) == 12) == (level == 1)
    assert ("rescale_twice: 1,024 sums" in told) == (level >= 2)
    assert ("[-128 -128 -112   79 ..." in told) == (level == 3)


def test_verbose_is_kept_by_clones(capsys):
    interpreter = Interpreter(model_content=models.chain(2), verbose=1)
    interpreter.clone()(X)
    assert capsys.readouterr().out.count("NEG") == 2


def test_a_wrong_level():
    with pytest.raises(ValueError, match="verbose is 0, 1, 2 or 3, not 4"):
        Interpreter(model_content=models.chain(2), verbose=4)
