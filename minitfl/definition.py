"""What an operator computes, in the words and the source of its family: for `minitfl show`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any

from minitfl.errors import did_you_mean
from minitfl.graph import STORED
from minitfl.kernels.index import FAMILIES, FAMILY_OF
from minitfl.op import Kernel, Preparation, find
from minitfl.schema.options import OP_OPTIONS
from minitfl.schema.tables import spec_of

RANGE = ["int8", "int16", "int32", "int64"]


def families() -> Iterator[tuple[str, str, str]]:
    """(family, the first line of its docstring, its operators), as index.py orders them."""
    for family, names in FAMILIES.items():
        preparation = find(names.split()[0])
        doc = _module(preparation).__doc__ or "" if preparation else ""
        yield family, doc.strip().partition("\n")[0], names


def text(name: str, type: str | None = None) -> str:
    """The family's docstring, the options, the kernels' source and the preparation's.

    type: of the tensor x, as the schema calls it; then only the kernels that the docstring's table has for it, or all
    where the table doesn't tell. ValueError where there is no such operator or type.
    """
    op, preparation = _found(name)
    kind = None if type is None else type.lower()
    if kind is not None and kind not in STORED:
        raise ValueError(f"there is no tensor type '{type}'; the types are {', '.join(STORED)}")
    module = _module(preparation)
    doc = inspect.cleandoc(module.__doc__ or "")
    kernels, remark = chosen(op, kind)
    low, high = preparation.min_version, preparation.max_version
    versions = f"version {high}" if low == high else f"versions {low} to {high}"
    parts = [f"{op}, {versions}: kernels/{FAMILY_OF[op]}.py\n{_options(op)}", doc]
    for kernel in kernels:
        parts.append(_source(kernel.numpy))
        parts += [_source(helper) for helper in helpers(kernel.numpy) if helper.__module__ == kernel.__module__]
    parts.append(_source(preparation.function))
    parts.append(_read_on(kernels) + remark)
    return "\n\n".join(part.rstrip() for part in parts if part.strip())


def _found(name: str) -> tuple[str, Preparation]:
    for op in (name, name.upper()):
        preparation = find(op)
        if preparation is not None:
            return op, preparation
    hint = did_you_mean(name.upper(), FAMILY_OF) or "; minitfl show lists what there is"
    raise ValueError(f"there is no operator '{name}'{hint}")


def _module(preparation: Preparation) -> Any:
    return sys.modules[preparation.function.__module__]


def _options(op: str) -> str:
    """The op's options: enumerations with their members, numbers with their type."""
    if op not in OP_OPTIONS:
        return "no options"
    told = []
    for field in spec_of(OP_OPTIONS[op][1]).fields:
        members = ", ".join(field.enum.__members__) if field.enum else ""
        kind = f"one of {members}" if 0 < len(members) < 100 else field.enum.__name__ if field.enum else field.type
        told.append(f"{field.name} ({kind})")
    return "options: " + ", ".join(told) if told else "no options"


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"# the source of {getattr(function, '__name__', function)} can't be had"


def _read_on(kernels: Sequence[Kernel]) -> str:
    """Where to find what the kernels use of other files."""
    used: dict[str, set[str]] = {}
    for kernel in kernels:
        for helper in helpers(kernel.numpy):
            if helper.__module__ != kernel.__module__:
                used.setdefault(helper.__module__.rpartition(".")[2], set()).add(helper.__name__)
    told = (f"kernels/{file}.py: {', '.join(sorted(names))}" for file, names in sorted(used.items()))
    return "\n".join(f"# read on in {line}" for line in told)


# ---- which kernels


def chosen(op: str, type: str | None) -> tuple[list[Kernel], str]:
    """The op's kernels, of one type where the docstring's table tells; and a remark where it doesn't."""
    preparation = find(op)
    assert preparation is not None
    kernels = kernels_of(preparation)
    if type is None:
        return kernels, ""
    doc = inspect.cleandoc(_module(preparation).__doc__ or "")
    names = in_table(doc, op, type, [kernel.__name__ for kernel in kernels])
    if names:
        return [kernel for kernel in kernels if _uses(kernel, names)], ""
    return kernels, f"\n# the family's table doesn't tell which of these computes {type}"


def kernels_of(preparation: Preparation) -> list[Kernel]:
    """All kernels that the preparation, or what it calls, knows by name; in the order of their source."""
    found: dict[int, Kernel] = {}
    for value in _reached(preparation.function, preparation.op):
        if isinstance(value, Kernel):
            found[id(value)] = value

    def place(kernel: Kernel) -> tuple[bool, str, int]:
        code = getattr(kernel.numpy, "__code__", None)
        return (
            kernel.__module__ != preparation.function.__module__,
            kernel.__module__,
            code.co_firstlineno if code else 0,
        )

    return sorted(found.values(), key=place)


def _uses(kernel: Kernel, names: Sequence[str]) -> bool:
    """Is it one of those, or does it call one?"""
    reached = (value for value in _reached(kernel.numpy, "", kernel.__module__) if isinstance(value, Kernel))
    return kernel.__name__ in names or any(value.__name__ in names for value in reached)


