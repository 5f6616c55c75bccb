"""What minitfl raises.

Each error about a model is both a minitfl type and the builtin type that the official API raises at the same call:
ValueError while a model is loaded, RuntimeError while it is allocated or invoked. Preparations and kernels raise the
plain ModelError or UnsupportedError; whoever knows the place (the loader, the executable) turns it into the right one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelError(Exception):
    """The model breaks the format, or its numbers break an operator's rules."""


class UnsupportedError(ModelError):
    """The model is sound, but asks for what is not done: an operator, a version, a type or a feature."""


class ModelValueError(ModelError, ValueError):
    """A ModelError found while the model is loaded."""


class ModelRuntimeError(ModelError, RuntimeError):
    """A ModelError found while the model is allocated or invoked."""


class UnsupportedValueError(UnsupportedError, ValueError):
    """An UnsupportedError found while the model is loaded."""


class UnsupportedRuntimeError(UnsupportedError, RuntimeError):
    """An UnsupportedError found while the model is allocated or invoked."""


def as_value_error(error: ModelError, text: str | None = None) -> ModelError:
    """The same error as the official constructor would raise it."""
    kind = UnsupportedValueError if isinstance(error, UnsupportedError) else ModelValueError
    return kind(str(error) if text is None else text)


def as_runtime_error(error: ModelError, text: str | None = None) -> ModelError:
    """The same error as the official allocate_tensors() and invoke() would raise it."""
    kind = UnsupportedRuntimeError if isinstance(error, UnsupportedError) else ModelRuntimeError
    return kind(str(error) if text is None else text)


def did_you_mean(name: str, known: Iterable[str], most: int = 3) -> str:
    """Words like "; did you mean CONV_2D or CONV_3D?" for the known names like this one; "" where there are none."""
    close = difflib.get_close_matches(name, known, most, 0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""
