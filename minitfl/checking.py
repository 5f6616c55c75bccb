"""A kernel of the caller's against ours, node by node on the same inputs: `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitfl import entry
from minitfl.errors import ModelError
from minitfl.executable import Frame
from minitfl.graph import Node
from minitfl.interpreter import Interpreter
from minitfl.schema.enums import BuiltinOperator
from minitfl.single import one_op
from minitfl.substitute import Run, checked, options_of, view_of

TOLERANCE = 1e-5  # of floats


@dataclass(frozen=True)
class Difference:
    """One tensor that the caller's kernel gets wrong.

    Attributes
    ----------
    node : int
        The node's place in the graph; `op` is its operator.
    tensor : str
        The name of the tensor.
    element : tuple of int
        The first wrong element in row-major order.
    expected, got : number
        Our stored value there, and the caller's.
    error : float
        abs(got - expected) there; `worst` is the largest of all elements. NaN where a value is none.
    wrong, total : int
        How many elements are wrong, of how many.
    problem : str
        What else is wrong: a type, a shape, the number of outputs. Then there are no elements.
    """

    node: int
    op: str
    tensor: str
    element: tuple[int, ...] = ()
    expected: Any = None
    got: Any = None
    error: float = 0.0
    worst: float = 0.0
    wrong: int = 0
    total: int = 0
    problem: str = ""

    def __str__(self) -> str:
        head = f"node {self.node}, {self.op} -> '{self.tensor}'"
        if self.problem:
            return f"{head}: {self.problem}"
        place = f"[{', '.join(map(str, self.element))}]" if self.element else "the scalar"
        by = f", off by {self.error:.6g}" if isinstance(self.expected, (int, float)) else ""
        most = f", by {self.worst:.6g} at most" if by else ""
        many = "element is" if self.wrong == 1 else "elements are"
        return (
            f"{head}, {place}: expected {self.expected}, got {self.got}{by};"
            f" {self.wrong:,} of {self.total:,} {many} wrong{most}"
        )


@dataclass(frozen=True)
class CheckResult:
    """What `check` found. True where all is equal.

    Attributes
    ----------
    differences : tuple of Difference
        One for each tensor that is wrong, in the order of the nodes.
    nodes, elements : int
        How many were compared.
    """

    differences: tuple[Difference, ...]
    nodes: int
    elements: int

    @property
    def first(self) -> Difference | None:
        """The first tensor that is wrong, if any."""
        return self.differences[0] if self.differences else None

    def __bool__(self) -> bool:
        return not self.differences

    def __repr__(self) -> str:
        compared = f"{self.elements:,} elements of {self.nodes:,} node{'s' * (self.nodes != 1)}"
        if not self.differences:
            return f"<check: equal, {compared}>"
        lines = [f"  {difference}" for difference in self.differences[:5]]
        more = len(self.differences) - len(lines)
        lines += [f"  and {more} more"] if more else []
        return "\n".join([f"<check: wrong, {compared} were compared", *lines]) + ">"


def check(
    what: Any,
    kernels: Any,
    inputs: Any = None,
    /,
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    custom_ops: Mapping[str, Callable[..., Any]] | None = None,
    **keywords: Any,
) -> CheckResult:
    """Judges kernels of yours: each of their nodes gets the right inputs, whatever came before, and its result is
    compared with ours. Nodes of the main subgraph are judged, not those that they call.

    >>> check("CONV_2D", my_conv, [x, w, bias], padding="SAME", stride_w=1, stride_h=1)
    >>> check("model.tflite", {"CONV_2D": my_conv}, {"image": pixels})

    Parameters
    ----------
    what : str, bytes, os.PathLike or Interpreter
        An operator; or a model: its path, its content, or an interpreter of it, which is left alone.
    kernels : function or mapping of str to function
        function(inputs, options, node) -> outputs, as `Interpreter(kernels=)` takes it, see `minitfl.substitute`; for a
        model by operator. What they are compared with is always our NumPy form.
    inputs : sequence, mapping or array, optional
        For an operator as of `run_op`. For a model one array for each input, or a dict by names; random by default.
    tolerance : float
        How far floats may lie from ours: tolerance * (abs(ours) + the tensor's largest abs(ours)). All else has to be
        equal.
    seed : int
        Of random inputs.
    custom_ops : mapping of str to function
        As of `Interpreter`, for the model's other operators.
    **keywords
        For an operator: its options and the rest of what `one_op` takes.

    Returns
    -------
    CheckResult
        True where all is equal, else it names the first wrong element of each tensor.

    Raises
    ------
    ValueError
        The model has no such operator, or the inputs are not its own.
    RuntimeError
        Our own kernels refuse the case. What the given kernel raises comes through as it is.
    """
    if isinstance(what, str) and what.upper() in BuiltinOperator.__members__:
        name = what.upper()
        functions = checked(kernels if isinstance(kernels, Mapping) else {name: kernels})
        interpreter = one_op(name, inputs, custom_ops=custom_ops, **{"kernels": "numpy", **keywords})
    else:
        if keywords:
            raise TypeError(f"{', '.join(keywords)}: options go with an operator, not with a model")
        functions = checked(kernels)
        interpreter = _interpreter(what, custom_ops)
        _fill(interpreter, inputs, seed)
    frame = interpreter._interpreter.runtime.instance(0).frame
    assert frame is not None
    nodes, elements, differences = 0, 0, []
    for node, ours, theirs in _lockstep(frame, functions):
        nodes += 1
        elements += sum(array.size for _, array in ours)
        differences += _compared(node, ours, theirs, tolerance)
    if not nodes:
        found = ", ".join(dict.fromkeys(node.op for node in frame.plan.subgraph.nodes))
        wanted = " or ".join(functions) or "kernel to check"
        raise ValueError(f"the model's main subgraph has no {wanted}, but {found}")
    return CheckResult(tuple(differences), nodes, elements)


def _interpreter(what: Any, custom_ops: Mapping[str, Callable[..., Any]] | None) -> Interpreter:
    """A fresh interpreter with our own kernels."""
    if isinstance(what, Interpreter):
        wrapper = what._interpreter
        custom_ops = {**wrapper.runtime.custom_ops, **(custom_ops or {})}
        what = wrapper.source.bytes()
    if isinstance(what, bytes):
        return Interpreter(model_content=what, custom_ops=custom_ops, kernels="numpy")
    return Interpreter(what, custom_ops=custom_ops, kernels="numpy")


def _fill(interpreter: Interpreter, inputs: Any, seed: int) -> None:
    wrapper = interpreter._interpreter
    found = entry.find_entry(wrapper.graph, None)
    if inputs is None:
        chance = np.random.default_rng(seed)
        arrays = {i: entry.random_array(found.subgraph.tensors[i], chance) for i in found.inputs.values()}
    else:
        given = entry.match(found, list(inputs) if isinstance(inputs, (list, tuple)) else [inputs], {})
        arrays = {i: entry.convert(value, found.subgraph.tensors[i], False) for i, value in given.items()}
        for i, array in arrays.items():
            entry.check_rank(found.subgraph.tensors[i], array)
    entry.fill(wrapper, found, arrays)


# ---- lockstep

Named = tuple[str, np.ndarray]  # a tensor's name, and what it holds


def _lockstep(
    frame: Frame, functions: Mapping[str, Callable[..., Any]]
) -> Iterator[tuple[Node, list[Named], list[np.ndarray] | str]]:
    """(node, our results, theirs or what is wrong with them) of each node that they have a kernel for."""
    done = {id(step.node): step for step in frame.plan.steps}
    for node in frame.plan.subgraph.nodes:
        if id(node) not in done and node.op in functions:  # folded: both its sides are known
            yield _judged(frame, node, functions[node.op], lambda: None)
    for step in frame.steps():
        if step.node.op in functions:
            yield _judged(frame, step.node, functions[step.node.op], step.run)
        else:
            step.run()


def _judged(
    frame: Frame, node: Node, function: Callable[..., Any], run: Callable[[], None]
) -> tuple[Node, list[Named], list[np.ndarray] | str]:
    tensors = frame.plan.tensors
    present = [i for i in node.inputs if i >= 0]
    before = {i: np.copy(frame.arrays[i]) for i in present}  # type: ignore[arg-type]
    inputs = [None if i < 0 else tensors[i].reshaped(before[i].shape) for i in node.inputs]
    run()
    written = [i for i in node.outputs if i >= 0]
    outputs = [None if i < 0 else tensors[i].reshaped(_array(frame, i).shape) for i in node.outputs]
    kept = frozenset(i for i in present if tensors[i].is_variable)
    theirs = Run(function, options_of(node), view_of(node, inputs, outputs), kept)
    ours = [(tensors[i].name, _array(frame, i)) for i in (*written, *sorted(kept))]
    try:
        results = theirs(*(before[i] for i in present))
    except ModelError as error:
        return node, ours, str(error)
    for i, result in enumerate(results):
        if node.outputs[i] >= 0:
            problem = theirs.misfit(i, result, _array(frame, node.outputs[i]))
            if problem:
                return node, ours, f"of what the kernel returned, output {i}: {problem}"
    found = [result for i, result in zip(node.outputs, results) if i >= 0]
    return node, ours, [*found, *(before[i] for i in sorted(kept))]


def _array(frame: Frame, i: int) -> np.ndarray:
    array = frame.arrays[i]
    assert array is not None
    return array


def _compared(
    node: Node, ours: Sequence[Named], theirs: list[np.ndarray] | str, tolerance: float
) -> Iterator[Difference]:
    if isinstance(theirs, str):
        yield Difference(node.index, node.op, ours[0][0] if ours else "", problem=theirs)
        return
    for (name, expected), got in zip(ours, theirs):
        wrong = ~_close(expected, got, tolerance)
        if not wrong.any():
            continue
        element = tuple(int(i) for i in np.argwhere(wrong)[0])
        errors = _errors(expected, got)[wrong]
        yield Difference(
            node.index,
            node.op,
            name,
            element,
            _plain(expected[element]),
            _plain(got[element]),
            float(errors[0]),
            float(errors.max()),
            int(wrong.sum()),
            wrong.size,
        )


def _close(expected: np.ndarray, got: np.ndarray, tolerance: float) -> np.ndarray:
    if expected.dtype.kind not in "fc":
        return np.asarray(expected == got, bool)
    with np.errstate(all="ignore"):
        finite = np.abs(expected[np.isfinite(expected)])
        bound = tolerance * (np.abs(expected) + finite.max(initial=0))
        equal = (expected == got) | (np.isnan(expected) & np.isnan(got))
        return np.asarray(equal | (np.abs(got - expected) <= bound))


def _errors(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    if expected.dtype.kind == "O":
        return np.asarray(expected != got, float)
    kind = np.complex128 if expected.dtype.kind == "c" else np.longdouble
    with np.errstate(all="ignore"):
        return np.abs(got.astype(kind) - expected.astype(kind))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
