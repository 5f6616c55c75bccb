"""Write .tflite models by hand: tensors, constants, ops, signatures.

    m = Model()
    x = m.input((1, 4), "float32", name="x")
    y = m.tensor((1, 4), name="y")
    m.op("LEAKY_RELU", [x], [y], alpha=0.5)
    m.output(y)
    content = m.content()  # the bytes of a .tflite file

Tensors are handles (their index in the subgraph). `m.subgraph("body")` gives another subgraph with the same methods.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from minitfl.schema.enums import BuiltinOperator, TensorType
from minitfl.schema.flexbuffers import write_flexbuffer
from minitfl.schema.options import OP_OPTIONS
from minitfl.schema.tables import UNIONS, Field, spec_of
from minitfl.schema.writer import write_model

_SCHEMA_VERSION = 3
_LAST_SHORT_CODE = BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
_PACKED_BITS = {"INT4": 4, "UINT4": 4, "INT2": 2}
# Types that NumPy lacks and how many bytes their bit patterns have.
_BIT_PATTERNS = {"BFLOAT16": 2, "FLOAT8_E4M3FN": 1, "FLOAT8_E5M2": 1}


class Subgraph:
    """One subgraph of a Model: its tensors and ops. Stands for its index wherever an op option names a subgraph."""

    def __init__(self, model: "Model", index: int, name: str | None):
        self._model = model
        self.index = index
        self._tree: dict[str, Any] = {"tensors": [], "inputs": [], "outputs": [], "operators": []}
        if name is not None:
            self._tree["name"] = name

    def __index__(self) -> int:
        return self.index

    def tensor(
        self,
        shape: Sequence[int] | None,
        type: str = "float32",
        *,
        scale: Any = None,
        zero_point: Any = None,
        axis: int = 0,
        name: str | None = None,
        signature: Sequence[int] | None = None,
        **fields: Any,
    ) -> int:
        """Add a tensor that an op writes; -> its handle. `type` as in the schema, in any case.

        signature: the shape with -1 for sizes that may change. scale, zero_point: a number, or one for each slice
        along `axis`. `fields` are further fields of the schema's Tensor table, in the notation of
        `minitfl.schema.writer`; a dict `quantization=` adds to what scale and zero_point give.
        """
        tree = {"type": _number(TensorType, type), "buffer": 0, "has_rank": shape is not None}
        tree["name"] = f"tensor{len(self._tree['tensors'])}" if name is None else name
        if shape is not None:
            tree["shape"] = [int(size) for size in shape]
        if signature is not None:
            tree["shape_signature"] = [int(size) for size in signature]
        quantization = _quantization(scale, zero_point, axis) | fields.pop("quantization", {})
        if quantization:
            tree["quantization"] = quantization
        self._tree["tensors"].append(tree | fields)
        return len(self._tree["tensors"]) - 1

    def input(self, shape: Sequence[int] | None, type: str = "float32", **fields: Any) -> int:
        """Add a tensor that the caller fills, the next graph input; keywords as for tensor()."""
        handle = self.tensor(shape, type, **fields)
        self._tree["inputs"].append(handle)
        return handle

    def variable(self, shape: Sequence[int], type: str = "float32", **fields: Any) -> int:
        """Add a tensor that keeps its contents from one run to the next (is_variable); keywords as for tensor()."""
        return self.tensor(shape, type, is_variable=True, **fields)

    def constant(
        self,
        array: Any,
        type: str | None = None,
        *,
        shape: Sequence[int] | None = None,
        **fields: Any,
    ) -> int:
        """Add a tensor with contents; keywords as for tensor(). The type defaults to that of the array.

        int4, uint4 and int2 are packed; bfloat16 is rounded from float32 (uint16 arrays are taken as its bits, and
        uint8 ones as those of float8); strings are bytes or str. `array` may be bytes, stored as they are, with
        `type` and `shape` telling what they hold; `shape` also serves sparse constants.
        """
        if isinstance(array, (bytes, bytearray)):
            if type is None or shape is None:
                raise TypeError("a constant given as bytes needs type= and shape=")
            data = bytes(array)
        else:
            array = np.asarray(array)
            type = _type_of(array) if type is None else type
            shape = array.shape if shape is None else shape
            data = encode(array, type)
        return self.tensor(shape, type, buffer=self._model._buffer(data), **fields)

    def output(self, *tensors: int) -> None:
        """Declare graph outputs; several calls add up."""
        self._tree["outputs"] += [int(tensor) for tensor in tensors]

    def op(
        self,
        name: str,
        /,
        inputs: Iterable[int | None],
        outputs: Iterable[int | None],
        *,
        version: int = 1,
        intermediates: Iterable[int] = (),
        mutating_variable_inputs: Iterable[bool] = (),
        no_options: bool = False,
        **options: Any,
    ) -> int:
        """Add a builtin op, `name` as in the schema; -> its index. An absent tensor is None or -1.

        The other keywords are fields of the op's options table: numbers, lists, subgraphs, members of enumerations by
        name. Fields that are not given get no place in the file and read as their defaults. no_options: leave the
        table out altogether, even where the op should have one.
        """
        code = _number(BuiltinOperator, name)
        tree = self._operator(self._model._code(code, None, version), inputs, outputs, intermediates)
        if mutating_variable_inputs:
            tree["mutating_variable_inputs"] = [bool(flag) for flag in mutating_variable_inputs]
        field, table = OP_OPTIONS.get(BuiltinOperator(code).name, ("", ""))
        if not table or no_options:
            if options:
                raise TypeError(f"{name} has no options, got {sorted(options)}")
        else:
            union = spec_of("Operator").by_name[field].type
            tree[f"{field}_type"] = UNIONS[union].index(table) + 1
            tree[field] = _options(name, table, options)
        return self._append(tree)

    def custom(
        self,
        name: str,
        inputs: Iterable[int | None],
        outputs: Iterable[int | None],
        *,
        options: Mapping[str, Any] | bytes = b"",
        version: int = 1,
        intermediates: Iterable[int] = (),
    ) -> int:
        """Add a custom op; -> its index. `options` are stored as they are, a dict as a flexbuffer."""
        code = self._model._code(BuiltinOperator.CUSTOM, name, version)
        tree = self._operator(code, inputs, outputs, intermediates)
        data = bytes(options) if isinstance(options, (bytes, bytearray)) else write_flexbuffer(dict(options))
        if data:
            tree["custom_options"] = data
        return self._append(tree)

    def _operator(self, code, inputs, outputs, intermediates):
        tree = {"opcode_index": code, "inputs": _handles(inputs), "outputs": _handles(outputs)}
        intermediates = _handles(intermediates)
        return tree | {"intermediates": intermediates} if intermediates else tree

    def _append(self, tree):
        self._tree["operators"].append(tree)
        return len(self._tree["operators"]) - 1


class Model(Subgraph):
    """A .tflite model in the making; by itself its main subgraph. See the module's docstring."""

    def __init__(self, name: str | None = "main", description: str | None = None):
        super().__init__(self, 0, name)
        self._subgraphs: list[Subgraph] = [self]
        self._codes: dict[tuple, int] = {}
        self._buffers: list[dict[str, bytes]] = [{}]
        self._signatures: list[dict[str, Any]] = []
        self._metadata: list[dict[str, Any]] = []
        self._description = description

    def subgraph(self, name: str | None = None) -> Subgraph:
        """Add another subgraph."""
        self._subgraphs.append(Subgraph(self, len(self._subgraphs), name))
        return self._subgraphs[-1]

    def signature(
        self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int], subgraph: int | Subgraph = 0
    ) -> None:
        """Add a signature: names for some tensors of a subgraph."""
        self._signatures.append(
            {
                "inputs": [{"name": name, "tensor_index": int(tensor)} for name, tensor in inputs.items()],
                "outputs": [{"name": name, "tensor_index": int(tensor)} for name, tensor in outputs.items()],
                "signature_key": key,
                "subgraph_index": subgraph.__index__(),
            }
        )

    def metadata(self, name: str, data: bytes) -> None:
        """Add a named block of metadata."""
        self._metadata.append({"name": name, "buffer": self._buffer(bytes(data))})

    def tree(self) -> dict[str, Any]:
        """The model as plain data for `minitfl.schema.writer`."""
        tree: dict[str, Any] = {"version": _SCHEMA_VERSION}
        tree["operator_codes"] = [_code_tree(*key) for key in self._codes]
        tree["subgraphs"] = [subgraph._tree for subgraph in self._subgraphs]
        tree["buffers"] = self._buffers
        if self._description is not None:
            tree["description"] = self._description
        if self._signatures:
            tree["signature_defs"] = self._signatures
        if self._metadata:
            tree["metadata"] = self._metadata
        return tree

    def content(self) -> bytes:
        """The bytes of the .tflite file; the model may be built on afterwards."""
        return write_model(self.tree())

    def _buffer(self, data):
        self._buffers.append({"data": data})
        return len(self._buffers) - 1

    def _code(self, code, custom, version):
        return self._codes.setdefault((int(code), custom, int(version)), len(self._codes))


