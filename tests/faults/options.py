"""Faults: options."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a list that is empty counts as one that is missing",
        "options.py",
        "if rule.needed and not options.has(option):",
        "if rule.needed and not len(getattr(options, option) or ()):",
        "test_options.py::test_as_official",
    ),
    Fault(
        "enumerations of a missing table read as their defaults",
        "options.py",
        "f.name: None if f.enum in UNKNOWN_FIRST else 0",
        "f.name: f.default if f.enum in UNKNOWN_FIRST else 0",
        "test_options.py::test_enumerations_are_unknown",
    ),
]
