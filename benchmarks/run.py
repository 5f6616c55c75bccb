"""Measures all networks and writes the results page: RESULTS.md, results.json and results.svg.

    python benchmarks/run.py [PATTERN ...] [--zoo FOLDER] [--models FOLDER] [--out FOLDER] [--again] [--quick] [--page]

Each network is stored as soon as it is measured, and is not measured again while the sources of minitfl stay the same:
a run that was stopped goes on where it was. PATTERN: only networks of such names, as "*_i8". README.md says what each
figure means.
"""

# ruff: noqa: E402
import argparse
import datetime
import fnmatch
import hashlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import import_time
import page
import roofline

import minitfl
from minitfl import rival
from minitfl.build import Model
from minitfl.engine.isa import ISAS, best, host_features

KINDS = {"f32": "float32", "i8": "int8", "drq": "small weights", "f16": "small weights"}
# file: sets, of the folder MINITFL_MODELS
SHARED = {
    "coral/mobilenet_v1_0.25_128_quant": "int8",
    "coral/mobilenet_v1_0.5_160_quant": "int8",
    "coral/mobilenet_v1_1.0_224_quant_embedding_extractor": "int8",
    "coral/mobilenet_quant_v1_224_head_layers": "int8",
    "coral/mobilenet_v2_1.0_224_quant": "int8",
    "coral/mobilenet_v2_1.0_224_inat_bird_quant": "int8",
    "coral/deeplabv3_mnv2_dm05_pascal_quant": "int8",
    "coral/keras_lstm_mnist_ptq": "int8",
    "mlperf_tiny/ad01_int8": "int8, tiny",
    "mlperf_tiny/kws_ref_model": "int8, tiny",
    "mlperf_tiny/pretrainedResnet_quant": "int8, tiny",
    "mlperf_tiny/ad01_fp32": "tiny",
    "mlperf_tiny/kws_ref_model_float32": "tiny",
    "mlperf_tiny/pretrainedResnet": "tiny",
    "mlperf_tiny/pretrainedResnet_large_float": "tiny",
    "mlperf_tiny/vww_96_float": "tiny",
}
COLD = ("mobilenet_v2_f32", "mobilenet_v2_i8")  # whose first answers are shown
LIMIT = 1800  # seconds, for one network
FORMAT = 1  # of results.json; what is of another one is measured anew


def networks(zoo, models):
    """[(name, path, sets)] of what is there."""
    found = []
    for path in sorted(Path(zoo).glob("*.tflite")) if zoo else ():
        kind = path.stem.rpartition("_")[2]
        found.append((path.stem, path, [KINDS.get(kind, "others")]))
    for name, sets in SHARED.items() if models else ():
        path = Path(models) / f"{name}.tflite"
        if path.is_file():
            found.append((path.stem, path, sets.split(", ")))
    return found


# ---- measuring


def child(*words, **variables):
    """What network.py prints; {"error": ...} where it fails."""
    command = [sys.executable, str(HERE / "network.py"), *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **variables})
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {LIMIT} seconds"}
    if done.returncode == 0:
        return json.loads(done.stdout)
    return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}


def first_answers(path, runtimes, runs):
    """Of processes that take turns: {runtime: median seconds}, {runtime: median MiB}."""
    rows = [{runtime: child(path, "--cold", runtime) for runtime in runtimes} for _ in range(runs)]
    rows = [row for row in rows if not any("error" in value for value in row.values())] or [{}]
    return [
        {name: statistics.median(row[name][key] for row in rows) for name in rows[0]} for key in ("seconds", "peak_mib")
    ]


def measured(path, options):
    found = child(path, "--blocks", options.blocks, "--seconds", options.seconds)
    seconds, peak = first_answers(path, ("minitfl", "xnnpack"), options.runs)
    return {**found, "cold_seconds": seconds, "peak_mib": peak}


def without_cache(path):
    with tempfile.TemporaryDirectory() as folder:
        return child(path, "--until-fast", MINITFL_CACHE=folder)


