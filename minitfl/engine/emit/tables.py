"""Functions of 8-bit integers that the preparations have tabulated."""

from __future__ import annotations

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise
from minitfl.memory import copied


@emits("tables.lookup")
def lookup(e, x, table, y):
    return elementwise(e, "tables.lookup", [x], y, table=e.constant(copied(table)))
