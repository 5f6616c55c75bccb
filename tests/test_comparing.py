"""compare: two models, two arithmetics, and the official runtime, layer by layer."""

import json
import math

import numpy as np
import pytest

from minitfl import Interpreter, comparing, quantized
from minitfl import compare as compare_models
from minitfl import official as runner
from minitfl.__main__ import main
from minitfl.build import Model
from minitfl.commands.classify import MODEL, PICTURE
from tests import small_models as models
from tests.cases import shared_model

X = np.array([[1, 2, 3, 4]], np.float32)
WEIGHTS = np.float32([[0.5, -1, 0.25, 1], [1, 1, -0.5, 0.5]])


def two_layers(type="float32", names=("x", "hidden", "y"), swapped=False):
    """y = relu(w @ x) * 2, on floats or quantized; swapped: the weights of the two units change places."""
    q = {"float32": [{}, {}, {}], "int8": [{"scale": s, "zero_point": z} for s, z in ((0.05, -10), (0.1, 3), (0.2, 0))]}
    weights = WEIGHTS[::-1] if swapped else WEIGHTS
    m = Model()
    x = m.input((1, 4), type, name=names[0], **q[type][0])
    hidden, y = (m.tensor((1, 2), type, name=name, **numbers) for name, numbers in zip(names[1:], q[type][1:]))
    if type == "int8":
        w = m.constant(quantized(weights, 1 / 64).array, "int8", scale=1 / 64)
        two = m.constant(np.int8([20]), scale=0.1)
    else:
        w, two = m.constant(weights), m.constant(np.float32([2]))
    m.op("FULLY_CONNECTED", [x, w, None], [hidden], fused_activation_function="RELU")
    m.op("MUL", [hidden, two], [y])
    m.output(y)
    return m.content()


def two_inputs():
    m = Model()
    y = m.tensor((1, 4))
    m.op("ADD", [m.input((1, 4), name="a"), m.input((1, 4), name="b")], [y])
    m.output(y)
    return m.content()


# ---- two models


def test_by_hand():
    """x = 1 2 3 4: w @ x = 0.5 - 2 + 0.75 + 4 = 3.25 and 1 + 2 - 1.5 + 2 = 3.5; the other way round with swapped."""
    found = compare_models(two_layers(), two_layers(swapped=True), X)
    hidden, y = found.rows
    assert (hidden.node, hidden.op, hidden.name, hidden.types) == (0, "FULLY_CONNECTED", "hidden", ("float32",) * 2)
    assert hidden.metrics["max"] == 0.25 and hidden.metrics["mse"] == 0.0625 and hidden.most == 3.5
    assert math.isclose(hidden.metrics["cosine"], 2 * 3.25 * 3.5 / (3.25**2 + 3.5**2))
    assert math.isclose(hidden.metrics["snr"], 10 * math.log10((3.25**2 + 3.5**2) / (2 * 0.0625)))
    assert y.metrics["max"] == 0.5 and found.first is hidden and hidden.steps is None


def test_a_float_and_a_quantized_model():
    found = compare_models(two_layers(), two_layers("int8"), {"x": X})
    assert [row.types for row in found.rows] == [("float32", "int8")] * 2
    assert found.rows[0].metrics["max"] <= 0.1 and found.rows[1].metrics["max"] <= 0.3  # a step of each, and inputs'
    assert found.first is None  # within a tenth
    assert compare_models(two_layers(), two_layers("int8"), X, tolerance=1e-3).first.name == "hidden"
    assert compare_models(two_layers(), two_layers("int8", swapped=True), X, tolerance=0.06).first.name == "hidden"


def test_stored_inputs_become_real_ones_for_the_other():
    stored = quantized(X, 0.05, -10).array
    forth = compare_models(two_layers("int8"), two_layers(), stored)
    back = compare_models(two_layers(), two_layers("int8"), X)
    assert [row.metrics["max"] for row in forth.rows] == [row.metrics["max"] for row in back.rows]


