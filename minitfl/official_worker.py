"""Runs a model in the official runtime: the program of a process of its own, which may die. Started by `official.run`.

Its one argument is a folder: model.tflite, resolver.txt, wanted.npy (tensor indices) and for each sample n an n.npz of
{input's index: array}. It leaves an n-out.npz of {index: array}, or error.txt. It knows nothing of minitfl.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np


def load() -> Any:
    try:
        from ai_edge_litert import interpreter  # pyright: ignore[reportMissingImports]
    except ImportError:
        from tensorflow.lite.python import interpreter  # pyright: ignore[reportMissingImports]
    return interpreter


def run(folder: Path) -> None:
    module = load()
    interpreter = module.Interpreter(
        model_path=str(folder / "model.tflite"),
        experimental_op_resolver_type=module.OpResolverType[(folder / "resolver.txt").read_text()],
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    wanted = np.load(folder / "wanted.npy").tolist()
    for path in sorted(folder.glob("*.npz"), key=lambda path: int(path.stem)):
        with np.load(path) as stored:
            inputs = {int(index): stored[index] for index in stored.files}
        for detail in interpreter.get_input_details():
            if detail["index"] in inputs:
                interpreter.resize_tensor_input(detail["index"], inputs[detail["index"]].shape)
        interpreter.allocate_tensors()
        for index, array in inputs.items():
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        found = {}
        for index in wanted:
            try:
                array = np.asarray(interpreter.get_tensor(index))
            except (ValueError, RuntimeError):  # not kept, or never computed
                continue
            if array.dtype.kind in "biufc":
                found[str(index)] = array
        np.savez(path.with_name(f"{path.stem}-out"), **found)


def main(folder: Path) -> int:
    try:
        run(folder)
    except Exception as error:
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}", "utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
