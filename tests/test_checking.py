"""Kernels of the caller's: in a model (kernels=), and against ours (check)."""

import pickle
import sys

import numpy as np
import pytest

from minitfl import Interpreter, check, quantized, run_op
from minitfl.build import Model
from minitfl.commands.classify import MODEL, PICTURE
from tests import small_models as models

X = np.array([[1, 2, 3, 4]], np.float32)
PICTURES = (np.load(PICTURE).reshape(1, 8, 8, 1).astype(np.int16) - 128).astype(np.int8)


def negated(inputs, options, node):
    return -inputs[0]


def convolved(inputs, options, node):
    """CONV_2D on int8 for one stride of 1, padding as the options say; plain loops over the filter."""
    x, w, bias = inputs
    y = node.outputs[0]
    x = x.astype(np.int64) - node.inputs[0].zero_point
    if options.padding == "SAME":
        below, right = w.shape[1] - 1, w.shape[2] - 1
        border = ((0, 0), (below // 2, below - below // 2), (right // 2, right - right // 2), (0, 0))
        x = np.pad(x, border)
    _, height, width, _ = y.shape
    total = np.zeros(y.shape, np.int64) + bias
    for i in range(w.shape[1]):
        for j in range(w.shape[2]):
            total += x[:, i : i + height, j : j + width] @ w[:, i, j].T.astype(np.int64)
    factor = node.inputs[0].scale * np.float64(node.inputs[1].scale) / y.scale
    fraction, shift = np.frexp(factor)
    product = (total * np.floor(fraction * 2**31 + 0.5).astype(np.int64) + (1 << 30)) >> 31
    half = (1 << -shift.astype(np.int64)) >> 1
    total = np.sign(product) * ((np.abs(product) + half) >> -shift)
    low = y.zero_point if options.fused_activation_function == "RELU" else -128
    return np.clip(total + y.zero_point, max(low, -128), 127).astype(np.int8)


def without_zero_point(inputs, options, node):
    y = convolved(inputs, options, node).astype(np.int64) - node.outputs[0].zero_point
    return np.clip(y, -128, 127).astype(np.int8)


# ---- in a model


def test_it_computes_in_the_place_of_ours():
    interpreter = Interpreter(str(MODEL), kernels={"CONV_2D": convolved})
    ours = Interpreter(str(MODEL))
    pictures = np.concatenate([PICTURES, PICTURES[:, ::-1]])
    assert np.array_equal(interpreter(pictures)["output_0"], ours(pictures)["output_0"])
    assert interpreter.memory_plan().arena_nbytes == ours.memory_plan().arena_nbytes
    names = [(s.kernel, s.file) for s in interpreter.trace(PICTURES) if s.op == "CONV_2D"]
    assert names == [("convolved", __file__)] * 3


def test_options_and_quantization_are_told():
    seen = []

    def kernel(inputs, options, node):
        seen.append((options, node))
        with pytest.raises(ValueError, match="read-only"):
            inputs[0][...] = 0
        with pytest.raises(AttributeError, match="there is no option 'stride', but fused_activation_function, "):
            options.stride  # noqa: B018
        assert inputs[2] is None and node.inputs[2] is None
        return np.zeros(node.outputs[0].shape, np.float32)

    inputs = [np.float32([[1]]), quantized(np.int8([[1], [2]]), 0.5), None]
    own = {"FULLY_CONNECTED": kernel}
    run_op("FULLY_CONNECTED", inputs, kernels=own, output="float32", fused_activation_function="RELU")
    ((options, node),) = seen
    assert options["fused_activation_function"] == options.fused_activation_function == "RELU"
    assert (node.op, node.inputs[1].scale, node.inputs[1].type) == ("FULLY_CONNECTED", 0.5, "int8")
    assert node.outputs[0].shape == (1, 2) and node.outputs[0].scale is None


def test_the_planner_still_knows_all_shapes():
    interpreter = Interpreter(model_content=models.chain(3), kernels={"NEG": negated})
    interpreter.allocate_tensors()
    assert [d["shape"].tolist() for d in interpreter.get_tensor_details()] == [[1, 8]] * 4
    x = np.arange(8, dtype=np.float32)[None]
    assert np.array_equal(interpreter(x)["step2"], -x)
    assert np.array_equal(interpreter.clone()(x[:, ::-1])["step2"], -x[:, ::-1])
    assert np.array_equal(pickle.loads(pickle.dumps(interpreter))(x)["step2"], -x)


def test_a_late_node_runs_it_too():
    def reshaped(inputs, options, node):
        return inputs[0].reshape(node.outputs[0].shape) + 1

    interpreter = Interpreter(model_content=models.reshape_by_input(), kernels={"RESHAPE": reshaped})
    x = np.arange(6, dtype=np.float32)[None]
    assert interpreter(x, np.int32([3, 2]))["y"].tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (lambda i, o, n: i[0].astype(float), r"output 0: it is float64, not float32: .* return y.astype\(np.float32\)"),
        (lambda i, o, n: i[0][0], r"output 0: its shape is \(8,\), not \(1, 8\)"),
        (lambda i, o, n: [i[0], i[0]], "returned 2 outputs, not 1"),
    ],
)
def test_what_does_not_fit_is_told(kernel, text):
    with pytest.raises(RuntimeError, match=f"node 0, NEG -> 'step0': the kernel given for NEG.*{text}"):
        Interpreter(model_content=models.chain(1), kernels={"NEG": kernel})(np.zeros((1, 8), np.float32))


