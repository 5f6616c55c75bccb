"""The tf.lite-compatible surface, and what minitfl adds to it."""

from __future__ import annotations

import enum
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minitfl import entry, metrics, source
from minitfl import wrapper as _interpreter_wrapper
from minitfl.delegates import Delegate, load_delegate
from minitfl.load import load_model
from minitfl.plan import MemoryPlan
from minitfl.registerers import collect
from minitfl.runtime import LAYERS, Runtime
from minitfl.signature import SignatureRunner

if TYPE_CHECKING:
    from minitfl.profiling import Profile
    from minitfl.trace import TraceStep

__all__ = [
    "Delegate",
    "Interpreter",
    "InterpreterWithCustomOps",
    "OpResolverType",
    "SignatureRunner",
    "load_delegate",
]


@enum.unique
class OpResolverType(enum.Enum):
    """The official choices of kernels. All of them select minitfl's one arithmetic, that of the reference kernels."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


def _get_op_resolver_id(op_resolver_type: Any = OpResolverType.AUTO) -> int | None:
    """The official number of a resolver; None for anything else."""
    if not isinstance(op_resolver_type, OpResolverType):
        return None
    return max(op_resolver_type.value, 1)


class Interpreter:
    """Runs a TensorFlow Lite model.

    >>> interpreter = Interpreter("model.tflite")
    >>> interpreter(image=x)["scores"]

    or as with `tf.lite.Interpreter`:

    >>> interpreter.allocate_tensors()
    >>> interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    >>> interpreter.invoke()
    >>> interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    Parameters
    ----------
    model_path : str, bytes or os.PathLike
        The model's file. It is read at once, unless `mmap` is true.
    model_content : bytes
        The model itself, instead of a path. It is not copied.
    experimental_delegates
        Native delegates cannot be used; anything but None and an empty list raises RuntimeError.
    num_threads : int
        At least 1.
    experimental_op_resolver_type : OpResolverType
        Accepted and checked; every choice computes the same.
    experimental_preserve_all_tensors : bool
        Keep every intermediate tensor, so that get_tensor can read it after invoke.
    experimental_compress_quantization_zero_points : bool
        Tensor details give one zero point where all channels have the same.
    experimental_disable_delegate_clustering, experimental_default_delegate_latest_features, \
