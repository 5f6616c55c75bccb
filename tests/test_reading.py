"""docs/reading.md has a place for every family of operators, and names no file that isn't there."""

import re
from fnmatch import fnmatch
from pathlib import Path

from minitfl.kernels.index import FAMILIES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")


def test_every_family_has_its_place():
    named = re.findall(r"`([\w*]+\.py)`", TEXT.partition("## 1.")[2])
    there = [path.name for path in (ROOT / "minitfl" / "kernels").glob("*.py")]
    missing = [name for name in FAMILIES if not any(fnmatch(f"{name}.py", pattern) for pattern in named)]
    assert missing == [], "these are missing in docs/reading.md"
    lost = [pattern for pattern in named if not any(fnmatch(name, pattern) for name in there)]
    assert lost == [], "docs/reading.md names files that are not there"


def test_each_row_teaches_something():
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert rows and all(len(row.split("|")[2].split()) >= 10 for row in rows)
