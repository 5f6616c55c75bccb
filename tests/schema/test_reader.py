"""The reader on bytes written out by hand, on damaged ones, and on files that try to keep it busy for ever."""

import copy
import mmap
import pickle
import struct
import sys

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.schema import reader
from minitfl.schema.reader import (
    SchemaError,
    Table,
    buffer_bytes,
    custom_option_bytes,
    default_options,
    read_model,
    verify,
)
from minitfl.schema.tables import TABLES, spec_of
from minitfl.schema.writer import to_tree, write_model
from tests.cases import shared_models
from tests.oracle import Died, Error
from tests.schema.generated import assert_same, generated

# A model with version 3, description "hi" and metadata_buffer [7, -1].
BY_HAND = (
    struct.pack("<I4s", 28, b"TFL3")  # 0: the root table is at 28
    + struct.pack("<HH6H", 16, 16, 4, 0, 0, 8, 0, 12)  # 8: vtable: its size, the table's size, slots 0 to 5
    + b"\0\0\0\0"  # 24
    + struct.pack("<iiII", 28 - 8, 3, 8, 12)  # 28: back to the vtable; version; from 36 to 44; from 40 to 52
    + struct.pack("<I4s", 2, b"hi\0\0")  # 44
    + struct.pack("<Iii", 2, 7, -1)  # 52
)


def damaged(position, data):
    return BY_HAND[:position] + data + BY_HAND[position + len(data) :]


def small_model():
    """A file with nearly every kind of field, about 1.5 kB."""
    m = Model(description="small")
    x = m.input((1, 2, 2, 1), "int8", scale=0.5, zero_point=-3, signature=(-1, 2, 2, 1), name="x")
    w = m.constant(np.ones((1, 1, 1, 1), np.int8), scale=[0.5], zero_point=[0])
    details = {"scales": 0, "zero_points": -1, "block_size": 2}
    y = m.tensor((1, 2, 2, 1), "int8", quantization={"details_type": 2, "details": details})
    m.op("CONV_2D", [x, w, None], [y], padding="VALID", stride_w=1, stride_h=1)
    z = m.tensor((3,), "float32", shape_signature=[-1])
    m.custom("Mine", [y], [z], options={"a": 1, "b": "text"})
    m.output(z)
    body = m.subgraph("body")
    a = body.input((2,))
    body.output(a)
    m.signature("serve", {"x": x}, {"z": z})
    m.metadata("NAME", b"content")
    return m.content()


def walk(model):
    """Read all there is."""
    verify(model)
    repr(model)
    for buffer in model.buffers:
        buffer_bytes(model, buffer).sum()
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            custom_option_bytes(model, operator).sum()


# ---- sound files


def test_fields_by_hand():
    model = read_model(BY_HAND)
    verify(model)
    assert model._name == "Model"
    assert (model.version, model.description, model.metadata_buffer.tolist()) == (3, "hi", [7, -1])
    assert model.metadata_buffer.dtype == np.dtype("<i4")
    assert repr(model) == "Model(version=3, description='hi', metadata_buffer=array([ 7, -1], dtype=int32))"


def test_absent_fields_by_hand():
    model = read_model(BY_HAND)
    assert model.subgraphs == () and model.external_buffers == ()
    assert model.has("version") and model.has("description") and not model.has("subgraphs")


def test_defaults():
    conv = default_options("Conv2DOptions")
    assert (conv.padding, conv.dilation_w_factor, conv.stride_w, conv.has("stride_w")) == (0, 1, 0, False)
    assert default_options("AddOptions").pot_scale_int16 is True
    assert default_options("UniqueOptions").idx_out_type == 2
    assert default_options("SoftmaxOptions").beta == 0.0
    tensor = default_options("Tensor")
    assert tensor.shape.dtype == np.int32 and tensor.shape.size == 0 and not tensor.shape.flags.writeable
    assert (tensor.name, tensor.quantization, tensor.is_variable) == (None, None, False)
    operator = default_options("Operator")
    assert (operator.builtin_options_type, operator.builtin_options, operator.debug_metadata_index) == (0, None, -1)


@pytest.mark.parametrize("name", TABLES)
def test_defaults_of_every_table_can_be_read(name):
    verify(default_options(name))
    assert repr(default_options(name)) == f"{name}()"


def test_other_names_are_attribute_errors():
    model = read_model(BY_HAND)
    with pytest.raises(AttributeError, match="Model has no field 'subgraph'"):
        _ = model.subgraph
    assert "subgraphs" in dir(model) and "has" in dir(model)


