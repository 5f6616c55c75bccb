"""The declared tables against facts written out by hand, and against the code generated from the official schema."""

import pytest

from minitfl.schema.enums import ENUMS, STORAGE, BuiltinOperator
from minitfl.schema.options import OP_OPTIONS, OPTION_TABLES
from minitfl.schema.reader import Table, _File, default_options, verify
from minitfl.schema.tables import TABLES, UNIONS, spec_of
from tests.schema.generated import assert_same, camel, generated, pack, set_everything


@pytest.mark.parametrize(
    "table, field, slot, kind, stored",
    [
        ("Model", "subgraphs", 2, "tables", "SubGraph"),
        ("Tensor", "external_buffer", 10, "scalar", "uint32"),
        ("Operator", "builtin_options_type", 3, "tag", "uint8"),
        ("Operator", "builtin_options", 4, "union", "BuiltinOptions"),
        ("Operator", "custom_options", 5, "vector", "uint8"),
        ("Operator", "builtin_options_2", 12, "union", "BuiltinOptions2"),
        ("QuantizationParameters", "quantized_dimension", 6, "scalar", "int32"),
        ("ResizeBilinearOptions", "align_corners", 2, "scalar", "bool"),
        ("SignatureDef", "subgraph_index", 4, "scalar", "uint32"),
        ("StablehloConvolutionOptions", "precision_config", 16, "vector", "uint32"),
    ],
)
def test_slots(table, field, slot, kind, stored):
    found = spec_of(table).by_name[field]
    assert (found.slot, found.kind, found.type) == (slot, kind, stored)


def test_unused_fields_keep_their_slot_and_have_no_name():
    assert spec_of("ResizeBilinearOptions").slots == 4
    assert "new_height" not in spec_of("ResizeBilinearOptions").by_name


@pytest.mark.parametrize(
    "op, field, table",
    [
        ("CONV_2D", "builtin_options", "Conv2DOptions"),
        ("EXP", "builtin_options", "ExpOptions"),
        ("MAXIMUM", "builtin_options", "MaximumMinimumOptions"),
        ("L2_POOL_2D", "builtin_options", "Pool2DOptions"),
        ("BATCH_TO_SPACE_ND", "builtin_options", "BatchToSpaceNDOptions"),
        ("SUM", "builtin_options", "ReducerOptions"),
        ("STABLEHLO_COMPOSITE", "builtin_options_2", "StableHLOCompositeOptions"),
        ("DILATE", "builtin_options_2", "DilateOptions"),
    ],
)
def test_options_of_ops(op, field, table):
    assert OP_OPTIONS[op] == (field, table)


def test_ops_without_options():
    bare = {op.name for op in BuiltinOperator if not op.name.startswith("STABLEHLO")} - set(OP_OPTIONS)
    assert bare == set(
        """BROADCAST_ARGS CEIL COMPLEX_ABS CUSTOM DELEGATE ELU EMBEDDING_LOOKUP FLOOR HASHTABLE_LOOKUP IMAG LOG LOGISTIC
        PLACEHOLDER_FOR_GREATER_OP_CODES PRELU REAL RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIN SQRT
        TANH""".split()
    )


def test_every_options_table_is_in_one_union_and_belongs_to_an_op():
    members = [*UNIONS["BuiltinOptions"], *UNIONS["BuiltinOptions2"]]
    assert sorted(members) == sorted(OPTION_TABLES)
    assert {table for _, table in OP_OPTIONS.values()} == set(members)


def test_every_member_of_a_union_is_a_table():
    assert {member for members in UNIONS.values() for member in members} <= set(TABLES)


@pytest.mark.parametrize("name", UNIONS)
def test_union_numbers_are_official(name):
    official = vars(getattr(generated(), name))
    assert {key: n for key, n in official.items() if key[0] != "_"} == {
        member: n for n, member in enumerate(("NONE", *UNIONS[name]))
    }


@pytest.mark.parametrize("name", ENUMS)
def test_enum_numbers_are_official(name):
    official = vars(getattr(generated(), name))
    assert {key: n for key, n in official.items() if key[0] != "_"} == {m.name: int(m) for m in ENUMS[name]}


def test_every_enum_says_how_it_is_stored():
    assert set(STORAGE) == set(ENUMS.values())


@pytest.mark.parametrize("name", TABLES)
def test_fields_and_defaults_are_official(name):
    official = getattr(generated(), f"{name}T")()
    assert {camel(field) for field in spec_of(name).by_name} == set(vars(official))
    assert_same(default_options(name), official, name)


@pytest.mark.parametrize("name", TABLES)
def test_every_field_is_read_where_the_official_code_writes_it(name):
    content = pack(set_everything(generated(), name))
    table = Table(_File(content), int.from_bytes(content[:4], "little"), spec_of(name))
    verify(table)
    assert_same(table, getattr(generated(), f"{name}T").InitFromPackedBuf(content), name)
    assert all(table.has(field) for field in spec_of(name).by_name)
    assert_same(table, set_everything_as_read(name), name)


def set_everything_as_read(name):
    """set_everything with text as the bytes that reading gives."""
    return _texts_as_bytes(set_everything(generated(), name))


def _texts_as_bytes(table):
    for key, value in vars(table).items():
        if isinstance(value, str):
            setattr(table, key, value.encode())
        elif isinstance(value, list):
            setattr(table, key, [_texts_as_bytes(v) if hasattr(v, "Pack") else v for v in value])
        elif hasattr(value, "Pack"):
            _texts_as_bytes(value)
    return table
