"""SignatureRunner: a named entry of a model as a function of keyword arguments."""

from __future__ import annotations

from typing import Any

import numpy as np


class SignatureRunner:
    """Made by `Interpreter.get_signature_runner(key)`. `runner(x=array)` gives {output name: array}.

    Needs no allocate_tensors(): the inputs are resized to what is given, which must have the exact type.
    """

    def __init__(self, interpreter: Any = None, signature_key: str | None = None):
        if not interpreter:
            raise ValueError("None interpreter provided.")
        if not signature_key:
            raise ValueError("None signature_key provided.")
        self._interpreter = interpreter
        self._interpreter_wrapper = interpreter._interpreter
        self._signature_key = signature_key
        signatures = interpreter._get_full_signature_list()
        if signature_key not in signatures:
            raise ValueError(f'Invalid signature_key provided: "{signature_key}".')
        self._signature_def = signatures[signature_key]
        self._inputs = self._signature_def["inputs"]
        self._outputs = self._signature_def["outputs"].items()
        self._subgraph_index = self._interpreter_wrapper.GetSubgraphIndexFromSignature(signature_key)

    def __call__(self, **kwargs: Any) -> dict[str, Any]:
        if len(kwargs) != len(self._inputs):
            raise ValueError(
                "Invalid number of inputs provided for running a SignatureDef,"
                f" expected {len(self._inputs)} vs provided {len(kwargs)} (it takes {', '.join(self._inputs)})"
            )
        wrapper, subgraph = self._interpreter_wrapper, self._subgraph_index
        with wrapper.turn(f"signature {self._signature_key!r}"):
            for name, value in kwargs.items():
                if name not in self._inputs:
                    raise ValueError(
                        f"Invalid Input name ({name}) for SignatureDef (it takes {', '.join(self._inputs)})"
                    )
                wrapper.ResizeInputTensor(self._inputs[name], np.array(value.shape, np.int32), False, subgraph)
            wrapper.AllocateTensors(subgraph)
            for name, value in kwargs.items():
                wrapper.SetTensor(self._inputs[name], value, subgraph)
            wrapper.Invoke(subgraph)
            return {name: wrapper.GetTensor(index, subgraph) for name, index in self._outputs}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """{input name: tensor details}."""
        details = self._interpreter._get_tensor_details
        return {name: details(index, self._subgraph_index) for name, index in self._inputs.items()}

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """{output name: tensor details}."""
        details = self._interpreter._get_tensor_details
        return {name: details(index, self._subgraph_index) for name, index in self._outputs}

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(self._inputs), ", ".join(name for name, _ in self._outputs)
        return f"<minitfl.SignatureRunner {self._signature_key}({inputs}) -> {outputs}>"
