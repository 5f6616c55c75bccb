"""minitfl warmup: the cache is filled ahead."""

import importlib.util

import pytest

from minitfl.commands import run
from minitfl.commands.classify import MODEL
from minitfl.engine import isa
from minitfl.engine.isa import ISAS, best

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None or isa.best() is None, reason="there is nothing to compile with or for"
)


def test_a_model(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MINITFL_CACHE", str(tmp_path))
    assert run(["warmup", str(MODEL)]) == 0
    said = capsys.readouterr().out
    assert f"kernels for {best().name} in {tmp_path}" in said and ", 0 of them new" not in said
    assert run(["warmup", str(MODEL)]) == 0
    assert ", 0 of them new" in capsys.readouterr().out


def test_all_there_are(capsys, monkeypatch):
    from minitfl.engine import compilers
    from minitfl.engine.engine import DRIVER
    from minitfl.engine.threads import KERNELS

    kernels = compilers.all_kernels(best())
    assert {DRIVER, *KERNELS} <= set(kernels) and len(kernels) == len(set(kernels)) > 10
    monkeypatch.setattr(compilers, "all_kernels", lambda isa: [DRIVER])
    assert run(["warmup"]) == 0
    assert capsys.readouterr().out.startswith(f"1 kernels for {best().name} in ")


@pytest.mark.parametrize("name", ["z80", next(i.name for i in ISAS if i.machine != isa.machine())])
def test_another_instruction_set(capsys, name):
    assert run(["warmup", "--isa", name]) == 2
    said = capsys.readouterr().err
    assert "there is no instruction set 'z80', but avx" in said or f"this machine does not have {name}" in said


def test_without_numba(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run(["warmup"]) == 2
    assert "pip install 'minitfl[fast]'" in capsys.readouterr().err
