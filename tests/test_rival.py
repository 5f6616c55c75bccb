"""minitfl.rival: both runtimes get the same inputs and take turns; what is said where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minitfl import Interpreter, rival
from tests import small_models as models


@pytest.mark.parametrize("name", ["a_race", "a_model_that_is_refused"])
def test_in_a_process_of_its_own(official, name):
    """As this one never loads the official runtime."""
    root = Path(__file__).parents[1]
    words = [sys.executable, "-c", f"from tests import test_rival; test_rival.{name}()"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def a_race():
    interpreter = Interpreter(model_content=models.chain(3))
    interpreter.resize_tensor_input(0, [2, 8])
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones((2, 8), np.float32))
    told = []
    found = rival.race(interpreter, blocks=5, seconds=0.001, progress=told.append)
    assert found.blocks == 5 and told[-1] == 1 and found.runtime.startswith("LiteRT ")
    assert found.seconds > 0 and found.official_seconds > 0
    assert 0 < found.low <= found.ratio <= found.high
    assert f"ratio {found.ratio:.3f}" in str(found)


def a_model_that_is_refused():
    interpreter = Interpreter(model_content=models.custom("Own"), custom_ops={"Own": lambda inputs, options: inputs[0]})
    interpreter.allocate_tensors()
    with pytest.raises(RuntimeError, match=r"the official runtime refuses: .*Own"):
        rival.race(interpreter)


def test_none_is_installed(monkeypatch):
    monkeypatch.setattr(rival.importlib.util, "find_spec", lambda name: None)
    assert not rival.installed()
    with pytest.raises(RuntimeError, match="pip install ai-edge-litert"):
        rival.opened(b"", 1)
