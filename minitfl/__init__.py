"""minitfl: the TensorFlow Lite interpreter in Python and NumPy.

    interpreter = minitfl.Interpreter("model.tflite")     # as tf.lite.Interpreter
    interpreter(image=x)                                  # or by name

`minitfl.build` writes models; `install_as` lets code that imports another runtime run on this one. To look closer:
`run_op` evaluates one operator, `Interpreter.trace` tells of each node, `check` judges a kernel of yours, `compare`
shows where two models part.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from minitfl.errors import ModelError, UnsupportedError
from minitfl.interpreter import (
    Delegate,
    Interpreter,
    InterpreterWithCustomOps,
    OpResolverType,
    SignatureRunner,
    load_delegate,
)
from minitfl.plan import MemoryPlan
from minitfl.registerers import register_custom_op_registerer

if TYPE_CHECKING:
    from minitfl.checking import check
    from minitfl.comparing import compare
    from minitfl.single import one_op, run_op
    from minitfl.tensor_value import quantized

__version__ = "0.1.0"


_LATER = {  # imported when they are first asked for
    "check": "checking",
    "compare": "comparing",
    "one_op": "single",
    "quantized": "tensor_value",
    "run_op": "single",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'minitfl' has no attribute '{name}'")
    return getattr(importlib.import_module(f"minitfl.{_LATER[name]}"), name)


def install_as(name: str, force: bool = False) -> ModuleType:
    """See `minitfl.install.install_as`, which is imported when it is first asked for."""
    from minitfl import install

    return install.install_as(name, force)


__all__ = [
    "Delegate",
    "Interpreter",
    "InterpreterWithCustomOps",
    "MemoryPlan",
    "ModelError",
    "OpResolverType",
    "SignatureRunner",
    "UnsupportedError",
    "__version__",
    "check",
    "compare",
    "install_as",
    "load_delegate",
    "one_op",
    "quantized",
    "register_custom_op_registerer",
    "run_op",
]
