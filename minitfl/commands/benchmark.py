"""minitfl benchmark: how long a model takes, node by node, and beside the official runtime."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

import numpy as np

from minitfl import entry, profiling, rival
from minitfl.commands import terminal
from minitfl.commands.files import open_model
from minitfl.commands.terminal import Column, UsageError
from minitfl.engine.engine import DRIVER
from minitfl.interpreter import Interpreter

COLUMNS = tuple(Column(name, right) for name, right in profiling.COLUMNS)


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "benchmark",
        help="time a model, node by node",
        description="Times whole invokes of a model on random inputs, and each node for itself.",
        epilog="Rates: two operations for each multiply-accumulate of convolutions, matrix products and recurrent "
        "operators; of all others the bytes that they read and write. --against: the two take turns in one process; "
        "the ratio is the median of those within each turn.",
    )
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="how many to use (1)")
    parser.add_argument(
        "--kernels",
        choices=("auto", "numpy", "numba"),
        default="auto",
        help="auto: numba where it can be had, waited for (auto)",
    )
    parser.add_argument("--runs", type=int, metavar="N", help="how many invokes to time, and how often each node")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to go on where --runs is not given (4)")
    parser.add_argument("--against", choices=("litert",), help="the ratio to the official runtime with XNNPACK as well")
    parser.add_argument("--blocks", type=int, default=31, metavar="N", help="how often both take their turn (31)")
    parser.add_argument("--json", action="store_true", help="all of it as JSON, times in seconds")
    parser.set_defaults(command=benchmark)


def benchmark(options: Namespace) -> None:
    for name in ("threads", "runs", "blocks"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value}; it starts at 1")
    if not 0 <= options.seconds < float("inf"):
        raise UsageError(f"--seconds is {options.seconds}")
    if options.against and not rival.installed():
        raise UsageError(f"--against {options.against}: {rival.MISSING}")
    interpreter = open_model(options.model, kernels=options.kernels, num_threads=options.threads)
    with interpreter, terminal.progress("benchmark") as tell:
        tell("allocating", 0)
        _fill(interpreter)
        _compile(interpreter, tell)
        share = 0.5 if options.against else 1.0
        found = profiling.profile(interpreter, options.runs, options.seconds, _part(tell, 0, share))
        race = _race(interpreter, options.blocks, _part(tell, share, 1)) if options.against else None
    if options.json:
        print(json.dumps(_plain(found, race), indent=1))
        return
    for line in found.lines():
        print(line)
    if race is not None:
        print(f"race    {race}")
    print()
    terminal.table(COLUMNS, found.rows())


def _race(interpreter: Interpreter, blocks: int, tell: Callable[[str, float], None]) -> rival.Race | None:
    try:
        return rival.race(interpreter, blocks, progress=lambda done: tell("taking turns", done))
    except RuntimeError as error:
        terminal.note(str(error))
        return None


def _fill(interpreter: Interpreter) -> None:
    chance = np.random.default_rng(0)
    wrapper = interpreter._interpreter
    found = entry.find_entry(wrapper.graph, None)
    tensors = found.subgraph.tensors
    entry.fill(wrapper, found, {i: entry.random_array(tensors[i], chance) for i in found.inputs.values()})


def _compile(interpreter: Interpreter, tell: Callable[[str, float], None]) -> None:
    """Waits for machine code where there will be any: it is timed from the first run on."""
    runtime = interpreter._interpreter.runtime
    frame, engine = runtime.instance(0).frame, runtime.engine
    if engine is None or frame is None or frame.fast is not None or not engine.expects(frame):
        return
    kernels = [DRIVER, *engine.program(frame.plan, runtime.planner).kernels]
    try:
        engine.library.wait(kernels, lambda done, count: tell("compiling", done / count))
    except RuntimeError as error:
        terminal.note(str(error))


def _part(tell: Callable[[str, float], None], start: float, end: float) -> Callable[[str, float], None]:
    """Of a whole, the part from one share to another."""
    return lambda what, share: tell(what, start + share * (end - start))


def _plain(found: profiling.Profile, race: rival.Race | None) -> dict[str, Any]:
    made = dataclasses.asdict(found)
    made["numpy_share"] = found.share("numpy")
    if race is not None:
        made["against"] = dataclasses.asdict(race)
    return made
