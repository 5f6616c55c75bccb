"""A .tflite file as tables that are decoded when they are asked for, and checked before they are believed.

    model = read_model(content)                  # bytes, mmap, uint8 array ...; nothing is copied
    verify(model)                                # optional: walk everything now
    model.subgraphs[0].tensors[3].shape          # array([1, 8], dtype=int32), a view into the file

A table in the file starts with the distance back to its vtable, which holds for each slot of `minitfl.schema.tables`
the place of the field in the table, or 0 if the field is absent. Vectors, strings and tables are reached by the
distance from the place where that distance is stored. All numbers are little-endian.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minitfl.schema.tables import FILE_IDENTIFIER, ROOT, SCALARS, UNIONS, Field, Spec, spec_of

# The limits of the official verifier: tables met on a full walk, each as often as something refers to it.
MAX_TABLES = 1_000_000
MAX_DEPTH = 64
# Elements of vectors (other than of bytes) and characters met on a full walk; a sound file has no more than bytes.
_SPARE_ELEMENTS = 1 << 20

_U16 = struct.Struct("<H").unpack_from
_I32 = struct.Struct("<i").unpack_from
_U32 = struct.Struct("<I").unpack_from
_FORMATS = {
    "bool": "<?",
    "int8": "<b",
    "uint8": "<B",
    "int16": "<h",
    "uint16": "<H",
    "int32": "<i",
    "uint32": "<I",
    "int64": "<q",
    "uint64": "<Q",
    "float32": "<f",
}
_UNPACK = {name: struct.Struct(code).unpack_from for name, code in _FORMATS.items()}
_STORED = {name: np.dtype(name).newbyteorder("<") for name in SCALARS}
_MAX_DISTANCE = 1 << 31


class SchemaError(ValueError):
    """The file breaks its format; the text names the table, the field and the position in bytes."""


class _File:
    """The bytes of a file and all that reads them."""

    def __init__(self, buffer):
        self.view = memoryview(buffer).cast("B")
        self.size = len(self.view)
        self.array = np.frombuffer(self.view, np.uint8) if self.size else np.zeros(0, np.uint8)
        self.array.flags.writeable = False
        self.vtables: dict[tuple[int, str], tuple[tuple[int, ...], int, list[int]]] = {}

    def fail(self, spec: Spec, field: Field | None, position: int, what: str):
        place = spec.name if field is None else f"{spec.name}.{field.name}"
        raise SchemaError(f"{place} at byte {position}: {what} (the file has {self.size} bytes)")

    def places(self, position: int, spec: Spec) -> tuple[int, ...]:
        """For each slot where its field is, counted from the table's start, or 0; checked to lie in the file."""
        if not 0 <= position <= self.size - 4:
            self.fail(spec, None, position, "the table starts outside the file")
        start = position - _I32(self.view, position)[0]
        known = self.vtables.get((start, spec.name))
        if known is None:
            known = self.vtables[start, spec.name] = self._vtable(position, start, spec)
        places, end, aligned = known
        if position + end > self.size or position % 8 not in aligned:
            self._fail_places(position, spec, places)
        return places

    def _fail_places(self, position, spec, places):
        for field in spec.fields:
            place, nbytes = position + places[field.slot], _stored_nbytes(field)
            if place > position and place + nbytes > self.size:
                self.fail(spec, field, place, "the field ends outside the file")
            if place > position and place % nbytes:
                self.fail(spec, field, place, f"the field does not start at a multiple of its {nbytes} bytes")
        self.fail(spec, None, position, "a table starts at a multiple of 4 bytes")

    def _vtable(self, position, start, spec):
        """places() of one vtable; how far from the table's start its last field ends; where a table may start, modulo
        8, for all its fields to be at multiples of their sizes. It is the same for all tables of a kind."""
        if not 0 <= start <= self.size - 4 or start % 2:
            self.fail(spec, None, position, f"its vtable would start at byte {start}")
        size = _U16(self.view, start)[0]
        if size % 2 or start + size > self.size:
            self.fail(spec, None, position, f"its vtable at byte {start} has the impossible size {size}")
        slots = max(0, min(size // 2 - 2, spec.slots))
        places = struct.unpack_from(f"<{slots}H", self.view, start + 4) + (0,) * (spec.slots - slots)
        stored = [(places[field.slot], _stored_nbytes(field)) for field in spec.fields if places[field.slot]]
        end = max((place + nbytes for place, nbytes in stored), default=4)
        aligned = [at for at in (0, 4) if all((at + place) % nbytes == 0 for place, nbytes in stored)]
        return places, end, aligned

    def follow(self, place: int, spec: Spec, field: Field, least: int = 1) -> int:
        """The position that the distance stored at `place` leads to; at least 4 bytes follow it."""
        distance = _U32(self.view, place)[0]
        if not least <= distance < _MAX_DISTANCE or place + distance > self.size - 4:
            self.fail(spec, field, place, f"the distance {distance} leads outside the file")
        return place + distance

    def count(self, start: int, itemsize: int, spec: Spec, field: Field) -> int:
        """The number of elements of the vector at `start`, all of which lie in the file."""
        if start % 4:
            self.fail(spec, field, start, "a vector starts at a multiple of 4 bytes")
        count = _U32(self.view, start)[0]
        if start + 4 + count * itemsize > self.size:
            self.fail(spec, field, start, f"{count} elements of {itemsize} bytes end outside the file")
        return count

    def vector(self, start, spec, field):
        count = self.count(start, SCALARS[field.type], spec, field)
        data = self.array[start + 4 : start + 4 + count * SCALARS[field.type]]
        if field.type == "bool":
            return _sealed(data != 0)
        data = data.view(_STORED[field.type])
        if data.dtype.isnative and data.flags.aligned:
            return data
        return _sealed(data.astype(field.type))

    def string(self, start, spec, field):
        end = start + 4 + self.count(start, 1, spec, field)
        if end >= self.size or self.view[end]:
            self.fail(spec, field, start, "the text is not closed by a zero byte")
        return str(self.view[start + 4 : end], "utf-8", "surrogateescape")


def _stored_nbytes(field):
    return SCALARS[field.type] if field.kind in ("scalar", "tag") else 4


def _sealed(array):
    array.flags.writeable = False
    return array


class Table:
    """One table of a file; its fields are attributes, named as in the schema.

    Absent fields read as their default; an absent vector as an empty one, an absent string or table as None. A union
    reads as a table or None, next to `<name>_type`, which is kept even if it is not known here. `has(name)` tells
    whether a field is stored, `_name` the table's name. Reading a damaged field raises SchemaError.
    """

    def __init__(self, file: _File, position: int, spec: Spec, depth: int = 0):
        if depth > MAX_DEPTH:
            file.fail(spec, None, position, f"tables are nested more than {MAX_DEPTH} deep")
        self.__dict__.update(
            _file=file, _position=position, _spec=spec, _depth=depth, _places=file.places(position, spec)
        )

    @property
    def _name(self) -> str:
        return self._spec.name

    def has(self, name: str) -> bool:
        """Whether the field is stored in the file."""
        return self._places[self._spec.by_name[name].slot] != 0

    def __getattr__(self, name: str) -> Any:
        # Called once a field: what was decoded is kept as a plain attribute.
        spec = self.__dict__.get("_spec")
        field = spec and spec.by_name.get(name)
        if not field:
            raise AttributeError(f"{spec.name if spec else 'Table'} has no field {name!r}")
        value = self.__dict__[name] = self._decode(field)
        return value

    def __setattr__(self, name, value):
        raise AttributeError(f"{self._name} belongs to a file and cannot be changed")

    def __reduce__(self):
        raise TypeError("a Table is a view into a file; keep the file's bytes instead")

    def __dir__(self):
        return ["has", *self._spec.by_name]

    def __repr__(self):
        stored = (f"{name}={getattr(self, name)!r}" for name in self._spec.by_name if self.has(name))
        return f"{self._name}({', '.join(stored)})"

    def _decode(self, field):
        place = self._places[field.slot]
        kind = field.kind
        if not place:
            return _absent(field)
        file, spec = self._file, self._spec
        place += self._position
        if kind == "scalar" or kind == "tag":
            return _UNPACK[field.type](file.view, place)[0]
        start = file.follow(place, spec, field)
        if kind == "vector":
            return file.vector(start, spec, field)
        if kind == "string":
            return file.string(start, spec, field)
        if kind == "tables":
            return Tables(file, start, spec, field, self._depth + 1)
        if kind == "table":
            return Table(file, start, spec_of(field.type), self._depth + 1)
        member = _member(field, getattr(self, f"{field.name}_type"))
        return member and Table(file, start, spec_of(member), self._depth + 1)


class Tables(Sequence):
    """A vector of tables; each is made when it is asked for."""

    __slots__ = ("_count", "_depth", "_field", "_file", "_owner", "_start")

    def __init__(self, file: _File, start: int, owner: Spec, field: Field, depth: int):
        self._file, self._owner, self._field, self._depth = file, owner, field, depth
        self._count = file.count(start, 4, owner, field)
        self._start = start + 4

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self._count)))
        place = self._start + 4 * range(self._count)[index]
        start = self._file.follow(place, self._owner, self._field, least=0)
        return Table(self._file, start, spec_of(self._field.type), self._depth)

    def __iter__(self) -> Iterator[Table]:
        return map(self.__getitem__, range(self._count))

    def __repr__(self):
        return f"<{self._count} {self._field.type}>"


