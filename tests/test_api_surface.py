"""The official API, case by case (tests/api_cases.py): by its table, and live against the official runtime."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minitfl.interpreter
from tests import oracle
from tests.api_cases import CASES, outcome


@pytest.fixture(scope="module")
def officials():
    """The outcomes of all cases on the official runtime, in a process of its own."""
    if not oracle.available():
        pytest.skip(oracle.MISSING)
    failure = ""
    for module in ("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.api_cases", module],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if done.returncode == 0:
            return json.loads(done.stdout)
        failure += done.stderr
    pytest.fail(failure)


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    """An error of the right words where one is due, else none."""
    function, text = CASES[name]
    kind, *rest = outcome(function, minitfl.interpreter)
    if text is None:
        assert kind == "ok", rest
    else:
        assert kind == "error", rest
        assert re.search(text, rest[1])


@pytest.mark.parametrize("name", CASES)
def test_case_as_the_official_runtime(name, officials):
    """The same value; or an error that is of the same type, among others, and both have the words."""
    function, text = CASES[name]
    wanted = officials[name]
    found = json.loads(json.dumps(outcome(function, minitfl.interpreter)))
    assert found[0] == wanted[0], (found, wanted)
    if wanted[0] == "ok":
        assert found == wanted
    else:
        assert wanted[1][0] in found[1]
        assert re.search(text, wanted[2]), "the table is wrong about the official words"
        assert re.search(text, found[2])