def helpers(function: Any) -> list[FunctionType]:
    """The functions of kernels/ that a function uses, directly or through others of its own file."""
    found = []
    for value in _reached(function, "", function.__module__):
        value = getattr(value, "__wrapped__", value)
        if isinstance(value, FunctionType) and value is not function:
            found.append(value)
    return sorted(found, key=lambda f: (f.__module__, f.__code__.co_firstlineno))


def _reached(start: Any, op: str, inside: str = "") -> list[Any]:
    """Functions and kernels of kernels/ that can be reached by name from a function, each once.

    Of a table by operator only the entry of `op` counts. inside: only functions of that module are looked into.
    """
    found: list[Any] = []
    seen: set[int] = set()
    waiting: list[tuple[Any, int]] = [(start, 0)]
    while waiting:
        value, depth = waiting.pop()
        if id(value) in seen or depth > 8:
            continue
        seen.add(id(value))
        if isinstance(value, Kernel):
            found.append(value)
        elif isinstance(value, FunctionType):
            if not value.__module__.startswith("minitfl.kernels."):
                continue
            found.append(value)
            inner = getattr(value, "__wrapped__", value)
            if not inside or inner.__module__ == inside:
                waiting += [(known, depth + 1) for known in _named(inner)]
        elif isinstance(value, Mapping):
            entries = [value[op]] if op in value else list(value.values())
            waiting += [(entry, depth + 1) for entry in entries]
        elif isinstance(value, (tuple, list)) and len(value) < 100:
            waiting += [(entry, depth + 1) for entry in value]
        elif isinstance(value, partial):
            waiting += [(known, depth + 1) for known in (value.func, *value.args)]
    return found


def _named(function: FunctionType) -> list[Any]:
    """What the names in a function's code stand for."""
    names = set()
    codes: list[CodeType] = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    known = [function.__globals__[name] for name in sorted(names) if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            known.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    return known + list(function.__defaults__ or ())


# ---- the docstring's tables


def in_table(doc: str, op: str, type: str, kernels: Sequence[str]) -> list[str]:
    """Those of the op's kernels that the tables of a family's docstring have for this type of x.

    Nothing where they don't tell for certain. In a table with a column "kernel", or one called like the op, rows are
    types; else the columns may be types, and rows are ops.
    """
    found: list[str] = []
    for table in _tables(doc):
        cells = _by_types(table, op, type) if table.column("kernel", op) is not None else _by_ops(table, op, type)
        if cells is None:
            return []
        for cell in cells:
            found += [name for name in kernels if _is_named(name, cell)]
            found += [
                name for name in kernels if "table" in cell.split() and name.startswith(("lookup", "interpolate"))
            ]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Table:
    """Rows of a docstring as cells: what stands before the first column, then one cell a column of the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, *names: str) -> int | None:
        return next((i for i, title in enumerate(self.header) if title in names), None)


def _tables(doc: str) -> Iterator[_Table]:
    """The blocks of lines between empty ones whose lines are cut at the columns of their first."""
    for block in re.split(r"\n\s*\n", doc):
        lines = block.splitlines()
        starts = [match.start() for match in re.finditer(r"(?:(?<=  )|^)\S", lines[0])]
        if len(starts) < 2:
            continue
        cuts = [0, *starts, None]
        cut = [tuple(line[a:b].strip() for a, b in pairwise(cuts)) for line in lines]
        yield _Table(cut[0], tuple(cut[1:]))


def _by_types(table: _Table, op: str, type: str) -> list[str] | None:
    """The kernel cells of the rows of this op and type; None where a row names its types in other words."""
    kernel = table.column("kernel", op)
    assert kernel is not None
    typed = next((i for i in range(1, kernel) if any(_types(row[i]) for row in table.rows)), None)
    if typed is None:
        return None
    found: list[str] = []
    ops: list[str] = []
    column = table.column("op")
    for row in table.rows:
        ops = _ops(row[0]) or ops
        of_row = ops if column is None else _ops(row[column])
        if of_row and op not in of_row:
            continue
        types, named = row[typed].split(" / "), row[kernel].split(" / ")
        if not any(_types(part) for part in types):
            if row[kernel]:
                return None
            continue
        if "..." in row[kernel]:
            return None
        parts = zip(types, named) if len(types) == len(named) else [(row[typed], row[kernel])]
        found += [cell for part, cell in parts if type in _types(part)]
    return found


def _by_ops(table: _Table, op: str, type: str) -> list[str]:
    """The cell of the op's row under the type's column, if there are such."""
    columns = [i for i, title in enumerate(table.header) if type in _types(title)]
    return [row[i] for i in columns for row in table.rows if op in _ops(row[0])]


def _ops(text: str) -> list[str]:
    return [name for name in re.findall(r"[A-Z][A-Z0-9_]+", text) if name in FAMILY_OF]


def _types(text: str) -> list[str]:
    """The types that a cell names before any remark in parentheses; "int8 .. int64" stands for all between."""
    text = text.partition("(")[0]
    names = [word for word in re.findall(r"[a-z0-9_]+", text) if word in STORED]
    for first, last in re.findall(r"(int\d+) ?\.\. ?(int\d+)", text):
        names += RANGE[RANGE.index(first) : RANGE.index(last)]
    return names


def _is_named(kernel: str, cell: str) -> bool:
    """Is it in the cell by its name, or by its start and a star?"""
    return any(
        word == kernel or (word[-1:] == "*" and kernel.startswith(word[:-1])) for word in re.findall(r"[\w*]+", cell)
    )
