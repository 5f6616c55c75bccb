"""minitfl classify: a picture's most likely classes."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minitfl import metadata, pictures
from minitfl.commands import terminal
from minitfl.commands.files import open_model
from minitfl.commands.terminal import Column, UsageError
from minitfl.graph import Tensor
from minitfl.interpreter import Interpreter
from minitfl.real import dequantize, is_quantized

DATA = Path(__file__).parents[1] / "data"
MODEL, PICTURE = DATA / "digits.tflite", DATA / "digit.npy"
BACKGROUND = "background"


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "classify",
        help="rank what a picture shows",
        description="Ranks what a picture shows. Without arguments: an embedded model, a handwritten digit.",
        epilog="Pixels p become inputs so: p where the input is quantized uint8, p - 128 where it is int8; else "
        "(p - mean) / std, with the numbers of the model's metadata or 127.5 and 127.5. --mean and --std always count.",
    )
    parser.add_argument("picture", nargs="?", help=".npy (uint8, height x width [x channels]) or what Pillow reads")
    parser.add_argument("--model", help="a .tflite file; the embedded one by default")
    parser.add_argument("--labels", help="a text file, one label a line; by default those packed in the model")
    parser.add_argument("--top", type=_positive, default=5, metavar="N", help="how many classes to show (5)")
    parser.add_argument("--mean", type=_numbers, help="of pixels from 0 to 255: one number, or three with commas")
    parser.add_argument("--std", type=_numbers, help="what to divide by after the mean is taken away")
    parser.add_argument("--invert", action="store_true", help="swap dark and bright first")
    parser.set_defaults(command=classify)


def classify(options: Namespace) -> None:
    if options.model and not options.picture:
        raise UsageError("which picture? minitfl classify PICTURE --model MODEL")
    try:
        picture = pictures.read(options.picture or PICTURE)
    except pictures.PictureError as error:
        raise UsageError(str(error)) from error
    picture = 255 - picture if options.invert else picture
    with open_model(options.model or MODEL) as interpreter:
        names = _labels(options.labels, interpreter)
        scores, milliseconds = _scores(interpreter, picture, _normalisation(options), len(names or ()))
    terminal.picture(picture)
    names = _fitting(names, scores.size)
    order = np.argsort(-scores, kind="stable")[: options.top]
    share = _are_shares(scores)
    rows = [
        (rank, names.get(int(i), f"class {i}"), f"{100 * scores[i]:.1f} %" if share else f"{scores[i]:.6g}")
        for rank, i in enumerate(order, 1)
    ]
    shown = Path(options.picture or PICTURE).name
    columns = (Column("", right=True), Column("class"), Column("score", right=True))
    terminal.table(columns, rows, f"{shown}, {Path(options.model or MODEL).name}, {milliseconds:.1f} ms")


# ---- running


def _scores(
    interpreter: Interpreter, picture: np.ndarray, given: pictures.Normalisation | None, wanted: int
) -> tuple[np.ndarray, float]:
    """The score of each class, and the milliseconds of the invoke."""
    graph = interpreter._interpreter.graph
    main = graph.subgraphs[0]
    if len(main.inputs) != 1 or not main.outputs:
        raise UsageError(f"the model has {len(main.inputs)} inputs; classify takes models of one, see minitfl run")
    tensor = main.tensors[main.inputs[0]]
    try:
        place = pictures.layout(tensor.known_shape, tensor.shape_signature)
        values = pictures.prepare(picture, tensor, place, given, _known_normalisation(interpreter))
    except pictures.PictureError as error:
        raise UsageError(str(error)) from error
    if values.shape != tensor.shape:
        interpreter.resize_tensor_input(tensor.index, values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(tensor.index, values)
    start = time.perf_counter()
    interpreter.invoke()
    milliseconds = 1e3 * (time.perf_counter() - start)
    outputs = [(main.tensors[i], np.asarray(interpreter.get_tensor(i))) for i in main.outputs]
    return _ranking(outputs, wanted), milliseconds


def _ranking(outputs: Sequence[tuple[Tensor, np.ndarray]], wanted: int) -> np.ndarray:
    """The output that holds one number a class: that of as many as there are labels, else the first that can be."""
    rows = [
        (t, a.ravel()) for t, a in outputs if a.dtype.kind in "iuf" and a.size and a.size == max(a.shape, default=1)
    ]
    if not rows:
        shapes = ", ".join(str(a.shape) for _, a in outputs)
        raise UsageError(f"no output of the model is one score a class (their shapes: {shapes}); see minitfl run")
    tensor, values = next((row for row in rows if row[1].size == wanted), rows[0])
    return (dequantize(values, tensor) if is_quantized(tensor) else values).astype(np.float64)


def _are_shares(scores: np.ndarray) -> bool:
    """Do they look like probabilities? Those of an 8-bit softmax add up to 1 only about."""
    return bool(scores.min() >= 0 and scores.max() <= 1 and (scores.size == 1 or abs(scores.sum() - 1) < 0.1))


def _normalisation(options: Namespace) -> pictures.Normalisation | None:
    if options.mean is None and options.std is None:
        return None
    std = options.std or (pictures.STD,)
    if 0 in std:
        raise UsageError("--std is 0")
    return pictures.Normalisation((pictures.MEAN,) if options.mean is None else options.mean, std)


def _known_normalisation(interpreter: Interpreter) -> pictures.Normalisation | None:
    found = metadata.normalisation(interpreter.metadata.get(metadata.ENTRY, b""))
    return pictures.Normalisation(*found) if found and 0 not in found[1] else None


# ---- labels


def _labels(path: str | None, interpreter: Interpreter) -> dict[int, str] | None:
    """Class number to name, from the file, else from the model, else None."""
    if path is None:
        known = interpreter.labels
        return parse_labels(known) if known else None
    try:
        lines = Path(path).read_text("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise UsageError(f"the labels can't be read: {error}") from error
    return parse_labels(lines)


def parse_labels(lines: Sequence[str]) -> dict[int, str]:
    """One label a line, counted from 0; or each line starts with its number ("16  cat", "16: cat")."""
    last = max((i for i, line in enumerate(lines) if line.strip()), default=-1)
    lines = [line.strip() for line in lines[: last + 1]]
    numbered = [re.fullmatch(r"(\d+)(?:\s*[:,]\s*|\s+)(\S.*)", line) for line in lines if line]
    if numbered and all(numbered):
        pairs = {int(match[1]): match[2] for match in numbered if match}
        if len(pairs) == len(numbered) and list(pairs) == sorted(pairs):
            return pairs
    return dict(enumerate(lines))


def _fitting(names: dict[int, str] | None, classes: int) -> dict[int, str]:
    """Labels for so many classes. A background class may be in the labels or in the model alone: it is number 0."""
    if not names:
        return {}
    count = max(names) + 1
    if count == classes + 1 and names.get(0, "").lower() == BACKGROUND:
        return {i - 1: name for i, name in names.items() if i}
    if count == classes - 1 and names.get(0, "").lower() != BACKGROUND:
        return {0: BACKGROUND, **{i + 1: name for i, name in names.items()}}
    if count != classes:
        terminal.note(f"{count} labels for {classes} classes: they may be those of another model")
    return names


# ---- options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"'{text}' is no number above 0")
    return int(text)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3) or not np.isfinite(values).all():
        raise ArgumentTypeError(f"'{text}' is neither a number nor three with commas between them")
    return values