def one_operator(options):
    """What an invoke costs that has next to nothing to do: ADD of four numbers."""
    m = Model()
    x, y = m.input((1, 4)), m.tensor((1, 4))
    m.op("ADD", [x, x], [y])
    m.output(y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tflite"
        path.write_bytes(m.content())
        return child(path, "--blocks", options.blocks, "--seconds", options.seconds)


# ---- what it is measured on


def machine():
    versions = {}
    for name in ("numpy", "numba", "llvmlite", "ai-edge-litert"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "instructions": best().name if best() else "none",
        "features": ", ".join(sorted(host_features() & frozenset().union(*(isa.needs for isa in ISAS)))),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "minitfl": minitfl.__version__,
        "sources": sources(),
        "date": datetime.date.today().isoformat(),
        **versions,
    }


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def sources():
    """A digest of all that is measured."""
    digest = hashlib.sha256()
    for path in sorted((HERE.parent / "minitfl").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Results:
    """The JSON file, written anew after each change."""

    def __init__(self, path):
        self.path = path
        known = json.loads(path.read_text()) if path.is_file() else {}
        self.data = known if known.get("format") == FORMAT else {"format": FORMAT}

    def put(self, key, value):
        self.data[key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        waiting = self.path.with_suffix(".part")
        waiting.write_text(json.dumps(self.data, indent=1) + "\n")
        os.replace(waiting, self.path)


def main():
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    parser = argparse.ArgumentParser(description="Measures all networks and writes the results page.")
    parser.add_argument("patterns", nargs="*", help="only networks of such names")
    parser.add_argument("--zoo", default=os.environ.get("MINITFL_ZOO"), help="what make_zoo.py has made (MINITFL_ZOO)")
    parser.add_argument("--models", default=os.environ.get("MINITFL_MODELS"), help="public models (MINITFL_MODELS)")
    parser.add_argument("--out", type=Path, default=HERE, help="where the page goes (here)")
    parser.add_argument("--blocks", type=int, default=31, help="how often two runtimes take their turn (31)")
    parser.add_argument("--again", action="store_true", help="measure also what is measured already")
    parser.add_argument("--quick", action="store_true", help="a few milliseconds for each: to see whether all works")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page anew")
    options = parser.parse_args()
    options.seconds, options.runs = (0.002, 1) if options.quick else (0.03, 5)
    options.blocks = min(options.blocks, 3) if options.quick else options.blocks
    results = Results(options.out / "results.json")
    if not options.page:
        measure_all(results, options, parser)
    (options.out / "RESULTS.md").write_text(page.text(results.data))
    (options.out / "results.svg").write_text(page.plot(results.data))
    print(f"{options.out / 'RESULTS.md'} is written")


def measure_all(results, options, parser):
    chosen = networks(options.zoo, options.models)
    if options.patterns:
        chosen = [row for row in chosen if any(fnmatch.fnmatchcase(row[0], pattern) for pattern in options.patterns)]
    if not chosen:
        parser.error("no networks: give --zoo or --models")
    if not rival.installed():
        parser.error(rival.MISSING)
    about = machine()
    old = results.data.get("machine", {})
    results.put("machine", about)
    if options.again or old.get("sources") != about["sources"] or "peaks" not in results.data:
        say("what the processor can do at most")
        results.put("peaks", roofline.measure())
        say("one operator")
        results.put("one_operator", one_operator(options))
        say("imports")
        results.put("imports", import_time.measure(options.runs))
    known = results.data.setdefault("networks", {})
    for n, (name, path, sets) in enumerate(chosen, 1):
        if not options.again and known.get(name, {}).get("sources") == about["sources"]:
            continue
        found = {**measured(path, options), "sets": sets, "sources": about["sources"]}
        if name in COLD and not options.quick:
            found["cold_seconds"]["numpy"] = first_answers(path, ("numpy",), options.runs)[0].get("numpy")
            found["without_cache"] = without_cache(path)
        known[name] = found
        results.put("networks", known)
        say(f"{n} of {len(chosen)}  {name}  {found.get('error') or format(found['ratio'], '.3f')}")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
