"""install_as and python -m minitfl --as: each in a process of its own, where the names are still free."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minitfl

ROOT = Path(__file__).parent.parent


def python(*arguments, cwd=ROOT, **environment):
    """(exit code, standard output, standard error) of a fresh interpreter that can import minitfl."""
    path = os.pathsep.join([str(ROOT), *environment.pop("path", [])])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def run(code, **environment):
    status, output, errors = python("-c", code, **environment)
    assert status == 0, errors
    return output


@pytest.mark.skipif(importlib.util.find_spec("tflite_runtime") is not None, reason="tflite_runtime is installed")
def test_tflite_runtime():
    code = """
import minitfl, importlib, importlib.util, sys
module = minitfl.install_as("tflite_runtime")
assert minitfl.install_as("tflite_runtime") is module, "a second time changes nothing"
import tflite_runtime.interpreter as tflite
from tflite_runtime.interpreter import Interpreter, load_delegate, OpResolverType, SignatureRunner
from tflite_runtime.metrics_portable import TFLiteMetrics
import tflite_runtime
assert Interpreter is minitfl.Interpreter and tflite_runtime.interpreter is tflite
for name in ("tflite_runtime", "tflite_runtime.interpreter"):
    spec = importlib.util.find_spec(name)
    assert spec is sys.modules[name].__spec__ and spec.name == name and spec.loader is not None
    assert importlib.reload(sys.modules[name]) is sys.modules[name]
assert tflite_runtime.__path__ == [] and tflite_runtime.__version__ == minitfl.__version__
assert importlib.util.find_spec("tflite_runtime.nothing") is None
del sys.modules["tflite_runtime.interpreter"]
from tflite_runtime.interpreter import Interpreter as again
assert again is Interpreter
print("done")
"""
    assert run(code) == "done"


def fake(tmp_path, name):
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("installed = True\n")
    (package / "interpreter.py").write_text("class Interpreter: real = True\n")
    return {"path": [str(tmp_path)]}


def test_an_installed_package_is_never_covered(tmp_path):
    code = """
import minitfl, sys
try:
    minitfl.install_as("tflite_runtime")
except ImportError as error:
    assert "tflite_runtime is installed" in str(error) and "force=True" in str(error) and error.name == "tflite_runtime"
from tflite_runtime.interpreter import Interpreter
assert Interpreter.real
minitfl.install_as("tflite_runtime", force=True)
from tflite_runtime.interpreter import Interpreter
import tflite_runtime
assert Interpreter is minitfl.Interpreter and not hasattr(tflite_runtime, "installed")
print("done")
"""
    assert run(code, **fake(tmp_path, "tflite_runtime")) == "done"


def test_a_package_installed_later_goes_first(tmp_path):
    """The finder stands behind the others: what comes to be installed in a running process wins."""
    code = f"""
import minitfl.install as install, sys
install._add(install._BEHIND, "tflite_runtime", at_end=True)
sys.path.insert(0, {str(tmp_path)!r})
import tflite_runtime
print(tflite_runtime.installed)
"""
    fake(tmp_path, "tflite_runtime")
    assert run(code) == "True"


def test_modules_without_a_spec_count_as_installed():
    code = """
import sys, types, minitfl
sys.modules["tflite_runtime"] = types.ModuleType("tflite_runtime")
try:
    minitfl.install_as("tflite_runtime")
except ImportError:
    print("told")
"""
    assert run(code) == "told"


def test_names_that_minitfl_cannot_stand_for():
    with pytest.raises(ValueError, match="minitfl cannot stand for 'torch', only for tflite_runtime, ai_edge_litert"):
        minitfl.install_as("torch")


def test_tensorflow_lite_without_tensorflow():
    """Where tensorflow is installed it is hidden: the finder of the packages is told to find none of that name."""
    code = """
import sys, importlib.machinery, minitfl
class Hiding:
    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] == "tensorflow"
        return None if hidden else importlib.machinery.PathFinder.find_spec(name, path, target)
places = [n for n, finder in enumerate(sys.meta_path) if finder is importlib.machinery.PathFinder]
sys.meta_path[places[0]] = Hiding()
minitfl.install_as("tensorflow.lite")
import tensorflow as tf
from tensorflow.lite.python.interpreter import Interpreter, OpResolverType
from tensorflow.lite.experimental import load_delegate
assert tf.lite.Interpreter is Interpreter is minitfl.Interpreter
assert tf.lite.experimental.OpResolverType is OpResolverType is minitfl.OpResolverType
assert tf.__spec__.submodule_search_locations == []
print("done")
"""
    assert run(code) == "done"


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="tensorflow is not installed")
def test_tensorflow_lite_in_an_installed_tensorflow():
    code = """
import minitfl
try:
    minitfl.install_as("tensorflow.lite")
except ImportError as error:
    assert "tensorflow is installed" in str(error)
minitfl.install_as("tensorflow.lite", force=True)
import tensorflow as tf
from tensorflow.lite.python.interpreter import Interpreter
assert tf.lite.Interpreter is Interpreter is minitfl.Interpreter
assert tf.lite.experimental.OpResolverType is minitfl.OpResolverType
assert tf.lite.TFLiteConverter.from_keras_model
print("done")
"""
    assert run(code) == "done"


# ---- python -m minitfl --as

SCRIPT = """
import sys
from tflite_runtime.interpreter import Interpreter
import beside
if __name__ == "__main__":
    print(Interpreter.__module__, sys.argv[1:], beside.here, __file__.endswith("app.py"))
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "app.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("here = 'beside'\n")
    return tmp_path / "app.py"


def test_scripts_run_under_another_name(script):
    wanted = "minitfl.interpreter ['--as', 'x'] beside True"
    for option in (["--as", "tflite_runtime"], ["--as=tflite_runtime", "--force"]):
        status, output, errors = python("-m", "minitfl", *option, script, "--as", "x")
        assert (status, output) == (0, wanted), errors
    status, output, errors = python(
        "-m", "minitfl", "--as", "tflite_runtime", "-m", "app", "--as", "x", cwd=script.parent
    )
    assert (status, output) == (0, wanted), errors


def test_exit_codes_and_errors_come_through(tmp_path):
    (tmp_path / "leave.py").write_text("import sys; sys.exit(7)")
    assert python("-m", "minitfl", "--as", "tflite_runtime", tmp_path / "leave.py")[0] == 7
    (tmp_path / "fail.py").write_text("raise KeyError('mine')")
    status, _, errors = python("-m", "minitfl", "--as", "tflite_runtime", tmp_path / "fail.py")
    assert status == 1 and errors.endswith("KeyError: 'mine'")


def test_usage():
    for arguments in (["--as"], ["--as", "tflite_runtime"], ["--force", "app.py"], ["--as", "tflite_runtime", "-m"]):
        status, _, errors = python("-m", "minitfl", *arguments)
        assert status == 2 and errors.startswith("usage: python -m minitfl --as NAME")
