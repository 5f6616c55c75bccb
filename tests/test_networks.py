"""Networks that TensorFlow converts, in every variant: node by node, end to end, resized, and by signature.

They are built and converted by `tests.networks.build` in a process of its own, once for each state of its source, into
MINITFL_NETWORKS or the cache of pytest. Nothing here imports tensorflow.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from minitfl import Interpreter
from minitfl.load import load_model
from tests.cases import compare, ours
from tests.lockstep import forced
from tests.networks.table import HOLDS, LEFT_FLOAT, REFUSED, VARIANTS
from tests.test_lockstep import OPTIMISED, drawn, drawn_inputs

ROOT = Path(__file__).parents[1]
SOURCES = [Path(__file__).with_name("networks") / name for name in ("build.py", "models.py", "table.py")]
CONVERTED = [(name, variant) for name in VARIANTS for variant in VARIANTS[name] if (name, variant) not in REFUSED]
# not in the reference resolver
RESOLVER = {"lookup": OPTIMISED}
SECONDS = 1200  # to build and convert them all


@pytest.fixture(scope="session")
def networks(request):
    """The folder of the converted networks."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs tensorflow, to convert the networks")
    digest = hashlib.sha256(importlib.metadata.version("tensorflow").encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    folder = _cache(request.config) / digest.hexdigest()[:16]
    with _locked(folder):
        if not (folder / "DONE").exists():
            _build(folder)
    return folder


def _cache(config):
    if "MINITFL_NETWORKS" in os.environ:
        return Path(os.environ["MINITFL_NETWORKS"])
    cache = getattr(config, "cache", None)
    return Path(cache.mkdir("networks") if cache else tempfile.gettempdir()) / "minitfl-networks"


def _build(folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.networks.build", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert (folder / "DONE").exists(), f"the networks can't be built:\n{done.stderr[-4000:]}"


@contextlib.contextmanager
def _locked(folder):
    """One process builds, the others wait; where files can't be locked each builds for itself."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(folder / "LOCK", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def content_of(networks, name, variant):
    return (networks / f"{name}.{variant}.tflite").read_bytes()


def inputs_of(name, graph, seed):
    """Random inputs of the first subgraph, words for the one that takes words."""
    if name == "lookup":
        return [np.array([b"dog", b"fish", b"cat"], object)]
    return drawn_inputs(graph, seed)


def ops_of(graph):
    return {node.op for subgraph in graph.subgraphs for node in subgraph.nodes}


def float_ops(graph):
    """The operators that read or write floats."""
    return {
        node.op
        for subgraph in graph.subgraphs
        for node in subgraph.nodes
        if any(i >= 0 and subgraph.tensors[i].dtype.kind == "f" for i in (*node.inputs, *node.outputs))
    }


def whole_bound(graph):
    """For floats of whole networks: each node may be off by what sums over 64 terms are, next to the largest value."""
    nodes = sum(len(subgraph.nodes) for subgraph in graph.subgraphs)
    return lambda y: 64 * nodes * 2.0**-24 * max(1.0, float(np.abs(y).max(initial=0)))


# ---- node by node


@pytest.mark.parametrize("name, variant", CONVERTED)
def test_every_tensor(official, networks, name, variant):
    content = content_of(networks, name, variant)
    graph = load_model(content)
    assert set(HOLDS[name].split()) <= ops_of(graph)
    for seed in range(2):
        inputs = inputs_of(name, graph, seed)
        resolver = RESOLVER.get(name, "BUILTIN_REF")
        outcome = forced(content, inputs, official.tensors(content, inputs, resolver=resolver))
        assert outcome.tensors >= len(graph.subgraphs[0].outputs)
        if not float_ops(graph):
            compare(ours(content, inputs), official.run(content, inputs, resolver=resolver), place="end to end, ")


@pytest.mark.parametrize("name, variant", REFUSED)
def test_what_the_converter_refuses(networks, name, variant):
    assert REFUSED[name, variant] in (networks / f"{name}.{variant}.txt").read_text()


@pytest.mark.parametrize("name, variant", [pair for pair in CONVERTED if pair[1] in ("int8", "int16x8", "sparse_int8")])
def test_quantized_networks_are_of_integers(networks, name, variant):
    floats = float_ops(load_model(content_of(networks, name, variant)))
    assert floats <= {"QUANTIZE", "DEQUANTIZE"} | LEFT_FLOAT.get((name, variant), set())


def test_pruned_weights_are_stored_sparse(networks):
    for variant in VARIANTS["pruned"]:
        tensors = load_model(content_of(networks, "pruned", variant)).subgraphs[0].tensors
        assert sum(bool(t.sparsity) for t in tensors) >= 2


# ---- other batches

RESIZED = [
    (name, variant)
    for name, variant in CONVERTED
    if name in ("cnn", "separable", "residual", "inception", "unet", "conv3d", "audio", "transformer", "text")
    and variant in ("float32", "float16")
]


@pytest.mark.parametrize("name, variant", RESIZED)
def test_a_batch_of_any_size(official, networks, name, variant):
    content = content_of(networks, name, variant)
    graph = load_model(content)
    (x,) = drawn_inputs(graph, 2)
    rng = np.random.default_rng(0)
    turns = [[rng.permutation(np.repeat(x, n, axis=0).ravel()).reshape(n, *x.shape[1:])] for n in (1, 3, 2, 3)]
    theirs = official.run(content, turns, sequence=True)
    for n, (mine, other) in enumerate(zip(ours(content, turns, sequence=True), theirs)):
        compare(mine, other, bound=whole_bound(graph), place=f"invoke {n}, ")


# ---- by signature


def call(content, calls):
    """minitfl's results of several signature calls, (key, {input name: array}), on one interpreter."""
    interpreter = Interpreter(model_content=content)
    return [interpreter.get_signature_runner(key)(**inputs) for key, inputs in calls]


def check_calls(official, content, calls, resolver="BUILTIN_REF"):
    bound = whole_bound(load_model(content))
    mine = call(content, calls)
    for (key, _), a, b in zip(calls, mine, official.signatures(content, calls, resolver=resolver)):
        assert list(a) == list(b)
        compare(list(a.values()), list(b.values()), bound=bound, place=f"{key}: ")
    return mine


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name][0] == "float32"])
def test_signatures(official, networks, name):
    """Each by its name, with its inputs by their names."""
    content = content_of(networks, name, "float32")
    graph = load_model(content)
    calls = []
    for signature in graph.signatures:
        subgraph = graph.subgraphs[signature.subgraph]
        arrays = dict(zip(subgraph.inputs, _drawn_of(name, graph, signature.subgraph)))
        calls.append((signature.key, {key: arrays[i] for key, i in signature.inputs.items()}))
    check_calls(official, content, calls, RESOLVER.get(name, "BUILTIN_REF"))


