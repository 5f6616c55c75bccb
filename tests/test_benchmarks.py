"""The benchmark scripts run and print what they promise; nothing is said about speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minitfl.build import Model

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(script, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINITFL_")}
    command = [sys.executable, FOLDER / script, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def model(tmp_path):
    m = Model()
    x = m.input((1, 100), name="x")
    y = m.tensor((1, 100))
    m.op("ADD", [x, m.constant(np.ones((1, 100), np.float32))], [y])
    m.output(y)
    path = tmp_path / "plus_one.tflite"
    path.write_bytes(m.content())
    return path


def test_latency(model, official):
    found = json.loads(script("latency.py", model, "--blocks", 3, "--json"))
    (row,) = found["rows"]
    assert row["model"] == "plus_one" and row["arena_bytes"] == row["bound_bytes"] == 2 * 448
    for runtime in ("minitfl", "builtin", "xnnpack"):
        assert row[f"{runtime}_ms"] > 0 and row[f"{runtime}_peak_mib"] > 5
    assert row["ratio_to_builtin"] == pytest.approx(found["summary"]["ratio_to_builtin"])


def test_a_zoo_and_a_model_that_fails(model):
    (model.parent / "broken.tflite").write_bytes(b"broken")
    output = script("latency.py", "--zoo", model.parent, "--blocks", 1)
    assert "plus_one" in output and "not a valid Flatbuffer" in output and "geometric mean" in output


def test_import_time():
    found = json.loads(script("import_time.py", "--runs", 1, "--json"))
    assert {"import numpy", "import minitfl", "minitfl: import and a first answer"} <= set(found)
    assert all(0 < milliseconds < 60_000 for milliseconds in found.values())
