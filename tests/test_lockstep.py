"""Every shared model that the official runtime runs, tensor by tensor, and end to end where all are integers."""

import numpy as np
import pytest

from minitfl.errors import ModelError
from minitfl.graph import OBJECTS
from minitfl.load import load_model
from tests.cases import OursFailed, compare, ours, shared_image, shared_model
from tests.lockstep import forced
from tests.oracle import Died, Error

OPTIMISED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"

# How many models of each folder are compared, with how many tensors; how many both refuse, at the same call.
COMPARED = {
    "coral": (9, 310, 1),
    "litert": (57, 124, 26),
    "mediapipe": (7, 16, 1),
    "micro": (58, 63, 4),
    "mlperf_tiny": (8, 125, 0),
}
# The official runtime dies on these; here they are refused.
DIES = {"litert/blockwise_quantized"}
# Nodes that are wrong officially: a BATCH_MATMUL takes scales per unit for 0, so that all of its outputs are 0.
WRONG = {"litert/static_w8_a16_quantized_q_einsum": {1}, "litert/static_w8_a16_quantized_v_einsum": {1}}


def drawn_inputs(graph, seed):
    """Seeded random values for each input: all of an 8-bit type, [-1, 1] for floats, small for what may be an index."""
    rng = np.random.default_rng(seed)
    subgraph = graph.subgraphs[0]
    return [drawn(rng, subgraph.tensors[i]) for i in subgraph.inputs]


def drawn(rng, tensor):
    shape = tensor.shape
    if tensor.type == "string":
        return np.full(shape, b"abc", object)
    if tensor.type == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if tensor.dtype.kind == "f":
        return rng.uniform(-1, 1, shape).astype(tensor.dtype)
    low, high = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "int16": (-1000, 1000)}.get(
        tensor.type, (0, 4)
    )
    return rng.integers(low, high, shape, endpoint=True).astype(tensor.dtype)


def run_officially(official, content, graph):
    """(inputs, tensors): on random inputs, or on zeros where these are refused, as indices out of range.

    Under the reference resolver, or the optimised one for models with an op that the reference lacks.
    """
    inputs = drawn_inputs(graph, 0)
    zeros = [a if a.dtype == object else np.zeros_like(a) for a in inputs]
    for resolver, arrays in (("BUILTIN_REF", inputs), ("BUILTIN_REF", zeros), (OPTIMISED, inputs), (OPTIMISED, zeros)):
        try:
            return arrays, official.tensors(content, arrays, resolver=resolver)
        except Error as error:
            last = error
    raise last


def all_integers(graph):
    return all(t.dtype.kind in "iub" and t.type not in OBJECTS for s in graph.subgraphs for t in s.tensors)


def judge(official, name, content):
    """Tensors compared for one model; 0 where both refuse it alike. AssertionError where they part."""
    try:
        graph = load_model(content)
    except ModelError as error:
        with pytest.raises(Error) as theirs:
            official.run(content, [])
        assert theirs.value.stage == "construct", f"refused here only: {error}"
        assert isinstance(error, ValueError)
        return 0
    try:
        inputs, tensors = run_officially(official, content, graph)
    except Died:
        assert name in DIES
        with pytest.raises(OursFailed) as mine:
            ours(content, drawn_inputs(graph, 0))
        assert isinstance(mine.value.error, ModelError)
        return 0
    except Error as refusal:
        with pytest.raises(OursFailed) as mine:
            ours(content, [np.zeros_like(a) if a.dtype != object else a for a in drawn_inputs(graph, 0)])
        assert mine.value.stage == refusal.stage, f"{mine.value}, officially {refusal}"
        assert any(kind.__name__ == refusal.type for kind in type(mine.value.error).__mro__)
        return 0
    outcome = forced(content, inputs, tensors, WRONG.get(name, ()))
    if all_integers(graph) and name not in WRONG:
        compare(ours(content, inputs), official.run(content, inputs), place="end to end, ")
    return outcome.tensors


@pytest.mark.parametrize("folder", COMPARED)
def test_every_tensor_of_every_model(official, folder):
    compared = tensors = refused = 0
    failures = []
    for path in sorted(shared_model(folder).glob("*.tflite")):
        name = f"{folder}/{path.stem}"
        try:
            count = judge(official, name, path.read_bytes())
        except (Exception, pytest.fail.Exception) as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
            continue
        compared += bool(count)
        refused += not count
        tensors += count
    assert not failures, "\n\n".join(failures)
    assert (compared, tensors, refused) == COMPARED[folder]


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224_quant", "mobilenet_v1_0.25_128_quant"])
def test_every_tensor_on_a_picture(official, name):
    image = pytest.importorskip("PIL.Image")
    content = shared_model(f"coral/{name}.tflite").read_bytes()
    graph = load_model(content)
    height, width = graph.subgraphs[0].tensors[graph.subgraphs[0].inputs[0]].shape[1:3]
    picture = np.asarray(image.open(shared_image("cat.bmp")).convert("RGB").resize((width, height)))[None]
    outcome = forced(content, [picture], official.tensors(content, [picture]))
    assert outcome.tensors == len(graph.subgraphs[0].nodes) and not outcome.unread
    compare(ours(content, [picture]), official.run(content, [picture]), place="end to end, ")