def _drawn_of(name, graph, index):
    if name == "lookup":
        return inputs_of(name, graph, 0)
    rng = np.random.default_rng(5)
    subgraph = graph.subgraphs[index]
    return [drawn(rng, subgraph.tensors[i]) for i in subgraph.inputs]


def test_learning(official, networks):
    """Trains, takes the weights out, trains on, and puts them back: what is inferred is as it was."""
    content = content_of(networks, "learner", "float32")
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
    y = rng.uniform(-1, 1, (3, 2)).astype(np.float32)
    train, infer, save = ("train", {"x": x, "y": y}), ("infer", {"x": x}), ("save", {"unused": np.zeros(1, np.float32)})
    *_, learned, weights = check_calls(official, content, [infer, *[train] * 8, infer, save])
    kept = {key: weights[key] for key in "wbv"}
    calls = [train, train, save, ("restore", kept), infer, train]
    results = check_calls(official, content, [*[train] * 8, *calls])
    losses = [float(result["loss"]) for result in results if "loss" in result]
    assert losses[7] < 0.8 * losses[0] and losses[-1] < losses[7]
    assert int(results[-1]["steps"]) == 11
    assert np.array_equal(results[-2]["y"], learned["y"])


def test_words(official, networks):
    content = content_of(networks, "lookup", "float32")
    words = {"words": np.array([b"bird", b"", b"dog", b"cat"], object)}
    (result,) = check_calls(official, content, [("serving_default", words)], OPTIMISED)
    assert result["numbers"].tolist() == [3, 0, 2, 1]
    assert result["names"].tolist() == [b"bird", b"?", b"dog", b"cat"]