def test_tables_are_read_only_views():
    model = read_model(small_model())
    with pytest.raises(AttributeError, match="cannot be changed"):
        model.version = 4
    with pytest.raises(ValueError, match="read-only"):
        model.subgraphs[0].tensors[0].shape[0] = 9
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="keep the file's bytes"):
            copying(model)


def test_vectors_are_views_into_the_file():
    content = np.frombuffer(bytearray(small_model()), np.uint8)
    model = read_model(content)
    buffer = model.buffers[model.subgraphs[0].tensors[1].buffer]
    assert np.shares_memory(buffer.data, content) and np.shares_memory(buffer_bytes(model, buffer), content)
    assert sys.byteorder == "big" or np.shares_memory(model.subgraphs[0].tensors[0].shape, content)


def test_any_buffer_will_do(tmp_path):
    content = small_model()
    tree = to_tree(read_model(content))
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        model = read_model(mapped)
        assert to_tree(model) == tree
        del model
    for same in (bytearray(content), memoryview(content), np.frombuffer(content, np.int8)):
        assert to_tree(read_model(same)) == tree


@pytest.mark.parametrize("shift", range(1, 8))
def test_unaligned_files_are_read_through_copies(shift):
    content = small_model()
    shifted = memoryview(bytes(shift) + content)[shift:]
    model = read_model(shifted)
    assert to_tree(model) == to_tree(read_model(content))
    shape = model.subgraphs[0].tensors[0].shape
    assert shape.flags.aligned and not shape.flags.writeable and shape.dtype.isnative


def test_vectors_of_tables_are_sequences():
    tensors = read_model(small_model()).subgraphs[0].tensors
    assert len(tensors) == 4
    assert tensors[-1].name == tensors[3].name == [t.name for t in tensors][3] == "tensor3"
    assert [t.name for t in tensors[1:3]] == ["tensor1", "tensor2"]
    with pytest.raises(IndexError):
        tensors[4]


def test_text_that_is_not_utf8_keeps_its_bytes():
    model = read_model(damaged(48, b"\xff\xfe"))
    verify(model)
    assert model.description.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_vectors_of_bools_are_bools():
    tree = {"subgraphs": [{"operators": [{"mutating_variable_inputs": [False, True, True]}]}]}
    content = bytearray(write_model(tree))
    at = content.index(b"\x03\0\0\0\0\x01\x01")
    content[at + 5] = 200
    flags = read_model(content).subgraphs[0].operators[0].mutating_variable_inputs
    assert flags.dtype == bool and flags.tolist() == [False, True, True] and not flags.flags.writeable


# ---- unions


def operator_of(**fields):
    return read_model(write_model({"subgraphs": [{"operators": [fields]}]})).subgraphs[0].operators[0]


def test_union():
    operator = operator_of(builtin_options_type=1, builtin_options={"stride_w": 5})
    assert (operator.builtin_options_type, operator.builtin_options._name) == (1, "Conv2DOptions")
    assert operator.builtin_options.stride_w == 5


def test_a_member_that_is_not_known_is_none_and_keeps_its_number():
    content = write_model({"subgraphs": [{"operators": [{"builtin_options_type": 200}]}]})
    model = read_model(content)
    verify(model)
    operator = model.subgraphs[0].operators[0]
    assert (operator.builtin_options_type, operator.builtin_options) == (200, None)


def test_numbers_of_members_decide_what_is_read():
    content = bytearray(
        write_model({"subgraphs": [{"operators": [{"builtin_options_type": 1, "builtin_options": {}}]}]})
    )
    operator = read_model(content).subgraphs[0].operators[0]
    tag = operator._position + operator._places[3]
    for number, name in ((0, None), (1, "Conv2DOptions"), (17, "ReshapeOptions"), (127, None), (255, None)):
        content[tag] = number
        model = read_model(content)
        verify(model)
        options = model.subgraphs[0].operators[0].builtin_options
        assert (options and options._name) == name


# ---- data behind the tables


def test_data_behind_the_tables():
    tree = {"buffers": [{}, {"offset": 1000, "size": 5}, {"offset": 1, "size": 5}, {"data": b"abc", "offset": 1000}]}
    content = write_model(tree).ljust(1000, b"\0") + b"hello"
    model = read_model(content)
    assert [buffer_bytes(model, b).tobytes() for b in model.buffers] == [b"", b"hello", b"", b"abc"]
    assert np.shares_memory(buffer_bytes(model, model.buffers[1]), np.frombuffer(content, np.uint8))


