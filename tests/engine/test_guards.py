"""Faults that the guard zones, and the units run apart, must catch: each is planted in a sound program."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.engine.program import Emit
from tests.engine.between import between

pytest.importorskip("numba")


def content(units=5, **options):
    """A convolution whose output lies at the end of the arena."""
    chance = np.random.default_rng(0)
    m = Model()
    x = m.input((1, 6, 6, 3))
    w = m.constant(chance.uniform(-1, 1, (units, 3, 3, 3)).astype(np.float32))
    bias = m.constant(chance.uniform(-1, 1, units).astype(np.float32))
    y = m.tensor((1, 6, 6, units))
    m.op("CONV_2D", [x, w, bias], [y], stride_h=1, stride_w=1, **options)
    m.output(y)
    return m.content()


@pytest.fixture(name="changed")
def changed_fixture(monkeypatch):
    """changed(kernel, words -> words): instructions of that kernel get other words."""

    def change(kernel, function):
        add = Emit.add

        def changed_add(self, name, units, layout, **words):
            add(self, name, units, layout, **(function(words) if name.startswith(kernel) else words))

        monkeypatch.setattr(Emit, "add", changed_add)

    return change


def test_sound():
    assert between(content(padding="SAME"))["numba"] == ["CONV_2D"]


def test_past_the_end_of_the_arena(changed):
    changed("conv_float.", lambda words: {**words, "y_start": words["y_start"] + 576})
    with pytest.raises(AssertionError, match="writes behind a block"):
        between(content(padding="SAME"))


def test_past_the_end_of_the_workspace(changed):
    changed("move.pad", lambda words: {**words, "after_nbytes": words["after_nbytes"] + 4})
    with pytest.raises(AssertionError, match="writes behind a block"):
        between(content(padding="SAME"))


def test_before_the_workspace(changed):
    changed("move.pad", lambda words: {**words, "before": 3, "padded_height": 3})
    with pytest.raises(AssertionError):
        between(content(padding="SAME"))


def test_a_constant_is_written(changed):
    changed("conv_float.", lambda words: {**words, "y": words["weights"], "y_start": 0})
    with pytest.raises(AssertionError):
        between(content(padding="VALID"))


def test_units_that_write_the_same_bytes(changed):
    changed("conv_float.", lambda words: {**words, "pixel_y_nbytes": words["pixel_y_nbytes"] - 4})
    with pytest.raises(AssertionError, match=r"units of conv_float\.panels1x\d+ write the same bytes"):
        between(content(padding="SAME"))


def test_units_that_read_what_others_write(changed):
    """The copy with a border is made upon itself."""
    changed("move.pad", lambda words: {**words, "x": words["y"]})
    with pytest.raises(AssertionError, match="apart"):
        between(content(padding="SAME"))


def test_a_constant_from_elsewhere(monkeypatch):
    constant = Emit.constant
    monkeypatch.setattr(Emit, "constant", lambda self, array: constant(self, array.copy()))
    with pytest.raises(AssertionError, match=r"not from minitfl\.memory\.aligned"):
        between(content(padding="SAME"))


def test_an_exception_in_machine_code_fails_the_test(tmp_path):
    (tmp_path / "conftest.py").write_text((Path(__file__).with_name("conftest.py")).read_text())
    (tmp_path / "test_it.py").write_text(
        "import numba\n"
        "@numba.cfunc('int64(int64)')\n"
        "def bad(x):\n"
        "    raise ValueError\n"
        "def test():\n"
        "    bad.ctypes(1)\n"
    )
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Exception ignored" in done.stdout
