"""minitfl compare: two models layer by layer."""

from __future__ import annotations

import dataclasses
import json
import math
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from minitfl import comparing
from minitfl.commands import terminal
from minitfl.commands.files import read_input
from minitfl.commands.terminal import UsageError
from minitfl.interpreter import Interpreter


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "compare",
        help="compare two models layer by layer",
        description="Runs two models of one architecture on the same inputs and shows how far each layer's real "
        "numbers lie apart. <- marks the first layer where they part.",
        epilog="max: largest difference; mse: mean squared difference; cosine: of the angle between the two; snr: "
        "signal to noise, in dB; steps: largest difference of stored integers.",
    )
    parser.add_argument("a", metavar="A", help="a .tflite file")
    parser.add_argument(
        "b",
        metavar="B",
        help="another, or: official (A in the official runtime, reference kernels), official:AUTO (XNNPACK)",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE.npy",
        help="an input of A by its name, or in A's order; floats are real numbers, integers stored ones",
    )
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="how many random inputs to run (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs (0)")
    parser.add_argument("--tolerance", type=float, help="the share of a layer's largest value that they may lie apart")
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    parser.set_defaults(command=compare)


def compare(options: Namespace) -> None:
    for path in (options.a, options.b):
        if not Path(path).is_file() and not (path is options.b and path.partition(":")[0] == comparing.OFFICIAL):
            raise UsageError(f"there is no file '{path}'")
    if options.samples < 1 or options.seed < 0:
        raise UsageError(f"--samples is {options.samples} and --seed {options.seed}; they start at 1 and 0")
    data = _data(options) if options.input else None
    found = comparing.compare(
        options.a, options.b, data, tolerance=options.tolerance, seed=options.seed, samples=options.samples
    )
    if options.json:
        print(json.dumps(_plain(dataclasses.asdict(found)), indent=1))
        return
    found.table()
    for name, missing in zip(found.names, found.unmatched):
        if missing:
            terminal.note(f"{len(missing)} tensors of {name} have no counterpart: {', '.join(missing[:5])}")


def _data(options: Namespace) -> dict[str, Any]:
    """One sample by names."""
    given = [read_input(text) for text in options.input]
    named = {name: array for name, array in given if name}
    with Interpreter(options.a) as interpreter:
        known = interpreter.get_input_details()
    free = [detail["name"] for detail in known if detail["name"] not in named]
    rest = [array for name, array in given if not name]
    if len(rest) > len(free):
        raise UsageError(f"{len(given)} inputs were given, the model takes {len(known)}")
    return {**named, **dict(zip(free, rest))}


def _plain(value: Any) -> Any:
    """JSON has no infinity: text stands for it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
