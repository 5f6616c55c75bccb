"""Plain data -> a .tflite file, over the same tables as the reader.

    tree = to_tree(read_model(content))          # {"version": 3, "subgraphs": [{"tensors": [...], ...}], ...}
    content = write_model(tree)                  # reading it gives the same tree

A tree holds the fields that are stored and no others: numbers, str, lists, dicts for tables, bytes for vectors of
uint8. A union is a dict next to the number of its member, `<name>_type`. Data that a file over 2 GB keeps behind its
tables becomes ordinary data of its table.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minitfl.schema.reader import Table, buffer_bytes, custom_option_bytes, verify
from minitfl.schema.tables import FILE_IDENTIFIER, ROOT, UNIONS, Spec, spec_of

# {table: (field, where its data may also be stored, how to get at it)}
_MOVED = {
    "Buffer": ("data", ("offset", "size"), buffer_bytes),
    "Operator": ("custom_options", ("large_custom_options_offset", "large_custom_options_size"), custom_option_bytes),
}


def to_tree(table: Table) -> dict[str, Any]:
    """Everything that can be reached from the table, as plain data. SchemaError if any of it is damaged."""
    verify(table)
    return _tree(table)


def _tree(table):
    tree = {}
    field, elsewhere, contents = _MOVED.get(table._name, ("", (), None))
    if contents and not table.has(field) and getattr(table, elsewhere[0]) > 1:
        tree[field] = contents(table, table).tobytes()
    for field in table._spec.fields:
        if table.has(field.name) and field.name not in elsewhere:
            value = _plain(getattr(table, field.name), field)
            if value is not None:
                tree[field.name] = value
    return tree


def _plain(value, field):
    if field.kind == "vector":
        return value.tobytes() if field.type == "uint8" else value.tolist()
    if field.kind == "tables":
        return [_tree(member) for member in value]
    return _tree(value) if isinstance(value, Table) else value


def write_model(tree: Mapping[str, Any]) -> bytes:
    """The file of a tree. Every field in it is stored, also one that has its default."""
    from flatbuffers import Builder

    builder = Builder(1024)
    builder.ForceDefaults(True)
    root = _write(builder, spec_of(ROOT), tree)
    builder.Finish(root, file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder, spec: Spec, tree):
    """Write the table and what it refers to; -> its offset. What a table refers to has to be written before it."""
    unknown = set(tree) - set(spec.by_name)
    if unknown:
        raise ValueError(f"{spec.name} has no field {sorted(unknown)}")
    fields = [field for field in spec.fields if field.name in tree]
    values = [_write_value(builder, field, tree) for field in fields]
    builder.StartObject(spec.slots)
    # Wide fields first, so that no gaps are needed between them.
    for field, value in sorted(zip(fields, values), key=lambda pair: -_width(pair[0])):
        if field.kind in ("scalar", "tag"):
            getattr(builder, f"Prepend{_type_name(field.type)}Slot")(field.slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field.slot, value, 0)
    return builder.EndObject()


def _write_value(builder, field, tree):
    value = tree[field.name]
    if field.kind == "string":
        return builder.CreateString(value, "utf-8", "surrogateescape")
    if field.kind == "vector":
        return _write_vector(builder, _array(value, field.type), field.align)
    if field.kind == "tables":
        offsets = [_write(builder, spec_of(field.type), member) for member in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    if field.kind == "table":
        return _write(builder, spec_of(field.type), value)
    if field.kind == "union":
        return _write(builder, spec_of(UNIONS[field.type][tree[f"{field.name}_type"] - 1]), value)
    return float(value) if field.type == "float32" else int(value)


def _array(value, stored):
    if stored == "uint8":
        return np.frombuffer(value, np.uint8) if len(value) else np.zeros(0, np.uint8)
    return np.asarray(value, np.dtype(stored).newbyteorder("<"))


def _write_vector(builder, array, align):
    builder.StartVector(array.itemsize, array.size, align)
    start = builder.Head() - array.nbytes
    builder.head = start
    builder.Bytes[start : start + array.nbytes] = array.tobytes()
    return builder.EndVector()


def _width(field):
    return np.dtype(field.type).itemsize if field.kind in ("scalar", "tag") else 4


def _type_name(stored):
    return stored.capitalize() if not stored.startswith("u") else "Uint" + stored[4:]
