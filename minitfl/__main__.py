"""python -m minitfl --as NAME [--force] (script | -m module) arguments ..."""

from __future__ import annotations

import sys

from minitfl.install import run_as

USAGE = "usage: python -m minitfl --as NAME [--force] (script.py | -m module) [arguments ...]"


def main(argv: list[str]) -> int:
    name, force, rest = None, False, list(argv)
    while rest and rest[0].startswith("--"):
        option = rest.pop(0)
        if option == "--as" and rest:
            name = rest.pop(0)
        elif option.startswith("--as="):
            name = option.partition("=")[2]
        elif option == "--force":
            force = True
        elif option == "--help":
            print(USAGE)
            return 0
        else:
            break
    if name is None or not rest or rest == ["-m"]:
        print(USAGE, file=sys.stderr)
        return 2
    run_as(name, rest, force)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
