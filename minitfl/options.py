"""The options of one operator, as the official parsers take them (core/api/flatbuffer_conversions.cc).

no table, or one of another kind    numbers are 0, but None where 0 stands for an unknown in C
an option that breaks a rule        ModelError, while the model is loaded
all other options                   as the file has them; preparations say what they make of odd ones
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from minitfl.errors import ModelError
from minitfl.schema.enums import (
    FullyConnectedOptionsWeightsFormat,
    LSTMKernelType,
    MirrorPadMode,
    Padding,
    ReduceWindowFunction,
    RngAlgorithm,
    TensorType,
)
from minitfl.schema.options import OP_OPTIONS
from minitfl.schema.reader import Table, default_options
from minitfl.schema.tables import spec_of


@dataclass(frozen=True, slots=True)
class Rule:
    """What one option must be."""

    needed: bool = False  # the file has it, even if it is empty
    among: tuple[IntEnum, ...] = ()  # the numbers it may be; all where there are none
    least: int = 0  # elements of a list
    most: int = 1 << 32
    like: str = ""  # the list that it is `times` as long as; one that isn't needed may also be empty
    times: int = 1


AXES = 8  # for which the official structures have room
A_TYPE = Rule(among=tuple(TensorType))
_WINDOW = Rule(most=AXES, like="window_dimensions")
RULES: dict[str, dict[str, Rule]] = {
    "ARG_MAX": {"output_type": A_TYPE},
    "ARG_MIN": {"output_type": A_TYPE},
    "BUCKETIZE": {"boundaries": Rule(needed=True)},
    "CAST": {"in_data_type": A_TYPE, "out_data_type": A_TYPE},
    "CONV_2D": {"quantized_bias_type": A_TYPE},
    "FULLY_CONNECTED": {
        "quantized_bias_type": A_TYPE,
        "weights_format": Rule(among=tuple(FullyConnectedOptionsWeightsFormat)),
    },
    "HASHTABLE": {"key_dtype": A_TYPE, "value_dtype": A_TYPE},
    "LSTM": {"kernel_type": Rule(among=tuple(LSTMKernelType))},
    "REDUCE_WINDOW": {"reduce_function": Rule(among=tuple(ReduceWindowFunction)[1:])},  # the first is UNSUPPORTED
    "RESHAPE": {"new_shape": Rule(most=AXES)},
    "SHAPE": {"out_type": A_TYPE},
    "SQUEEZE": {"squeeze_dims": Rule(most=AXES)},
    "STABLEHLO_CASE": {"branch_subgraph_indices": Rule(needed=True, most=20)},
    "STABLEHLO_COMPOSITE": {"name": Rule(needed=True), "composite_attributes": Rule(needed=True)},
    "STABLEHLO_PAD": {
        name: Rule(needed=True, most=AXES, like="edge_padding_low")
        for name in ("edge_padding_low", "edge_padding_high", "interior_padding")
    },
    "STABLEHLO_REDUCE_WINDOW": {
        "window_dimensions": Rule(needed=True, least=1, most=AXES),
        "window_strides": _WINDOW,
        "base_dilations": _WINDOW,
        "window_dilations": _WINDOW,
        "padding": Rule(most=2 * AXES, like="window_dimensions", times=2),
    },
    "TRANSPOSE_CONV": {"quantized_bias_type": A_TYPE},
}
NEEDS_OPTIONS = {"LSTM", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "STABLEHLO_PAD", "STABLEHLO_REDUCE_WINDOW"}
UNKNOWN_FIRST = {MirrorPadMode, Padding, RngAlgorithm, TensorType}  # whose 0 in C is unknown


def options_of(name: str, operator: Table) -> Any:
    """The options table of a builtin operator; None where it has none by its kind."""
    if name not in OP_OPTIONS:
        return None
    field, table = OP_OPTIONS[name]
    options = getattr(operator, field)
    if options is None or options._name != table:
        if name in NEEDS_OPTIONS:
            raise ModelError(f"Could not get '{name}' operation parameters: there is no table of {table}.")
        numbers = [f for f in spec_of(table).fields if f.kind == "scalar"]
        return default_options(table, **{f.name: None if f.enum in UNKNOWN_FIRST else 0 for f in numbers})
    for option, rule in RULES.get(name, {}).items():
        _check(name, options, option, rule)
    return options


def _check(name: str, options: Table, option: str, rule: Rule) -> None:
    if rule.needed and not options.has(option):
        raise ModelError(f"Input array not provided for operation '{name}': it needs the option '{option}'.")
    value = getattr(options, option)
    if rule.among and value not in rule.among:
        kind = type(rule.among[0]).__name__
        raise ModelError(f"Unsupported number {value} for the option '{option}' of '{name}', a {kind}.")
    if rule.among or isinstance(value, str):
        return
    if len(value) > rule.most:
        raise ModelError(
            f"Found too many dimensions in the input array of operation '{name}': '{option}' has {len(value)}."
        )
    if len(value) < rule.least:
        raise ModelError(f"'{option}' attribute is not optional for '{name}' and cannot be empty.")
    if rule.like and (len(value) or rule.needed):
        wanted = rule.times * len(getattr(options, rule.like))
        if len(value) != wanted:
            raise ModelError(
                f"'{option}' attribute of '{name}' does not have the expected size ({len(value)} != {wanted})."
            )
