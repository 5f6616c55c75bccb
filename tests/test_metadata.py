"""Metadata entries, packed files and labels."""

import io
import struct
import zipfile

import pytest

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.metadata import AssociatedFiles, label_files
from tests import small_models as models


def packed(content, **files):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            zipped.writestr(name.replace("_txt", ".txt"), text)
    return content + archive.getvalue()


def model(metadata=None):
    m = Model()
    m.output(m.input((1,)))
    if metadata is not None:
        m.metadata("TFLITE_METADATA", metadata)
    m.metadata("min_runtime_version", b"1.5.0")
    return m.content()


def described(name, type=2):
    """TFLITE_METADATA that gives the first output one associated file."""

    def table(*fields):  # each: the distance from the table, or None
        vtable = struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), 64, *[f or 0 for f in fields])
        return vtable

    # Tables stand at multiples of 64, each with its vtable 32 bytes before it; fields are at 4 and 8 of the table.
    data = bytearray(64 * 8)

    def put(place, slots):
        vtable = table(*[slots.get(n) for n in range(max(slots) + 1)])
        data[place - 32 : place - 32 + len(vtable)] = vtable
        struct.pack_into("<i", data, place, 32)

    def refer(place, target):
        struct.pack_into("<I", data, place, target - place)

    struct.pack_into("<I", data, 0, 64)
    data[4:8] = b"M001"
    for place, slot in ((64, 3), (128, 3), (192, 6)):  # model -> subgraph -> output tensor -> file
        put(place, {slot: 4})
        refer(place + 4, place + 16)
        struct.pack_into("<I", data, place + 16, 1)
        refer(place + 20, place + 64)
    put(256, {0: 4, 2: 8})
    refer(260, 272)
    data[264] = type
    struct.pack_into("<I", data, 272, len(name))
    data[276 : 276 + len(name)] = name
    return bytes(data)


def test_entries():
    metadata = Interpreter(model_content=model(b"abc")).metadata
    assert metadata == {"TFLITE_METADATA": b"abc", "min_runtime_version": b"1.5.0"}
    assert Interpreter(model_content=models.permute()).metadata == {}


@pytest.mark.parametrize("mmap", [False, True])
def test_packed_files(tmp_path, mmap):
    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model(), labels_txt="cat\ndog\n", vocab_txt="a"))
    interpreter = Interpreter(path, mmap=mmap)
    assert dict(interpreter.associated_files) == {"labels.txt": b"cat\ndog\n", "vocab.txt": b"a"}
    assert interpreter.labels == ["cat", "dog"]
    with pytest.raises(KeyError):
        interpreter.associated_files["other.txt"]


def test_models_without_files():
    interpreter = Interpreter(model_content=model())
    assert dict(interpreter.associated_files) == {} and interpreter.labels is None
    with pytest.raises(KeyError):
        interpreter.associated_files["labels.txt"]
    assert len(AssociatedFiles(None)) == 0


def test_the_metadata_names_the_label_file():
    content = packed(model(described(b"second.txt")), first_txt="no", second_txt="\ufeffjä\nnein")
    assert Interpreter(model_content=content).labels == ["jä", "nein"]
    assert label_files(described(b"v.txt", type=5)) == []
    assert label_files(described(b"v.txt", type=3)) == ["v.txt"]


def test_the_only_text_is_the_label_file():
    assert Interpreter(model_content=packed(model(), any_txt="x")).labels == ["x"]
    assert Interpreter(model_content=packed(model(), one_txt="x", two_txt="y")).labels is None


def test_damaged_metadata_names_nothing():
    sound = described(b"labels.txt")
    assert label_files(sound) == ["labels.txt"]
    assert label_files(b"") == [] and label_files(b"M001" * 9) == []
    for length in range(0, 276, 4):
        assert label_files(sound[:length]) == []
    for place in range(290):
        for value in (0, 255):
            damaged = bytearray(sound)
            damaged[place] = value
            assert isinstance(label_files(bytes(damaged)), list)


def test_a_damaged_archive_is_none():
    content = packed(model(), labels_txt="cat")
    assert Interpreter(model_content=content[:-30]).labels is None
