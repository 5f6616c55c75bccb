"""Words of what goes through arrays element by element: source.arithmetic, .unary, .tables, .convert, .compare."""

from functools import cache
from typing import Any

from minitfl.engine.blocks import layout


@cache
def walk(operands: int, numbers: str) -> Any:
    """The words of an operation on x1, x2, ...; its own numbers come last.

    y lies as outers * rows rows of `length` elements. x1_row is how far an operand moves from row to row, x1_outer from
    one group of `rows` rows to the next, 0 where it is broadcast. A unit is a part of `block` elements of `group` rows.
    """
    places = " ".join(f"x{i} x{i}_outer x{i}_row" for i in range(1, operands + 1))
    return layout("Walk", f"y rows length group block {places} {' '.join(sorted(numbers.split()))}")