experimental_disable_delegate_node_fusion, experimental_force_delegate_node_profiling
        Accepted, without effect: there are no delegates.
    custom_ops : mapping of str to function
        `{"Name": function}`: function(inputs, options) -> outputs computes the operator in plain Python, see
        `minitfl.custom`.
    kernels : str or mapping of str to function
        "auto": the fastest that are there, so long in NumPy as others are being compiled. "numpy": all in NumPy.
        "numba": wait until they are compiled. `{"CONV_2D": function}`: function(inputs, options, node) -> outputs
        computes that operator in the place of ours, see `minitfl.substitute`; `minitfl.check` compares the two.
    verbose : int
        While it runs, invoke prints each node: 1 its operator, 2 shapes, ranges and rescalings too, 3 values too,
        shortened.
    mmap : bool
        Map the file instead of reading it: pages are loaded when they are first used and shared between processes. The
        file must not be cut while it is mapped. Its size is checked before each invoke, which narrows the danger of a
        crash but cannot remove it.

    Raises
    ------
    ValueError
        The model can't be had or is no sound model, or an argument is wrong.
    """

    def __init__(
        self,
        model_path: Any = None,
        model_content: bytes | None = None,
        experimental_delegates: list[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: OpResolverType = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        experimental_compress_quantization_zero_points: bool = False,
        experimental_disable_delegate_node_fusion: bool = False,
        experimental_force_delegate_node_profiling: bool = False,
        *,
        custom_ops: Mapping[str, Callable[..., Any]] | None = None,
        kernels: str | Mapping[str, Callable[..., Any]] = "auto",
        verbose: int = 0,
        mmap: bool = False,
    ):
        if not hasattr(self, "_custom_op_registerers"):
            self._custom_op_registerers: list[Any] = []
        self._experimental_compress_quantization_zero_points = experimental_compress_quantization_zero_points
        _check_arguments(experimental_op_resolver_type, num_threads, experimental_preserve_all_tensors)
        for name, function in (custom_ops or {}).items():
            if not callable(function):
                raise TypeError(
                    f"custom_ops[{name!r}] must be a function(inputs, options) -> outputs, not {function!r}"
                )
        if verbose not in (0, 1, 2, 3):
            raise ValueError(f"verbose is 0, 1, 2 or 3, not {verbose!r}")
        layer, own = _kernels(kernels, experimental_op_resolver_type)
        opened = _open(model_path, model_content, mmap)
        if opened.given:
            self._model_content = opened.content
        runtime = Runtime(
            load_model(opened.content),
            preserve_all=bool(experimental_preserve_all_tensors),
            custom_ops={**collect(self._custom_op_registerers), **(custom_ops or {})},
            kernels=own,
            layer=layer,
            verbose=int(verbose),
        )
        self._interpreter = _interpreter_wrapper.InterpreterWrapper(
            opened, runtime, num_threads or 1, experimental_compress_quantization_zero_points
        )
        self._delegates = experimental_delegates or []
        for delegate in self._delegates:
            self._interpreter.ModifyGraphWithDelegate(delegate._get_native_delegate_pointer())
        self._signature_defs = self.get_signature_list()
        self._metrics = metrics.TFLiteMetrics()
        self._metrics.increase_counter_interpreter_creation()

    # ---- the official methods

    def allocate_tensors(self) -> None:
        """Plans the memory of the primary subgraph and takes it. Needed once, and again after a resize.

        Raises RuntimeError where the model can't run: all unresolved operators are named at once.
        """
        self._ensure_safe()
        self._interpreter.AllocateTensors()

    def invoke(self) -> None:
        """Runs the primary subgraph on the inputs that are set. RuntimeError where it fails."""
        wrapper = self._interpreter
        if wrapper.views.guards:
            self._ensure_safe()
        wrapper.Invoke()

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copies `value`, which must have the tensor's very type and shape, into a tensor."""
        self._interpreter.SetTensor(tensor_index, value)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Any:
        """A copy of a tensor: the stored integers where it is quantized, a NumPy scalar where it has no axes."""
        return self._interpreter.GetTensor(tensor_index, subgraph_index)

    def tensor(self, tensor_index: int) -> Callable[[], Any]:
        """A function that gives a view of the tensor's own memory.

        Keep the function, not the views: while a view lives, allocate_tensors, invoke and resize_tensor_input refuse.
        """
        return lambda: self._interpreter.tensor(self._interpreter, tensor_index)

    def resize_tensor_input(self, input_index: int, tensor_size: Any, strict: bool = False) -> None:
        """Gives an input another shape, to take effect at the next allocate_tensors().

        With `strict` only dimensions that are -1 in `shape_signature` may change.
        """
        self._ensure_safe()
        self._interpreter.ResizeInputTensor(input_index, np.array(tensor_size, dtype=np.int32), strict)

    def reset_all_variables(self) -> None:
        """Sets variable tensors back to their start. Resource variables are kept."""
        self._interpreter.ResetVariableTensors()

    def get_input_details(self) -> list[dict[str, Any]]:
        """The details of the inputs, in the graph's order (see get_tensor_details)."""
        return [self._get_tensor_details(i, 0) for i in self._interpreter.InputIndices()]

    def get_output_details(self) -> list[dict[str, Any]]:
        """The details of the outputs, in the graph's order (see get_tensor_details)."""
        return [self._get_tensor_details(i, 0) for i in self._interpreter.OutputIndices()]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """For each tensor: name, index, shape, shape_signature (-1 for a free dimension), dtype, quantization (scale,
        zero point; (0.0, 0) unless there is one of each), quantization_parameters, sparsity_parameters."""
        count = self.num_subgraphs()
        if not 0 <= subgraph_index < count:
            raise ValueError(
                f"subgraph_index is out of range: {subgraph_index} for the model, which has {count} subgraphs."
            )
        return [
            self._get_tensor_details(i, subgraph_index) for i in range(self._interpreter.NumTensors(subgraph_index))
        ]

    def num_subgraphs(self) -> int:
        return self._interpreter.NumSubgraphs()

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """{key: {"inputs": [name, ...], "outputs": [name, ...]}}, the names in alphabetical order."""
        signatures = self._interpreter.GetSignatureDefs()
        return {key: {side: list(names) for side, names in sides.items()} for key, sides in signatures.items()}

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A signature as a function of keyword arguments; the key may be left out where there is only one."""
        if signature_key is None:
            if len(self._signature_defs) != 1:
                raise ValueError(
                    f"SignatureDef signature_key is None and model has {len(self._signature_defs)} Signatures."
                    " None is only allowed when the model has 1 SignatureDef"
                )
            signature_key = next(iter(self._signature_defs))
        return SignatureRunner(interpreter=self, signature_key=signature_key)

    @property
    def experimental_compress_quantization_zero_points(self) -> bool:
        return self._experimental_compress_quantization_zero_points

    # ---- private in name, used in public

    def _get_tensor_details(self, tensor_index: Any, subgraph_index: int = 0) -> dict[str, Any]:
        wrapper, index = self._interpreter, int(tensor_index)
        scales, zero_points, axis, block_size = wrapper.TensorQuantizationParameters(index, subgraph_index)
        return {
            "name": wrapper.TensorName(index, subgraph_index),
            "index": index,
            "shape": wrapper.TensorSize(index, subgraph_index),
            "shape_signature": wrapper.TensorSizeSignature(index, subgraph_index),
            "dtype": wrapper.TensorType(index, subgraph_index),
            "quantization": wrapper.TensorQuantization(index, subgraph_index),
            "quantization_parameters": {
                "scales": scales,
                "zero_points": zero_points,
                "quantized_dimension": axis,
                "block_size": block_size,
            },
            "sparsity_parameters": wrapper.TensorSparsityParameters(index, subgraph_index),
        }

    def _get_op_details(self, op_index: Any) -> dict[str, Any]:
        wrapper, index = self._interpreter, int(op_index)
        inputs, outputs = wrapper.NodeInputs(index), wrapper.NodeOutputs(index)
        return {
            "index": index,
            "op_name": wrapper.NodeName(index),
            "inputs": inputs,
            "outputs": outputs,
            "operand_types": [wrapper.TensorType(i, 0) for i in inputs if i != -1],
            "result_types": [wrapper.TensorType(i, 0) for i in outputs if i != -1],
        }

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [self._get_op_details(i) for i in range(self._interpreter.NumNodes())]

    def _get_full_signature_list(self) -> dict[str, dict[str, dict[str, int]]]:
        return self._interpreter.GetSignatureDefs()

    def _safe_to_run(self) -> bool:
        """Is no view of this interpreter's memory alive?"""
        return not self._interpreter.views.held()

    def _ensure_safe(self) -> None:
        if not self._safe_to_run():
            raise RuntimeError(
                "There is at least 1 reference to internal data in the interpreter in the form of a numpy array or"
                " slice. Keep the function that tensor() returns, and call it whenever the data is needed."
            )

    def _native_handle(self) -> int:
        return self._interpreter.interpreter()

    # ---- running by name

    def run(
        self, *args: Any, real: bool = False, batch: int | None = None, signature: str | None = None, **inputs: Any
    ) -> dict[str, Any]:
        """Runs the model on inputs given by name and returns its outputs by name. Needs no allocate_tensors().

        Names are those of the signature, or of the tensors; what a converter added to them ("serving_default_", ":0",
        a path) may be left out. Inputs may also be positional, or one dict. Any batch size is taken that the graph
        allows; numbers are cast where that costs no more than precision.

        Parameters
        ----------
        real : bool
            Give and take real numbers for quantized tensors.
        batch : int
            Run so many rows at a time and join the outputs, for graphs that take only one batch size.
        signature : str
            Which signature to run, by default the primary subgraph.
        """
        self._ensure_safe()
        found = entry.find_entry(self._interpreter.graph, signature)
        return entry.run(self._interpreter, found, entry.match(found, args, inputs), real, batch)

    __call__ = run

    def trace(self, *args: Any, real: bool = False, signature: str | None = None, **inputs: Any) -> Iterator[TraceStep]:
        """Runs the model and tells of each node when it has run.

        >>> for step in interpreter.trace(image=x):
        ...     print(step)

        Parameters
        ----------
        *args, **inputs, real, signature
            As of `run`. Without inputs the model runs on those that are set, as `invoke` does.

        Yields
        ------
        minitfl.trace.TraceStep
            Nodes of the subgraph in order: `index`, `op`, `version`, `options`, `inputs` and `outputs` (name, type,
            shape, array, quantization), `kernel` and its `file`, `late`, `folded`, and for quantized operators
            `rescalings`: multipliers, shifts and the range of the integer sums. Subgraphs that a node calls run within
            its step.

        Raises
        ------
        ValueError
            The inputs are not those of the model.
        RuntimeError
            A node fails; those before it have been told.
        """
        self._ensure_safe()
        found = entry.find_entry(self._interpreter.graph, signature)
        given = entry.match(found, args, inputs) if args or inputs else {}
        return entry.trace(self._interpreter, found, given, real)

    def profile(self, runs: int | None = None, seconds: float = 2.0) -> Profile:
        """Times whole invokes, and each node for itself, on the inputs that are set.

        >>> interpreter.profile()

        Variables move on with each run, as they do with `invoke`. Of nodes in machine code the cost of calling them one
        by one is taken away; those in NumPy keep theirs, for `invoke` pays it too.

        Parameters
        ----------
        runs : int, optional
            How many whole invokes are timed, and how often each node; as many as fit in `seconds` by default.
        seconds : float
            How long to go on in all, beside a short warm-up.

        Returns
        -------
        minitfl.profiling.Profile
            `latency` (min, median, p90, p99, mean), `nodes` (op, shape, seconds, MACs, bytes, layer); it prints as a
            table.

        Raises
        ------
        RuntimeError
            The model can't be allocated, or a node fails.
        """
        from minitfl.profiling import profile

        return profile(self, runs, seconds)

    # ---- what the model brings along

    @property
    def metadata(self) -> dict[str, bytes]:
        """The model's metadata entries by name."""
        return {name: bytes(data) for name, data in self._interpreter.graph.metadata.items()}

    @property
    def associated_files(self) -> Mapping[str, bytes]:
        """The files packed into the model's file (a zip archive at its end) by name."""
        from minitfl.metadata import AssociatedFiles

        return AssociatedFiles(self._interpreter.source.content)

    @property
    def labels(self) -> list[str] | None:
        """The labels of the model's classes, if it brings them along; None if not."""
        from minitfl.metadata import labels

        return labels(self.metadata, self.associated_files)

    def memory_plan(self) -> MemoryPlan:
        """Where the tensors of the primary subgraph lie, when they are alive, and what is needed beside them.

        After allocate_tensors(). Constants are packed for the forms that steps run in, some at the first invoke.
        """
        return self._interpreter.runtime.instance(0).memory_plan()

    # ---- copies, end, looks

    def clone(self, state: bool = False) -> Interpreter:
        """Another interpreter of the same model, for another thread. Weights and plans are shared.

        It starts afresh, or with `state` from a copy of this one's shapes, inputs, variables and tables.
        """
        wrapper = self._interpreter
        with wrapper.turn("clone"):
            runtime = wrapper.runtime.clone(state)
        twin = self.__class__.__new__(self.__class__)
        twin.__dict__.update(self.__dict__)
        twin._interpreter = _interpreter_wrapper.InterpreterWrapper(
            wrapper.source.share(), runtime, wrapper.num_threads, self.experimental_compress_quantization_zero_points
        )
        return twin

    def __copy__(self) -> Interpreter:
        return self.clone(state=True)

    def __deepcopy__(self, memo: Any) -> Interpreter:
        return self.clone(state=True)

    def __getstate__(self) -> dict[str, Any]:
        wrapper = self._interpreter
        runtime = wrapper.runtime
        for name, function in (*runtime.custom_ops.items(), *runtime.kernels.items()):
            _check_pickles(name, function)
        with wrapper.turn("pickle"):
            kept = {k: v for k, v in self.__dict__.items() if k not in _NOT_PICKLED}
            return {
                "attributes": kept,
                "content": wrapper.source.bytes(),
                "name": wrapper.source.name,
                "given": wrapper.source.given,
                "num_threads": wrapper.num_threads,
                "choices": runtime.choices(),
                "state": runtime.get_state(),
            }

    def __setstate__(self, data: dict[str, Any]) -> None:
        self.__dict__.update(data["attributes"])
        opened = source.Source(data["content"], data["name"], data["given"])
        if opened.given:
            self._model_content = opened.content
        runtime = Runtime(load_model(opened.content), **data["choices"])
        runtime.set_state(data["state"])
        self._custom_op_registerers = []
        self._interpreter = _interpreter_wrapper.InterpreterWrapper(
            opened, runtime, data["num_threads"], self.experimental_compress_quantization_zero_points
        )

    def close(self) -> None:
        """Gives back the memory and the file. Nothing but close() may be called afterwards."""
        self._interpreter.close()

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        from minitfl import show

        return show.text(self)

    def _repr_html_(self) -> str:
        from minitfl import show

        return show.html(self)


