"""minitfl: the TensorFlow Lite interpreter in Python and NumPy.

    interpreter = minitfl.Interpreter("model.tflite")     # as tf.lite.Interpreter
    interpreter(image=x)                                  # or by name

`minitfl.build` writes models; `install_as` lets code that imports another runtime run on this one.
"""

from types import ModuleType

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

__version__ = "0.1.0"


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
    "install_as",
    "load_delegate",
    "register_custom_op_registerer",
]
