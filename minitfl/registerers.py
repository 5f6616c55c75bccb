"""Custom operators registered the way of `InterpreterWithCustomOps`: by functions that take a resolver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_REGISTERERS: dict[str, Callable[[Any], Any]] = {}
_GENAI = "pywrap_genai_ops."


class Resolver:
    """What a registerer is given. Collects `custom_ops`: name -> function(inputs, options) -> outputs."""

    def __init__(self) -> None:
        self.custom_ops: dict[str, Callable[..., Any]] = {}

    def AddCustom(
        self, name: str, prepare: Callable[[list, Any], Any] | None, eval: Callable[[list, Any], Any]
    ) -> None:
        """`eval(inputs, options)` gives the outputs; `prepare(inputs, options)`, or None, may raise to refuse them."""
        if not callable(eval):
            raise TypeError(f"AddCustom({name!r}): eval must be a function(inputs, options) -> outputs, not {eval!r}")
        self.custom_ops[name] = eval if prepare is None else _Checked(prepare, eval)


class _Checked:
    """eval after prepare."""

    def __init__(self, prepare: Callable[[list, Any], Any], eval: Callable[[list, Any], Any]):
        self.prepare = prepare
        self.eval = eval

    def __call__(self, inputs: list, options: Any) -> Any:
        self.prepare(inputs, options)
        return self.eval(inputs, options)


def register_custom_op_registerer(name: str, function: Callable[[Any], Any]) -> None:
    """Makes `function(resolver)` known under a name that InterpreterWithCustomOps takes for it."""
    _REGISTERERS[name] = function


def collect(registerers: Iterable[Any]) -> dict[str, Callable[..., Any]]:
    """The operators that these registerers add: those given by name first, as in LiteRT."""
    registerers = list(registerers)
    resolver = Resolver()
    for name in registerers:
        if isinstance(name, str):
            _named(name)(resolver)
    for function in registerers:
        if not isinstance(function, str):
            function(resolver)
    return resolver.custom_ops


def _named(name: str) -> Callable[[Any], Any]:
    if name in _REGISTERERS:
        return _REGISTERERS[name]
    if name.startswith(_GENAI):
        library = f"{_GENAI}so"
        missing = f"{library}: cannot open shared object file: No such file or directory"
        raise ValueError(f"Loading library '{library}' failed with error '{missing}'.")
    raise ValueError(
        f"Looking up symbol '{name}' failed with error 'undefined symbol: {name}'."
        " Symbols of native code mean nothing here; minitfl.register_custom_op_registerer(name, function) gives it one."
    )
