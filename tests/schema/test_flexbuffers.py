"""FlexBuffers by hand, against the flatbuffers package, and damaged."""

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.schema.flexbuffers import read_flexbuffer, write_flexbuffer
from minitfl.schema.reader import SchemaError
from tests.cases import differential

EVERYTHING = {
    "nothing": None,
    "flag": True,
    "small": -3,
    "large": 2**40,
    "half": 0.5,
    "third": 1 / 3,
    "text": "größer",
    "blob": b"\0\xff",
    "list": [1, -2.5, "x", None, [False, []]],
    "map": {"b": 1, "a": {"": ""}},
}


@pytest.mark.parametrize(
    "data, value",
    [
        (bytes([5, 4, 1]), 5),  # the value, its type INT << 2, its width
        (bytes([255, 4, 1]), -1),
        (bytes([255, 8, 1]), 255),  # UINT
        (bytes([1, 104, 1]), True),  # BOOL
        (bytes([0, 0, 1]), None),
        (bytes([0, 0, 0xC0, 0x3F, 12, 4]), 1.5),  # FLOAT of 4 bytes
        (bytes([0, 0x3E, 12, 2]), 1.5),  # FLOAT of 2
        (bytes([2, 104, 105, 0, 3, 20, 1]), "hi"),  # a STRING: size, text, 0; and 3 back to the text
        (bytes([104, 105, 0, 3, 16, 1]), "hi"),  # a KEY
        (bytes([2, 104, 105, 2, 100, 1]), b"hi"),  # a BLOB
        (bytes([0x34, 0x12, 2, 25, 1]), 0x1234),  # an INT of 2 bytes stored elsewhere
        (bytes([3, 1, 2, 255, 3, 44, 1]), [1, 2, -1]),  # a vector of INT
        (bytes([1, 2, 2, 64, 1]), [1, 2]),  # the same of two, which stores no size
        (bytes([1, 2, 3, 3, 80, 1]), [1, 2, 3]),  # a vector of three UINT
        (bytes([2, 7, 1, 4, 104, 4, 40, 1]), [7, True]),  # a VECTOR: size, values, types
        (bytes([97, 0, 1, 3, 1, 1, 1, 9, 4, 2, 36, 1]), {"a": 9}),  # key; keys; the way to them, their width; a MAP
    ],
)
def test_by_hand(data, value):
    found = read_flexbuffer(data)
    assert found == value and type(found) is type(value)


def test_everything_comes_back():
    assert read_flexbuffer(write_flexbuffer(EVERYTHING)) == EVERYTHING


def test_keys_are_sorted_as_bytes():
    assert list(read_flexbuffer(write_flexbuffer({"é": 1, "b": 2, "Z": 3, "a": 4, "ab": 5}))) == [
        "Z",
        "a",
        "ab",
        "b",
        "é",
    ]


def test_numpy_values():
    options = {"i": np.int32(3), "f": np.float32(0.5), "v": np.arange(3), "t": (1, 2)}
    assert read_flexbuffer(write_flexbuffer(options)) == {"i": 3, "f": 0.5, "v": [0, 1, 2], "t": [1, 2]}


def test_what_a_flexbuffer_cannot_hold():
    with pytest.raises(TypeError, match="holds no complex"):
        write_flexbuffer({"a": 1j})
    with pytest.raises(ValueError, match="zero byte"):
        write_flexbuffer({"a\0b": 1})