def _member(field, tag):
    members = UNIONS[field.type]
    return members[tag - 1] if 0 < tag <= len(members) else None


def _absent(field):
    if field.kind == "vector":
        return _sealed(np.zeros(0, field.type))
    return () if field.kind == "tables" else field.default


def read_model(buffer) -> Table:
    """The Model table of a .tflite file; only the header is checked now, each field when it is read.

    `buffer` is anything with the buffer protocol and contiguous: it is not copied and must not change.
    """
    file = _File(buffer)
    root = spec_of(ROOT)
    if file.size < 8:
        raise SchemaError(f"{ROOT} at byte 0: a file of {file.size} bytes is too short")
    if bytes(file.view[4:8]) != FILE_IDENTIFIER:
        raise SchemaError(
            f"{ROOT} at byte 4: the file identifier is {bytes(file.view[4:8])!r}, not {FILE_IDENTIFIER!r}"
        )
    return Table(file, file.follow(0, root, Field("root", 0, "table", ROOT)), root)


def default_options(name: str, **values: Any) -> Table:
    """A table of this name in which every field is absent, and so reads as its default or as one of `values`."""
    table = Table(_File(struct.pack("<HHi", 4, 4, 4)), 4, spec_of(name))
    table.__dict__.update(values)
    return table


def verify(table: Table) -> None:
    """Check everything that can be reached from the table; SchemaError at the first fault."""
    _Walk(table._file).table(table._position, table._spec, table._depth)


