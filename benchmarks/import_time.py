"""How long `import minitfl` takes beyond NumPy's own import, and how long a first answer takes. Fresh processes.

python benchmarks/import_time.py [--runs N] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "minitfl" / "data" / "digits.tflite"
START = "import time; begin = time.perf_counter(); import numpy; first = time.perf_counter(); "
ANSWER = "i = Interpreter({!r}); i.allocate_tensors(); i.invoke(); "
END = "print(first - begin, time.perf_counter() - first)"

OFFICIAL = "from ai_edge_litert.interpreter import Interpreter; "
PROGRAMS = {
    "import minitfl": "import minitfl; ",
    "from minitfl import Interpreter": "from minitfl import Interpreter; ",
    "minitfl: import and a first answer": "from minitfl import Interpreter; " + ANSWER.format(str(MODEL)),
    "ai_edge_litert: import": OFFICIAL,
    "ai_edge_litert: import and a first answer": OFFICIAL + ANSWER.format(str(MODEL)),
}


def seconds(program):
    """(NumPy's import, what follows); None if the program fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    words = [sys.executable, "-c", START + program + END]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    return tuple(float(text) for text in done.stdout.split()) if done.returncode == 0 else None


def measure(runs):
    """{what: median milliseconds beyond NumPy's import}; programs take turns, so that all meet the same machine."""
    ready = [name for name, program in PROGRAMS.items() if seconds(program)]  # this also fills the caches
    times = {name: [] for name in ready}
    numpy = []
    for _ in range(runs):
        for name in ready:
            first, rest = seconds(PROGRAMS[name])
            numpy.append(first)
            times[name].append(rest)
    medians = {"import numpy": statistics.median(numpy)}
    medians |= {name: statistics.median(values) for name, values in times.items()}
    return {name: 1e3 * value for name, value in medians.items()}


def main():
    parser = argparse.ArgumentParser(description="Import time beyond NumPy's.")
    parser.add_argument("--runs", type=int, default=21, help="processes for each line (21)")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args()
    found = measure(max(options.runs, 1))
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name, milliseconds in found.items():
        print(f"{name:42} {milliseconds:8.1f} ms")


if __name__ == "__main__":
    main()
