"""The tables of the TFLite schema (schema.fbs of the TFLite tree) and the notation they are written in.

A table is a list of fields, `name type`, in the order of their slots in the file:

    bool int8 ... float32       a number, stored in place; `= 1` gives a default other than zero
    Padding                     the same for an enumeration of `minitfl.schema.enums`
    string                      text
    [int32] [Padding]           a vector of numbers; `align 16` if its data starts at a multiple of 16
    Tensor                      a table
    [Tensor]                    a vector of tables
    BuiltinOptions              one table out of a union. It takes two slots: `<name>_type` says which, then the table
    -name type                  no longer used: keeps its slot and is neither read nor written

The options of the operators are in `minitfl.schema.options`, in the same notation.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property

from minitfl.schema.enums import ENUMS, STORAGE
from minitfl.schema.options import OPTION_TABLES, OPTION_UNIONS

FILE_IDENTIFIER = b"TFL3"
ROOT = "Model"

TABLES = {
    "Model": """
        version uint32,
        operator_codes [OperatorCode],
        subgraphs [SubGraph],
        description string,
        buffers [Buffer],
        metadata_buffer [int32],
        metadata [Metadata],
        signature_defs [SignatureDef],
        external_buffer_groups [ExternalBufferGroup],
        external_buffers [ExternalBuffer]
    """,
    "SubGraph": """
        tensors [Tensor],
        inputs [int32],
        outputs [int32],
        operators [Operator],
        name string,
        debug_metadata_index int32 = -1
    """,
    "Tensor": """
        shape [int32],
        type TensorType,
        buffer uint32,
        name string,
        quantization QuantizationParameters,
        is_variable bool,
        sparsity SparsityParameters,
        shape_signature [int32],
        has_rank bool,
        variant_tensors [VariantSubType],
        external_buffer uint32
    """,
    "Operator": """
        opcode_index uint32,
        inputs [int32],
        outputs [int32],
        builtin_options BuiltinOptions,
        custom_options [uint8],
        custom_options_format CustomOptionsFormat,
        mutating_variable_inputs [bool],
        intermediates [int32],
        large_custom_options_offset uint64,
        large_custom_options_size uint64,
        builtin_options_2 BuiltinOptions2,
        debug_metadata_index int32 = -1
    """,
    "OperatorCode": """
        deprecated_builtin_code int8, custom_code string, version int32 = 1, builtin_code BuiltinOperator
    """,
    "Buffer": "data [uint8] align 16, offset uint64, size uint64",
    "Metadata": "name string, buffer uint32",
    "SignatureDef": """
        inputs [TensorMap], outputs [TensorMap], signature_key string, -deprecated_tag string, subgraph_index uint32
    """,
    "TensorMap": "name string, tensor_index uint32",
    "ExternalBufferGroup": "name string",
    "ExternalBuffer": "id uint32, group uint32, offset uint64, length uint64, packing string",
    "VariantSubType": "shape [int32], type TensorType, has_rank bool",
    "QuantizationParameters": """
        min [float32],
        max [float32],
        scale [float32],
        zero_point [int64],
        details QuantizationDetails,
        quantized_dimension int32
    """,
    "CustomQuantization": "custom [uint8] align 16",
    "BlockwiseQuantization": "scales int32, zero_points int32, block_size int32, block_shape [int32]",
    "MultiAxisQuantization": "scales int32, zero_points int32, block_size int32, quantized_dimensions [int32]",
    "SparsityParameters": "traversal_order [int32], block_map [int32], dim_metadata [DimensionMetadata]",
    "DimensionMetadata": """
        format DimensionType, dense_size int32, array_segments SparseIndexVector, array_indices SparseIndexVector
    """,
    "Int32Vector": "values [int32]",
    "Uint16Vector": "values [uint16] align 4",
    "Uint8Vector": "values [uint8] align 4",
    **OPTION_TABLES,
}

# The number of a member is its place, counted from 1; 0 says that there is none.
UNIONS = {
    "QuantizationDetails": ("CustomQuantization", "BlockwiseQuantization", "MultiAxisQuantization"),
    "SparseIndexVector": ("Int32Vector", "Uint16Vector", "Uint8Vector"),
    **OPTION_UNIONS,
}

SCALARS = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "float32": 4,
}


Enumeration = type[IntEnum]


@dataclass(frozen=True)
class Field:
    """One field. `kind`: scalar, string, vector, table, tables (a vector of them), union or tag (which of the union).

    `type`: the stored NumPy type of a scalar or of a vector's elements, else the name of the table or union.
    """

    name: str
    slot: int
    kind: str
    type: str
    default: bool | int | float | None = None
    align: int = 0
    enum: Enumeration | None = None


@dataclass(frozen=True)
class Spec:
    """A table of the schema: its name and its fields in the order of their slots."""

    name: str
    fields: tuple[Field, ...]
    slots: int

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}


_NOTATION = re.compile(r"(-?)(\w+) (\[?)(\w+)\]?(?: = (\S+))?(?: align (\d+))?")


@cache
def spec_of(name: str) -> Spec:
    """The table of this name, its notation taken apart; KeyError if the schema has none."""
    fields = []
    slot = 0
    for text in filter(None, (part.strip() for part in TABLES[name].split(","))):
        match = _NOTATION.fullmatch(text)
        if match is None:
            raise ValueError(f"{name}: {text!r} is not the notation of a field")
        unused, field, vector, kind, default, align = match.groups()
        if kind in UNIONS:
            fields.append(Field(f"{field}_type", slot, "tag", "uint8", 0))
            slot += 1
        if not unused:
            fields.append(_field(field, slot, bool(vector), kind, default, int(align or 0)))
        slot += 1
    return Spec(name, tuple(fields), slot)


def _field(name, slot, vector, kind, default, align):
    enum = ENUMS.get(kind)
    stored = STORAGE[enum] if enum else kind
    if stored in SCALARS:
        if vector:
            return Field(name, slot, "vector", stored, None, max(align, SCALARS[stored]), enum)
        return Field(name, slot, "scalar", stored, _default(stored, default, enum), 0, enum)
    if kind == "string":
        return Field(name, slot, "string", "string")
    if kind in UNIONS:
        return Field(name, slot, "union", kind)
    if kind not in TABLES:
        raise ValueError(f"the field {name} has the type {kind}, which the schema does not define")
    return Field(name, slot, "tables" if vector else "table", kind)


def _default(stored, text, enum):
    if stored == "bool":
        return text == "true"
    if enum and text:
        return int(enum[text])
    return (float if stored == "float32" else int)(text or 0)
