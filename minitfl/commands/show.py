"""minitfl show: what an operator computes, as its family's docstring and source say it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from minitfl import definition
from minitfl.commands import terminal
from minitfl.commands.terminal import Column, UsageError

FAMILIES = (Column("family"), Column("operators"), Column("what they compute"))


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "show",
        help="print what an operator computes",
        description="Prints an operator's definition: its family's docstring, the NumPy source of its kernels and of "
        "the preparation that chooses between them. Without arguments: the operators there are, by family.",
    )
    parser.add_argument("operator", nargs="?", help="as the schema calls it, in any case: CONV_2D")
    parser.add_argument("type", nargs="?", help="of its input x, as int8: only the kernels for that type")
    parser.set_defaults(command=show)


def show(options: Namespace) -> None:
    if options.operator is None:
        rows = [(family, names.replace(" ", ", "), line) for family, line, names in definition.families()]
        terminal.table(FAMILIES, rows)
        return
    try:
        print(definition.text(options.operator, options.type))
    except ValueError as error:
        raise UsageError(str(error)) from error
