"""The benchmark scripts run and print what they promise; nothing is said about speed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from minitfl.build import Model

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(script, *words):
    kept = (name for name in os.environ if not name.startswith("MINITFL_") or name == "MINITFL_CACHE")
    environment = {name: os.environ[name] for name in kept}
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
    path = tmp_path / "plus_one_f32.tflite"
    path.write_bytes(m.content())
    return path


def test_the_results_page(model, official):
    """A zoo of two, one of them broken; what is measured is kept, and the page can be written anew."""
    (model.parent / "broken_i8.tflite").write_bytes(b"broken")
    words = ("run.py", "--zoo", model.parent, "--out", model.parent / "out", "--quick")
    script(*words)
    files = {path.name: path.read_text() for path in (model.parent / "out").iterdir()}
    assert set(files) == {"RESULTS.md", "results.json", "results.svg"}
    found = json.loads(files["results.json"])["networks"]
    row = found["plus_one_f32"]
    assert row["sets"] == ["float32"] and row["ms"] > 0 and row["xnnpack_ms"] > 0 and row["ratio"] > 0
    assert row["arena_nbytes"] == 2 * 448 and row["operators"].popitem()[1]["nbytes"] == 1200
    assert set(row["cold_seconds"]) == {"minitfl", "xnnpack"} and row["peak_mib"]["minitfl"] > 5
    assert "error" in found["broken_i8"] and "- broken_i8: " in files["RESULTS.md"]
    assert f"| {row['ratio']:.3f} plus_one_f32 |" in files["RESULTS.md"]
    assert f"plus_one_f32: {row['ratio']:.3f}" in [element.text for element in fromstring(files["results.svg"]).iter()]
    (model.parent / "out" / "RESULTS.md").unlink()
    script(*words)
    again = json.loads((model.parent / "out" / "results.json").read_text())["networks"]
    assert again["plus_one_f32"] == json.loads(files["results.json"])["networks"]["plus_one_f32"]
    assert (model.parent / "out" / "RESULTS.md").read_text() == files["RESULTS.md"]


def test_the_roofline():
    pytest.importorskip("numba")
    found = json.loads(script("roofline.py"))
    assert found["int8"] > 1e8 and found["fma"] > 1e8 and found["read_1_mib"] > 1e8


def test_nodes(model, official):
    output = script("nodes.py", model, "--blocks", 2).splitlines()
    assert output[0].startswith("plus_one_f32.tflite: lost ") and output[-1].split()[:2] == ["ADD", "float32"]


def test_the_figures_of_the_page():
    """Ratios by hand: 10 ms against 20, where the products alone would take 4 and the bytes of the second 5."""
    spec = importlib.util.spec_from_file_location("page", FOLDER / "page.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    operator = {"count": 1, "ms": 5.0, "integer_macs": 0, "float_macs": 1000, "nbytes": 1}
    operators = {"CONV_2D numba": operator, "ADD numpy": {**operator, "float_macs": 0, "nbytes": 5000}}
    row = {"ms": 10.0, "xnnpack_ms": 20.0, "ratio": 0.5, "ratio_low": 0.4, "ratio_high": 0.6, "numpy_share": 0.5}
    row |= {"operators": operators, "sets": ["float32"]}
    peaks = {"fma": 250_000.0, "int8": 1.0, "read_1_mib": 1e6}
    assert page.least_ms(row, peaks) == 4 and page.least_ms(row, peaks, True) == pytest.approx(9)
    assert page.least_ms(row, {}) is None
    text = "\n".join([*page.summary({"net": row}, {"peaks": peaks}), *page.table({"net": row}, peaks)])
    assert "| float32 | 0.500 | 0.200 | 0.450 | 0.500 net | 1 of 1 |" in text
    assert "| net | 10.0 | 20.0 | 0.500 | 0.40 .. 0.60 | 0.200 | 0.450 | 40 % | 50.0 % |" in text
    row |= {"two_threads": 1.5, "constants_nbytes": 2_000_000, "packed_nbytes": 2_200_000}
    bounds = list(page.bounds({"net": row, "other": {**row, "two_threads": 1.9, "constants_nbytes": 0}}))
    assert bounds[2] == "| 2 threads over one, networks of 3 ms and more | 1.70 | 1.50 net |"
    assert bounds[-1] == "| packed over constants, above 1 MB | 1.10 | 1.10 net |"
    assert page.mean([1, 4, None]) == 2 and page.mean([]) is None
    assert [page.milliseconds(value) for value in (0.00123, 1.234, 123.4, 0)] == ["0.00123", "1.23", "123", "0"]


def test_import_time():
    found = json.loads(script("import_time.py", "--runs", 1, "--json"))
    assert {"import numpy", "import minitfl", "minitfl: import and a first answer"} <= set(found)
    assert all(0 < milliseconds < 60_000 for milliseconds in found.values())
