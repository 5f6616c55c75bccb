"""minitfl: the TensorFlow Lite interpreter in Python and NumPy."""

__version__ = "0.1.0"


def __getattr__(name):
    import importlib

    if name == "install_as":
        return importlib.import_module("minitfl.install").install_as
    if not name[:1].isupper() and name != "load_delegate":
        raise AttributeError(name)
    for module in ("minitfl.interpreter", "minitfl.errors", "minitfl.planning"):
        found = getattr(importlib.import_module(module), name, None)
        if found is not None:
            return found
    raise AttributeError(name)
