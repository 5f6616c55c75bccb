"""Models that break the format: what the official runtime refuses is refused at the same call, with the same type."""

import numpy as np
import pytest

from minitfl import Interpreter, ModelError
from tests.cases import compare, shared_models
from tests.oracle import Died, Error

# Run officially, with a meaning that we refuse: why, and what our error says.
REFUSED = {
    "fused_activation_bad": ("an activation that the schema does not have is taken for none", "ActivationFunctionType"),
    "transpose_perm_dup": ("a permutation that names an axis twice reads only a part of the input", "twice"),
    "add_rank_100": ("more axes than an array can have", "axes"),
}


def ours(content):
    """(stage, what came of it): the outputs, or the exception."""
    stage = "construct"
    try:
        interpreter = Interpreter(model_content=content)
        stage = "allocate"
        interpreter.allocate_tensors()
        stage = "set"
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        stage = "invoke"
        interpreter.invoke()
        stage = "get"
        return "run", [np.asarray(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()]
    except Exception as error:
        return stage, error


def run_officially(official, content):
    """The outputs for zeros. What is too large to be made up is not even asked for: allocating it has to fail."""
    details = official.details(content, allocate=False)["inputs"]
    if any(np.prod(d["shape"], dtype=object) > 1 << 30 for d in details):
        outcome = official.steps(content, [("allocate_tensors",)])[0]
        raise Error("allocate", *outcome[1:])
    return official.run(content, [np.zeros(d["shape"], d["dtype"]) for d in details])


@pytest.mark.parametrize("path", shared_models("../malformed/*.tflite"))
def test_malformed(official, path):
    content = path.read_bytes()
    stage, mine = ours(content)
    if path.stem in REFUSED:
        assert isinstance(mine, ModelError) and REFUSED[path.stem][1] in str(mine), f"{stage}: {mine!r}"
        return
    try:
        theirs = run_officially(official, content)
    except Error as error:
        assert stage == error.stage, f"{stage}: {mine!r}, officially {error}"
        assert isinstance(mine, ModelError)
        assert any(kind.__name__ == error.type for kind in type(mine).__mro__), f"{mine!r}, officially {error}"
        assert stage == "construct" or "node" in str(mine) or "ensor" in str(mine), "the place is not named"
        return
    except Died:
        assert isinstance(mine, ModelError)
        return
    assert stage == "run", f"{stage}: {mine!r}"
    compare(mine, theirs, ulps=4)
