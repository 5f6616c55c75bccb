"""Models of a few operators, for the tests of the interpreter itself. Each is the bytes of a .tflite file."""

from functools import cache

import numpy as np

from minitfl.build import Model
from minitfl.schema.writer import write_model

REVERSE = np.eye(4, dtype=np.float32)[::-1]


@cache
def permute(type="float32"):
    """y (1, 4) = x reversed, by FULLY_CONNECTED with weights and without a bias. Tensors: input, weights, output."""
    m = Model()
    numbers = {"scale": 1.0, "zero_point": 0} if type != "float32" else {}
    x = m.input((1, 4), type, name="input", **numbers)
    w = m.constant(REVERSE.astype(type), name="weights", **numbers)
    y = m.tensor((1, 4), type, name="output", **numbers)
    m.op("FULLY_CONNECTED", [x, w, None], [y])
    m.output(y)
    return m.content()


@cache
def two_signatures():
    """add(x) = x + 2 in the first subgraph, multiply(x) = x * 3 in the second; x and y have any length."""
    m = Model()
    for key, op, number in (("add", "ADD", 2.0), ("multiply", "MUL", 3.0)):
        s = m if key == "add" else m.subgraph(key)
        x = s.input((1,), name=f"{key}_x:0", signature=(-1,))
        c = s.constant(np.array([number], np.float32), name=f"{key}_constant")
        y = s.tensor((1,), name=f"{key}_y:0", signature=(-1,))
        s.op(op, [x, c], [y])
        s.output(y)
        m.signature(key, {"x": x}, {"y": y}, subgraph=s)
    return m.content()


@cache
def chain(length=4, fixed=False):
    """y = relu applied to -(-(...x)): x (1, 8), `length` negations between, so that memory is used again."""
    m = Model()
    signature = None if fixed else (-1, 8)
    x = m.input((1, 8), name="x", signature=signature)
    previous = x
    for n in range(length):
        y = m.tensor((1, 8), name=f"step{n}", signature=signature)
        m.op("NEG", [previous], [y])
        previous = y
    m.output(previous)
    return m.content()


@cache
def fixed_batch(batch=1):
    """y (batch, 2, 2) = x (batch, 4) reshaped by a constant shape: no other batch size can run."""
    m = Model()
    x = m.input((batch, 4), name="x")
    shape = m.constant(np.array([batch, 2, 2], np.int32), name="shape")
    y = m.tensor((batch, 2, 2), name="y")
    m.op("RESHAPE", [x, shape], [y], new_shape=[batch, 2, 2])
    m.output(y)
    return m.content()


@cache
def reshape_by_input():
    """y = x (1, 6) reshaped to the contents of s (2,): its shape is known only while running."""
    m = Model()
    x = m.input((1, 6), name="x")
    s = m.input((2,), "int32", name="s")
    y = m.tensor((1, 1), name="y", signature=(-1, -1))
    m.op("RESHAPE", [x, s], [y])
    m.output(y)
    return m.content()


@cache
def scalars():
    """y () = x () + 1."""
    m = Model()
    x = m.input((), name="x")
    one = m.constant(np.float32(1), name="one")
    y = m.tensor((), name="y")
    m.op("ADD", [x, one], [y])
    m.output(y)
    m.signature("f", {"x": x}, {"y": y})
    return m.content()


@cache
def strings():
    """y (3,) = x (10,), gathered at indices (3,). All but the indices are strings."""
    m = Model()
    x = m.input((10,), "string", name="input")
    i = m.input((3,), "int64", name="indices")
    y = m.tensor((3,), "string", name="output")
    m.op("GATHER", [x, i], [y], axis=0)
    m.output(y)
    return m.content()


@cache
def string_scalar():
    """y () = x (), a string without axes, compared with itself."""
    m = Model()
    x = m.input((), "string", name="input")
    y = m.tensor((), "bool", name="output")
    m.op("EQUAL", [x, x], [y])
    m.output(y)
    return m.content()


@cache
def custom(*names):
    """x (1, 4) through one custom operator after the other."""
    m = Model()
    previous = m.input((1, 4), name="x")
    for n, name in enumerate(names):
        y = m.tensor((1, 4), name=f"y{n}")
        m.custom(name, [previous], [y], options={"factor": 3} if name == "Scale" else b"")
        previous = y
    m.output(previous)
    return m.content()