_NOT_PICKLED = frozenset({"_interpreter", "_model_content", "_custom_op_registerers"})


class InterpreterWithCustomOps(Interpreter):
    """An Interpreter with custom operators that registerers add.

    A registerer is a function that takes a resolver and calls its `AddCustom(name, prepare, eval)`, or the name under
    which `minitfl.register_custom_op_registerer` made such a function known.
    """

    def __init__(self, custom_op_registerers: list[Any] | None = None, **kwargs: Any):
        self._custom_op_registerers = custom_op_registerers or []
        super().__init__(**kwargs)


def _check_arguments(resolver: Any, num_threads: Any, preserve: bool) -> None:
    if preserve and resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN):
        warnings.warn(
            "experimental_preserve_all_tensors with the resolver AUTO or BUILTIN is intended for debugging purposes"
            " only: all intermediate tensors are kept in memory.",
            stacklevel=3,
        )
    if _get_op_resolver_id(resolver) is None:
        raise ValueError(f"Unrecognized passed in op resolver type: {resolver}")
    if num_threads is not None:
        if not isinstance(num_threads, int):
            raise ValueError(f"type of num_threads should be int, not {num_threads.__class__.__name__}")
        if num_threads < 1:
            raise ValueError(f"num_threads should >= 1, not {num_threads}")


def _open(path: Any, content: Any, mmap: bool) -> source.Source:
    if path and not content:
        return source.from_path(path, mmap)
    if content and not path:
        return source.from_content(content)
    if path:
        raise ValueError("Can't both provide `model_path` and `model_content`")
    raise ValueError("`model_path` or `model_content` must be specified.")


def _kernels(kernels: Any, resolver: OpResolverType) -> tuple[str, dict[str, Callable[..., Any]]]:
    """(layer, the caller's own kernels)."""
    if kernels == "auto" and resolver is OpResolverType.BUILTIN_REF:
        return "numpy", {}
    if isinstance(kernels, str):
        if kernels not in LAYERS:
            words = ", ".join(f"'{layer}'" for layer in LAYERS)
            raise ValueError(f"kernels='{kernels}' is not there: {words} are, or {{'CONV_2D': function}}")
        return kernels, {}
    from minitfl import substitute

    return "auto", substitute.checked(kernels)


def _check_pickles(name: str, function: Any) -> None:
    try:
        pickle.dumps(function)
    except Exception as error:
        raise TypeError(f"custom op '{name}' cannot be pickled, so the interpreter can't: {error}") from error
