"""FlexBuffers (the schemaless sister of FlatBuffers, in which custom ops keep their options) <-> Python values.

A value is reached through three things: where it is, the width in bytes of what is stored there, and a type byte
`kind << 2 | log2(width of what it refers to)`. The last three items of the data are the root's value, type and width.
Distances count backwards. A vector is its size, its elements, then (if they may differ) a type byte for each; a map is
such a vector with the distance to its vector of keys, and the width of that, before the size.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from minitfl.schema.reader import SchemaError

MAX_DEPTH = 64
MAX_WORK = 1 << 16  # values made and characters copied, besides as many as the data has bytes

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING, _INT_AT, _UINT_AT, _FLOAT_AT, _MAP, _VECTOR = range(11)
_BLOB, _BOOL = 25, 26
_STORED_AT = {_INT_AT: _INT, _UINT_AT: _UINT, _FLOAT_AT: _FLOAT}
# {kind of vector: (kind of its elements, their number or 0 if it is stored)}
_TYPED = {11: (_INT, 0), 12: (_UINT, 0), 13: (_FLOAT, 0), 14: (_KEY, 0), 15: (_STRING, 0), 36: (_BOOL, 0)}
_TYPED |= {16 + 3 * (n - 2) + i: (kind, n) for n in (2, 3, 4) for i, kind in enumerate((_INT, _UINT, _FLOAT))}
_FLOATS = {2: "<e", 4: "<f", 8: "<d"}


def read_flexbuffer(data) -> Any:
    """The value: None, bool, int, float, str, bytes (a blob), list or dict. SchemaError if the data is damaged."""
    return _Reader(bytes(data)).root()


def write_flexbuffer(value: Any) -> bytes:
    """The data of a value as read_flexbuffer gives it, or its like in NumPy; the keys of a dict are str."""
    out = bytearray()
    item = _write(out, value)
    _write_elements(out, [item])
    return bytes(out + bytes([item[0], _WIDTH]))


class _Reader:
    def __init__(self, data):
        self.data = data
        self.work = MAX_WORK + len(data)

    def fail(self, position, what):
        raise SchemaError(f"flexbuffer at byte {position}: {what} (it has {len(self.data)} bytes)")

    def root(self):
        size = len(self.data)
        if size < 3:
            self.fail(0, "too short")
        width = self.data[-1]
        if width not in (1, 2, 4, 8):
            self.fail(size - 1, f"the width {width} is none of 1, 2, 4, 8")
        return self.value(size - 2 - width, width, self.data[-2], 0)

    def slice(self, position, size):
        if position < 0 or position + size > len(self.data):
            self.fail(position, f"{size} bytes are not all inside")
        return self.data[position : position + size]

    def number(self, position, width, kind):
        raw = self.slice(position, width)
        if kind == _FLOAT:
            if width not in _FLOATS:
                self.fail(position, f"a float has {width} bytes")
            return struct.unpack(_FLOATS[width], raw)[0]
        number = int.from_bytes(raw, "little", signed=kind == _INT)
        return bool(number) if kind == _BOOL else number

    def follow(self, position, width):
        target = position - self.number(position, width, _UINT)
        if target < 0:  # the distance to an empty vector may be 0
            self.fail(position, f"the distance leads to byte {target}")
        return target

    def spend(self, position, amount):
        self.work -= amount
        if self.work < 0:
            self.fail(position, "takes more work than sound data can")

    def value(self, position, width, packed, depth):
        self.spend(position, 1)
        if depth > MAX_DEPTH:
            self.fail(position, f"nested more than {MAX_DEPTH} deep")
        kind, inner = packed >> 2, 1 << (packed & 3)
        if kind == _NULL:
            return None
        if kind in (_INT, _UINT, _FLOAT, _BOOL):
            return self.number(position, width, kind)
        at = self.follow(position, width)
        if kind in _STORED_AT:
            return self.number(at, inner, _STORED_AT[kind])
        if kind == _KEY:
            return self.key(at)
        if kind == _MAP:
            return self.map(at, inner, depth)
        if kind in _TYPED:
            return self.typed_vector(at, inner, kind, depth)
        if kind not in (_STRING, _VECTOR, _BLOB):
            self.fail(position, f"there is no type {kind}")
        size = self.number(at - inner, inner, _UINT)
        if kind == _VECTOR:
            return self.vector(at, inner, size, depth)
        self.spend(position, size)
        raw = self.slice(at, size)
        return raw if kind == _BLOB else _text(raw)

    def key(self, position):
        end = self.data.find(b"\0", position)
        if end < 0:
            self.fail(position, "the key is not closed by a zero byte")
        self.spend(position, end - position)
        return _text(self.data[position:end])

    def vector(self, start, width, size, depth):
        self.slice(start, size * (width + 1))
        types = start + size * width
        return [self.value(start + i * width, width, self.data[types + i], depth + 1) for i in range(size)]

    def typed_vector(self, start, width, kind, depth):
        element, size = _TYPED[kind]
        size = size or self.number(start - width, width, _UINT)
        self.slice(start, size * width)
        # Strings in a typed vector store their size in one byte.
        return [self.value(start + i * width, width, element << 2, depth + 1) for i in range(size)]

    def map(self, start, width, depth):
        size = self.number(start - width, width, _UINT)
        keys_width = self.number(start - 2 * width, width, _UINT)
        if keys_width not in (1, 2, 4, 8):
            self.fail(start - 2 * width, f"the width {keys_width} is none of 1, 2, 4, 8")
        keys = self.follow(start - 3 * width, width)
        if self.number(keys - keys_width, keys_width, _UINT) != size:
            self.fail(keys - keys_width, f"a map of {size} values has another number of keys")
        self.slice(keys, size * keys_width)
        names = (self.key(self.follow(keys + i * keys_width, keys_width)) for i in range(size))
        return dict(zip(names, self.vector(start, width, size, depth)))


def _text(raw):
    return str(raw, "utf-8", "surrogateescape")


# ---- writing: everything in one width, which wastes some bytes and needs no search for the least one

_WIDTH = 8
_WIDTH_CODE = 3


def _write(out, value):
    """Write what `value` refers to; -> its type byte, and its own bytes (int: the place they shall refer to)."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None:
        kind, item = _NULL, bytes(_WIDTH)
    elif isinstance(value, bool):
        kind, item = _BOOL, struct.pack("<Q", value)
    elif isinstance(value, int):
        kind, item = (_INT, struct.pack("<q", value)) if value < 1 << 63 else (_UINT, struct.pack("<Q", value))
    elif isinstance(value, float):
        kind, item = _FLOAT, struct.pack("<d", value)
    elif isinstance(value, str):
        kind, item = _STRING, _write_bytes(out, value.encode("utf-8", "surrogateescape"))
    elif isinstance(value, (bytes, bytearray)):
        kind, item = _BLOB, _write_bytes(out, value)
    elif isinstance(value, (list, tuple)):
        kind, item = _VECTOR, _write_vector(out, [_write(out, element) for element in value])
    elif isinstance(value, Mapping):
        kind, item = _MAP, _write_map(out, value)
    else:
        raise TypeError(f"a flexbuffer holds no {type(value).__name__}")
    return kind << 2 | _WIDTH_CODE, item


