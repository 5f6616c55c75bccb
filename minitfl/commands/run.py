"""minitfl run: a model on arrays from .npy files or on random numbers."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from minitfl import entry
from minitfl.commands import terminal
from minitfl.commands.files import open_model, read_input
from minitfl.commands.terminal import Column, UsageError
from minitfl.interpreter import Interpreter
from minitfl.real import dequantize, is_quantized

COLUMNS = (
    Column(""),
    Column("name"),
    Column("shape"),
    Column("dtype"),
    Column("min", right=True),
    Column("max", right=True),
    Column("mean", right=True),
)


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "run",
        help="run a model on arrays",
        description="Runs a model once and prints what went in and came out.",
        epilog="Random inputs: floats from -1 to 1, quantized integers over their whole range, other integers from 0 "
        "to 9, empty strings; free dimensions are as in the file, mostly 1.",
    )
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE.npy",
        help="an input by its name, or in the model's order where there is no name; may be given again",
    )
    parser.add_argument("--random", action="store_true", help="random numbers for the inputs that are not given")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    parser.add_argument("--real", action="store_true", help="real numbers in and out where the model is quantized")
    parser.add_argument("--out", metavar="FOLDER", help="write each output there as NAME.npy")
    parser.add_argument("--signature", metavar="KEY", help="which signature to run; the main subgraph by default")
    parser.set_defaults(command=run)


def run(options: Namespace) -> None:
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}; it starts at 0")
    given = [read_input(text) for text in options.input]
    with open_model(options.model) as interpreter:
        inputs, outputs, seconds = _run(interpreter, options, given)
    rows = [("in", name, *_facts(value)) for name, value in inputs.items()]
    rows += [("out", name, *_facts(value)) for name, value in outputs.items()]
    terminal.table(COLUMNS, rows, f"{Path(options.model).name}, {1e3 * seconds:.3f} ms")
    if options.out:
        _write(Path(options.out), outputs)


def _run(
    interpreter: Interpreter, options: Namespace, given: list[tuple[str, np.ndarray]]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Inputs and outputs by name, and the seconds of the invoke."""
    wrapper = interpreter._interpreter
    try:
        found = entry.find_entry(wrapper.graph, options.signature)
        tensors = found.subgraph.tensors
        named = {name: array for name, array in given if name}
        if len(named) + sum(not name for name, _ in given) != len(given):
            raise UsageError("an input was given twice")
        chance = np.random.default_rng(options.seed)
        filled = [array for name, array in given if not name]
        known = entry.match(found, filled, named, partial=options.random)
        arrays = {i: entry.convert(value, tensors[i], options.real) for i, value in known.items()}
        arrays.update((i, entry.random_array(tensors[i], chance)) for i in found.inputs.values() if i not in arrays)
        for i, array in arrays.items():
            entry.check_rank(tensors[i], array)
            wrapper.ResizeInputTensor(i, np.array(array.shape, np.int32), False, found.subgraph.index)
    except ValueError as error:
        raise UsageError(str(error)) from error
    wrapper.AllocateTensors(found.subgraph.index)
    for i, array in arrays.items():
        wrapper.SetTensor(i, array, found.subgraph.index)
    start = time.perf_counter()
    wrapper.Invoke(found.subgraph.index)
    seconds = time.perf_counter() - start
    outputs = {name: np.asarray(wrapper.GetTensor(i, found.subgraph.index)) for name, i in found.outputs.items()}
    if options.real:
        for name, i in found.outputs.items():
            if is_quantized(tensors[i]):
                outputs[name] = dequantize(outputs[name], tensors[i])
    return {name: arrays[i] for name, i in found.inputs.items()}, outputs, seconds


# ---- results


def _facts(array: np.ndarray) -> tuple[str, ...]:
    """Shape, dtype, least, greatest, mean."""
    shape = "x".join(str(n) for n in array.shape) or "scalar"
    if array.dtype.kind not in "biufV" or not array.size:
        return shape, str(array.dtype), "", "", ""
    values = array.astype(np.float64)
    return shape, str(array.dtype), *(f"{number:.6g}" for number in (values.min(), values.max(), values.mean()))


def _write(folder: Path, outputs: dict[str, np.ndarray]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in zip(outputs, _paths(folder, outputs)):
            array = outputs[name]
            np.save(path, array.astype(np.bytes_) if array.dtype == object else array, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"--out {folder}: {error}") from error


def _paths(folder: Path, names: Iterable[str]) -> list[Path]:
    """A file name for each output: what is no word character becomes _, and no two are the same."""
    taken: set[str] = set()
    paths = []
    for name in names:
        base = re.sub(r"[^\w.-]+", "_", name).strip("._") or "output"
        unique = base
        while unique.lower() in taken:
            unique = f"{base}_{len(taken)}"
        taken.add(unique.lower())
        paths.append(folder / f"{unique}.npy")
    return paths
