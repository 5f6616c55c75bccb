"""Faults that the guard zones, and the units run apart, must catch: each is planted in a sound program."""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.engine.layouts.driver import INSTRUCTION
from minitfl.engine.program import Emit, Program
from minitfl.packing import Packed, unpacked
from tests.engine.between import KERNEL, between

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


class Places:
    """Addresses that an instruction sees: of tensors, constants and scratch."""

    def __init__(self, program, slots):
        self._program = program
        self._table = (ctypes.c_int64 * program.slots).from_address(slots)

    def tensor(self, i):
        return self._table[self._program.tensors[i][0]]

    @property
    def constant(self):
        return self._table[self._program.constants[0][0]]

    @property
    def scratch(self):
        return self._table[self._program.scratch[0][0]]

    @property
    def end_of_workspace(self):
        return self.scratch + self._program.workspace_nbytes


@pytest.fixture(name="plant")
def plant_fixture(monkeypatch):
    """plant(fault): the last instruction goes on with fault(places, first, last) where its kernel ends."""
    kept = []

    def plant(fault):
        link = Program.link

        def changed(self, addresses):
            link(self, addresses)
            sound = KERNEL(int(self.code[-1][INSTRUCTION.function]))

            def kernel(block, slots, first, last):
                status = sound(block, slots, first, last)
                fault(Places(self, slots), first, last)
                return status

            kept.append(KERNEL(kernel))
            self.code[-1][INSTRUCTION.function] = ctypes.cast(kept[-1], ctypes.c_void_p).value

        monkeypatch.setattr(Program, "link", changed)

    return plant


def test_sound(plant):
    plant(lambda places, first, last: None)
    assert between(content(padding="SAME"))["numba"] == ["CONV_2D"]


def test_past_the_end_of_the_arena(plant):
    plant(lambda places, first, last: ctypes.memset(places.tensor(0) + 448, 1, 1))  # x, of 432 bytes, lies last
    with pytest.raises(AssertionError, match="writes behind a block"):
        between(content(padding="SAME"))


def test_before_the_arena(plant):
    plant(lambda places, first, last: ctypes.memset(places.tensor(3) - 1, 1, 1))
    with pytest.raises(AssertionError, match="writes before a block"):
        between(content(padding="SAME"))


def test_past_the_end_of_the_workspace(plant):
    plant(lambda places, first, last: ctypes.memset(places.end_of_workspace + 40, 1, 1))
    with pytest.raises(AssertionError, match="writes behind a block"):
        between(content(padding="SAME"))


def test_a_constant_is_written(plant):
    plant(lambda places, first, last: ctypes.memset(places.constant, 1, 1))
    with pytest.raises(AssertionError, match="changes a constant"):
        between(content(padding="SAME"))


def test_an_input_is_written(plant):
    plant(lambda places, first, last: first or ctypes.memset(places.tensor(0) + 431, 1, 1))
    with pytest.raises(AssertionError, match="writes where others live"):
        between(content(padding="SAME"))


def test_units_that_write_the_same_bytes(plant):
    plant(lambda places, first, last: ctypes.memset(places.tensor(3), first + 1, 1))
    with pytest.raises(AssertionError, match=r"units of conv_float\.\w+ write the same bytes"):
        between(content(padding="SAME"))


def test_units_that_read_what_others_write(plant):
    def fault(places, first, last):
        if first:
            ctypes.memmove(places.tensor(3) + 719, places.tensor(3), 1)

    plant(fault)
    with pytest.raises(AssertionError, match="apart"):
        between(content(padding="SAME"))


def test_a_constant_from_elsewhere(monkeypatch):
    constant = Emit.constant
    monkeypatch.setattr(Emit, "constant", lambda self, array: constant(self, Packed(lambda: unpacked(array).copy())))
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


def test_constants_at_the_end_of_a_file_are_copied():
    """A kernel may read a little behind a constant: behind the file's last byte there may be no memory."""
    from minitfl.engine.engine import _readable_behind

    file = np.frombuffer(bytes(1000), np.uint8)
    assert _readable_behind(file[100:200]) and _readable_behind(file[900:936].view(np.float32))
    assert not _readable_behind(file[900:937]) and not _readable_behind(np.ones(20))
