"""What a model is made of, as plain data (`describe`, ready for JSON) and as text (`lines`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from minitfl.engine.engine import Engine, engine
from minitfl.errors import ModelError
from minitfl.graph import BITS, Graph, Node, Quantization, Subgraph, Tensor
from minitfl.interpreter import Interpreter
from minitfl.runtime import Runtime
from minitfl.schema.flexbuffers import read_flexbuffer
from minitfl.schema.reader import SchemaError, Table

Shape = tuple[int, ...]


def describe(interpreter: Interpreter, kernels: str | None = None) -> dict[str, Any]:
    """The model's tensors, operators, signatures, metadata and sizes: dicts, lists, strings and numbers.

    The interpreter is allocated for it, so that shapes are those of a run; where it can't be, `problem` says why and
    shapes are the file's. All sizes are in bytes. An operator's `layer` is what runs it with `kernels`, by default with
    the interpreter's own choice: "numba" once that is compiled, "loops", "numpy", or "" for nothing to compute.
    """
    problem = ""
    try:
        interpreter.allocate_tensors()
    except (ModelError, RuntimeError) as error:
        problem = str(error)
    wrapper = interpreter._interpreter
    graph = wrapper.graph
    runtime = wrapper.runtime
    chosen = runtime.engine if kernels is None else engine(kernels)
    loops = runtime.loops if kernels is None else kernels == "numba" and chosen is None
    subgraphs = [_subgraph(interpreter, s, _layers(runtime, s.index, chosen, loops)) for s in graph.subgraphs]
    content = wrapper.source.content
    return {
        "file": wrapper.source.name,
        "nbytes": len(content) if content is not None else 0,
        "description": graph.description,
        "problem": problem,
        "totals": _totals(graph, subgraphs),
        "memory": None if problem else _memory(interpreter),
        "signatures": [
            {"key": s.key, "subgraph": s.subgraph, "inputs": dict(s.inputs), "outputs": dict(s.outputs)}
            for s in graph.signatures
        ],
        "metadata": {name: len(data) for name, data in graph.metadata.items()},
        "associated_files": {name: len(data) for name, data in interpreter.associated_files.items()},
        "labels": len(interpreter.labels or ()),
        "subgraphs": subgraphs,
    }


def _totals(graph: Graph, subgraphs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(node.op for subgraph in graph.subgraphs for node in subgraph.nodes)
    constants = {id(t.data): t for subgraph in graph.subgraphs for t in subgraph.tensors if t.data is not None}
    return {
        "operators": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        "macs": sum(operator["macs"] for subgraph in subgraphs for operator in subgraph["operators"]),
        "constants": sum(t.size for t in constants.values()),
        "constants_nbytes": sum(stored_nbytes(t) for t in constants.values()),
    }


def _memory(interpreter: Interpreter) -> dict[str, int]:
    plan = interpreter.memory_plan()
    names = ("arena", "bound", "workspace", "constants", "packed", "variables")
    return {f"{name}_nbytes": int(getattr(plan, f"{name}_nbytes")) for name in names}


def stored_nbytes(tensor: Tensor) -> int:
    """Bytes of the tensor's numbers as a file packs them; a string counts its characters."""
    if tensor.type == "string":
        return sum(len(text) for text in tensor.data.ravel()) if tensor.data is not None else 0
    return -(-tensor.size * BITS.get(tensor.type, 8 * tensor.dtype.itemsize) // 8)


# ---- one subgraph


def _layers(runtime: Runtime, index: int, chosen: Engine | None, loops: bool) -> dict[int, str]:
    """Node: layer, of the nodes of a subgraph that have something to compute; of one that is not planned, none."""
    frame = runtime.instance(index).frame
    if frame is None:
        return {}
    fast = chosen.program(frame.plan, runtime.planner).ranges if chosen is not None else {}
    found = {}
    for n, step in enumerate(frame.plan.steps):
        if not step.skip:
            in_loops = loops and step.call is not None and step.call.kernel.loops is not None
            found[step.node.index] = "numba" if n in fast else "loops" if in_loops else "numpy"
    return found


def _subgraph(interpreter: Interpreter, subgraph: Subgraph, layers: dict[int, str]) -> dict[str, Any]:
    shapes = [tuple(int(n) for n in d["shape"]) for d in interpreter.get_tensor_details(subgraph.index)]
    return {
        "index": subgraph.index,
        "name": subgraph.name,
        "inputs": list(subgraph.inputs),
        "outputs": list(subgraph.outputs),
        "tensors": [_tensor(t, shape) for t, shape in zip(subgraph.tensors, shapes)],
        "operators": [_operator(node, shapes, layers.get(node.index, "")) for node in subgraph.nodes],
    }


def _tensor(tensor: Tensor, shape: Shape) -> dict[str, Any]:
    made: dict[str, Any] = {
        "index": tensor.index,
        "name": tensor.name,
        "type": tensor.type,
        "shape": list(shape),
        "nbytes": stored_nbytes(tensor.reshaped(shape)),
        "constant": tensor.data is not None,
        "variable": tensor.is_variable,
    }
    if tensor.shape_signature and -1 in tensor.shape_signature:
        made["shape_signature"] = list(tensor.shape_signature)
    if tensor.quantization is not None:
        made["quantization"] = _quantization(tensor.quantization)
    if tensor.sparsity:
        made["sparse"] = True
    return made


def _quantization(q: Quantization) -> dict[str, Any]:
    made: dict[str, Any] = {"scale": [float(s) for s in q.scale], "zero_point": [int(z) for z in q.zero_point]}
    if q.scale.size > 1:
        made["axis"] = q.axis
    if q.block_size:
        made["block_size"] = q.block_size
    return made


def _operator(node: Node, shapes: Sequence[Shape], layer: str) -> dict[str, Any]:
    return {
        "index": node.index,
        "op": node.op,
        "version": node.version,
        "custom": node.custom,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "options": _custom_options(node) if node.custom else _options(node.options),
        "macs": macs(node, shapes),
        "layer": layer,
    }


def _options(options: Table | None) -> dict[str, Any]:
    """Every field of the options table, enumerations by their names."""
    if options is None:
        return {}
    made = {}
    for field in options._spec.fields:
        value = getattr(options, field.name)
        if field.kind in ("scalar", "string"):
            made[field.name] = _enumerated(value, field.enum)
        elif field.kind == "vector":
            made[field.name] = value.tolist() if len(value) <= 64 else f"{len(value)} values"
    return made


def _enumerated(value: Any, enum: Any) -> Any:
    try:
        return enum(value).name if enum else value
    except ValueError:
        return value


def _custom_options(node: Node) -> Any:
    """The flexbuffer's value where it is one and holds text and numbers alone, else how long the options are."""
    if not node.custom_options:
        return {}
    try:
        value = read_flexbuffer(node.custom_options)
    except SchemaError:
        value = None
    return value if isinstance(value, dict) and _is_plain(value) else {"nbytes": len(node.custom_options)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, list):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


# ---- multiplications with an addition


def macs(node: Node, shapes: Sequence[Shape]) -> int:
    """Multiply-accumulates of a matrix product, a convolution or a recurrent operator; 0 of any other."""

    def shape(i: int) -> Shape:
        index = node.inputs[i] if i < len(node.inputs) else -1
        return shapes[index] if 0 <= index < len(shapes) else ()

    y = shapes[node.outputs[0]] if node.outputs and 0 <= node.outputs[0] < len(shapes) else ()
    size = math.prod
    x, w = shape(0), shape(1)
    if node.op == "TRANSPOSE_CONV":  # (output shape, w, x): each input value meets the whole filter of its channel
        x = shape(2)
        return size(x) * size(w) // w[-1] if len(w) == 4 and w[-1] else 0
    if not x or not w or not y:
        return 0
    if node.op in ("CONV_2D", "CONV_3D"):
        units = w[0] if node.op == "CONV_2D" else w[-1]
        return size(y) * (size(w) // units) if units else 0
    if node.op == "DEPTHWISE_CONV_2D":
        return size(y) * size(w[1:3])
    if node.op == "FULLY_CONNECTED":
        return size(y) * w[-1]
    if node.op == "BATCH_MATMUL":
        return size(y) * x[-2 if node.options.adj_x else -1] if len(x) > 1 else 0
    if node.op in ("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"):
        if node.op == "LSTM" and len(node.inputs) == 5:  # the basic form: x, last output, weights (4 units, depth)
            return x[0] * size(shape(2))
        products = [size(shape(i)) for i in (*range(1, 9), 16) if shape(i)]
        return size(x[:-1]) * sum(products)
    if node.op == "SVDF":
        return x[0] * (size(w) + size(shape(2)))
    return 0


# ---- text


def lines(model: dict[str, Any]) -> Iterator[str]:
    """What `describe` found, but for the tensors and operators."""
    totals, memory = model["totals"], model["memory"]
    if model["description"]:
        yield model["description"]
    operators = ", ".join(f"{count} {name}" for name, count in totals["operators"].items())
    yield f"file        {model['nbytes']:,} bytes"
    yield f"operators   {operators or 'none'}"
    yield f"MACs        {totals['macs']:,}"
    yield f"constants   {totals['constants']:,} values, {totals['constants_nbytes']:,} bytes"
    if memory:
        yield f"arena       {memory['arena_nbytes']:,} bytes (no plan can do with less than {memory['bound_nbytes']:,})"
        yield f"workspace   {memory['workspace_nbytes']:,} bytes at most, of any one operator"
        if memory["packed_nbytes"]:
            yield f"repacked    {memory['packed_nbytes']:,} bytes of constants in another layout"
        if memory["variables_nbytes"]:
            yield f"variables   {memory['variables_nbytes']:,} bytes"
    else:
        yield f"can't run   {' '.join(model['problem'].split())}"
    for signature in model["signatures"]:
        ways = ", ".join(f"{name} = t{i}" for name, i in signature["inputs"].items())
        results = ", ".join(f"{name} = t{i}" for name, i in signature["outputs"].items())
        yield f"signature   {signature['key']}({ways}) -> ({results}), subgraph {signature['subgraph']}"
    for name, nbytes in model["metadata"].items():
        yield f"metadata    {name}, {nbytes:,} bytes"
    for name, nbytes in model["associated_files"].items():
        yield f"packed      {name}, {nbytes:,} bytes"
    if model["labels"]:
        yield f"labels      {model['labels']:,}"


def operator_rows(subgraph: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Index, operator, inputs, outputs, MACs, layer, and the options that say something."""
    for operator in subgraph["operators"]:
        options = operator["options"]
        told = ", ".join(f"{name} {_short(value)}" for name, value in options.items() if not _idle(name, value))
        version = f" v{operator['version']}" if operator["version"] > 1 else ""
        ways, results = (" ".join("-" if i < 0 else f"t{i}" for i in operator[side]) for side in ("inputs", "outputs"))
        count = f"{operator['macs']:,}" if operator["macs"] else ""
        yield str(operator["index"]), operator["op"] + version, ways, results, count, operator["layer"], told


def tensor_rows(subgraph: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Index, role, type, shape, bytes, quantization, name."""
    for tensor in subgraph["tensors"]:
        i = tensor["index"]
        roles = {
            "in": i in subgraph["inputs"],
            "out": i in subgraph["outputs"],
            "constant": tensor["constant"],
            "variable": tensor["variable"],
            "sparse": "sparse" in tensor,
        }
        free = tensor.get("shape_signature", tensor["shape"])
        shape = "x".join("?" if s == -1 else str(n) for n, s in zip(tensor["shape"], free)) or "scalar"
        role = " ".join(name for name, has in roles.items() if has)
        yield f"t{i}", role, tensor["type"], shape, f"{tensor['nbytes']:,}", _scale(tensor), tensor["name"]


def _scale(tensor: dict[str, Any]) -> str:
    if "quantization" not in tensor:
        return ""
    q = tensor["quantization"]
    if len(q["scale"]) == 1:
        return f"{q['scale'][0]:.6g}, zero {q['zero_point'][0]}"
    block = f", blocks of {q['block_size']}" if "block_size" in q else f" on axis {q['axis']}"
    return f"{len(q['scale'])} scales{block}"


def _idle(name: str, value: Any) -> bool:
    """Does an option leave all as it is?"""
    if name.startswith("dilation_"):
        return value == 1
    if name.endswith("_mask"):
        return value == 0
    return value is False or value in ("NONE", "DEFAULT") or value == [] or name == "quantized_bias_type"


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
