"""The official runtime, if one is installed, in a process that may die: it does so on some sound models."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

RUNTIMES = ("ai_edge_litert", "tensorflow")
WORKER = Path(__file__).with_name("official_worker.py")
RESOLVERS = ("AUTO", "BUILTIN", "BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def available() -> bool:
    """Is one installed? Nothing is imported to find out."""
    return any(importlib.util.find_spec(name) is not None for name in RUNTIMES)


def run(
    content: bytes,
    samples: Sequence[Mapping[int, np.ndarray]],
    wanted: Iterable[int],
    resolver: str = "BUILTIN_REF",
    seconds: float = 600.0,
) -> list[dict[int, np.ndarray]]:
    """{index: array} of the wanted tensors of the primary subgraph that can be read, for each sample of inputs.

    Raises RuntimeError where no official runtime is installed, where it refuses the model, and where it dies.
    """
    if resolver not in RESOLVERS:
        raise ValueError(f"there is no official resolver '{resolver}', but {', '.join(RESOLVERS)}")
    if not available():
        raise RuntimeError(f"no official runtime is installed ({' or '.join(RUNTIMES)})")
    if any(array.dtype.kind not in "biufc" for inputs in samples for array in inputs.values()):
        raise ValueError("inputs for the official runtime are numbers, here no strings or other objects")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        (folder / "resolver.txt").write_text(resolver)
        np.save(folder / "wanted.npy", np.array(sorted(wanted), np.int64))
        for n, inputs in enumerate(samples):
            np.savez(folder / f"{n}.npz", **{str(i): array for i, array in inputs.items()})  # type: ignore[arg-type]
        _start(folder, seconds)
        return [_arrays(folder / f"{n}-out.npz") for n in range(len(samples))]


def _start(folder: Path, seconds: float) -> None:
    # as text: run as a file, the folder of minitfl would come first where modules are looked for
    command = [sys.executable, "-c", WORKER.read_text("utf-8"), str(folder)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the official runtime gave no answer in {seconds:g} seconds") from None
    if done.returncode == 0:
        return
    error = folder / "error.txt"
    if error.is_file():
        raise RuntimeError(f"the official runtime refuses: {' '.join(error.read_text('utf-8').split())}")
    raise RuntimeError(f"the official runtime died with {_ending(done.returncode)} on this model")


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


def _arrays(path: Path) -> dict[int, np.ndarray]:
    with np.load(path) as stored:
        return {int(index): stored[index] for index in stored.files}
