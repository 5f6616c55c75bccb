"""IF, WHILE, CALL_ONCE and resource variables, alone and inside each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter, ModelError
from minitfl.build import Model
from tests.cases import array, check, differential, ours, shapes

# ---- small subgraphs


def constant(s, value, type="float32"):
    return s.constant(np.asarray(value, type))


def apply(s, op, *inputs, type="float32", shape=(), **options):
    """The output of one more op."""
    y = s.tensor(shape, type)
    s.op(op, list(inputs), [y], **options)
    return y


def less(s, x, limit, type="int32"):
    return apply(s, "LESS", x, constant(s, limit, type), type="bool")


def loop(m, state, condition, body, shapes=None):
    """Outputs of a WHILE over `state`; condition and body are functions of (subgraph, *tensors)."""
    types = [tensor_type(m, x) for x in state]
    c, b = m.subgraph("condition"), m.subgraph("body")
    c.output(condition(c, *inputs_like(c, m, state)))
    b.output(*body(b, *inputs_like(b, m, state)))
    outputs = [m.tensor((), type) for type in types]
    m.op("WHILE", state, outputs, cond_subgraph_index=c, body_subgraph_index=b)
    return outputs


def branch(m, condition, inputs, then, other):
    """Outputs of an IF; then and other are functions of (subgraph, *tensors) that give lists of tensors."""
    subgraphs = []
    for name, make in (("then", then), ("other", other)):
        s = m.subgraph(name)
        results = make(s, *inputs_like(s, m, inputs))
        s.output(*results)
        subgraphs.append(s)
    outputs = [m.tensor((), tensor_type(subgraphs[0], y)) for y in results_of(subgraphs[0])]
    m.op("IF", [condition, *inputs], outputs, then_subgraph_index=subgraphs[0], else_subgraph_index=subgraphs[1])
    return outputs


def inputs_like(s, m, tensors):
    return [s.input(m._tree["tensors"][x].get("shape", ()), tensor_type(m, x)) for x in tensors]


def results_of(s):
    return s._tree["outputs"]


def tensor_type(s, x):
    return s._tree["tensors"][x]["type"].name.lower() if hasattr(s._tree["tensors"][x]["type"], "name") else NAMES[
        s._tree["tensors"][x]["type"]
    ]


NAMES = {}
