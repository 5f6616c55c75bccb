"""What a model file brings along beside its graph: packed files, and the labels among them.

Packed files are a zip archive at the end of the file. Which of them holds the labels of an output is said by the
metadata entry TFLITE_METADATA, a flatbuffer of its own (metadata_schema.fbs of tflite-support):

    ModelMetadata     3 subgraph_metadata, 6 associated_files
    SubGraphMetadata  2 input_tensor_metadata, 3 output_tensor_metadata, 4 associated_files
    TensorMetadata    4 process_units, 6 associated_files
    ProcessUnit       0 kind of options (1: normalisation), 1 the options: 0 mean, 1 std
    AssociatedFile    0 name, 2 type (2: labels of an axis, 3: labels of values)
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

ENTRY = "TFLITE_METADATA"
_LABEL_TYPES = (2, 3)
_NORMALISATION = 1
_MOST_LABEL_NBYTES = 1 << 26


class _Stream(io.RawIOBase):
    """Bytes or a memory map as a file, without a copy."""

    def __init__(self, content: Any):
        self._content = content
        self._place = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._place, len(self._content))[whence]
        self._place = max(start + offset, 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._content) if size is None or size < 0 else self._place + size
        found = self._content[self._place : end]
        self._place += len(found)
        return found


class AssociatedFiles(Mapping[str, bytes]):
    """The packed files of a model by name; each is unpacked when it is asked for."""

    def __init__(self, content: Any):
        self._archive = None
        if content is not None:
            try:
                self._archive = zipfile.ZipFile(_Stream(content))
            except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, OverflowError):
                self._archive = None  # the usual case: nothing is packed

    def size(self, name: str) -> int:
        """Bytes, unpacked."""
        return self._info(name).file_size

    def _info(self, name: str) -> zipfile.ZipInfo:
        if self._archive is None:
            raise KeyError(name)
        return self._archive.getinfo(name)

    def __getitem__(self, name: str) -> bytes:
        info = self._info(name)
        assert self._archive is not None
        return self._archive.read(info)

    def __iter__(self) -> Iterator[str]:
        return iter(self._archive.namelist() if self._archive else ())

    def __len__(self) -> int:
        return len(self._archive.namelist()) if self._archive else 0

    def __repr__(self) -> str:
        return f"<associated files: {', '.join(self) or 'none'}>"


def labels(entries: Mapping[str, bytes], files: Mapping[str, bytes]) -> list[str] | None:
    """The lines of the label file: the one that the metadata names, else the only text file, or None."""
    names = [name for name in label_files(entries.get(ENTRY, b"")) if name in files]
    if not names:
        names = [name for name in files if name.lower().endswith(".txt")]
        if len(names) != 1:
            names = [name for name in names if "label" in name.lower()]
    if not names:
        return None
    if isinstance(files, AssociatedFiles) and files.size(names[0]) > _MOST_LABEL_NBYTES:
        raise ValueError(f"label file '{names[0]}' unpacks to {files.size(names[0])} bytes")
    return files[names[0]].decode("utf-8", "replace").removeprefix("\ufeff").splitlines()


def label_files(data: bytes) -> list[str]:
    """Names of the label files in TFLITE_METADATA, those of output tensors first; none where it can't be read."""
    try:
        root = _follow(data, 0)
        subgraphs = list(_tables(data, root, 3))
        outputs = [t for s in subgraphs for t in _tables(data, s, 3)]
        holders = [(t, 6) for t in outputs] + [(s, 4) for s in subgraphs] + [(root, 6)]
        found = [f for holder, slot in holders for f in _tables(data, holder, slot)]
        return [_string(data, f, 0) for f in found if _byte(data, f, 2) in _LABEL_TYPES]
    except (struct.error, UnicodeDecodeError):
        return []


def normalisation(data: bytes) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """(mean, std) that TFLITE_METADATA gives for the first input: x = (pixel - mean) / std. None if it has none."""
    try:
        inputs = [t for s in _tables(data, _follow(data, 0), 3) for t in _tables(data, s, 2)]
        for unit in _tables(data, inputs[0], 4) if inputs else ():
            place = _place(data, unit, 1)
            if _byte(data, unit, 0) == _NORMALISATION and place:
                options = _follow(data, place)
                mean, std = (_floats(data, options, slot) for slot in (0, 1))
                return (mean, std) if mean and std else None
    except struct.error:
        pass
    return None


# ---- reading a flatbuffer; struct.error where it leads outside


def _follow(data: bytes, place: int) -> int:
    return place + struct.unpack_from("<I", data, place)[0]


def _place(data: bytes, table: int, slot: int) -> int:
    """Where a field of a table is; 0 if it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise struct.error("a vtable before the start")
    size = struct.unpack_from("<H", data, vtable)[0]
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * slot)[0] if 4 + 2 * slot < size else 0
    return table + offset if offset else 0


def _tables(data: bytes, table: int, slot: int) -> Iterator[int]:
    place = _place(data, table, slot)
    if place:
        start = _follow(data, place)
        for i in range(struct.unpack_from("<I", data, start)[0]):
            yield _follow(data, start + 4 + 4 * i)


def _byte(data: bytes, table: int, slot: int) -> int:
    place = _place(data, table, slot)
    return struct.unpack_from("<B", data, place)[0] if place else 0


def _floats(data: bytes, table: int, slot: int) -> tuple[float, ...]:
    place = _place(data, table, slot)
    if not place:
        return ()
    start = _follow(data, place)
    return struct.unpack_from(f"<{struct.unpack_from('<I', data, start)[0]}f", data, start + 4)


def _string(data: bytes, table: int, slot: int) -> str:
    place = _place(data, table, slot)
    if not place:
        return ""
    start = _follow(data, place)
    size = struct.unpack_from("<I", data, start)[0]
    return struct.unpack_from(f"<{size}s", data, start + 4)[0].decode()