class _Walk:
    """One pass over a file. A table met again is counted again, but not walked again."""

    def __init__(self, file):
        self.file = file
        self.tables = 0
        self.elements = 0
        self.most_elements = file.size + _SPARE_ELEMENTS
        self.seen: dict[tuple[int, str], tuple[int, int]] = {}

    def table(self, position, spec, depth):
        file = self.file
        key = (position, spec.name)
        known = self.seen.get(key)
        if known is not None:
            self.tables += known[0]
            self.elements += known[1]
        self.tables += 1
        if self.tables > MAX_TABLES or self.elements > self.most_elements or depth > MAX_DEPTH:
            file.fail(spec, None, position, "the tables take more work or depth than a sound file can")
        if known is not None:
            return
        tables, elements = self.tables, self.elements
        places = file.places(position, spec)
        for field in spec.fields:
            place = places[field.slot]
            kind = field.kind
            if not place or kind == "scalar" or kind == "tag":
                continue
            place += position
            start = file.follow(place, spec, field)
            if kind == "vector":
                count = file.count(start, SCALARS[field.type], spec, field)
                if field.type != "uint8":
                    self.elements += count
            elif kind == "tables":
                count = file.count(start, 4, spec, field)
                member = spec_of(field.type)
                for at in range(start + 4, start + 4 + 4 * count, 4):
                    self.table(file.follow(at, spec, field, least=0), member, depth + 1)
            elif kind == "string":
                self.elements += len(file.string(start, spec, field))
            elif kind == "table":
                self.table(start, spec_of(field.type), depth + 1)
            else:
                tag = places[field.slot - 1]
                member = _member(field, file.view[position + tag]) if tag else None
                if member:
                    self.table(start, spec_of(member), depth + 1)
        self.seen[key] = (self.tables - tables, self.elements - elements)


def buffer_bytes(model: Table, buffer: Table) -> np.ndarray:
    """The contents of one of `model.buffers`: uint8, a view, wherever in the file they are; empty if there are none."""
    return _stored(model, buffer, "data", "offset", "size")


def custom_option_bytes(model: Table, operator: Table) -> np.ndarray:
    """The custom options of an operator, wherever in the file they are; as buffer_bytes."""
    return _stored(model, operator, "custom_options", "large_custom_options_offset", "large_custom_options_size")


def _stored(model, table, inside, offset, size):
    """Data is stored in the table or, in files over 2 GB, behind the tables. Offsets 0 and 1 say that there is none."""
    if table.has(inside) or getattr(table, offset) <= 1:
        return getattr(table, inside)
    file = model._file
    start, length = getattr(table, offset), getattr(table, size)
    if start + length > file.size:
        field = table._spec.by_name[offset]
        file.fail(table._spec, field, table._position, f"an out of range offset {start} with size {length}")
    return file.array[start : start + length]