def test_the_flatbuffers_package_reads_what_is_written():
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    assert flexbuffers.Loads(write_flexbuffer(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    "value",
    [EVERYTHING, 7, "x", [], {}, [[[]]], {"x": array.array("h", [1, -2, 3]), "y": array.array("f", [0.5] * 5)}],
    ids=str,
)
def test_what_the_flatbuffers_package_writes_is_read(value):
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    found = read_flexbuffer(flexbuffers.Dumps(value))
    if isinstance(value, dict):
        value = {key: v.tolist() if isinstance(v, array.array) else v for key, v in value.items()}
    assert found == value


def test_typed_and_indirect_values_of_the_flatbuffers_package_are_read():
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, size in (("two", 2), ("three", 3), ("four", 4)):
            builder.Key(name)
            builder.FixedTypedVectorFromElements(array.array("i", range(size)))
        builder.Key("strings")
        with builder.TypedVector():
            builder.Key("p")
            builder.Key("q")
        builder.IndirectInt("far", -(2**40))
        builder.IndirectFloat("near", 2.5)
    expected = {"two": [0, 1], "three": [0, 1, 2], "four": [0, 1, 2, 3], "strings": ["p", "q"]}
    assert read_flexbuffer(builder.Finish()) == {**expected, "far": -(2**40), "near": 2.5}


keys = st.text().map(lambda text: text.replace("\0", ""))
plain = [st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(), st.binary()]
values = st.recursive(
    st.one_of(plain), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
)


@differential(100)
@given(values)
def test_any_value_comes_back(value):
    found = read_flexbuffer(write_flexbuffer(value))
    assert found == value and type(found) is type(value)


# ---- damage


@pytest.mark.parametrize(
    "data, text",
    [
        (b"", "flexbuffer at byte 0: too short"),
        (bytes([5, 4, 3]), "flexbuffer at byte 2: the width 3"),
        (bytes([5, 4, 8]), "flexbuffer at byte -7: 8 bytes are not all inside"),
        (bytes([5, 12, 1]), "flexbuffer at byte 0: a float has 1 bytes"),
        (bytes([0, 20, 1]), "flexbuffer at byte -1: 1 bytes are not all inside"),
        (bytes([1, 20, 1]), "flexbuffer at byte 0: the distance leads to byte -1"),
        (bytes([9, 104, 1, 20, 1]), "flexbuffer at byte 1: 9 bytes are not all inside"),
        (bytes([104, 1, 16, 1]), "flexbuffer at byte 0: the key is not closed by a zero byte"),
        (bytes([0, 1, 27 << 2, 1]), "flexbuffer at byte 1: there is no type 27"),
        (bytes([97, 0, 1, 3, 1, 3, 1, 9, 4, 2, 36, 1]), "flexbuffer at byte 5: the width 3"),
        (bytes([97, 0, 2, 3, 1, 1, 1, 9, 4, 2, 36, 1]), "flexbuffer at byte 2: a map of 1 values has another number"),
    ],
)
def test_damage_is_named(data, text):
    with pytest.raises(SchemaError, match=text):
        read_flexbuffer(data)


def test_a_value_that_contains_itself_is_refused():
    data = bytes([1, 0, 40, 1, 40, 1])  # a vector of one vector, 0 back from byte 1: itself
    with pytest.raises(SchemaError, match="nested more than 64 deep"):
        read_flexbuffer(data[:3] + bytes([2]) + data[4:])


def test_nesting_is_bounded():
    value = []
    for _ in range(63):
        value = [value]
    assert read_flexbuffer(write_flexbuffer(value)) == value
    for _ in range(2):
        value = [value]
    with pytest.raises(SchemaError, match="nested more than 64 deep"):
        read_flexbuffer(write_flexbuffer(value))


def test_work_is_bounded():
    """30 vectors, each of which holds the one before it ten times: 10**30 values in 600 bytes."""
    data = bytearray([0, 0])
    below = 1
    for _ in range(30):
        data.append(10)
        start = len(data)
        data += bytes(start + i - below for i in range(10)) + bytes([40] * 10)
        below = start
    data += bytes([len(data) - below, 40, 1])
    with pytest.raises(SchemaError, match="more work than sound data can"):
        read_flexbuffer(data)


def test_text_that_is_repeated_counts_as_work():
    text = b"x" * 60_000
    items = 4000
    data = bytearray(len(text).to_bytes(4, "little") + text + b"\0")
    data += bytes(-len(data) % 4) + items.to_bytes(4, "little")
    start = len(data)
    for i in range(items):
        data += (start + 4 * i - 4).to_bytes(4, "little")
    data += bytes([20 + 2] * items)
    data += bytes(-len(data) % 4)
    data += (len(data) - start).to_bytes(4, "little") + bytes([40 + 2, 4])
    with pytest.raises(SchemaError, match="more work than sound data can"):
        read_flexbuffer(data)


@pytest.mark.parametrize("change", [0x01, 0x08, 0x7F, 0xFF])
def test_every_changed_byte_is_an_error_or_harmless(change):
    data = bytearray(write_flexbuffer(EVERYTHING))
    refused = 0
    for position in range(len(data)):
        data[position] ^= change
        try:
            read_flexbuffer(data)
        except SchemaError:
            refused += 1
        data[position] ^= change
    assert 0 < refused < len(data)


def test_every_truncation_is_an_error_or_harmless():
    data = write_flexbuffer(EVERYTHING)
    for size in range(len(data)):
        try:
            read_flexbuffer(data[:size])
        except SchemaError:
            pass
