"""`minitfl` on the command line, and `python -m minitfl --as NAME script.py ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_AS_USAGE = "usage: python -m minitfl --as NAME [--force] (script.py | -m module) [arguments ...]"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code: 0, 1 where a model fails, 2 where the caller's words or files are wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and (words[0] in ("--as", "--force") or words[0].startswith("--as=")):
        return _run_as(words)
    from minitfl.commands import run

    return run(words)


def _run_as(words: list[str]) -> int:
    """What stands behind the script's name is the script's own."""
    name, force = None, False
    while words and words[0].startswith("--"):
        option = words.pop(0)
        if option == "--as" and words:
            name = words.pop(0)
        elif option.startswith("--as="):
            name = option.partition("=")[2]
        elif option == "--force":
            force = True
        else:
            words = []
    if name is None or not words or words == ["-m"]:
        print(_AS_USAGE, file=sys.stderr)
        return 2
    from minitfl.install import run_as

    run_as(name, words, force)
    return 0


if __name__ == "__main__":
    sys.exit(main())
