"""Ours beside the official runtime with XNNPACK, in one process: which is faster? (Which is right: `official`.)"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from minitfl.timing import in_turns, milliseconds, warm

MISSING = "the official runtime is not installed: python -m pip install ai-edge-litert"


@dataclass(frozen=True, slots=True)
class Race:
    """Latencies measured in turns.

    ratio, low, high: ours divided by the official runtime's within each of the blocks; the median, and the quartiles.
    """

    runtime: str
    seconds: float
    official_seconds: float
    ratio: float
    low: float
    high: float
    blocks: int

    def __str__(self) -> str:
        ours, theirs = milliseconds(self.seconds), milliseconds(self.official_seconds)
        spread = f"{self.low:.3f} to {self.high:.3f} in half of the {self.blocks} blocks"
        return f"minitfl {ours} ms, {self.runtime} {theirs} ms, ratio {self.ratio:.3f} ({spread})"


def race(
    interpreter: Any, blocks: int = 31, seconds: float = 0.03, progress: Callable[[float], object] | None = None
) -> Race:
    """Both on the inputs that are set in ours, with as many threads.

    See `timing.in_turns` for the rest. RuntimeError where there is no official runtime or it refuses the model; there
    are sound models at which it dies, and the process with it.
    """
    name, official = opponent(interpreter)
    calls = (interpreter.invoke, official.invoke)
    for call in calls:
        warm(call)
    turns = in_turns(calls, blocks, seconds, progress)
    ratios = turns.ratios(0, 1)
    low, high = (float(np.quantile(ratios, share)) for share in (0.25, 0.75))
    return Race(name, turns.seconds(0), turns.seconds(1), turns.ratio(0, 1), low, high, blocks)


def opponent(interpreter: Any) -> tuple[str, Any]:
    """(name and version, official interpreter) of the same model and inputs, with its default kernels; it has run."""
    wrapper = interpreter._interpreter
    name, official = opened(wrapper.source.bytes(), wrapper.num_threads)
    try:
        values = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_input_details()]
        details = official.get_input_details()
        for detail, value in zip(details, values):
            if tuple(detail["shape"]) != np.shape(value):
                official.resize_tensor_input(detail["index"], np.shape(value))
        official.allocate_tensors()
        for detail, value in zip(details, values):
            official.set_tensor(detail["index"], value)
        official.invoke()
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(f"the official runtime refuses: {' '.join(str(error).split())}") from error
    return name, official


def installed() -> bool:
    """Nothing is imported to find out."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def opened(content: bytes, threads: int) -> tuple[str, Any]:
    """(name and version, interpreter) of the official runtime."""
    if not installed():
        raise RuntimeError(MISSING)
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=threads)
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(f"the official runtime refuses: {' '.join(str(error).split())}") from error
    return f"LiteRT {version('ai-edge-litert')}", interpreter
