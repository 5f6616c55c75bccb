"""What a planted fault is."""

from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    file: str  # inside minitfl/
    old: str
    new: str
    test: str  # inside tests/
