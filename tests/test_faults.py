"""Each fault of tests/faults.py is planted in a copy of the project; the test it names must fail there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import FAULTS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """The package and its tests, to be damaged."""
    target = tmp_path_factory.mktemp("faults")
    leave = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("minitfl", "tests"):
        shutil.copytree(ROOT / name, target / name, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_fault_is_caught(official, copy, fault):
    path = copy / "minitfl" / fault.file
    sound = path.read_text()
    assert sound.count(fault.old) == 1, f"{fault.file} holds the text {sound.count(fault.old)} times"
    path.write_text(sound.replace(fault.old, fault.new))
    try:
        done = run(copy, fault.test)
    finally:
        path.write_text(sound)
    # 1: tests ran and failed. Anything else (no such test, a broken import) proves nothing.
    assert done.returncode == 1, f"not caught by {fault.test}:\n{done.stdout[-2000:]}"


def run(folder, test):
    environment = {**os.environ, "MINITFL_FAULTS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("MINITFL_REQUIRE_ORACLE", "MINITFL_RESULTS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        f"tests/{test}",
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_there_are_enough():
    assert len(FAULTS) >= 100
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
