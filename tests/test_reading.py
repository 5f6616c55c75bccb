"""docs/reading.md names every file of the kernels, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_has_its_place():
    text = (ROOT / "docs" / "reading.md").read_text()
    named = re.findall(r"`(\w+\.py)`", text.partition("## 1.")[2])
    there = {path.name for path in (ROOT / "minitfl" / "kernels").glob("*.py")} - {"__init__.py"}
    assert sorted(there - set(named)) == [], "these are missing in docs/reading.md"
    assert sorted(set(named) - there) == [], "docs/reading.md names files that are not there"


def test_each_row_teaches_something():
    rows = [line for line in (ROOT / "docs" / "reading.md").read_text().splitlines() if line.startswith("| `")]
    assert rows and all(len(row.split("|")[2].split()) >= 10 for row in rows)
