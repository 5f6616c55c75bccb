"""Faults to plant, one at a time, each with the test that has to catch it.

A fault is a piece of source that occurs once in its file, and what to put in its place: the mistakes that are easily
made in code of this kind. `tests/test_faults.py` plants each in a copy of the project and wants the named test to fail.
A module here holds the FAULTS of one part of the project.
"""

import importlib
import pkgutil

MODULES = sorted(name for _, name, _ in pkgutil.iter_modules(__path__) if name != "fault")
FAULTS = [fault for name in MODULES for fault in importlib.import_module(f"{__name__}.{name}").FAULTS]