@pytest.mark.parametrize(
    ("a", "b", "layers"), [("ad01_fp32", "ad01_int8", 10), ("kws_ref_model_float32", "kws_ref_model", 13)]
)
def test_converted_pairs(a, b, layers):
    """Networks as a converter left them: every layer finds its counterpart, and each is nearer to it than to 0."""
    paths = [str(shared_model(f"mlperf_tiny/{name}.tflite")) for name in (a, b)]
    found = compare_models(*paths, samples=2)
    assert len(found.rows) == layers
    assert all(row.types == ("float32", "int8") and row.metrics["snr"] > 0 for row in found.rows)


def test_other_names_are_matched_by_operator_and_order():
    found = compare_models(two_layers(), two_layers("int8", names=("image", "Relu", "out")), X)
    assert [(row.name, row.other) for row in found.rows] == [("hidden", "Relu"), ("y", "out")]
    mixed = compare_models(two_layers(), two_layers(names=("x", "Relu", "y")), X)
    assert [(row.name, row.other) for row in mixed.rows] == [("hidden", "Relu"), ("y", "y")]


def test_what_has_no_counterpart_is_listed():
    found = compare_models(models.chain(2), models.chain(4))
    assert [row.name for row in found.rows] == ["step0", "step1"] and found.unmatched == ((), ("step2", "step3"))
    with pytest.raises(ValueError, match="no tensor of one model has a counterpart"):
        compare_models(models.chain(2), two_layers(names=("x", "a", "b")), np.zeros((1, 8), np.float32))


def test_samples_add_up():
    one, both = X, [X, {"x": 3 * X}]
    single = compare_models(two_layers(), two_layers(swapped=True), one)
    several = compare_models(two_layers(), two_layers(swapped=True), both)
    assert several.samples == 2 and several.rows[0].metrics["max"] == 3 * single.rows[0].metrics["max"]
    assert several.rows[0].metrics["mse"] == single.rows[0].metrics["mse"] * (1 + 9) / 2
    assert math.isclose(several.rows[0].metrics["snr"], single.rows[0].metrics["snr"])


def test_random_samples_are_the_same_each_time():
    a = compare_models(two_layers(), two_layers("int8"), seed=3, samples=5)
    b = compare_models(two_layers(), two_layers("int8"), seed=3, samples=5)
    c = compare_models(two_layers(), two_layers("int8"), seed=4, samples=5)
    assert a.rows == b.rows != c.rows and a.samples == 5


def test_a_kernel_of_ones_own():
    """Where a wrong kernel does not run alone, all that follows is off: `first` is the place to look."""

    def pool(inputs, options, node):
        x = inputs[0]
        y = x.reshape(1, x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3]).max((2, 4))
        return np.minimum(y, 0) if node.index == 3 else y

    pixels = (np.load(PICTURE).reshape(1, 8, 8, 1) / 255).astype(np.float32)
    found = compare_models(str(MODEL), Interpreter(str(MODEL), kernels={"MAX_POOL_2D": pool}), pixels)
    assert found.first.node == 3 and found.first.steps > 0
    assert [row.node for row in found.rows if row.steps][:3] == [3, 4, 5]


def test_not_a_number_counts_as_far():
    log = Model()
    x, y = log.input((2,)), log.tensor((2,))
    log.op("LOG", [x], [y])
    log.output(y)
    other = Interpreter(model_content=log.content(), kernels={"LOG": lambda i, o, n: np.zeros(2, np.float32)})
    assert compare_models(log.content(), log.content(), np.float32([-1, 0])).first is None
    apart = compare_models(log.content(), other, np.float32([-1, 1])).first.metrics
    assert apart == {"max": math.inf, "mse": math.inf, "cosine": 0.0, "snr": -math.inf}


