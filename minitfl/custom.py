"""Custom operators given by the caller as plain Python: function(inputs, options) -> outputs.

inputs   list of arrays, None where an input is absent; read-only
options  what the node carries: a dict (or other value) where its custom options are a flexbuffer, else the bytes
outputs  an array, or a list of arrays, one for each output of the node; cast is refused, any shape is taken
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.copying import copy_results
from minitfl.op import Call, Site
from minitfl.schema.flexbuffers import read_flexbuffer
from minitfl.schema.reader import SchemaError


def decode_options(custom_options: bytes) -> Any:
    """A flexbuffer's value, or the bytes where they are none."""
    if not custom_options:
        return b""
    try:
        return read_flexbuffer(custom_options)
    except SchemaError:
        return bytes(custom_options)


def prepare(site: Site, name: str, function: Callable[..., Any]) -> Call:
    """Calls the function; its results decide the shapes."""
    site.state  # noqa: B018 - contents are there from the node's turn on
    inputs = [None if t is None else _read_only(site.value(t)) for t in site.inputs]
    results = function(inputs, decode_options(site.custom_options))
    if not isinstance(results, (list, tuple)):
        results = [results]
    if len(results) != len(site.outputs):
        raise ModelError(f"custom op {name} returned {len(results)} outputs where the model has {len(site.outputs)}")
    arrays = [np.asarray(r) for r in results]
    outputs: list[Tensor] = []
    for i, array in enumerate(arrays):
        y = site.output(i)
        if array.dtype != y.dtype:
            raise ModelError(f"custom op {name} returned {array.dtype} for output {i}, '{y.name}', which is {y.type}")
        outputs.append(y.reshaped(array.shape))
    return Call(copy_results, (*arrays, *outputs), tuple(outputs))


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