def _code_tree(code, custom, version):
    """Codes past a byte have their own field; readers of the older one then see the placeholder."""
    tree = {"deprecated_builtin_code": min(code, int(_LAST_SHORT_CODE)), "version": version, "builtin_code": code}
    return tree if custom is None else tree | {"custom_code": custom}


def _handles(tensors):
    return [-1 if tensor is None else int(tensor) for tensor in tensors]


def _number(enum: type[IntEnum], value: Any) -> int:
    """The number of a member given by name, in any case, or by number."""
    if not isinstance(value, str):
        return int(value)
    try:
        return int(enum[value.upper()])
    except KeyError:
        raise ValueError(f"{enum.__name__} has no member {value!r}") from None


def _quantization(scale, zero_point, axis):
    tree: dict[str, Any] = {}
    if scale is None and zero_point is None:
        return tree
    if scale is not None:
        tree["scale"] = np.atleast_1d(np.asarray(scale, np.float32)).tolist()
    if zero_point is None:
        zero_point = np.zeros(len(tree["scale"]), np.int64)
    tree["zero_point"] = np.atleast_1d(np.asarray(zero_point, np.int64)).tolist()
    if axis:
        tree["quantized_dimension"] = int(axis)
    return tree


def _options(op, table, options):
    fields = spec_of(table).by_name
    unknown = sorted(set(options) - set(fields))
    if unknown:
        raise TypeError(f"{op} has no options {unknown}; {table} has {sorted(fields)}")
    return {name: _option(fields[name], value) for name, value in options.items()}