def test_the_table(capsys):
    found = compare_models(two_layers(), two_layers(swapped=True), X, metrics=["snr", "max"])
    found.table()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["operator", "types", "shape", "snr", "max", "steps", "tensor"]
    assert lines[3].split() == ["0", "FULLY_CONNECTED", "float32", "1x2", "22.61", "0.25", "<-", "hidden"]
    assert repr(found).splitlines() == lines


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "text"),
    [
        ((two_layers(), two_layers()), {"metrics": ["median"]}, ValueError, "there is no metric median"),
        ((two_layers(), two_layers(), {"z": X}), {}, ValueError, "'z' is no input"),
        ((two_layers(), two_layers(), []), {}, ValueError, "there is no sample"),
        ((two_layers(), two_inputs()), {}, ValueError, "the inputs of one model, x, are not those of"),
        ((two_layers(), "official:FAST"), {}, ValueError, "no official resolver 'FAST'"),
        (("missing.tflite", two_layers()), {}, ValueError, "missing.tflite"),
    ],
)
def test_wrong_use(arguments, keywords, error, text):
    with pytest.raises(error, match=text):
        compare_models(*arguments, **keywords)


# ---- the official runtime


def test_the_official_reference_agrees(official):
    found = compare_models(str(MODEL), "official", samples=3)
    assert len(found.rows) == 9 and found.first is None and found.unmatched == ((), ())
    assert all(row.steps == 0 and row.metrics["snr"] == math.inf for row in found.rows)


def test_xnnpack_differs_by_steps(official):
    found = compare_models(str(MODEL), "official:AUTO", samples=3)
    assert found.first is not None and 1 <= found.first.steps <= 2


def test_a_refusal_is_told(official):
    with pytest.raises(RuntimeError, match=r"the official runtime refuses: .*Error"):
        runner.run(b"no model at all", [{}], [0])


def test_a_death_is_told(official):
    """The reference SOFTMAX aborts where a row's sum of exponentials reaches 512."""
    m = Model()
    x, y = (
        m.input((1, 600), "int8", scale=0.1, zero_point=0),
        m.tensor((1, 600), "int8", scale=1 / 256, zero_point=-128),
    )
    m.op("SOFTMAX", [x], [y], beta=1.0)
    m.output(y)
    with pytest.raises(RuntimeError, match=r"the official runtime died with (SIGABRT|exit code \d+) on this model"):
        compare_models(m.content(), "official", np.zeros((1, 600), np.int8))
    assert compare_models(m.content(), m.content(), np.zeros((1, 600), np.int8)).first is None


def test_without_an_official_runtime(monkeypatch):
    monkeypatch.setattr(runner, "RUNTIMES", ("no_such_runtime",))
    with pytest.raises(RuntimeError, match="no official runtime is installed"):
        compare_models(two_layers(), "official", X)


# ---- on the command line


def test_the_command(tmp_path, capsys):
    a, b, x = tmp_path / "a.tflite", tmp_path / "b.tflite", tmp_path / "x.npy"
    a.write_bytes(two_layers())
    b.write_bytes(two_layers(swapped=True))
    np.save(x, X)
    assert main(["compare", str(a), str(b), "--input", str(x)]) == 0
    assert "FULLY_CONNECTED  float32  1x2    0.25  0.0625" in capsys.readouterr().out
    assert main(["compare", str(a), str(a), "--input", f"x={x}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"][0]["metrics"] == {"max": 0.0, "mse": 0.0, "cosine": 1.0, "snr": "inf"}
    b.write_bytes(models.chain(2))
    assert main(["compare", str(a), str(tmp_path / "none")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["compare", str(a), str(b), "--samples", "0"]) == 2
    assert main(["compare", str(a), str(b), "--input", f"z={x}"]) == 1
    assert "'z' is no input" in capsys.readouterr().err
    assert main(["compare", str(a), "official:FAST"]) == 1


def test_the_worker_knows_nothing_of_minitfl():
    assert "minitfl" not in runner.WORKER.read_text().partition('"""')[2].partition('"""')[2]
    assert comparing.METRICS == ("max", "mse", "cosine", "snr")
