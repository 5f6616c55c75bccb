"""One-op models whose arguments are arrays, as constants or as inputs, for the ops that move and pick values."""

import tracemalloc

import numpy as np
from hypothesis import given

from minitfl.build import Model, bfloat16_bits
from minitfl.load import load_model
from minitfl.op import WORKSPACE_FREE
from minitfl.runtime import Runtime
from tests.cases import SEEDS, array, differential, ours


class Arg:
    """An argument: its contents, its tensor type and quantization, and whether the model holds it as a constant."""

    def __init__(self, array, type=None, *, constant=False, **quantization):
        self.array = np.asarray(array)
        self.type = type or ("string" if self.array.dtype.kind in "SUO" else self.array.dtype.name)
        self.quantization = quantization
        self.constant = constant


def one_op(op, arguments, outputs, **keywords):
    """(content, arrays of the inputs). arguments: Args, arrays (constants) or None; outputs: types or (type, dict).

    `custom`: the options of a custom op. `shape`: what the file says of the outputs' shape.
    """
    return several((op, arguments, outputs, keywords))


def several(*parts):
    """One model of many ops, each with inputs of its own: (op, arguments, outputs, keywords of one_op)."""
    m, arrays = Model(), []
    for op, arguments, outputs, keywords in parts:
        _add(m, arrays, op, arguments, outputs, **keywords)
    return m.content(), arrays


def _add(m, arrays, op, arguments, outputs, version=1, custom=None, shape=(), **options):
    handles = []
    for argument in arguments:
        if argument is None:
            handles.append(None)
            continue
        a = argument if isinstance(argument, Arg) else Arg(argument, constant=True)
        if a.constant:
            array = a.array.view(np.uint8) if a.type.startswith("float8") else a.array
            handles.append(m.constant(array, type=a.type, **a.quantization))
        else:
            handles.append(m.input(a.array.shape, a.type, **a.quantization))
            arrays.append(a.array)
    results = [
        m.tensor(shape, *([y] if isinstance(y, str) else y[:1]), **({} if isinstance(y, str) else y[1]))
        for y in outputs
    ]
    if custom is None:
        m.op(op, handles, results, version=version, **options)
    else:
        m.custom(op, handles, results, options=custom, version=version)
    m.output(*results)


def blank(type, shape, *, constant=False, **quantization):
    """An Arg of zeros, or empty strings, of any tensor type."""
    stored = {"string": object, "int4": np.int8, "uint4": np.uint8, "int2": np.int8}.get(type, type)
    if type == "bfloat16":
        from ml_dtypes import bfloat16 as stored
    array = np.full(shape, b"", object) if type == "string" else np.zeros(shape, stored)
    return Arg(array, type, constant=constant, **quantization)


def run(op, arguments, outputs, **keywords):
    """minitfl's outputs."""
    return ours(*one_op(op, arguments, outputs, **keywords))


def bfloat16(array):
    """Contents of a bfloat16 constant."""
    return bfloat16_bits(array)


# ---- drawing


def each_case(case, count=200):
    """Calls case(rng) that often; Hypothesis draws the seed of the generator and nothing else, which is quick."""

    @differential(count)
    @given(SEEDS)
    def run(seed):
        case(np.random.default_rng(seed))

    run()


def contents(rng, type, shape, **limits):
    """cases.array, drawn by a generator; of float8 the bits."""
    type = "int8" if type.startswith("float8") else type
    return array(lambda _: int(rng.integers(2**24)), type, shape, **limits)


def sides(rng, least_rank, most_rank, most=4, least=1):
    """A shape; one in twelve has a side of 0 where `least` allows it."""
    shape = rng.integers(max(least, 1), most + 1, rng.integers(least_rank, most_rank + 1))
    if not least and shape.size and rng.random() < 1 / 12:
        shape[rng.integers(shape.size)] = 0
    return tuple(shape.tolist())


def maybe(rng, array, type=None, chance=0.5, **quantization):
    """An Arg that is a constant now and then; an empty one never is, as officially it has no contents then."""
    array = np.asarray(array)
    return Arg(array, type, constant=array.size > 0 and rng.random() < chance, **quantization)


def sample(type, shape):
    """Contents of any type in which neighbours differ."""
    n = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if type == "string":
        return np.array([b"%d" % i for i in n.ravel()], object).reshape(shape)
    if type == "bfloat16":
        import ml_dtypes

        return n.astype(ml_dtypes.bfloat16)
    few = {"int4": (8, "int8"), "uint4": (16, "uint8"), "int2": (2, "int8"), "bool": (2, "bool")}
    most, dtype = few.get(type, (128, "int8" if type.startswith("float8") else type))
    return (n % most).astype(dtype)


def temporaries(content, arrays):
    """(peak, allowed) bytes of temporaries of the one step of a model, its first run aside."""
    made = Runtime(load_model(content), preserve_all=True).instance(0)
    made.allocate()
    for i, value in zip(made.subgraph.inputs, arrays, strict=True):
        made.put(i, value)
    made.invoke()
    (step,) = made.steps()
    tracemalloc.start()
    step.run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, made.frame.plan.steps[0].call.workspace + WORKSPACE_FREE
