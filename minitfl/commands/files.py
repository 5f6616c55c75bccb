"""The files that the commands are given: models and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minitfl.commands.terminal import UsageError
from minitfl.interpreter import Interpreter


def open_model(path: Any, **options: Any) -> Interpreter:
    """The model, or UsageError where there is no such file; a damaged one stays the model's failure."""
    if not Path(path).is_file():
        raise UsageError(f"there is no file '{path}'")
    return Interpreter(str(path), **options)


def read_input(text: str) -> tuple[str, np.ndarray]:
    """(name or "", array) of one --input."""
    name, separator, path = text.partition("=")
    if not separator or Path(text).is_file():
        name, path = "", text
    try:
        return name, np.load(path, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"--input {text}: {error}") from error
    except (ValueError, EOFError) as error:
        raise UsageError(f"--input {text} holds no array that is safe to load: {error}") from error
