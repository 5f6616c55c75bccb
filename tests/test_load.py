"""From bytes to a Graph: constants of every kind, and what is refused while loading."""

import struct

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.contents import decode
from minitfl.errors import ModelError
from minitfl.kernels.sparse import densify
from minitfl.load import load_model
from tests.cases import shared_models


def loaded(model):
    return load_model(model.content()).subgraphs[0]


def constant(array, **keywords):
    m = Model()
    m.constant(np.asarray(array), name="c", **keywords)
    return loaded(m).tensors[0]


# ---- constants


def test_four_bits():
    # low nibble first: 0x21 is 1, 2; 0x8f is -1, -8
    array = decode(np.uint8([0x21, 0x8F]), "int4", (4,))
    assert array.tolist() == [1, 2, -1, -8] and array.dtype == np.int8
    assert decode(np.uint8([0x21, 0x8F]), "uint4", (3,)).tolist() == [1, 2, 15]
    values = np.int8([-8, 7, 0, -1, 5])
    assert constant(values, type="int4").data.tolist() == values.tolist()


def test_two_bits():
    # from the lowest: 00 01 10 11 = 0 1 -2 -1
    assert decode(np.uint8([0b11100100]), "int2", (4,)).tolist() == [0, 1, -2, -1]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool", "float64"])
def test_numbers(dtype):
    values = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    t = constant(values)
    assert t.type == dtype and np.array_equal(t.data, values) and not t.data.flags.writeable


def test_strings():
    t = constant(np.array([b"one", b"", b"three"], object))
    assert t.type == "string" and t.data.tolist() == [b"one", b"", b"three"]


@pytest.mark.parametrize(
    "buffer",
    [
        b"\x01",
        struct.pack("<i", 3),
        struct.pack("<iii", -1, 0, 0),
        struct.pack("<iii", 1, 12, 40) + b"abc",
        struct.pack("<iii", 1, 14, 12) + b"abc",
        struct.pack("<iii", 1, 0, 12) + b"abc",
    ],
)
def test_damaged_strings(buffer):
    with pytest.raises(ModelError, match="string"):
        decode(np.frombuffer(buffer, np.uint8), "string", (1,))


def test_unaligned_numbers_are_copied():
    raw = np.zeros(9, np.uint8)
    raw[1:] = np.frombuffer(struct.pack("<ff", 1.5, -2), np.uint8)
    assert decode(raw[1:], "float32", (2,)).tolist() == [1.5, -2]


def test_constants_are_views_of_the_file():
    m = Model()
    m.constant(np.arange(64, dtype=np.float32))
    content = m.content()
    data = load_model(content).subgraphs[0].tensors[0].data
    assert np.shares_memory(data, np.frombuffer(content, np.uint8))


def csr(segments, indices):
    return {"format": 1, "array_segments": np.int32(segments), "array_indices": np.int32(indices)}


def test_sparse_rows():
    # [[1, 0, 2], [0, 0, 3]]: row 0 holds columns 0 and 2, row 1 column 2
    sparsity = {"traversal_order": [0, 1], "dim_metadata": [{"format": 0, "dense_size": 2}, csr([0, 2, 3], [0, 2, 2])]}
    assert densify(np.float32([1, 2, 3]), (2, 3), sparsity).tolist() == [[1, 0, 2], [0, 0, 3]]


def test_sparse_blocks():
    # 4x4 in 2x2 blocks; the second block row holds one block, at block column 1
    sparsity = {
        "traversal_order": [0, 1, 2, 3],
        "block_map": [0, 1],
        "dim_metadata": [
            {"format": 0, "dense_size": 2},
            csr([0, 0, 1], [1]),
            {"format": 0, "dense_size": 2},
            {"format": 0, "dense_size": 2},
        ],
    }
    dense = densify(np.float32([1, 2, 3, 4]), (4, 4), sparsity)
    assert dense[2:, 2:].tolist() == [[1, 2], [3, 4]] and dense.sum() == 10


@pytest.mark.parametrize(
    "segments, indices",
    [([0, 2], [0, 1]), ([0, 2, 1], [0]), ([0, 1, 2], [0, 7]), ([0, 1, 2], [0, -1]), ([0, 1, 9], [0, 1])],
)
def test_damaged_sparsity(segments, indices):
    sparsity = {"traversal_order": [0, 1], "dim_metadata": [{"format": 0, "dense_size": 2}, csr(segments, indices)]}
    with pytest.raises(ModelError):
        densify(np.float32([1, 2]), (2, 3), sparsity)


# ---- what is refused


def test_not_a_model():
    for content in (b"", b"TFL3", b"\x00" * 64):
        with pytest.raises(ValueError, match="The model is not a valid Flatbuffer buffer"):
            load_model(content)


def test_a_constant_shorter_than_its_shape():
    m = Model()
    m.constant(np.zeros(3, np.float32).tobytes(), type="float32", shape=(4,))
    with pytest.raises(ValueError, match="required_bytes <= bytes was not true"):
        loaded(m)


def test_scales_and_zero_points_differ_in_number():
    m = Model()
    m.input((3,), "int8", scale=[0.5, 0.25, 0.125], zero_point=[1])
    with pytest.raises(ValueError, match="1 zero_point values and 3 scale values"):
        loaded(m)


def test_an_unknown_version_says_which_are_known():
    m = Model()
    x, y = m.input((1,)), m.tensor((1,))
    m.op("RESHAPE", [x], [y], version=99, new_shape=[1])
    with pytest.raises(ValueError, match=r"Didn't find op for builtin opcode 'RESHAPE' version '99'.*Versions 1 to 1"):
        loaded(m)


@pytest.mark.parametrize("path", shared_models("*/a*.tflite"))
def test_a_truncated_model_is_an_error(path):
    content = path.read_bytes()
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        try:
            load_model(content[:size])
        except ValueError as error:
            assert isinstance(error, ModelError)
