"""Delegates are native code that runs parts of a graph. minitfl takes none: loading one fails as it may in LiteRT."""

from __future__ import annotations

from typing import Any, NoReturn


class Delegate:
    """Stands for a delegate library; making one always raises ValueError."""

    def __init__(self, library: Any, options: dict[str, Any] | None = None) -> None:
        raise ValueError("minitfl is pure Python: it runs every operator itself and cannot use native delegates.")

    def _get_native_delegate_pointer(self) -> NoReturn:
        raise ValueError("there is no native delegate")


def load_delegate(library: Any, options: dict[str, Any] | None = None) -> Delegate:
    """Raises ValueError("Failed to load delegate from ..."), so that a caller's fallback to the CPU is taken.

    A missing library is a ValueError too, where the official function lets an OSError through.
    """
    try:
        return Delegate(library, options)
    except ValueError as error:
        raise ValueError(f"Failed to load delegate from {library}\n{error}") from error
