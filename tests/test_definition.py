"""minitfl show: docstrings, sources, and which kernels a type has."""

import numpy as np
import pytest

from minitfl import definition, one_op, quantized
from minitfl.__main__ import main
from minitfl.kernels.index import FAMILIES, FAMILY_OF
from minitfl.op import find
from minitfl.trace import TraceStep

TABLE = """
    x                  y      kernel            op
    float32            same   plain             ADD SUB
    int8..int32        same   whole whole_int   ADD
    floats             same   other             MUL
    float32 / int8     same   left / right      DIV

                float32    int8, uint8
    RELU        clamp      table of clamp_int
    ELU         elu
"""
KERNELS = ("plain", "whole", "whole_int", "other", "left", "right", "clamp", "clamp_int", "elu", "lookup")


@pytest.mark.parametrize(
    ("op", "type", "kernels"),
    [
        ("ADD", "float32", ["plain"]),
        ("SUB", "int16", []),
        ("ADD", "int16", ["whole", "whole_int"]),
        ("MUL", "float32", []),  # "floats" is no type: nothing is certain
        ("DIV", "float32", ["left"]),
        ("DIV", "int8", ["right"]),
        ("RELU", "float32", ["clamp"]),
        ("RELU", "uint8", ["clamp_int", "lookup"]),
        ("ELU", "int8", []),
    ],
)
def test_tables_are_read(op, type, kernels):
    assert definition.in_table(TABLE.strip("\n"), op, type, KERNELS) == kernels


@pytest.mark.parametrize("op", FAMILY_OF)
def test_every_operator_can_be_shown(op):
    text = definition.text(op)
    kernels = definition.kernels_of(find(op))
    doc = {family: line for family, line, _ in definition.families()}[FAMILY_OF[op]]
    assert text.startswith(f"{op}, version") and doc in text
    assert kernels and all(kernel.numpy.__code__.co_name in text for kernel in kernels)
    assert "can't be had" not in text


def cases():
    """(op, inputs, keywords) for kernels of many kinds."""
    rng = np.random.default_rng(0)
    strides = {"stride_w": 1, "stride_h": 1}
    window = {**strides, "filter_width": 2, "filter_height": 2}
    for type in ("int8", "uint8", "int16"):
        info = np.iinfo(type)
        zero = 0 if type == "int16" else 3
        x = quantized(rng.integers(info.min, info.max, (1, 4, 4, 2)).astype(type), 0.01, zero)
        w = quantized(rng.integers(1, 100, (3, 1, 1, 2)).astype("uint8" if type == "uint8" else "int8"), 0.01)
        bias = quantized(np.zeros(3, np.int64 if type == "int16" else np.int32), 0.0001)
        yield "CONV_2D", [x, w, bias], strides
        yield "FULLY_CONNECTED", [x, quantized(w.array.reshape(3, 2), 0.01), bias], {}
        yield "AVERAGE_POOL_2D", [x], window
        yield "MEAN", [x, np.int32([1, 2])], {}
        for op in ("ADD", "SUB", "MUL", "EQUAL", "MAXIMUM"):
            yield op, [x, x], {}
        yield "QUANTIZE", [x], {"output": ("int8" if type != "int8" else "uint8", 0.02, 0)}
        yield "DEQUANTIZE", [x], {"output": "float32"}
        yield "LEAKY_RELU", [x], {}
        yield "SOFTMAX", [x], {"output": (type, *SOFT[type]), "beta": 1.0}
        yield "TANH", [x], {"output": (type, *TANH[type])}
    f = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)
    w, bias = rng.normal(size=(3, 1, 1, 2)).astype(np.float32), np.zeros(3, np.float32)
    yield "CONV_2D", [f, w, bias], strides
    yield "CONV_2D", [f, quantized(np.ones((3, 1, 1, 2), np.int8), 0.1), bias], strides
    yield "FULLY_CONNECTED", [f, w[:, 0, 0], bias], {}
    yield "FULLY_CONNECTED", [f, quantized(np.ones((3, 2), np.int8), 0.1), None], {}
    yield "MAX_POOL_2D", [f], window
    for op in ("ADD", "SUB", "MUL", "DIV", "LESS", "SQUARED_DIFFERENCE", "FLOOR_DIV", "POW"):
        yield op, [np.abs(f), np.abs(f)], {}
        yield op, [np.int32([[5, 3]]), np.int32([[2, 2]])], {}
    for op in ("ABS", "EXP", "SQRT", "RELU6", "LOGISTIC", "SOFTMAX", "LOG_SOFTMAX", "ELU", "GELU"):
        yield op, [np.abs(f)], {}
    yield "CAST", [f], {"output": "int32", "in_data_type": "FLOAT32", "out_data_type": "INT32"}
    state = {"outputs": ["float32"], "variables": (18, 19), "fused_activation_function": "TANH"}
    gates = [np.ones((3, 2), np.float32)] * 4 + [np.ones((3, 3), np.float32)] * 4 + [None] * 3
    tail = [np.zeros(3, np.float32)] * 4 + [None] * 2 + [np.zeros((1, 3), np.float32)] * 2 + [None] * 4
    x = np.ones((1, 4, 2), np.float32)
    yield "UNIDIRECTIONAL_SEQUENCE_LSTM", [x, *gates, *tail], state


SOFT = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}
TANH = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)}
CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}")
def test_the_kernel_that_runs_is_among_those_shown(case):
    op, inputs, keywords = case
    step: TraceStep
    (step,) = one_op(op, inputs, **keywords).trace()
    assert step.kernel in {kernel.__name__ for kernel in definition.chosen(op, step.inputs[0].type)[0]}


def test_a_type_leaves_the_others_out(capsys):
    assert main(["show", "CONV_2D", "int8"]) == 0
    text = capsys.readouterr().out
    assert "def conv_int(" in text and "def conv_float(" not in text and "def conv_hybrid(" not in text
    assert "def _sums(" in text  # a helper of the kernel
    assert '@op("CONV_2D"' in text and "padding (one of SAME, VALID)" in text
    assert "read on in kernels/requantize.py: requantize" in text
    assert text.count("def conv_int(") == 1


def test_where_the_table_does_not_tell_all_are_shown():
    text = definition.text("transpose", "float32")
    assert "def rearrange(" in text and "the family's table doesn't tell which of these computes float32" in text


def test_the_list(capsys):
    assert main(["show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(FAMILIES)
    assert any(line.startswith("conv ") and "CONV_2D: every output channel" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["CONV2D"], "did you mean CONV_2D"),
        (["Xyz"], "minitfl show lists"),
        (["ADD", "int7"], "no tensor type 'int7'"),
    ],
)
def test_wrong_words(words, error, capsys):
    assert main(["show", *words]) == 2
    assert error in capsys.readouterr().err
