"""Which types and versions the element-wise operators and conversions take, and what type their results are of."""

import tracemalloc

import numpy as np
import pytest

from minitfl.load import load_model
from minitfl.op import WORKSPACE_FREE, find
from minitfl.runtime import Runtime
from tests.cases import check
from tests.kernels.elementwise import zeros
from tests.kernels.one_op import Arg, one_op
from tests.sweep import TYPES, sweep

BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
ONE = {
    "ABS": "float32 int8 int16 int32",
    "NEG": "float32 float16 bfloat16 int8 int16 int32 int64",
    "SQRT": "float32 int8 int16",
    "RSQRT": "float32 int8 int16",
    "SQUARE": "float32",
    "EXP": "float32 int8 int16",
    "LOG": "float32 int8 int16",
    "SIN": "float32 float16",
    "COS": "float32 float16",
    "CEIL": "float32",
    "FLOOR": "float32 float16 bfloat16",
    "ROUND": "float32 float16 bfloat16",
    "SIGN": "float32 float64 int32",
    "RELU": "float32 int8 uint8 int16",
    "RELU6": "float32 int8 uint8 int16",
    "RELU_N1_TO_1": "float32 int8 uint8",
    "RELU_0_TO_1": "float32 int8 uint8",
    "LEAKY_RELU": "float32 int8 uint8 int16",
    "ELU": "float32 int8",
    "HARD_SWISH": "float32 int8 uint8",
    "GELU": "float32 float16 int8 uint8 int16",
    "TANH": "float32 float16 bfloat16 int8 uint8 int16",
    "LOGISTIC": "float32 float16 bfloat16 int8 uint8 int16",
    "LOG_SOFTMAX": "float32 int8 uint8",
    "LOGICAL_NOT": "bool",
}
TWO = {
    "ADD": "float32 float16 int8 uint8 int16 int32 int64",
    "SUB": "float32 int8 uint8 int16 int32 int64",
    "MUL": "float32 float16 complex64 int8 uint8 int16 int32 uint32 int64",
    "DIV": "float32 int8 uint8 int16 int32",
    "FLOOR_DIV": "float32 int8 int16 int32",
    "FLOOR_MOD": "float32 int8 int16 int32 int64",
    "POW": "float32 int32",
    "SQUARED_DIFFERENCE": "float32 int8 int32",
    "MAXIMUM": "float32 float16 bfloat16 int8 uint8 int16 int32 int64",
    "MINIMUM": "float32 float16 bfloat16 int8 uint8 int16 int32 int64",
    "ATAN2": "float32 float16 bfloat16 float64",
    "EQUAL": "bool float32 float16 int8 uint8 int16 int32 int64 string",
    "NOT_EQUAL": "bool float32 float16 int8 uint8 int16 int32 int64 string",
    "LESS": "float32 float16 bfloat16 int8 uint8 int16 int32 int64",
    "LESS_EQUAL": "float32 float16 int8 uint8 int16 int32 int64",
    "GREATER": "float32 float16 bfloat16 int8 uint8 int16 int32 int64",
    "GREATER_EQUAL": "float32 float16 int8 uint8 int16 int32 int64",
    "LOGICAL_AND": "bool",
    "LOGICAL_OR": "bool",
    "PRELU": "float32 int8 uint8 int16",
}
TAKEN = ONE | TWO
# their result is of a type of its own, whatever the file says
RETYPED = frozenset(
    "NEG EXP CEIL FLOOR ROUND ADD SUB DIV FLOOR_DIV FLOOR_MOD POW SQUARED_DIFFERENCE MAXIMUM MINIMUM EQUAL NOT_EQUAL "
    "LESS LESS_EQUAL GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR PRELU".split()
)
RESULTS = ("float32", "int8", "int16", "bool", "string")
NO_REFERENCE = ("CEIL", "ROUND", "ELU")
NUMBERS = {"scale": 0.5, "zero_point": 0}
RESULT_NUMBERS = {
    ("TANH", "int16"): {"scale": 1 / 32768, "zero_point": 0},
    ("LOGISTIC", "int8"): {"scale": 1 / 256, "zero_point": -128},
    ("LOGISTIC", "uint8"): {"scale": 1 / 256, "zero_point": 0},
    ("LOGISTIC", "int16"): {"scale": 1 / 32768, "zero_point": 0},
    ("LOG_SOFTMAX", "int8"): {"scale": 1 / 16, "zero_point": 127},
    ("LOG_SOFTMAX", "uint8"): {"scale": 1 / 16, "zero_point": 255},
}


def quantized(type):
    return NUMBERS if type.startswith(("int", "uint")) else {}