def test_custom_options_behind_the_tables():
    operator = {"large_custom_options_offset": 600, "large_custom_options_size": 7}
    content = write_model({"subgraphs": [{"operators": [operator]}]}).ljust(600, b"\0") + b"options"
    model = read_model(content)
    assert custom_option_bytes(model, model.subgraphs[0].operators[0]).tobytes() == b"options"


@pytest.mark.parametrize("offset, size", [(1000, 6), (1006, 0), (2**64 - 1, 2), (2, 2**64 - 1), (2**63, 2**63)])
def test_data_outside_the_file(offset, size):
    content = write_model({"buffers": [{"offset": offset, "size": size}]}).ljust(1005, b"\0")
    model = read_model(content)
    verify(model)
    with pytest.raises(SchemaError, match=r"Buffer\.offset at byte \d+: an out of range offset"):
        buffer_bytes(model, model.buffers[0])


# ---- damage


@pytest.mark.parametrize(
    "content, text",
    [
        (b"", "Model at byte 0: a file of 0 bytes is too short"),
        (BY_HAND[:7], "Model at byte 0: a file of 7 bytes is too short"),
        (damaged(4, b"TFL2"), "Model at byte 4: the file identifier is b'TFL2'"),
        (damaged(0, b"\0\0\0\0"), "Model.root at byte 0: the distance 0 leads outside the file"),
        (damaged(0, b"\x3d\0\0\0"), "Model.root at byte 0: the distance 61 leads outside the file"),
        (damaged(0, b"\0\0\0\x80"), "Model.root at byte 0: the distance 2147483648 leads outside"),
        (damaged(28, b"\x1d\0\0\0"), "Model at byte 28: its vtable would start at byte -1"),
        (damaged(28, b"\0\0\0\x80"), "Model at byte 28: its vtable would start at byte 2147483676"),
        (damaged(8, b"\x11"), "Model at byte 28: its vtable at byte 8 has the impossible size 17"),
        (damaged(8, b"\0\x01"), "Model at byte 28: its vtable at byte 8 has the impossible size 256"),
        (damaged(28, b"\x13"), "Model at byte 28: its vtable would start at byte 9"),
        (
            struct.pack("<I4sHHHi", 14, b"TFL3", 4, 4, 0, 14 - 8),
            "Model at byte 14: a table starts at a multiple of 4 bytes",
        ),
        (damaged(12, b"\x06"), "Model.version at byte 34: the field does not start at a multiple of its 4 bytes"),
        (damaged(40, b"\x0d"), "Model.metadata_buffer at byte 53: a vector starts at a multiple of 4 bytes"),
        (damaged(12, b"\x24"), "Model.version at byte 64: the field ends outside the file"),
        (damaged(36, b"\0"), "Model.description at byte 36: the distance 0 leads outside the file"),
        (damaged(36, b"\xff"), "Model.description at byte 36: the distance 255 leads outside the file"),
        (damaged(44, b"\x20"), "Model.description at byte 44: 32 elements of 1 bytes end outside the file"),
        (damaged(44, b"\x01"), "Model.description at byte 44: the text is not closed by a zero byte"),
        (damaged(52, b"\x03"), "Model.metadata_buffer at byte 52: 3 elements of 4 bytes end outside the file"),
        (damaged(52, b"\xff\xff\xff\xff"), "Model.metadata_buffer at byte 52: 4294967295 elements of 4 bytes"),
    ],
)
def test_damage_is_named(content, text):
    with pytest.raises(SchemaError) as caught:
        verify(read_model(content))
    assert str(caught.value).startswith(text)


def test_damage_is_found_by_reading_alone():
    assert read_model(damaged(44, b"\x20")).version == 3
    with pytest.raises(SchemaError, match=r"Model\.description at byte 44"):
        _ = read_model(damaged(44, b"\x20")).description


def test_a_longer_vtable_of_a_later_schema_is_fine():
    content = bytearray(write_model({"version": 3}))
    root = int.from_bytes(content[:4], "little")
    vtable = len(content)
    content += struct.pack("<HH40H", 84, 8, 4, *range(39)).replace(b"\x01\0", b"\0\0")
    content[vtable + 6 : vtable + 24] = bytes(18)
    content[root : root + 4] = struct.pack("<i", root - vtable)
    model = read_model(content)
    verify(model)
    assert model.version == 3


def test_every_truncation_of_a_model_is_an_error_or_harmless():
    content = small_model()
    refused = 0
    for size in range(len(content)):
        try:
            walk(read_model(content[:size]))
        except SchemaError:
            refused += 1
    assert refused > 0.9 * len(content)


