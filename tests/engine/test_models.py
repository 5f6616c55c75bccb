"""Every shared model and every converted network, step by step: fast forms against NumPy, with guard zones.

`python -m tests.engine.test_models` tells which steps of them have a fast form.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minitfl.errors import ModelError
from minitfl.load import load_model
from minitfl.runtime import Runtime
from tests.cases import shared_model, shared_models
from tests.engine.between import between
from tests.test_lockstep import COMPARED, drawn_inputs
from tests.test_networks import CONVERTED, content_of, inputs_of

pytest.importorskip("numba")


def judge(content):
    """{"numba": [op, ...], "loops": ..., "numpy": ...} of the steps, which agree; None of a model that can't run."""
    try:
        graph = load_model(content)
        Runtime(graph, layer="numpy").instance(0).allocate()
    except ModelError:
        return None
    inputs = drawn_inputs(graph, 0)
    zeros = [a if a.dtype == object else np.zeros_like(a) for a in inputs]
    try:
        return between(content, inputs)
    except ModelError:  # where random inputs are refused, as indices out of range
        try:
            return between(content, zeros)
        except ModelError:
            return None


@pytest.mark.parametrize("folder", COMPARED)
def test_each_step_in_both_layers(folder):
    steps, run, failures = Counter(), 0, []
    for path in sorted(shared_model(folder).glob("*.tflite")):
        try:
            found = judge(path.read_bytes())
        except AssertionError as error:
            failures.append(f"{path.stem}: {error}")
            continue
        run += found is not None
        steps.update({layer: len(ops) for layer, ops in (found or {}).items()})
    print(folder, dict(steps))
    assert not failures, "\n\n".join(failures)
    assert run >= COMPARED[folder][0]


@pytest.mark.parametrize("name, variant", CONVERTED)
def test_each_step_of_converted_networks(networks, name, variant):
    content = content_of(networks, name, variant)
    between(content, inputs_of(name, load_model(content), 0))


def main():
    """Of the models named, else of the shared ones."""
    totals = {"numba": Counter(), "loops": Counter(), "numpy": Counter()}
    for path in sys.argv[1:] or [parameter.values[0] for parameter in shared_models()]:
        found = judge(Path(path).read_bytes())
        if found is None:
            print(f"{path}: can't run")
            continue
        slow = Counter(found["loops"] + found["numpy"])
        print(f"{path}: {len(found['numba'])} fast, others: {dict(slow)}")
        for layer, ops in found.items():
            totals[layer].update(ops)
    for layer, ops in totals.items():
        print(
            f"\n{layer}: {sum(ops.values())} steps", *(f"{count:5} {op}" for op, count in ops.most_common()), sep="\n"
        )


if __name__ == "__main__":
    sys.exit(main())
