"""Models that break the format: what the official runtime refuses is refused at the same call, with the same type."""

import numpy as np
import pytest

from minitfl import Interpreter, ModelError
from tests.cases import compare, shared_models
from tests.oracle import Died, Error

# Run officially, with a meaning that we refuse: why, and what our error says.
REFUSED = {
    "fused_activation_bad": ("an activation that the schema does not have is taken for none", "ActivationFunctionType"),
    "pool_filter0": ("a window without values has no average and no largest value", "filter"),
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


@pytest.mark.parametrize("path", shared_models("../malformed/*.tflite"))
def test_malformed(official, path):
    content = path.read_bytes()
    stage, mine = ours(content)
    if path.stem in REFUSED:
        assert isinstance(mine, ModelError) and REFUSED[path.stem][1] in str(mine), f"{stage}: {mine!r}"
        return
    try:
        shapes = [(d["shape"], d["dtype"]) for d in official.details(content, allocate=False)["inputs"]]
        theirs = official.run(content, [np.zeros(shape, dtype) for shape, dtype in shapes])
    except Error as error:
        assert stage == error.stage, f"{stage}: {mine!r}, officially {error}"
        assert isinstance(mine, ModelError)
        assert any(kind.__name__ == error.type for kind in type(mine).__mro__), f"{mine!r}, officially {error}"
        assert (
            path.stem in ("conv_filter_buffer_short",)
            or "node" in str(mine)
            or stage == "construct"
            or "ensor" in str(mine)
        )
        return
    except Died:
        assert isinstance(mine, ModelError)
        return
    assert stage == "run", f"{stage}: {mine!r}"
    compare(mine, theirs, ulps=4)
