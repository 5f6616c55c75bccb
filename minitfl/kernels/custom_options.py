"""The options of a custom operator: a map of names to numbers, kept as a flexbuffer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.op import Site
from minitfl.schema.flexbuffers import read_flexbuffer
from minitfl.schema.reader import SchemaError


def read_options(
    site: Site, integers: Iterable[str] = (), floats: Iterable[str] = (), flags: Iterable[str] = (), **defaults: Any
) -> dict[str, Any]:
    """{name: int, np.float32 or bool}. What is missing reads as its default, else as 0."""
    try:
        given = read_flexbuffer(site.custom_options)
    except SchemaError as error:
        raise ModelError(f"the options can't be read: {error}") from None
    site.expect(isinstance(given, dict), f"the options are {type(given).__name__}, not a map")
    found = {}
    for names, kind in ((integers, int), (floats, np.float32), (flags, lambda value: int(value) != 0)):
        for name in names:
            value = given.get(name, defaults.get(name, 0))
            number = isinstance(value, (bool, int, float)) and (names is floats or math.isfinite(value))
            site.expect(number, f"option {name} is {value!r}")
            found[name] = kind(value)
    return found
