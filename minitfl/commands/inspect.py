"""minitfl inspect: what a model is made of."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from minitfl import inspect
from minitfl.commands import terminal
from minitfl.commands.files import open_model
from minitfl.commands.terminal import Column

OPERATORS = (
    Column("", right=True),
    Column("operator"),
    Column("inputs"),
    Column("outputs"),
    Column("MACs", right=True),
    Column("layer"),
    Column("options"),
)
TENSORS = (
    Column(""),
    Column("role"),
    Column("type"),
    Column("shape"),
    Column("bytes", right=True),
    Column("scale"),
    Column("name"),
)


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "inspect",
        help="list a model's tensors, operators and sizes",
        description="Lists a model's operators, tensors, signatures, metadata, sizes and multiply-accumulates (MACs). "
        "layer: what runs an operator, numba (machine code, once it is compiled) or numpy.",
    )
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    parser.set_defaults(command=show)


def show(options: Namespace) -> None:
    with open_model(options.model, kernels="numpy") as interpreter:  # so that nothing is compiled
        model = inspect.describe(interpreter, "auto")
    if options.json:
        print(json.dumps(model, indent=1, ensure_ascii=True))
        return
    print(model["file"])
    for line in inspect.lines(model):
        print(line)
    for subgraph in model["subgraphs"]:
        where = f"subgraph {subgraph['index']} {subgraph['name']}".rstrip()
        print()
        terminal.table(OPERATORS, list(inspect.operator_rows(subgraph)), f"{where}: operators")
        print()
        terminal.table(TENSORS, list(inspect.tensor_rows(subgraph)), f"{where}: tensors")
