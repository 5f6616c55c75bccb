"""One operator on arrays: `run_op` gives its outputs, `one_op` the interpreter that computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minitfl.build import Model
from minitfl.errors import ModelError, did_you_mean
from minitfl.graph import STORED
from minitfl.interpreter import Interpreter
from minitfl.kernels.index import FAMILY_OF
from minitfl.op import find
from minitfl.schema.enums import BuiltinOperator
from minitfl.tensor_value import TensorValue, as_value, quantized

TRIED = ("float32", "bool", "int32", "int64")  # for an output of which nothing is said, after the types of the inputs


def run_op(name: str, inputs: Sequence[Any], /, **keywords: Any) -> Any:
    """Evaluates one operator on arrays, with the kernels that run it in a model.

    >>> run_op("CONV_2D", [x, w, bias], padding="SAME", stride_w=1, stride_h=1)
    >>> x = quantized(pixels, scale=1 / 255, zero_point=-128)
    >>> run_op("CONV_2D", [x, w, bias], output=("int8", 0.05, 3), padding="VALID", stride_w=1, stride_h=1)

    Parameters
    ----------
    name : str
        The operator as the schema calls it, or the name of a custom one.
    inputs : sequence
        Arrays of any shape; `quantized(...)` where a type or a quantization goes with them; None where the operator may
        do without. Their dtypes are the types: nothing is cast.
    **keywords
        As of `one_op`: `output` or `outputs`, `version`, and the operator's options by the schema's names.

    Returns
    -------
    numpy.ndarray or list of numpy.ndarray
        The output, stored integers where it is quantized; a list where `outputs` was given.

    Raises
    ------
    ValueError, TypeError
        No such operator, option, type or name of an enumeration.
    RuntimeError
        The operator refuses these shapes, types or values. It is a `ModelError` too.
    """
    interpreter = one_op(name, inputs, **keywords)
    interpreter.invoke()
    results = [np.asarray(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()]
    return results if keywords.get("outputs") is not None else results[0]


def one_op(
    name: str,
    inputs: Sequence[Any],
    /,
    *,
    output: Any = None,
    outputs: Any = None,
    version: int | None = None,
    constants: Iterable[int] | None = None,
    variables: Iterable[int] = (),
    intermediates: Sequence[Any] = (),
    custom_ops: Mapping[str, Callable[..., Any]] | None = None,
    kernels: str | Mapping[str, Callable[..., Any]] = "auto",
    verbose: int = 0,
    **options: Any,
) -> Interpreter:
    """An interpreter of one operator, its inputs set: for `invoke()`, `trace()`, `memory_plan()`.

    Parameters
    ----------
    name, inputs
        As of `run_op`.
    output
        The type of the one output: "int16" or a NumPy dtype; with quantization ("int8", scale, zero_point) or
        `quantized(None, scale, zero_point)`, or an input whose type and quantization it shall have. By default the
        first that the operator accepts: those of the inputs in order, float32, bool, int32, int64.
    outputs : int or sequence
        How many outputs, or what `output` says for each of them.
    version : int, optional
        By default the highest that is known.
    constants : iterable of int, optional
        Which inputs are stored in the model. By default all but the first, so that weights, axes and shapes are.
    variables : iterable of int
        Which inputs are variable tensors, as the states of SVDF and LSTM are; their values are what they hold at first.
    intermediates : sequence
        The types of the node's intermediate tensors, which the int8 LSTM has, each as in `output`.
    custom_ops, kernels, verbose
        As of `Interpreter`.
    **options
        Fields of the operator's options table; enumerations by name, as padding="SAME". What is left out reads as the
        schema's default, which is 0 for strides. For a custom operator: its custom options.

    Returns
    -------
    Interpreter
        Allocated; not invoked.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `run_op`.
    """
    if output is not None and outputs is not None:
        raise ValueError("output= is for one output, outputs= for several: not both")
    name = _known(name, custom_ops)
    values = [None if given is None else as_value(given) for given in inputs]
    first = next((i for i, value in enumerate(values) if value is not None), -1)
    stored = {i for i in range(len(values)) if i != first} if constants is None else {int(i) for i in constants}
    kept = {int(i) for i in variables}
    if version is None:
        preparation = find(name)
        version = preparation.max_version if preparation else 1

    def interpreter(described: Sequence[TensorValue]) -> Interpreter:
        m = Model()
        handles = [_input(m, i, value, stored, kept) for i, value in enumerate(values)]
        results = [_described(m, f"output{i}", value) for i, value in enumerate(described)]
        between = [_described(m, f"intermediate{i}", _description(d)) for i, d in enumerate(intermediates)]
        if name in BuiltinOperator.__members__:
            m.op(name, handles, results, version=version, intermediates=between, **options)
        else:
            m.custom(name, handles, results, version=version, intermediates=between, options=options or b"")
        m.output(*results)
        made = Interpreter(model_content=m.content(), custom_ops=custom_ops, kernels=kernels, verbose=verbose)
        made.allocate_tensors()
        tensors = made._interpreter.graph.subgraphs[0].tensors
        for handle, value in zip(handles, values):
            if value is not None and handle is not None and tensors[handle].data is None:
                made.set_tensor(handle, value.array)
        return made

    if output is not None or not (outputs is None or isinstance(outputs, int)):
        return interpreter([_description(d) for d in ([output] if outputs is None else outputs)])
    return _guessed(interpreter, values, 1 if outputs is None else outputs)


# ---- tensors


def _input(m: Model, i: int, value: TensorValue | None, stored: set[int], kept: set[int]) -> int | None:
    if value is None:
        return None
    if value.array is None:
        raise ValueError(f"input {i} has no contents")
    fields = {"name": f"input{i}", **_fields(value)}
    if i in kept:
        return m.variable(value.array.shape, value.type, **fields)
    if i in stored:
        return m.constant(value.array, value.type, **fields)
    return m.input(value.array.shape, value.type, **fields)


def _described(m: Model, name: str, value: TensorValue) -> int:
    return m.tensor((), value.type, name=name, **_fields(value))


def _fields(value: TensorValue) -> dict[str, Any]:
    q = value.quantization
    return {} if q is None else {"scale": q.scale, "zero_point": q.zero_point, "axis": q.axis}


def _description(given: Any) -> TensorValue:
    """What `output=` says."""
    if isinstance(given, TensorValue):
        return given
    if isinstance(given, tuple):
        type, *numbers = given
        return quantized(None, *numbers, type=_type_name(type))
    return quantized(None, type=_type_name(given))


def _type_name(given: Any) -> str:
    if isinstance(given, str) and given.lower() in STORED:
        return given
    try:
        return np.dtype(given).name
    except TypeError:
        raise ValueError(f"{given!r} is no tensor type; the types are {', '.join(STORED)}") from None


# ---- what was not said


def _known(name: str, custom_ops: Mapping[str, Any] | None) -> str:
    """The operator's name, as the schema has it where it is a builtin one."""
    known = [*BuiltinOperator.__members__, *FAMILY_OF, *(custom_ops or {})]
    if name in known or name.upper() in BuiltinOperator.__members__:
        return name if name in known else name.upper()
    raise ValueError(f"there is no operator '{name}'{did_you_mean(name.upper(), known)}")


def _guessed(
    interpreter: Callable[[Sequence[TensorValue]], Interpreter],
    values: Sequence[TensorValue | None],
    count: int,
) -> Interpreter:
    """The interpreter with the first description of its outputs that the operator accepts."""
    several = [v for v in values if v is not None and (v.quantization is None or v.quantization.per_tensor)]
    failure: ModelError | None = None
    seen = set()
    for candidate in [*several, *(quantized(None, type=type) for type in TRIED)]:
        key = (candidate.type, candidate.scale, candidate.zero_point)
        if key in seen:
            continue
        seen.add(key)
        try:
            made = interpreter([candidate] * count)
            frame = made._interpreter.runtime.instance(0).frame
            if frame is not None and any(step.call is None for step in frame.plan.steps):
                made.clone(state=True).invoke()  # a late node says no only at its turn
            return made
        except ModelError as error:
            failure = failure or error
    assert failure is not None
    raise type(failure)(
        f"{failure}\nNothing was said of its outputs, and none of the types tried will do:"
        " output= gives type and quantization, outputs= those of several."
    ) from failure
