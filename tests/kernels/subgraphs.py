"""Models with several subgraphs, loops and variables, in few words."""

import numpy as np

from minitfl.build import Model

INT, BOOL = ((), "int32"), ((), "bool")


def apply(s, op, *inputs, type="float32", **options):
    """The output of one more op; what is no tensor is made a constant of that type."""
    handles = [s.constant(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x for x in inputs]
    y = s.tensor((), type)
    s.op(op, handles, [y], **options)
    return y


def below(s, x, limit):
    return apply(s, "LESS", x, np.int32(limit), type="bool")


def plus(s, x, y, type="int32"):
    return apply(s, "ADD", x, y, type=type)


def loop(m, state, kinds, condition, body):
    """Outputs of a WHILE; kinds: (shape, type) of its state. condition, body: functions of (subgraph, *tensors)."""
    c, b = m._model.subgraph("condition"), m._model.subgraph("body")
    c.output(condition(c, *[c.input(*kind) for kind in kinds]))
    b.output(*body(b, *[b.input(*kind) for kind in kinds]))
    outputs = [m.tensor(*kind) for kind in kinds]
    m.op("WHILE", state, outputs, cond_subgraph_index=c, body_subgraph_index=b)
    return outputs


def branch(m, condition, inputs, kinds, then, other, results):
    """Outputs of an IF; kinds, results: (shape, type) of the inputs and outputs. then, other: as body."""
    subgraphs = [m._model.subgraph("then"), m._model.subgraph("other")]
    for s, make in zip(subgraphs, (then, other)):
        s.output(*make(s, *[s.input(*kind) for kind in kinds]))
    outputs = [m.tensor(*kind) for kind in results]
    m.op("IF", [condition, *inputs], outputs, then_subgraph_index=subgraphs[0], else_subgraph_index=subgraphs[1])
    return outputs


def model(inputs, make):
    """The bytes of a model; make(m, *inputs) gives the outputs."""
    m = Model()
    m.output(*make(m, *[m.input(*kind) for kind in inputs]))
    return m.content()


# ---- variables


def handle(s, name, container=""):
    y = s.tensor((), "resource")
    s.op("VAR_HANDLE", [], [y], container=container, shared_name=name)
    return y


def read(s, name, shape, type="float32"):
    y = s.tensor(shape, type)
    s.op("READ_VARIABLE", [handle(s, name)], [y])
    return y


def assign(s, name, x):
    s.op("ASSIGN_VARIABLE", [handle(s, name), x], [])


def starts(m, name, value):
    """CALL_ONCE that gives the variable its first value."""
    s = m.subgraph("start")
    assign(s, name, s.constant(value))
    m.op("CALL_ONCE", [], [], init_subgraph_index=s)
