"""Comparisons, LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT, SELECT."""

from __future__ import annotations

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise

COMPARED = {"float32": "f32", "int32": "i32", "int64": "i64", "bool": "u8"}
BY_SIZE = {1: "u8", 2: "i16", 4: "f32", 8: "i64"}


@emits("compare.equal", "compare.not_equal", "compare.less", "compare.less_equal")
def comparison(e, x1, x2, y):
    if x1.type not in COMPARED:
        return False
    return elementwise(e, f"compare.{e.call.kernel.__name__}_{COMPARED[x1.type]}", [x1, x2], y)


@emits("compare.logical_and", "compare.logical_or")
def logic(e, x1, x2, y):
    return elementwise(e, f"compare.{e.call.kernel.__name__}", [x1, x2], y)


@emits("compare.logical_not")
def logical_not(e, x, y):
    return elementwise(e, "compare.logical_not", [x], y)


@emits("index_ops.select")
def select(e, condition, a, b, y):
    if y.dtype.kind not in "biuf" or y.dtype.itemsize not in BY_SIZE:
        return False
    return elementwise(e, f"compare.select_{BY_SIZE[y.dtype.itemsize]}", [condition, a, b], y)
