"""minitfl warmup: compile the fast kernels ahead of their first use."""

from __future__ import annotations

import importlib.util
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from minitfl.commands import terminal
from minitfl.commands.files import open_model
from minitfl.commands.terminal import UsageError


def add(parsers: Any) -> None:
    parser: ArgumentParser = parsers.add_parser(
        "warmup",
        help="compile the fast kernels ahead",
        description="Fills the cache with machine code: all that some models need, or all there is. Without it "
        "kernels are compiled in the background when they are first wanted.",
        epilog="The cache lies in the user's folder for caches, or where MINITFL_CACHE says.",
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="a .tflite file; all kernels by default")
    parser.add_argument("--isa", help="an instruction set other than this machine's best one")
    parser.set_defaults(command=warmup)


def warmup(options: Namespace) -> None:
    for name in ("llvmlite", "numba"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{name} is not installed: pip install 'minitfl[fast]'")
    from minitfl.engine import compilers
    from minitfl.engine.engine import DRIVER
    from minitfl.engine.library import Library
    from minitfl.engine.threads import KERNELS as THREADS

    isa = _isa(options.isa)
    library, start = Library(isa), time.perf_counter()
    if options.models:
        needed = {kernel for path in options.models for kernel in _needed(path, isa)}
        kernels = sorted(needed | {DRIVER} | THREADS)
    else:
        kernels = compilers.all_kernels(isa)
    library.load(kernels)
    there = len(library.addresses)
    with terminal.progress("warmup") as tell:
        library.wait(kernels, lambda done, count: tell(f"{done} of {count} kernels for {isa.name}", done / count))
    compiled, seconds = len(kernels) - there, time.perf_counter() - start
    print(f"{len(kernels)} kernels for {isa.name} in {library.folder}, {compiled} of them new, {seconds:.1f} s")


def _isa(name: str | None) -> Any:
    from minitfl.engine import isa

    if name is None:
        found = isa.best()
        if found is None:
            raise UsageError(f"there are no fast kernels for this machine: {isa.machine()}")
        return found
    if name not in isa.BY_NAME:
        raise UsageError(f"there is no instruction set '{name}', but {', '.join(isa.BY_NAME)}")
    if not isa.suits(isa.BY_NAME[name], isa.host_features()):
        raise UsageError(f"this machine does not have {name}")
    return isa.BY_NAME[name]


def _needed(path: str, isa: Any) -> list[str]:
    """The kernels of a model, as far as its shapes are known before it runs."""
    from minitfl.engine.program import compose

    with open_model(path, kernels="numpy") as interpreter:
        interpreter.allocate_tensors()
        planner = interpreter._interpreter.runtime.planner
        return [kernel for plan in planner.plans() for kernel in compose(plan, planner, isa).kernels]
