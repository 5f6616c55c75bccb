"""Tables and pictures on the terminal: with rich where it is installed and someone looks, else in plain text."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitfl.pictures import grey, resize

RAMP = " .:-=+*#%@"  # dark to bright
MOST_COLUMNS, MOST_LINES = 64, 32  # of a picture


class UsageError(Exception):
    """The caller's words or files are wrong."""


@dataclass(frozen=True)
class Column:
    name: str
    right: bool = False  # numbers stand to the right


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Prints rows under their column names."""
    console = _console()
    if console is None:
        print(plain(columns, rows, title))
        return
    from rich.table import Table
    from rich.text import Text

    if title:
        console.print(Text(title))
    made = Table()
    for column in columns:
        made.add_column(Text(column.name), justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    console.print(made)


def plain(columns: Sequence[Column], rows: Sequence[Sequence[Any]], title: str = "") -> str:
    """The table as text."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [[c.name for c in columns], *cells]) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        fitted = (cell.rjust(w) if c.right else cell.ljust(w) for cell, w, c in zip(row, widths, columns))
        return "  ".join(fitted).rstrip()

    head = [c.name for c in columns]
    lines = [title] if title else []
    lines += [line(head), line(["-" * w for w in widths]), *(line(row) for row in cells)]
    return "\n".join(lines)


def picture(pixels: np.ndarray) -> None:
    """Prints uint8 (height, width, 1 or 3): two pixels a character in colour, or shades made of signs."""
    columns = min(MOST_COLUMNS, shutil.get_terminal_size().columns - 1)
    console = _console()
    if console is None or not console.color_system or not _prints("▀"):
        print(_shades(_fit(pixels, max(columns // 2, 1), MOST_LINES)))
        return
    from rich.style import Style
    from rich.text import Text

    fitted = _fit(pixels, columns, 2 * MOST_LINES)
    fitted = np.broadcast_to(fitted, (*fitted.shape[:2], 3))
    if fitted.shape[0] % 2:
        fitted = np.concatenate([fitted, np.zeros_like(fitted[:1])])
    for upper, lower in zip(fitted[::2], fitted[1::2]):
        line = Text()
        for above, below in zip(upper.tolist(), lower.tolist()):
            line.append("▀", Style.parse(f"rgb({_commas(above)}) on rgb({_commas(below)})"))
        console.print(line, soft_wrap=True)


def _shades(pixels: np.ndarray) -> str:
    """Two signs a pixel, as a character is about twice as high as it is wide."""
    levels = grey(pixels)[..., 0].astype(np.int64) * len(RAMP) // 256
    return "\n".join("".join(RAMP[level] * 2 for level in row).rstrip() for row in levels.tolist())


def _fit(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Made smaller, never larger, in proportion, until it has no more than these sides."""
    factor = min(width / pixels.shape[1], height / pixels.shape[0], 1.0)
    return resize(pixels, max(round(pixels.shape[0] * factor), 1), max(round(pixels.shape[1] * factor), 1))


def _commas(rgb: Sequence[int]) -> str:
    return ",".join(str(value) for value in rgb)


def _prints(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _console() -> Any:
    """rich's console, or None where rich is missing or the output is no terminal."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console()
    return console if console.is_terminal and _prints("┏▀") else None


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[str, float], None]]:
    """A function tell(what, share) that shows what is being done, and how far all is, on the error stream.

    Nothing is drawn but when it is called, so that what is being timed is left alone. Where nobody looks at a terminal
    each new `what` is a line.
    """
    if not sys.stderr.isatty():
        told: list[str] = []

        def line(what: str, share: float) -> None:
            if what not in told:
                told.append(what)
                note(f"{title}: {what}")

        yield line
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    except ImportError:

        def again(what: str, share: float) -> None:
            print(f"\r{title}: {what}, {100 * share:.0f} %\x1b[K", end="", file=sys.stderr, flush=True)

        try:
            yield again
        finally:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task(title, total=1.0)

        def draw(what: str, share: float) -> None:
            bar.update(task, completed=share, description=f"{title}: {what}", refresh=True)

        yield draw


def note(text: str) -> None:
    """A remark that is not part of the result."""
    print(f"minitfl: {text}", file=sys.stderr)


def size(nbytes: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if nbytes < 1024 or unit == "MiB":
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    raise AssertionError
