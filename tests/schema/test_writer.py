"""The writer: what it writes reads the same here and by the official code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.schema.reader import SchemaError, read_model
from minitfl.schema.tables import UNIONS, spec_of
from minitfl.schema.writer import to_tree, write_model
from tests.cases import differential, shared_models
from tests.schema.generated import assert_same, generated

texts = st.text(max_size=5)


def numbers(stored):
    if stored == "bool":
        return st.booleans()
    if stored == "float32":
        return st.floats(width=32, allow_nan=False)
    limits = np.iinfo(stored)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def trees(draw, name="Model", depth=0):
    """Any tree of a table; the deeper, the fewer members its vectors have."""
    tree = {}
    for field in spec_of(name).fields:
        if field.kind == "tag" or not draw(st.booleans()):
            continue
        if field.kind == "scalar":
            value = draw(numbers(field.type))
        elif field.kind == "string":
            value = draw(texts)
        elif field.kind == "vector" and field.type == "uint8":
            value = draw(st.binary(max_size=20))
        elif field.kind == "vector":
            value = draw(st.lists(numbers(field.type), max_size=3))
        elif field.kind == "tables":
            value = draw(st.lists(trees(field.type, depth + 1), max_size=max(1, 3 - depth)))
        elif field.kind == "table":
            value = draw(trees(field.type, depth + 1))
        else:
            member = draw(st.sampled_from(UNIONS[field.type]))
            tree[f"{field.name}_type"] = UNIONS[field.type].index(member) + 1
            value = draw(trees(member, depth + 1))
        tree[field.name] = value
    if name in ("Buffer", "Operator"):  # data behind the tables moves, see test_data_behind_the_tables_moves
        for field in ("offset", "size", "large_custom_options_offset", "large_custom_options_size"):
            tree.pop(field, None)
    return tree


@differential(100)
@given(trees())
def test_any_tree_reads_as_it_was_written(tree):
    content = write_model(tree)
    assert to_tree(read_model(content)) == tree
    assert_same(read_model(content), generated().ModelT.InitFromPackedBuf(content))


@pytest.mark.parametrize("path", shared_models())
def test_real_files_survive_reading_and_writing(path):
    tree = to_tree(read_model(path.read_bytes()))
    again = to_tree(read_model(write_model(tree)))
    assert again == tree or repr(again) == repr(tree)  # NaN is not equal to itself


def test_a_tree_holds_what_is_stored_and_nothing_else():
    tree = {"version": 0, "subgraphs": [{"operators": [{"builtin_options_type": 17, "builtin_options": {}}]}]}
    assert to_tree(read_model(write_model(tree))) == tree
    assert not read_model(write_model({})).has("version")
    assert read_model(write_model(tree)).has("version")


def test_data_starts_at_multiples_of_16():
    tree = {"buffers": [{"data": bytes(n)} for n in range(20)], "description": "?" * 5}
    for buffer in read_model(write_model(tree)).buffers:
        start = buffer._file.follow(buffer._position + buffer._places[0], buffer._spec, buffer._spec.fields[0]) + 4
        assert start % 16 == 0


@pytest.mark.parametrize("shift", range(9))
def test_vectors_of_wide_numbers_are_aligned(shift):
    tree = {"description": "?" * shift, "subgraphs": [{"tensors": [{"quantization": {"zero_point": [1, 2]}}]}]}
    content = np.frombuffer(write_model(tree), np.uint8)
    points = read_model(content).subgraphs[0].tensors[0].quantization.zero_point
    assert (points.ctypes.data - content.ctypes.data) % 8 == 0


def test_bytes_that_are_not_utf8_survive():
    tree = {"description": b"\xff\xfea".decode("utf-8", "surrogateescape")}
    assert to_tree(read_model(write_model(tree))) == tree


def test_data_behind_the_tables_moves():
    operator = {"large_custom_options_offset": 1005, "large_custom_options_size": 7, "opcode_index": 3}
    tree = {
        "buffers": [{"offset": 1000, "size": 5}, {"offset": 1, "size": 3}],
        "subgraphs": [{"operators": [operator]}],
    }
    content = write_model(tree).ljust(1000, b"\0") + b"hellooptions"
    moved = {
        "buffers": [{"data": b"hello"}, {}],
        "subgraphs": [{"operators": [{"custom_options": b"options", "opcode_index": 3}]}],
    }
    assert to_tree(read_model(content)) == moved
    assert to_tree(read_model(write_model(moved))) == moved


def test_damage_is_found_before_a_tree_is_made():
    content = bytearray(write_model({"description": "x" * 50}))
    content[-8:] = b"\xff" * 8
    with pytest.raises(SchemaError):
        to_tree(read_model(content))


def test_fields_that_the_schema_lacks_are_refused():
    with pytest.raises(ValueError, match=r"Tensor has no field \['shapes'\]"):
        write_model({"subgraphs": [{"tensors": [{"shapes": [1]}]}]})