def made(op, type, result=None, version=1, shape=(2, 3)):
    """A model of the op whose operands are ones, and zeros to what has no root."""
    x = zeros(type, shape)
    if type not in ("string", "bool"):
        x = x + np.ones((), x.dtype)
    result = result or ("bool" if op.startswith(("EQUAL", "NOT_EQUAL", "LESS", "GREATER")) else type)
    numbers = RESULT_NUMBERS.get((op, result), quantized(result) or quantized(type))
    options = {"alpha": 0.5} if op == "LEAKY_RELU" else {}
    operands = [Arg(x, type, **quantized(type)) for _ in range(2 if op in TWO else 1)]
    if (op, type) == ("PRELU", "int16"):
        operands[1] = Arg(x.astype(np.int8), **NUMBERS)
    return one_op(op, operands, [(result, numbers)], version=version, **options)


@pytest.mark.parametrize("op", TAKEN)
def test_types(official, op):
    resolver = BUILTIN if op in NO_REFERENCE else "BUILTIN_REF"
    taken = sweep(lambda type: made(op, type), (TYPES,), resolver=resolver, ulps=4)
    assert {type for (type,) in taken} == set(TAKEN[op].split())


@pytest.mark.parametrize("op", [op for op in TAKEN if op != "MUL"])
def test_results(official, op):
    """Of another type than the operands: refused, but by the ops that do not look at it."""
    resolver = BUILTIN if op in NO_REFERENCE else "BUILTIN_REF"
    types = [type for type in ("float32", "int8", "int32", "int64", "bool") if type in (*TAKEN[op].split(), "int64")]
    make = lambda type, result: None if type == result else made(op, type, result)  # noqa: E731
    taken = sweep(make, (types, RESULTS), resolver=resolver, ulps=4)
    pairs = {(type, result) for type in types for result in RESULTS if type in TAKEN[op].split() and type != result}
    assert taken == (pairs if op in RETYPED else set())


def test_results_of_mul(official):
    """It goes by the type of its result, and reads the operands as such; officially they may be of any other."""
    plain = ("float32", "float16", "int32", "uint32", "int64", "complex64")
    fitting = {("int16", "int8"), ("int16", "uint8")}
    known = {(x, y): "officially read as another type" for x in TYPES for y in plain if x != y}
    known = {pair: why for pair, why in known.items() if "string" not in pair}
    make = lambda type, result: None if type == result or type == "string" else made("MUL", type, result)  # noqa: E731
    assert sweep(make, (TYPES, (*plain, "int8", "uint8", "int16", "bool", "float64")), known=known) == fitting


@pytest.mark.parametrize("op", TAKEN)
def test_versions(official, op):
    preparation = find(op)
    assert preparation is not None
    type = TAKEN[op].split()[0]
    for version in range(1, preparation.max_version + 2):
        outcome = check(*made(op, type, version=version), must_run=False, resolver=BUILTIN, ulps=4)
        assert (outcome == "equal") == (version <= preparation.max_version), f"version {version}: {outcome}"


@pytest.mark.parametrize("op", TAKEN)
def test_a_resize_is_followed(official, op):
    """One model of each type, several shapes in turn, one without elements and one without axes."""
    resolver = BUILTIN if op in NO_REFERENCE else "BUILTIN_REF"
    for type in TAKEN[op].split():
        if type == "string":  # the official API can't resize them
            continue
        shapes = ((1, 3), (4, 3), (0, 3), (2, 1, 3), () if op != "LOG_SOFTMAX" else (1,))
        turns = [made(op, type, shape=shape)[1] for shape in shapes]
        check(made(op, type)[0], turns, sequence=True, resolver=resolver, ulps=4)


@pytest.mark.parametrize("op", TWO)
def test_constants_of_a_refused_type(official, op):
    """MUL tells of them while allocating, as it computes with constants then; others of theirs in the first run."""
    x = Arg(np.ones(2, np.uint64), constant=True)
    content, arrays = one_op(op, [x, x], ["uint64"])
    assert check(content, arrays, must_run=False).startswith("error")


@pytest.mark.parametrize("op", TAKEN)
def test_temporaries_of_large_operands(op):
    """Of each type, what the kernel allocates stays within what its call says."""
    for type in TAKEN[op].split():
        if type == "string":
            continue
        content, arrays = made(op, type, shape=(3, 200_000))
        instance = Runtime(load_model(content), preserve_all=True).instance(0)
        instance.allocate()
        for i, x in zip(instance.subgraph.inputs, arrays, strict=True):
            instance.put(i, x.view(np.uint16) if type == "bfloat16" else x)
        instance.invoke()
        (planned,) = instance.frame.plan.steps
        (step,) = instance.steps()
        tracemalloc.start()
        step.run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= planned.call.workspace + WORKSPACE_FREE, type
