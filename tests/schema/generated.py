"""The official reader and writer (generated Python code and the flatbuffers package), to compare with."""

import numpy as np
import pytest

from minitfl.schema.reader import Table
from minitfl.schema.tables import spec_of


def generated():
    """The module of generated code; skips the test where it is not installed."""
    return pytest.importorskip("ai_edge_litert.schema_py_generated")


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def pack(official_table):
    """A file with an official table as its root, and the identifier of models."""
    import flatbuffers

    builder = flatbuffers.Builder(64)
    builder.ForceDefaults(True)
    builder.Finish(official_table.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def assert_same(ours: Table, official, place="Model"):
    """Every field of the table and of all tables in it reads as the official code reads it."""
    if ours._name + "T" != type(official).__name__:
        raise AssertionError(f"{place} is a {ours._name}, officially a {type(official).__name__}")
    for field in spec_of(ours._name).fields:
        here = f"{place}.{field.name}"
        mine, theirs = getattr(ours, field.name), getattr(official, camel(field.name))
        if field.kind == "tables":
            assert len(mine) == len(theirs or ()), here
            for i, (member, expected) in enumerate(zip(mine, theirs or ())):
                assert_same(member, expected, f"{here}[{i}]")
        elif field.kind in ("table", "union"):
            assert (mine is None) == (theirs is None), here
            if mine is not None:
                assert_same(mine, theirs, here)
        elif field.kind == "vector":
            assert np.array_equal(mine, np.asarray(() if theirs is None else theirs, mine.dtype), equal_nan=True), here
        elif field.kind == "string":
            assert (None if mine is None else mine.encode("utf-8", "surrogateescape")) == theirs, here
        else:
            assert mine == theirs or (mine != mine and theirs != theirs), here


def set_everything(generated, name, seed=1):
    """An official table of this name in which no field has its default; unions hold their first member."""
    table = getattr(generated, f"{name}T")()
    for i, field in enumerate(spec_of(name).fields, seed):
        if field.kind == "scalar":
            value = not field.default if field.type == "bool" else field.default + i
        elif field.kind == "tag":
            value = 1
        elif field.kind == "string":
            value = f"text {i}"
        elif field.kind == "vector":
            value = [True, False, True] if field.type == "bool" else [i, 0, i + 1]
        elif field.kind == "table":
            value = set_everything(generated, field.type, i)
        elif field.kind == "tables":
            value = [set_everything(generated, field.type, i), set_everything(generated, field.type, i + 1)]
        else:
            first = {"BuiltinOptions": "Conv2DOptions", "BuiltinOptions2": "StablehloConcatenateOptions"}
            first |= {"QuantizationDetails": "CustomQuantization", "SparseIndexVector": "Int32Vector"}
            value = set_everything(generated, first[field.type], i)
        setattr(table, camel(field.name), value)
    return table