def test_names_of_engines():
    for name in ("auto", "numpy"):
        assert Interpreter(model_content=models.chain(1), kernels=name)(np.ones((1, 8)))["step0"][0, 0] == -1
    for wrong, error, text in [
        ("blas", ValueError, "kernels='blas' is not there: 'auto', 'numpy', 'numba' are"),
        ({"NEGATE": negated}, ValueError, "there is no operator 'NEGATE' to replace"),
        ({"CONV2D": negated}, ValueError, "did you mean CONV_2D"),
        ({"NEG": 3}, TypeError, r"kernels\['NEG'\] must be a function\(inputs, options, node\)"),
        (3, TypeError, "kernels must be a dict of functions by operator"),
    ]:
        with pytest.raises(error, match=text):
            Interpreter(model_content=models.chain(1), kernels=wrong)
    for layer in ("auto", "numpy", "numba"):  # of ours, so there is nothing to judge
        with pytest.raises(TypeError, match="kernels must be a dict of functions by operator"):
            check(models.chain(1), layer)


# ---- against ours


def test_a_right_kernel():
    result = check(str(MODEL), {"CONV_2D": convolved}, PICTURES)
    assert result and result.first is None
    assert (result.nodes, result.elements) == (3, 8 * 8 * (16 + 48) + 4 * 4 * 64)
    assert repr(result) == "<check: equal, 5,120 elements of 3 nodes>"
    assert check(Interpreter(str(MODEL)), {"CONV_2D": convolved}, seed=3)


def test_the_first_wrong_element_of_each_tensor():
    """Nodes are judged alone: one wrong element early on does not make all that follows wrong."""

    def off(inputs, options, node):
        y = convolved(inputs, options, node)
        if node.index == 2:
            y[0, 3, 1, 7] -= np.int8(2)
            y[0, 5, 5, 5] += np.int8(1)
        return y

    result = check(MODEL.read_bytes(), {"CONV_2D": off}, {"keras_tensor": PICTURES})
    assert not result and len(result.differences) == 1
    first = result.first
    assert (first.node, first.op, first.element) == (2, "CONV_2D", (0, 3, 1, 7))
    assert first.expected - first.got == 2 == first.error == first.worst
    assert (first.wrong, first.total) == (2, 3072)
    assert "node 2, CONV_2D -> 'sequential_1/conv2d_1_2/Relu" in repr(result)
    assert f"[0, 3, 1, 7]: expected {first.expected}, got {first.got}, off by 2; 2 of 3,072 elements are wrong" in repr(
        result
    )


def test_a_forgotten_zero_point():
    result = check(str(MODEL), {"CONV_2D": without_zero_point}, PICTURES)
    assert [d.node for d in result.differences] == [0, 2, 4]
    assert len(repr(result).splitlines()) == 4


