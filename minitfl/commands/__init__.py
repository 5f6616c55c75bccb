"""The commands of `minitfl`. Each is a module with `add(parsers)` and a function of its options."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from minitfl import __version__
from minitfl.commands import benchmark, classify, compare, inspect, show, warmup
from minitfl.commands import run as run_command
from minitfl.commands.terminal import UsageError
from minitfl.errors import ModelError

MODEL_FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


def run(words: Sequence[str]) -> int:
    """Runs the command that `words` ask for and gives its exit code. Whatever is wrong is said in one line."""
    try:
        options = parser().parse_args(words)
    except SystemExit as end:  # --help, or argparse has said what is wrong
        return end.code if isinstance(end.code, int) else WRONG_USE
    try:
        options.command(options)
        sys.stdout.flush()
        return 0
    except UsageError as error:
        return _say(str(error), WRONG_USE)
    except ModelError as error:
        return _say(str(error), MODEL_FAILED)
    except (ValueError, RuntimeError, MemoryError) as error:
        return _say(str(error) or error.__class__.__name__, MODEL_FAILED)
    except BrokenPipeError:  # whoever reads has seen enough; nothing may be flushed into the pipe at exit
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _say(str(error), WRONG_USE)
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="minitfl",
        description="TensorFlow Lite models in pure Python and NumPy.",
        epilog="python -m minitfl --as tflite_runtime app.py ...: runs app.py with minitfl under that import name.",
    )
    top.add_argument("--version", action="version", version=f"minitfl {__version__}")
    parsers = top.add_subparsers(metavar="COMMAND", required=True)
    for command in (classify, run_command, inspect, show, compare, benchmark, warmup):
        command.add(parsers)
    return top


def _say(text: str, code: int) -> int:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    print(f"minitfl: {' '.join(lines)}", file=sys.stderr)
    return code
