"""The embedded model: as good as it is said to be, on digits that it was not trained on."""

from importlib.resources import files

import numpy as np
import pytest

from minitfl import Interpreter, pictures
from minitfl.metadata import ENTRY, normalisation
from tests.cases import compare

DATA = files("minitfl") / "data"


@pytest.fixture(scope="module")
def held_out():
    with np.load(str(DATA / "digits_held_out.npz")) as arrays:
        return arrays["pictures"], arrays["labels"]


@pytest.fixture
def content():
    return (DATA / "digits.tflite").read_bytes()


def inputs(interpreter, held_out):
    """What `minitfl classify` would feed, for every held-out picture."""
    tensor = interpreter._interpreter.graph.subgraphs[0].tensors[interpreter.get_input_details()[0]["index"]]
    place = pictures.layout(tensor.shape, tensor.shape_signature)
    return np.concatenate([pictures.prepare(p[..., None], tensor, place) for p in held_out[0]])


def test_held_out_accuracy(content, held_out):
    interpreter = Interpreter(model_content=content)
    (scores,) = interpreter(inputs(interpreter, held_out)).values()
    accuracy = np.mean(scores.argmax(axis=1) == held_out[1])
    assert scores.shape == (360, 10) and accuracy >= 0.97, accuracy


def test_equals_the_official_runtime(content, held_out, official):
    interpreter = Interpreter(model_content=content)
    x = inputs(interpreter, held_out)
    compare(list(interpreter(x).values()), official.run(content, [x], resolver="BUILTIN_REF"))


def test_held_out_digits_are_a_fair_sample(held_out):
    shown, labels = held_out
    assert shown.shape == (360, 8, 8) and shown.dtype == np.uint8 and shown.min() == 0 and shown.max() == 255
    assert np.bincount(labels, minlength=10).min() > 20
    assert np.array_equal(np.load(str(DATA / "digit.npy")), shown[0]) and labels[0] == 6


def test_int8_throughout(content):
    interpreter = Interpreter(model_content=content)
    assert [d["dtype"] for d in (*interpreter.get_input_details(), *interpreter.get_output_details())] == [np.int8] * 2
    ops = {d["op_name"] for d in interpreter._get_ops_details()}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"} <= ops
    assert not any(t.type.startswith("float") for t in interpreter._interpreter.graph.subgraphs[0].tensors)


def test_labels_and_normalisation_are_in_the_model(content):
    interpreter = Interpreter(model_content=content)
    assert interpreter.labels == [str(digit) for digit in range(10)]
    assert normalisation(interpreter.metadata[ENTRY]) == ((0.0,), (255.0,))
    # (p - 0) / 255 in this input's scale is p - 128, which is what classify feeds
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    pixels = np.arange(256)
    assert np.array_equal(np.rint(pixels / 255 / scale) + zero, pixels - 128)


def test_small():
    assert sum(len(f.read_bytes()) for f in DATA.iterdir()) < 200_000