def test_one_operator():
    x = quantized(PICTURES[:, :3, :3] // 2, 0.1, 4)
    w = quantized(np.random.default_rng(0).integers(-127, 128, (2, 2, 2, 1)).astype(np.int8), [0.02, 0.05])
    bias = quantized(np.int32([30, -1]), np.float32([0.002, 0.005]))
    options = {"output": ("int8", 0.5, -3), "padding": "VALID", "stride_w": 1, "stride_h": 1}
    assert check("CONV_2D", convolved, [x, w, bias], **options)
    result = check("CONV_2D", without_zero_point, [x, w, bias], **options)
    assert result.first.element == (0, 0, 0, 0) and result.first.error == 3


def test_floats_may_differ_a_little():
    def nearly(inputs, options, node):
        return np.exp(inputs[0]) * np.float32(1 + 1e-6)

    assert check("EXP", nearly, [X])
    result = check("EXP", nearly, [X], tolerance=1e-8)
    assert result.differences and result.first.error < 1e-3
    assert check("NEG", lambda i, o, n: np.where(np.isnan(i[0]), i[0], -i[0]), [np.float32([np.nan, np.inf, 0])])
    assert not check("NEG", lambda i, o, n: np.zeros_like(i[0]), [np.float32([np.nan, np.inf, 0])])


def test_variables_are_compared_too():
    def still(inputs, options, node):
        """The right output, but the state is left as it was."""
        x, feature, time, _, state = inputs
        return np.concatenate([state[:, 1:], x @ feature.T], 1) @ time.T

    def moving(inputs, options, node):
        y = still(inputs, options, node)
        state = inputs[4]
        state[...] = np.concatenate([state[:, 1:], inputs[0] @ inputs[1].T], 1)
        return y

    inputs = [np.float32([[3]]), np.float32([[2]]), np.float32([[10, 1]]), None, np.float32([[7, 5]])]
    assert check("SVDF", moving, inputs, variables=(4,), rank=1)
    assert run_op("SVDF", inputs, variables=(4,), rank=1, kernels={"SVDF": moving}).tolist() == [[56]]
    result = check("SVDF", still, inputs, variables=(4,), rank=1)
    assert [d.tensor for d in result.differences] == ["input4"] and result.first.expected == 5


def test_folded_nodes_are_checked():
    interpreter, seen = Interpreter(str(MODEL)), []

    def packed(inputs, options, node):
        seen.append(node.op)
        return np.stack(inputs, options.axis)

    assert check(interpreter, {"PACK": packed}) and seen == ["PACK"]
    assert not check(interpreter, {"PACK": lambda i, o, n: np.stack(i[::-1])})


def test_a_misfit_is_a_difference():
    result = check("NEG", lambda i, o, n: -i[0].astype(float), [X])
    assert "output 0: it is float64, not float32" in str(result.first)
    assert "returned 2 outputs, not 1" in repr(check("NEG", lambda i, o, n: [X, X], [X]))


def test_strings():
    m = Model()
    x, y = m.input((2,), "string"), m.tensor((2,), "string")
    m.op("GATHER", [x, m.constant(np.int32([1, 0]))], [y])
    m.output(y)
    texts = np.array([b"a", b"b"], object)
    assert check(m.content(), {"GATHER": lambda i, o, n: i[0][i[1]]}, [texts])
    result = check(m.content(), {"GATHER": lambda i, o, n: i[0]}, [texts])
    assert "[0]: expected b'b', got b'a'; 2 of 2 elements are wrong" in repr(result)


def test_wrong_use():
    with pytest.raises(ValueError, match="the model's main subgraph has no CONV_2D, but NEG"):
        check(models.chain(2), {"CONV_2D": convolved})
    with pytest.raises(TypeError, match="stride_w: options go with an operator"):
        check(models.chain(2), {"NEG": negated}, stride_w=1)
    with pytest.raises(ZeroDivisionError) as raised:
        check("NEG", lambda i, o, n: 1 // 0, [X])
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == ["in the kernel given for node 0, NEG"]
