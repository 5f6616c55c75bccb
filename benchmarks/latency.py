"""Latency and memory of minitfl beside the official runtime, on one thread each.

    python benchmarks/latency.py [MODEL.tflite ...] [--zoo FOLDER] [--blocks N] [--json]

Without models: a few of MINITFL_MODELS, and all in --zoo or MINITFL_ZOO. README.md says how to read the table.
"""

# ruff: noqa: E402
import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import minitfl

RUNTIMES = ("minitfl", "builtin", "xnnpack")
CHOSEN = (
    "coral/mobilenet_v1_0.25_128_quant.tflite",
    "coral/mobilenet_v2_1.0_224_quant.tflite",
    "mlperf_tiny/ad01_int8.tflite",
    "mlperf_tiny/kws_ref_model.tflite",
    "mlperf_tiny/kws_ref_model_float32.tflite",
    "mlperf_tiny/pretrainedResnet_quant.tflite",
    "mlperf_tiny/vww_96_float.tflite",
)
LEAST_SECONDS = 0.03  # that a runtime works in one block


# ---- the runtimes


def make(runtime, path):
    """An allocated interpreter; None where the official runtime is not installed."""
    if runtime == "minitfl":
        interpreter = minitfl.Interpreter(model_path=str(path), num_threads=1)
    else:
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError:
            return None
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        resolver = plain if runtime == "builtin" else OpResolverType.AUTO
        interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def fill(interpreter):
    """The same inputs for every runtime: noise; zero for integers that stand for no real number."""
    chance = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
        if dtype.kind == "f":
            value = chance.uniform(-1, 1, shape).astype(dtype)
        elif dtype.kind in "iu" and detail["quantization"][0]:
            value = chance.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
        elif dtype.kind in "biu":
            value = np.zeros(shape, dtype)
        else:
            raise ValueError(f"no input of type {dtype} is made here")
        interpreter.set_tensor(detail["index"], value)


# ---- latency


def seconds(interpreter, count):
    """Of one invoke, the mean of `count`."""
    start = time.perf_counter()
    for _ in range(count):
        interpreter.invoke()
    return (time.perf_counter() - start) / count


def compare(path, blocks):
    """{runtime: milliseconds}, {runtime: minitfl's ratio to it}; medians over blocks in which all take their turn."""
    interpreters = {}
    for runtime in RUNTIMES:
        interpreter = make(runtime, path)
        if interpreter is not None:
            fill(interpreter)
            interpreters[runtime] = interpreter
    counts = {}
    for runtime, interpreter in interpreters.items():
        interpreter.invoke()  # the first one is not like the others
        counts[runtime] = max(1, math.ceil(LEAST_SECONDS / max(seconds(interpreter, 1), 1e-7)))
    times = {runtime: [] for runtime in interpreters}
    for block in range(blocks):
        order = list(interpreters) if block % 2 else list(interpreters)[::-1]
        for runtime in order:
            times[runtime].append(seconds(interpreters[runtime], counts[runtime]))
    milliseconds = {runtime: 1e3 * statistics.median(values) for runtime, values in times.items()}
    ratios = {
        runtime: statistics.median(ours / theirs for ours, theirs in zip(times["minitfl"], values))
        for runtime, values in times.items()
        if runtime != "minitfl"
    }
    return milliseconds, ratios


# ---- memory


def peak(runtime, path):
    """MiB that a process of its own has held at most after one invoke, and how much of it NumPy alone takes."""
    words = [sys.executable, __file__, "--peak", runtime, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def resident():
    """The most memory this process has held so far, in MiB."""
    try:  # ru_maxrss counts the parent's memory at the time of the fork
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 1024)


def print_peak(runtime, path):
    before = resident()
    interpreter = make(runtime, path)
    fill(interpreter)
    interpreter.invoke()
    print(json.dumps({"peak": resident(), "before": before}))


# ---- the table


