"""Other runtimes' import names for minitfl, for code that cannot be edited.

    minitfl.install_as("tflite_runtime")        # before `from tflite_runtime.interpreter import Interpreter` runs
    python -m minitfl --as tflite_runtime app.py arguments ...

The modules come from a finder on `sys.meta_path`, so they have specs, reload, and are found by importlib. It stands
behind the finders of installed packages: one that is installed is never covered, unless by force.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_Modules = dict[str, tuple[str, Sequence[str]]]
_INTERPRETER: Sequence[str] = (
    "Delegate Interpreter InterpreterWithCustomOps OpResolverType SignatureRunner load_delegate"
    " _get_op_resolver_id _interpreter_wrapper metrics"
).split()
_METRICS = ["TFLiteMetrics", "TFLiteConverterMetrics"]
_EXPERIMENTAL = ["OpResolverType", "load_delegate"]

# name to install -> its modules -> (where the contents come from, which they are); a module with others below it is a
# package
_LAYOUTS: dict[str, _Modules] = {}
for _name in ("tflite_runtime", "ai_edge_litert"):
    _LAYOUTS[_name] = {
        _name: ("minitfl", ["__version__"]),
        f"{_name}.interpreter": ("minitfl.interpreter", _INTERPRETER),
        f"{_name}.metrics_portable": ("minitfl.metrics", _METRICS),
    }
_LAYOUTS["tensorflow.lite"] = {
    "tensorflow": ("minitfl", ["__version__"]),
    "tensorflow.lite": ("minitfl.interpreter", ["Interpreter"]),
    "tensorflow.lite.experimental": ("minitfl.interpreter", _EXPERIMENTAL),
    "tensorflow.lite.python": ("minitfl", []),
    "tensorflow.lite.python.interpreter": ("minitfl.interpreter", _INTERPRETER),
}
# What a forced install replaces in an installed tensorflow, which keeps all else, its converter for one.
_PATCHES: dict[str, Sequence[str]] = {
    "tensorflow.lite.python.interpreter": _INTERPRETER[:6],
    "tensorflow.lite.python.lite": ["Interpreter"],
    "tensorflow.lite": ["Interpreter"],
    "tensorflow.lite.experimental": _EXPERIMENTAL,
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and fills the modules that were installed."""

    def __init__(self) -> None:
        self.modules: _Modules = {}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.modules:
            return None
        package = any(name.startswith(f"{fullname}.") for name in self.modules)
        return ModuleSpec(fullname, self, origin="minitfl", is_package=package)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        source, names = self.modules[module.__name__]
        contents = importlib.import_module(source)
        module.__doc__ = f"minitfl in place of {module.__name__}."
        for name in names:
            setattr(module, name, getattr(contents, name))
        for below in self.modules:
            parent, _, child = below.rpartition(".")
            if parent == module.__name__:
                setattr(module, child, importlib.import_module(below))


_BEHIND, _BEFORE = _Finder(), _Finder()


def install_as(name: str, force: bool = False) -> ModuleType:
    """Makes `import name` give minitfl, for "tflite_runtime", "ai_edge_litert" or "tensorflow.lite"; -> the module.

    Where a package of that name is installed this is an ImportError. With `force` minitfl takes its place in this
    process; of an installed tensorflow only the interpreter is replaced.
    """
    if name not in _LAYOUTS:
        raise ValueError(f"minitfl cannot stand for {name!r}, only for {', '.join(_LAYOUTS)}")
    top = name.partition(".")[0]
    installed = _installed(top)
    if installed is None:
        _add(_BEHIND, name, at_end=True)
    elif installed.loader in (_BEHIND, _BEFORE):
        pass  # done before
    elif not force:
        raise ImportError(f"{top} is installed ({installed.origin}): force=True lets minitfl take its place", name=top)
    elif top == "tensorflow":
        _patch()
    else:
        for module in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[module]
        _add(_BEFORE, name, at_end=False)
    return importlib.import_module(name)


def _installed(top: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # a module without a spec was put into sys.modules by hand
        return ModuleSpec(top, None, origin="sys.modules")


def _add(finder: _Finder, name: str, at_end: bool) -> None:
    finder.modules.update(_LAYOUTS[name])
    if finder not in sys.meta_path:
        sys.meta_path.insert(len(sys.meta_path) if at_end else 0, finder)


def _patch() -> None:
    ours = importlib.import_module("minitfl.interpreter")
    for path, names in _PATCHES.items():
        try:
            module = importlib.import_module(path)
        except ImportError:
            module = None
        exposed: Any = importlib.import_module("tensorflow")
        for part in path.split(".")[1:]:
            exposed = getattr(exposed, part, None)
        for place in (module, exposed):
            for name in names if place is not None else ():
                setattr(place, name, getattr(ours, name))


def run_as(name: str, argv: Sequence[str], force: bool = False) -> None:
    """Runs `script arguments ...` or `-m module arguments ...` as Python would, with minitfl under another name."""
    install_as(name, force)
    if argv[:1] == ["-m"]:
        sys.argv = list(argv[1:])
        sys.path[0] = os.getcwd()
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(argv)
        sys.path[0] = os.path.dirname(os.path.abspath(argv[0]))
        runpy.run_path(argv[0], run_name="__main__")
