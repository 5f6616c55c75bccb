"""How an interpreter looks: one line for `repr`, a table of its inputs and outputs in notebooks."""

from __future__ import annotations

import html as escape
from typing import Any


def text(interpreter: Any) -> str:
    wrapper = interpreter._interpreter
    kind = interpreter.__class__.__name__
    if wrapper.closed:
        return f"<minitfl.{kind}, closed>"
    name = f" '{wrapper.source.name}'" if wrapper.source.name else ""
    ways = ", ".join(_label(row) for row in _rows(interpreter, "in"))
    results = ", ".join(_label(row) for row in _rows(interpreter, "out"))
    return f"<minitfl.{kind}{name}: {_operators(wrapper)}, ({ways}) -> ({results}), {_state(wrapper)}>"


def html(interpreter: Any) -> str:
    wrapper = interpreter._interpreter
    if wrapper.closed:
        return escape.escape(text(interpreter))
    title = escape.escape(wrapper.source.name or "model")
    head = "".join(f"<th>{name}</th>" for name in ("", "index", "name", "type", "shape", "scale", "zero point"))
    lines = []
    for side in ("in", "out"):
        for row in _rows(interpreter, side):
            cells = (f"{side}put", row["index"], row["name"], row["type"], row["shape"], row["scale"], row["zero"])
            lines.append("<tr>" + "".join(f"<td>{escape.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    return (
        f"<p><b>{title}</b>: {_operators(wrapper)}, {_state(wrapper)}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _operators(wrapper: Any) -> str:
    count = wrapper.NumNodes()
    more = f", {wrapper.NumSubgraphs()} subgraphs" if wrapper.NumSubgraphs() > 1 else ""
    return f"{count} operator{'s' * (count != 1)}{more}"


def _state(wrapper: Any) -> str:
    return "ready" if wrapper.runtime.instance(0).ready else "not allocated"


def _rows(interpreter: Any, side: str) -> list[dict[str, Any]]:
    wrapper = interpreter._interpreter
    subgraph = wrapper.graph.subgraphs[0]
    rows = []
    for i in subgraph.inputs if side == "in" else subgraph.outputs:
        if not 0 <= i < len(subgraph.tensors):
            continue
        scale, zero = wrapper.TensorQuantization(i, 0)
        shape = [n if s != -1 else "?" for n, s in zip(wrapper.TensorSize(i, 0), wrapper.TensorSizeSignature(i, 0))]
        rows.append(
            {
                "index": i,
                "name": wrapper.TensorName(i, 0),
                "type": subgraph.tensors[i].type,
                "shape": "x".join(str(n) for n in shape) or "scalar",
                "scale": f"{scale:.6g}" if scale else "",
                "zero": zero if scale else "",
            }
        )
    return rows


def _label(row: dict[str, Any]) -> str:
    return f"{row['name'] or row['index']}: {row['type']} {row['shape']}"
