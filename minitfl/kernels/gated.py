"""The product of a tensor and its own logistic function, which models have as LOGISTIC, then MUL.

float32        swish
8 bits         a table of both
"""

from __future__ import annotations

import numpy as np

from minitfl.kernels.arithmetic import multiply, multiply_int
from minitfl.kernels.broadcast import blocks, workspace
from minitfl.kernels.sigmoid import logistic
from minitfl.kernels.tables import by_table, lookup, stored_values
from minitfl.op import Call, Kernel


@Kernel
def swish(x, low, high, y):
    """y = x * logistic(x) within low..high: LOGISTIC, then MUL. Ramachandran et al., arXiv:1710.05941."""
    for y, x in blocks(y, x):
        gate = np.empty(x.shape, x.dtype)
        logistic.numpy(x, gate)
        np.multiply(x, gate, out=y)
        np.clip(y, low, high, out=y)


def gated(gate: Call, call: Call) -> Call | None:
    """The product of a tensor and its own logistic function; None where it is one of others."""
    if (gate.kernel, call.kernel) not in ((logistic, multiply), (lookup, multiply_int)):
        return None
    x1, x2, *numbers, y = call.args
    x = gate.args[0]
    if {x1.index, x2.index} != {x.index, gate.outputs[0].index} or x.shape != y.shape:
        return None
    if call.kernel is multiply:
        return Call(swish, (x, *numbers, y), (y,), workspace=workspace(y))
    values = stored_values(x.type).astype(x.dtype)
    gates, products = gate.args[1], np.empty(256, y.dtype)
    multiply_int.numpy(*((values, gates) if x1.index == x.index else (gates, values)), *numbers, products)
    return by_table(x, products, y)
