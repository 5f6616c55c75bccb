"""Interpreter.profile: which nodes it tells of, and that its numbers hang together. Nothing is said about speed."""

import dataclasses

import numpy as np
import pytest

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.commands.classify import MODEL
from minitfl.profiling import NodeTime, Profile
from minitfl.timing import Latency
from tests import small_models as models


def mixed():
    """A convolution that the engine has, a RESHAPE that does nothing, and a custom operator that stays in Python."""
    m = Model()
    x = m.input((1, 4, 4, 3))
    w, bias = m.constant(np.ones((5, 1, 1, 3), np.float32)), m.constant(np.zeros(5, np.float32))
    y, flat, z = m.tensor((1, 4, 4, 5), name="y"), m.tensor((80,)), m.tensor((80,), name="z")
    m.op("CONV_2D", [x, w, bias], [y], padding="VALID", stride_w=1, stride_h=1)
    m.op("RESHAPE", [y, m.constant(np.int32([80]))], [flat])
    m.custom("Twice", [flat], [z])
    m.output(z)
    return m.content()


def twice(inputs, options):
    return 2 * inputs[0]


def test_the_nodes():
    interpreter = Interpreter(model_content=mixed(), custom_ops={"Twice": twice}, kernels="numpy", num_threads=2)
    found = interpreter.profile(runs=3)
    assert (found.model, found.threads, found.latency.runs) == ("", 2, 3)
    conv, custom = found.nodes
    assert (conv.index, conv.op, conv.name, conv.type, conv.shape) == (0, "CONV_2D", "y", "float32", (1, 4, 4, 5))
    assert conv.macs == 16 * 5 * 3 and conv.nbytes == 4 * (48 + 15 + 5 + 80)
    assert (custom.index, custom.op, custom.macs, custom.nbytes) == (2, "Twice", 0, 4 * 160)
    assert {node.layer for node in found.nodes} == {"numpy"} and found.share("numpy") == 1
    assert all(node.seconds > 0 for node in found.nodes) and found.seconds < 10 * found.latency.median


def test_layers():
    pytest.importorskip("numba")
    found = Interpreter(model_content=mixed(), custom_ops={"Twice": twice}, kernels="numba").profile(runs=5)
    assert [node.layer for node in found.nodes] == ["numba", "numpy"]
    assert 0 < found.share("numpy") <= 1 and found.share("numba") + found.share("numpy") == pytest.approx(1)


def test_outputs_are_those_of_invoke():
    interpreter = Interpreter(str(MODEL))
    interpreter.allocate_tensors()
    interpreter.invoke()
    index = interpreter.get_output_details()[0]["index"]
    before = interpreter.get_tensor(index)
    found = interpreter.profile(runs=2)
    assert np.array_equal(interpreter.get_tensor(index), before)
    assert found.model == "digits.tflite" and len(found.nodes) < 12  # some are folded, some do nothing


def test_late_nodes_and_time():
    interpreter = Interpreter(model_content=models.reshape_by_input())
    interpreter.allocate_tensors()
    interpreter.set_tensor(1, np.int32([2, 3]))
    (node,) = interpreter.profile(seconds=0.01).nodes
    assert (node.op, node.shape) == ("RESHAPE", (2, 3))


def test_nothing_is_printed_and_wrong_arguments(capsys):
    interpreter = Interpreter(model_content=models.chain(2), verbose=2)
    interpreter.profile(runs=1)
    assert capsys.readouterr().out == "" and interpreter._interpreter.runtime.verbose == 2
    with pytest.raises(ValueError, match="runs is 0"):
        interpreter.profile(runs=0)


def test_a_failure_leaves_the_interpreter_usable():
    interpreter = Interpreter(model_content=models.custom("Bad"), custom_ops={"Bad": lambda inputs, options: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        interpreter.profile(runs=1)
    interpreter.allocate_tensors()


# ---- in print


CONV = NodeTime(0, "CONV_2D", "a" * 50, "float32", (1, 2, 3, 4), "numba", 0.003, 3_000_000, 1000)
ADD = NodeTime(2, "ADD", "<sum>", "int8", (), "numpy", 0.001, 0, 2_000_000)
SHOWN = Profile("m.tflite", 1, Latency.of([0.004, 0.005]), (CONV, ADD))


def test_the_numbers():
    assert (CONV.per_second, CONV.rate, ADD.rate) == (2e9, "2.0 GFLOP/s", "2.0 GB/s")
    assert dataclasses.replace(CONV, type="int8").rate == "2.0 GOP/s"
    assert dataclasses.replace(CONV, seconds=0.0).rate == ""
    assert (SHOWN.seconds, SHOWN.macs, SHOWN.share("numpy")) == (0.004, 3_000_000, 0.25)


def test_the_table():
    lines = repr(SHOWN).splitlines()
    assert lines[0] == "m.tflite: 2 nodes, 3,000,000 MACs, 1 thread, 1.3 G operations/s"
    assert lines[2] == "nodes   4.000 ms in all; 25.0 % of it in NumPy"
    assert lines[-2].split() == ["0", "CONV_2D", "1x2x3x4", "3.000", "75.0", "%", "2.0", "GFLOP/s", "numba",
                                 "..." + "a" * 37]  # fmt: skip
    assert lines[-1].split() == ["2", "ADD", "scalar", "1.000", "25.0", "%", "2.0", "GB/s", "numpy", "<sum>"]


def test_in_notebooks():
    shown = SHOWN._repr_html_()
    assert shown.count("<tr>") == 3 and "&lt;sum&gt;" in shown and "<sum>" not in shown and "25.0 %" in shown