@pytest.mark.parametrize("change", [0x01, 0x04, 0x80, 0xFF])
def test_every_changed_byte_of_a_model_is_an_error_or_harmless(change):
    content = bytearray(small_model())
    refused = 0
    for position in range(len(content)):
        content[position] ^= change
        try:
            walk(read_model(content))
        except SchemaError:
            refused += 1
        content[position] ^= change
    assert 0 < refused < len(content)


def test_what_passes_is_still_plain_data_that_can_be_written():
    content = bytearray(small_model())
    for position in range(0, len(content), 7):
        content[position] ^= 0x10
        try:
            tree = to_tree(read_model(content))
        except SchemaError:
            continue
        finally:
            content[position] ^= 0x10
        assert repr(to_tree(read_model(write_model(tree)))) == repr(tree)


@pytest.mark.parametrize("change", [0x01, 0x04, 0xFF])
def test_verify_refuses_what_the_official_verifier_refuses(official, change):
    content = bytearray(small_model())
    for position in range(change % 5, len(content), 5):
        content[position] ^= change
        try:
            verify(read_model(content))
            refused = False
        except SchemaError:
            refused = True
        try:
            official.run(bytes(content), [])
            found = ""
        except Error as error:
            found = str(error)
        except Died:
            found = "it died on what the verifier let pass"
        except RuntimeError as error:
            found = str(error)
            assert "UnicodeDecodeError" in found  # a tensor's name, asked for after the verifier let it pass
        assert refused == ("Flatbuffer" in found or "model identifier" in found), (position, found)
        content[position] ^= change


# ---- work without end


def vector_of_the_same(count, target):
    """A vector of tables that all are `target` (counted from the vector's end), as bytes."""
    return struct.pack(f"<{count + 1}I", count, *(4 * (count - i) + target for i in range(count)))


def shared_tables(subgraphs, tensors):
    """A model of `subgraphs` times the same subgraph, which has `tensors` times the same tensor."""
    content = struct.pack("<I4s", 24, b"TFL3")
    content += struct.pack("<HH4H", 10, 8, 0, 0, 4, 0) + b"\0\0\0\0"  # 8: vtable of Model: subgraphs at 4
    content += struct.pack("<iI", 16, 4)  # 24: Model
    content += vector_of_the_same(subgraphs, 8)
    content += struct.pack("<HHHH", 6, 8, 4, 0)  # vtable of SubGraph: tensors at 4
    content += struct.pack("<iI", 8, 4)
    content += vector_of_the_same(tensors, 4)
    content += struct.pack("<HH", 4, 4) + struct.pack("<i", 4)  # vtable of Tensor, empty; Tensor
    return content


def test_shared_tables_are_fine():
    model = read_model(shared_tables(3, 5))
    verify(model)
    assert [len(s.tensors) for s in model.subgraphs] == [5, 5, 5]
    assert model.subgraphs[2].tensors[4]._position == model.subgraphs[0].tensors[0]._position


@pytest.mark.parametrize("subgraphs, tensors", [(1000, 1000), (30_000, 30_000), (1, 1_000_000), (1_000_000, 1)])
def test_too_many_tables_are_refused_however_they_are_shared(subgraphs, tensors):
    model = read_model(shared_tables(subgraphs, tensors))
    with pytest.raises(SchemaError, match="more work or depth than a sound file can"):
        verify(model)
    with pytest.raises(SchemaError, match="more work or depth"):
        to_tree(model)


def test_a_vector_shared_by_too_many_tables_is_refused():
    content = bytearray(shared_tables(1, 1000))
    tensor = len(content) - 4
    name = b"x" * 5000
    content += struct.pack("<HHHHHH", 12, 8, 0, 0, 0, 4) + struct.pack("<iI", 12, 4)
    content += struct.pack("<I", len(name)) + name + b"\0"
    vector = tensor - 8 - 4 * 1000
    for i in range(1000):
        struct.pack_into("<I", content, vector + 4 + 4 * i, tensor + 16 - (vector + 4 + 4 * i))
    model = read_model(content)
    assert model.subgraphs[0].tensors[7].name == "x" * 5000
    with pytest.raises(SchemaError, match="more work or depth"):
        verify(model)


def test_depth_is_bounded():
    model = read_model(BY_HAND)
    with pytest.raises(SchemaError, match="nested more than 64 deep"):
        Table(model._file, 28, spec_of("Model"), reader.MAX_DEPTH + 1)


# ---- real files


@pytest.mark.parametrize("path", shared_models())
def test_real_files_read_as_the_official_code_reads_them(path):
    content = path.read_bytes()
    model = read_model(content)
    verify(model)
    assert_same(model, generated().ModelT.InitFromPackedBuf(content))
