"""One network, measured in a process of its own: run.py starts it, and reads the JSON that it prints.

    python benchmarks/network.py MODEL [--blocks N] [--seconds S]     latencies, threads, nodes, memory
    python benchmarks/network.py --cold RUNTIME MODEL                 seconds and most memory of a first answer

README.md says what each figure means.
"""

import time

BEGIN = time.perf_counter()

# ruff: noqa: E402
import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

RUNTIMES = ("minitfl", "numpy", "xnnpack", "builtin")
FEW = 5  # blocks, where much slower ones are measured
BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


# ---- the runtimes


def load(runtime, path, threads=1, kernels="auto"):
    """An allocated interpreter. ImportError where the official runtime is not installed."""
    if runtime in ("minitfl", "numpy"):
        import minitfl

        chosen = "numpy" if runtime == "numpy" else kernels
        interpreter = minitfl.Interpreter(str(path), num_threads=threads, kernels=chosen)
    else:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        resolver = plain if runtime == "builtin" else OpResolverType.AUTO
        interpreter = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def fill(interpreter):
    """The same inputs for every runtime: noise; zero for integers that stand for no real number."""
    import numpy as np

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


class Runtimes:
    """Interpreters of one network, loaded and warmed up when they are first asked for."""

    def __init__(self, path):
        self.path = path
        self.loaded = {}

    def __getitem__(self, key):
        """(runtime, threads) -> an interpreter."""
        from minitfl import timing

        if key not in self.loaded:
            interpreter = load(key[0], self.path, key[1], fastest())
            fill(interpreter)
            timing.warm(interpreter.invoke)
            self.loaded[key] = interpreter
        return self.loaded[key]

    def in_turns(self, keys, blocks, seconds):
        from minitfl import timing

        return timing.in_turns([self[key].invoke for key in keys], blocks, seconds)


def fastest():
    """Machine code from the first run on where there can be any."""
    import importlib.util

    return "numba" if importlib.util.find_spec("numba") else "numpy"


# ---- what is measured


def measure(path, blocks, seconds):
    runtimes = Runtimes(path)
    ours, theirs = ("minitfl", 1), ("xnnpack", 1)
    turns = runtimes.in_turns((ours, theirs), blocks, seconds)
    ratios = turns.ratios(0, 1)
    found = {"ms": 1e3 * turns.seconds(0), "xnnpack_ms": 1e3 * turns.seconds(1), "ratio": turns.ratio(0, 1)}
    found |= {"ratio_low": ratios[len(ratios) // 4], "ratio_high": ratios[-1 - len(ratios) // 4], "blocks": blocks}
    found |= nodes(runtimes[ours], seconds * blocks)
    found |= memory(runtimes[ours], path)
    turns = runtimes.in_turns((("numpy", 1), ("builtin", 1)), min(blocks, FEW), seconds)
    found |= {"numpy_ms": 1e3 * turns.seconds(0), "builtin_ms": 1e3 * turns.seconds(1)}
    found |= {"numpy_to_builtin": turns.ratio(0, 1)}
    if (os.cpu_count() or 1) > 1:
        found |= two_threads(runtimes, max(blocks // 3, 1), seconds)
    return found


def nodes(interpreter, seconds):
    """The share of time in NumPy; by operator and layer: milliseconds, multiply-accumulates by type, bytes."""
    profile = interpreter.profile(seconds=seconds)
    graph = interpreter._interpreter.graph.subgraphs[0]
    operators = {}
    for node in profile.nodes:
        inputs = graph.nodes[node.index].inputs
        weights = graph.tensors[inputs[1]].type if len(inputs) > 1 and inputs[1] >= 0 else ""
        kind = "integer_macs" if weights in ("int8", "uint8", "int4", "int2") else "float_macs"
        start = {"count": 0, "ms": 0.0, "integer_macs": 0, "float_macs": 0, "nbytes": 0}
        row = operators.setdefault(f"{node.op} {node.layer}", start)
        row["count"] += 1
        row["ms"] += 1e3 * node.seconds
        row[kind] += node.macs
        row["nbytes"] += node.nbytes
    slowest_first = sorted(operators.items(), key=lambda item: -item[1]["ms"])
    return {"numpy_share": profile.share("numpy"), "operators": dict(slowest_first)}


def memory(interpreter, path):
    """Bytes: constants as the file has them, those packed anew, and memory for activations."""
    from minitfl import inspect

    plan, constants = interpreter.memory_plan(), inspect.describe(interpreter)["totals"]["constants_nbytes"]
    fast = interpreter._interpreter.runtime.instance(0).frame.fast
    return {
        "constants_nbytes": constants,
        "packed_nbytes": fast.program.constants_nbytes if fast is not None else 0,
        "arena_nbytes": plan.arena_nbytes,
        "workspace_nbytes": fast.workspace.nbytes if fast is not None else 0,
    }


def two_threads(runtimes, blocks, seconds):
    """How many times as fast as one; and two threads' time as a multiple of one's beside a process that is busy."""
    found = {}
    for runtime, name in (("minitfl", "two_threads"), ("xnnpack", "xnnpack_two_threads")):
        found[name] = runtimes.in_turns(((runtime, 1), (runtime, 2)), blocks, seconds).ratio(0, 1)
    if not hasattr(os, "sched_setaffinity"):
        return found
    core = max(os.sched_getaffinity(0))
    busy = subprocess.Popen([sys.executable, "-c", BUSY, str(core)])
    try:
        turns = runtimes.in_turns((("minitfl", 2), ("minitfl", 1)), blocks, seconds)
    finally:
        busy.kill()
        busy.wait()
    return {**found, "two_threads_beside_busy": turns.ratio(0, 1)}


# ---- a first answer


def cold(runtime, path):
    """Seconds from the first line of this script to the first answer, and the most memory held by then."""
    interpreter = load(runtime, path)
    interpreter.invoke()
    return {"seconds": time.perf_counter() - BEGIN, "peak_mib": resident()}


def until_fast(path):
    """The same, and seconds until machine code has been compiled and is in use; without a cache of it."""
    interpreter = load("minitfl", path)
    interpreter.invoke()
    found = {"seconds": time.perf_counter() - BEGIN}
    frame = interpreter._interpreter.runtime.instance(0).frame
    while frame.fast is None and time.perf_counter() - BEGIN < 300:
        interpreter.invoke()
    return {**found, "fast_seconds": time.perf_counter() - BEGIN}


def resident():
    """The most memory that this process has held so far, in MiB."""
    try:  # ru_maxrss counts the parent's memory at the time of the fork
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 1024)


def main():
    parser = argparse.ArgumentParser(description="Measures one network.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--blocks", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=0.03)
    parser.add_argument("--cold", choices=RUNTIMES)
    parser.add_argument("--until-fast", action="store_true")
    options = parser.parse_args()
    if options.cold:
        print(json.dumps(cold(options.cold, options.model)))
    elif options.until_fast:
        print(json.dumps(until_fast(options.model)))
    else:
        print(json.dumps(measure(options.model, options.blocks, options.seconds)))


if __name__ == "__main__":
    main()
