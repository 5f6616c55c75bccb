"""docs/ops.md from docs/ops.json (see tests/results.py), the index of kernels and the tables of docs/numerics.md."""

import re
from pathlib import Path

from minitfl.kernels.index import FAMILIES, FAMILY_OF
from minitfl.op import find
from tests.results import RAN, REFUSED, SWEPT, TAKEN

NUMERICS = Path(__file__).parents[1] / "docs" / "numerics.md"
HEAD = """# Operators

All operators that the official runtime registers, with what the differential tests found: drawn models of one operator
(small ones around an operator that can't stand alone), run here and by the official runtime. Equal means: integers,
bools and strings to the bit, floats within the bounds of [numerics.md](numerics.md). Made by `python -m tests.results`
from [ops.json](ops.json), which the tests write.

"""


def page(found):
    ran = sum(counts[RAN] for entry in found.values() for counts in entry["variants"].values())
    kinds = sum(len(entry["variants"]) for entry in found.values())
    refused, swept = (sum(entry[what] for entry in found.values()) for what in (REFUSED, SWEPT))
    taken = sum(len(entry[TAKEN]) for entry in found.values())
    text = [HEAD]
    text.append(
        f"{len(FAMILY_OF)} operators, {kinds} variants (an operator with the types of its inputs and outputs). "
        f"{ran:,} cases are equal; {refused:,} are refused by both at the same call with the same type of exception. "
        f"Another {swept:,} combinations of types were tried once each, for being taken or refused alike: {taken:,} of "
        "them run, equal, beside the variants below, most with a type of the output that the operator overrides.\n\n"
    )
    text.append(
        "| operator | versions | kernel file | variants | cases | known difference |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    differences = known_differences()
    for op in sorted(FAMILY_OF):
        entry, preparation = found[op], find(op)
        versions = str(preparation.max_version)
        if preparation.max_version > preparation.min_version:
            versions = f"{preparation.min_version} to {preparation.max_version}"
        cases = sum(counts[RAN] for counts in entry["variants"].values())
        told = "; ".join(differences.get(op, ()))
        family = FAMILY_OF[op]
        text.append(
            f"| [{op}](#{family}) | {versions} | [{family}.py](../minitfl/kernels/{family}.py) "
            f"| {len(entry['variants'])} | {cases:,} | {told} |\n"
        )
    text.append("\n## Types, family by family\n")
    for family, names in FAMILIES.items():
        text.append(f"\n### {family}\n\n| operator | inputs -> outputs | equal cases |\n| --- | --- | --- |\n")
        for op in names.split():
            for variant, counts in found[op]["variants"].items():
                text.append(f"| {op} | {variant} | {counts[RAN]:,} |\n")
    return "".join(text)


def known_differences():
    """{op: [difference with its size]} of the table in docs/numerics.md; the first cell of a row names operators."""
    found = {}
    for case, difference, size in table_under("## Known differences"):
        for op in operators_in(case):
            where = "" if case == op else f"{case}: "
            found.setdefault(op, []).append(f"{where}{difference} ({size})")
    return found


def table_under(heading):
    """The rows of the table that follows a heading, as lists of cells."""
    text = NUMERICS.read_text().split(heading, 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def operators_in(cell):
    return [word for word in re.findall(r"[A-Za-z][\w.]+", cell) if word in FAMILY_OF]