def _option(field: Field, value):
    if field.kind == "vector":
        if field.type == "uint8":
            return bytes(value)
        return [_option_number(field, element) for element in value]
    return value if field.kind == "string" else _option_number(field, value)


def _option_number(field, value):
    if field.enum:
        return _number(field.enum, value)
    return value.index if isinstance(value, Subgraph) else value


def _type_of(array: np.ndarray) -> str:
    """The name of a tensor type for an array; ml_dtypes arrays are called as in the schema."""
    return "string" if array.dtype.kind in "SUO" else array.dtype.name


def encode(array: np.ndarray, type: str) -> bytes:
    """The bytes that a constant of this tensor type has in a .tflite file."""
    name = TensorType(_number(TensorType, type)).name
    if name == "STRING":
        return encode_strings(array.ravel().tolist())
    if name in _PACKED_BITS:
        return _pack(array, _PACKED_BITS[name], signed=name.startswith("I"))
    if name in _BIT_PATTERNS:
        return _bit_patterns(array, name)
    if name in ("RESOURCE", "VARIANT"):
        raise TypeError(f"there are no constants of type {name}")
    dtype = np.dtype(name.lower())
    stored = array.astype(dtype.newbyteorder("<"))
    if dtype.kind in "iub" and not np.array_equal(stored, array):
        raise ValueError(f"the values of the array of {array.dtype} do not fit the type {name}")
    return stored.tobytes()


def encode_strings(strings: Sequence[bytes | str]) -> bytes:
    """String tensor: int32 count, count + 1 int32 positions (of each string, and of the end), then all the bytes."""
    texts = [text.encode() if isinstance(text, str) else bytes(text) for text in strings]
    positions = np.cumsum([4 * (len(texts) + 2), *map(len, texts)])
    return np.array([len(texts), *positions], "<i4").tobytes() + b"".join(texts)


def _pack(array, bits, signed):
    """The first value in the lowest bits of each byte; unused bits are zero."""
    values = array.astype(np.int64).ravel()
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if values.size and (values.min() < low or values.max() > high):
        raise ValueError(f"values of {bits} bits lie in {low}..{high}, got {values.min()}..{values.max()}")
    in_byte = 8 // bits
    padded = np.zeros(-(-values.size // in_byte) * in_byte, np.uint8)
    padded[: values.size] = values & ((1 << bits) - 1)
    shifts = np.arange(in_byte, dtype=np.uint8) * bits
    return np.bitwise_or.reduce(padded.reshape(-1, in_byte) << shifts, axis=1).astype(np.uint8).tobytes()


def _bit_patterns(array, name):
    bits = np.dtype(f"uint{8 * _BIT_PATTERNS[name]}")
    if array.dtype.name == name.lower():
        array = array.view(bits)
    elif name == "BFLOAT16" and array.dtype.kind == "f":
        array = bfloat16_bits(array)
    if array.dtype != bits:
        raise TypeError(f"a constant of type {name} is made of its bits in {bits}, not of {array.dtype}")
    return array.astype(bits.newbyteorder("<")).tobytes()


def bfloat16_bits(array: Any) -> np.ndarray:
    """The upper halves of float32 numbers as uint16, rounded to nearest, ties to even; NaN stays NaN."""
    array = np.asarray(array, np.float32)
    bits = array.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(array), bits >> 16 | 0x40, rounded).astype(np.uint16)
