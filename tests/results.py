"""What the differential tests found, op by op and type by type.

`check` counts where MINITFL_RESULTS names a folder:

    MINITFL_RESULTS=/tmp/found python -m pytest -q      each process leaves a file there
    python -m tests.results /tmp/found                  makes docs/ops.json and docs/ops.md of them
    python -m tests.results /tmp/found --check          does that run bear out docs/ops.json?

A variant is an op with the types of its inputs and outputs, as "int8 int8 int32 -> int8"; of ops with any number of
them, and of more than six, each type is named once. A case that both refuse counts for the op alone. What a sweep over
types tries (`tests/sweep.py`) is counted apart: it has one case a combination, and some ops take whatever type the file
gives their output.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

RAN, REFUSED, FAILED, SWEPT, TAKEN = "ran", "refused", "failed", "swept", "taken"  # the last: swept, and ran equal
COUNTS: Counter = Counter()  # (op, version, variant, outcome)
MANY = 6
VARIADIC = frozenset(
    "CONCATENATION PACK UNPACK SPLIT SPLIT_V ADD_N IF WHILE STABLEHLO_CASE STABLEHLO_COMPOSITE".split()
)
LEAST = 200  # cases of each variant
STORED = Path(__file__).parents[1] / "docs" / "ops.json"
PAGE = STORED.with_suffix(".md")


# ---- counting


def wanted():
    return "MINITFL_RESULTS" in os.environ


def note(content, outcome):
    """Counts a case for each op in the model."""
    COUNTS.update((op, version, variant, outcome) for op, version, variant in variants(content))


def variants(content):
    """{(op, version, variant)} of a model; nothing of one that can't be loaded."""
    from minitfl.load import load_model

    try:
        graph = load_model(content)
    except ValueError:
        return set()
    return {
        (node.op, node.version, _variant(node, subgraph)) for subgraph in graph.subgraphs for node in subgraph.nodes
    }


def _variant(node, subgraph):
    def types(indices):
        names = ["-" if not 0 <= i < len(subgraph.tensors) else subgraph.tensors[i].type for i in indices]
        if len(names) > MANY or node.op in VARIADIC:
            names = [*dict.fromkeys(names), "..."]
        return " ".join(names) or "-"

    return f"{types(node.inputs)} -> {types(node.outputs)}"


def write(name):
    """This process's counts into the folder."""
    folder = Path(os.environ["MINITFL_RESULTS"])
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[*key, count] for key, count in sorted(COUNTS.items())]
    (folder / f"{name}.json").write_text(json.dumps(rows))


# ---- what was counted


def merged(folder):
    """{op: {"versions", "refused", "swept", "taken", "variants": {variant: counts}}}; taken: what a sweep alone ran."""
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        for op, version, variant, outcome, count in json.loads(path.read_text()):
            entry = found.setdefault(op, {"versions": set(), REFUSED: 0, SWEPT: 0, TAKEN: set(), "variants": {}})
            if outcome in (REFUSED, SWEPT, TAKEN):
                entry[REFUSED if outcome == REFUSED else SWEPT] += count
                entry[TAKEN].update({variant} if outcome == TAKEN else ())
                continue
            entry["versions"].add(version)
            counts = entry["variants"].setdefault(variant, {RAN: 0, FAILED: 0})
            counts[outcome] += count
    for entry in found.values():
        entry["versions"] = sorted(entry["versions"])
        entry["variants"] = dict(sorted(entry["variants"].items()))
        entry[TAKEN] = sorted(entry[TAKEN] - set(entry["variants"]))
    return dict(sorted(found.items()))


def problems(found, ops):
    """What is wrong with the results: ops that nothing was tried of, failures, variants with few cases."""
    wrong = [f"{op}: no case" for op in sorted(ops) if not found.get(op, {}).get("variants")]
    for op, entry in found.items():
        for variant, counts in entry["variants"].items():
            if counts[FAILED]:
                wrong.append(f"{op} {variant}: {counts[FAILED]} cases failed")
            elif counts[RAN] < LEAST:
                wrong.append(f"{op} {variant}: {counts[RAN]} cases, fewer than {LEAST}")
    return wrong


def changes(found, stored):
    """Variants that one of two results has and the other lacks."""
    wrong = []
    for op in sorted({*found, *stored}):
        here, there = (set(results.get(op, {}).get("variants", ())) for results in (found, stored))
        wrong += [f"{op} {variant}: not in docs/ops.json" for variant in sorted(here - there)]
        wrong += [f"{op} {variant}: in docs/ops.json, and was not tried" for variant in sorted(there - here)]
    return wrong


def _lines(found):
    """As JSON, an operator a line."""
    return "{\n" + ",\n".join(f"{json.dumps(op)}: {json.dumps(entry)}" for op, entry in found.items()) + "\n}\n"


def main(folder, *options):
    from minitfl.kernels.index import FAMILY_OF
    from tests.ops_page import page

    found = merged(folder)
    wrong = problems(found, FAMILY_OF)
    if "--check" in options:
        wrong += changes(found, json.loads(STORED.read_text()))
    elif not wrong:
        STORED.write_text(_lines(found))
        PAGE.write_text(page(found))
    total = sum(counts[RAN] for entry in found.values() for counts in entry["variants"].values())
    kinds = sum(len(entry["variants"]) for entry in found.values())
    print(f"{len(found)} operators, {kinds} variants, {total} cases equal, {len(wrong)} problems")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