@cache
def quantized():
    """y = x + x in int8: x (1, 4) with scale 0.5, zero point -1; y with scale 1, zero point 3."""
    m = Model()
    x = m.input((1, 4), "int8", scale=0.5, zero_point=-1, name="serving_default_model/image:0", signature=(-1, 4))
    y = m.tensor((1, 4), "int8", scale=1.0, zero_point=3, name="StatefulPartitionedCall:0", signature=(-1, 4))
    m.op("ADD", [x, x], [y], version=2)
    m.output(y)
    m.signature("serving_default", {"image": x}, {"sum": y})
    return m.content()


@cache
def per_channel():
    """A convolution with int8 weights (3, 1, 1, 2) of three scales; its details are looked at, it need not run."""
    m = Model()
    x = m.input((1, 2, 2, 2), "int8", scale=0.5, zero_point=1, name="x")
    w = m.constant(np.ones((3, 1, 1, 2), np.int8), scale=[0.1, 0.2, 0.3], zero_point=[0, 0, 0], axis=0, name="w")
    b = m.constant(np.zeros(3, np.int32), scale=[0.05, 0.1, 0.15], zero_point=[0, 0, 0], axis=0, name="b")
    y = m.tensor((1, 2, 2, 3), "int8", scale=1.0, zero_point=0, name="y")
    m.op("CONV_2D", [x, w, b], [y], version=3, padding="SAME", stride_w=1, stride_h=1)
    m.output(y)
    return m.content()


@cache
def narrow(type="int4"):
    """y (2, 3) float32 = x cast from a 4-bit type."""
    m = Model()
    x = m.input((2, 3), type, name="x")
    y = m.tensor((2, 3), name="y")
    m.op("CAST", [x], [y], version=6)
    m.output(y)
    return m.content()


@cache
def bfloat16():
    """y (2,) float32 = x bfloat16."""
    m = Model()
    x = m.input((2,), "bfloat16", name="x")
    y = m.tensor((2,), name="y")
    m.op("CAST", [x], [y], version=6)
    m.output(y)
    return m.content()


@cache
def remembering():
    """y = x + the x of the run before, by SVDF with two steps of memory: its state is a variable tensor."""
    m = Model()
    x = m.input((1, 2), name="x")
    feature = m.constant(np.eye(2, dtype=np.float32), name="feature")
    time = m.constant(np.ones((2, 2), np.float32), name="time")
    state = m.variable((1, 4), name="state")
    y = m.tensor((1, 2), name="y")
    m.op("SVDF", [x, feature, time, None, state], [y], rank=1, fused_activation_function="NONE")
    m.output(y)
    return m.content()


@cache
def counter():
    """The resource variable 'n': start(x) sets it, call(x) adds x to it, read() tells."""
    m = Model()

    def handle(s, key):
        h = s.tensor((), "resource", name=f"{key}_handle")
        s.op("VAR_HANDLE", [], [h], shared_name="n", container="")
        return h

    n = handle(m, "call")
    x, before, y = m.input((), name="x"), m.tensor((), name="before"), m.tensor((), name="y")
    m.op("READ_VARIABLE", [n], [before])
    m.op("ADD", [before, x], [y])
    m.op("ASSIGN_VARIABLE", [n, y], [])
    m.output(y)
    m.signature("call", {"x": x}, {"y": y})
    s = m.subgraph("read")
    n, now = handle(s, "read"), s.tensor((), name="now")
    s.op("READ_VARIABLE", [n], [now])
    s.output(now)
    m.signature("read", {}, {"n": now}, subgraph=s)
    s = m.subgraph("start")
    x = s.input((), name="x")
    s.op("ASSIGN_VARIABLE", [handle(s, "start"), x], [])
    m.signature("start", {"x": x}, {}, subgraph=s)
    return m.content()


def broken(change):
    """A model of one NEG after `change(tree, subgraph)` of its tree."""
    m = Model()
    x, y = m.input((1, 4), name="x"), m.tensor((1, 4), name="y")
    m.constant(np.ones((3, 4), np.int8), scale=[1.0, 2.0, 3.0], zero_point=[0, 0, 0], name="c")
    m.op("NEG", [x], [y])
    m.output(y)
    tree = m.tree()
    change(tree, tree["subgraphs"][0])
    return write_model(tree)
