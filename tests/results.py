"""What the differential tests found, op by op and type by type.

`check` counts where MINITFL_RESULTS names a folder:

    MINITFL_RESULTS=/tmp/found python -m pytest -q      each process writes a file there
    python -m tests.results /tmp/found                  makes docs/ops.json and docs/ops.md of them
    python -m tests.results /tmp/found --check          do they say what docs/ops.json says?

A variant is an op with the types of its inputs and outputs, as "int8 int8 int32 -> int8"; of ops with any number of
them, and of more than six, each type is named once. A case that both refuse counts for the op alone.
"""

import json
import os
from collections import Counter
from pathlib import Path

RAN, REFUSED, FAILED = "ran", "refused", "failed"
COUNTS: Counter = Counter()  # (op, version, variant, RAN or REFUSED or FAILED)
MANY = 6
VARIADIC = frozenset(
    "CONCATENATION PACK UNPACK SPLIT SPLIT_V ADD_N IF WHILE STABLEHLO_CASE STABLEHLO_COMPOSITE".split()
)


def wanted():
    return "MINITFL_RESULTS" in os.environ


def note(content, outcome):
    """Counts a case for each op in the model. outcome: RAN, REFUSED or FAILED."""
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


def merged(folder):
    """{op: {"versions": [...], "refused": n, "variants": {variant: {"ran": n, "failed": n}}}} of all files there."""
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        for op, version, variant, outcome, count in json.loads(path.read_text()):
            entry = found.setdefault(op, {"versions": set(), "refused": 0, "variants": {}})
            if outcome == REFUSED:
                entry["refused"] += count
                continue
            entry["versions"].add(version)
            counts = entry["variants"].setdefault(variant, {RAN: 0, FAILED: 0})
            counts[outcome] += count
    for entry in found.values():
        entry["versions"] = sorted(entry["versions"])
        entry["variants"] = dict(sorted(entry["variants"].items()))
    return dict(sorted(found.items()))