def measure(path, blocks):
    row = {"model": Path(path).stem}
    try:
        milliseconds, ratios = compare(path, blocks)
        interpreter = make("minitfl", path)
        plan = interpreter.memory_plan()
    except (ValueError, RuntimeError, MemoryError) as error:
        return {**row, "error": str(error).splitlines()[0]}
    row |= {f"{runtime}_ms": value for runtime, value in milliseconds.items()}
    row |= {f"ratio_to_{runtime}": value for runtime, value in ratios.items()}
    row |= {"arena_bytes": plan.arena_nbytes, "bound_bytes": plan.bound_nbytes}
    for runtime in milliseconds:
        found = peak(runtime, path)
        row[f"{runtime}_peak_mib"] = found["peak"] if found else None
    return row


COLUMNS = (
    ("minitfl ms", "minitfl_ms", "{:.3f}"),
    ("builtin ms", "builtin_ms", "{:.3f}"),
    ("XNNPACK ms", "xnnpack_ms", "{:.3f}"),
    ("/ builtin", "ratio_to_builtin", "{:.2f}"),
    ("/ XNNPACK", "ratio_to_xnnpack", "{:.2f}"),
    ("arena KiB", "arena_bytes", "{:.0f}"),
    ("/ bound", "bound_bytes", "{:.3f}"),
    ("peak MiB", "minitfl_peak_mib", "{:.0f}"),
    ("builtin", "builtin_peak_mib", "{:.0f}"),
    ("XNNPACK", "xnnpack_peak_mib", "{:.0f}"),
)


def cells(row):
    if "error" in row:
        return [row["model"], "fails"] + [""] * (len(COLUMNS) - 1)
    shown = dict(row)
    if "arena_bytes" in row:
        shown["arena_bytes"] = row["arena_bytes"] / 1024
        shown["bound_bytes"] = row["arena_bytes"] / row["bound_bytes"] if row["bound_bytes"] else 1
    texts = [form.format(shown[key]) if shown.get(key) is not None else "" for _, key, form in COLUMNS]
    return [row["model"], *texts]


def summary(rows):
    """The geometric means of the ratios."""
    found = {"model": "geometric mean"}
    for runtime in RUNTIMES[1:]:
        values = [row[f"ratio_to_{runtime}"] for row in rows if f"ratio_to_{runtime}" in row]
        if values:
            found[f"ratio_to_{runtime}"] = statistics.geometric_mean(values)
    return found


def show(rows):
    heads = ["model", *(name for name, _, _ in COLUMNS)]
    lines = [cells(row) for row in [*rows, summary(rows)]]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
        for first, *others in [heads, *lines]:
            print("  ".join([first.ljust(widths[0]), *(text.rjust(w) for text, w in zip(others, widths[1:]))]))
        return
    table = Table(title="one thread, medians; / is minitfl's ratio")
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i else "left", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    Console(width=None if sys.stdout.isatty() else 170).print(table)


def models(given, zoo):
    if given:
        return [Path(path) for path in given]
    folder = os.environ.get("MINITFL_MODELS")
    found = [Path(folder) / name for name in CHOSEN] if folder else []
    found = [path for path in found if path.is_file()]
    return found + (sorted(Path(zoo).glob("*.tflite")) if zoo else [])


def main():
    parser = argparse.ArgumentParser(description="Latency and memory of minitfl beside the official runtime.")
    parser.add_argument("models", nargs="*", help=".tflite files")
    parser.add_argument("--zoo", default=os.environ.get("MINITFL_ZOO"), help="a folder of .tflite files")
    parser.add_argument("--blocks", type=int, default=9, help="how often each runtime takes its turn (9)")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.peak:
        print_peak(*options.peak)
        return
    paths = models(options.models, options.zoo)
    if not paths:
        parser.error("no models: name some, or set MINITFL_MODELS or MINITFL_ZOO")
    rows = []
    for path in paths:
        print(path.name, file=sys.stderr, flush=True)
        rows.append(measure(path, max(options.blocks, 1)))
    if options.json:
        print(json.dumps({"rows": rows, "summary": summary(rows)}, indent=1))
        return
    show(rows)
    for row in rows:
        if "error" in row:
            print(f"{row['model']}: {row['error']}")


if __name__ == "__main__":
    main()