def _write_bytes(out, data):
    _align(out)
    out += struct.pack("<Q", len(data))
    place = len(out)
    out += data + b"\0"
    return place


def _write_elements(out, items):
    _align(out)
    for _, item in items:
        out += struct.pack("<Q", len(out) - item) if isinstance(item, int) else item


def _write_vector(out, items):
    _align(out)
    out += struct.pack("<Q", len(items))
    place = len(out)
    _write_elements(out, items)
    out += bytes(packed for packed, _ in items)
    return place


def _write_map(out, value):
    """Readers look keys up by halving, so they are sorted, as bytes."""
    entries = [(key.encode("utf-8", "surrogateescape"), element) for key, element in value.items()]
    entries.sort(key=lambda entry: entry[0])
    items = [_write(out, element) for _, element in entries]
    places = []
    for key, _ in entries:
        if b"\0" in key:
            raise ValueError(f"the key {key!r} holds a zero byte")
        places.append((_KEY << 2, len(out)))
        out += key + b"\0"
    _align(out)
    out += struct.pack("<Q", len(places))
    keys = len(out)
    _write_elements(out, places)
    out += struct.pack("<QQ", len(out) - keys, _WIDTH)
    return _write_vector(out, items)


def _align(out):
    out += bytes(-len(out) % _WIDTH)
