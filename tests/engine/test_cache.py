"""Machine code on disk: what is believed, where it lies, when it is stale, and how it gets there."""

import ast
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.engine import cache as caching
from minitfl.engine import compilers, isa, sources, symbols
from minitfl.engine.cache import Code, Keys, Store
from minitfl.engine.engine import DRIVER, _Run
from minitfl.engine.library import Library
from minitfl.engine.sources import SOURCE, Sources, module_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None or isa.best() is None, reason="there is nothing to compile with or for"
)

PAD = "move.pad"
CODE = Code(PAD, ("memcpy", "memset"), b"machine code")
KEY = "0123456789abcdef" * 4
PACKAGE = Path(sources.__file__).parent
POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows keeps others out of a user's folders")


@pytest.fixture(name="store")
def store_fixture(tmp_path):
    return Store(tmp_path / "kernels")


@pytest.fixture(name="library")
def library_fixture(tmp_path, monkeypatch):
    """One with an empty cache."""
    monkeypatch.setenv("MINITFL_CACHE", str(tmp_path / "cache"))
    made = Library(isa.best())
    yield made
    if made._compilers is not None:
        made._compilers.stop()


def path(store, kernel=PAD):
    return next(store.folder.glob(f"{kernel}-*"))


def convolution(type="float32"):
    """CONV_2D of 3x3 windows and a border."""
    chance = np.random.default_rng(0)
    m = Model()
    numbers = {} if type == "float32" else {"scale": 0.5, "zero_point": 0}
    x, y = m.input((1, 5, 5, 3), type, name="x", **numbers), m.tensor((1, 5, 5, 4), type, name="y", **numbers)
    w = m.constant((3 * chance.uniform(-1, 1, (4, 3, 3, 3))).astype(type), **numbers)
    bias = np.zeros(4, np.float32) if type == "float32" else np.zeros(4, np.int32)
    bias = m.constant(bias, **({} if type == "float32" else {"scale": 0.25, "zero_point": 0}))
    m.op("CONV_2D", [x, w, bias], [y], version=3, padding="SAME", stride_h=1, stride_w=1)
    m.output(y)
    return m.content()


# ---- files


def test_what_is_put_is_got(store):
    assert store.get(PAD, KEY) is None
    store.put(KEY, CODE)
    assert store.get(PAD, KEY) == CODE
    assert store.get(PAD, KEY[::-1]) is None and store.get("move.other", KEY) is None
    assert [p.name for p in store.folder.iterdir()] == [f"{PAD}-{KEY[:32]}"]


def test_damaged_files_are_passed_over(store):
    store.put(KEY, CODE)
    whole = path(store).read_bytes()
    for n in range(len(whole)):
        path(store).write_bytes(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
        assert store.get(PAD, KEY) is None
        path(store).write_bytes(whole[:n])
        assert store.get(PAD, KEY) is None
    path(store).write_bytes(whole + b"\0")
    assert store.get(PAD, KEY) is None
    store.put(KEY, CODE)
    assert store.get(PAD, KEY) == CODE


def test_a_file_of_another_kernel_or_key_is_passed_over(store):
    store.put(KEY, CODE)
    shutil.copy(path(store), store.folder / f"move.other-{KEY[:32]}")
    assert store.get("move.other", KEY) is None
    other = "1" + KEY[1:]
    shutil.copy(path(store), store.folder / f"{PAD}-{other[:32]}")
    assert store.get(PAD, other) is None


def test_a_needed_symbol_that_is_not_allowed(store):
    store.put(KEY, Code(PAD, ("NRT_Allocate",), b""))
    assert store.get(PAD, KEY) is None


@POSIX
@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_may_write_is_passed_over(store, what, mode):
    store.put(KEY, CODE)
    os.chmod(path(store) if what == "file" else store.folder, mode | 0o100)
    assert store.get(PAD, KEY) is None
    assert store.writable() == (what == "file")


@POSIX
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_others_own_is_passed_over(store, what, monkeypatch):
    store.put(KEY, CODE)
    mine, real = os.geteuid(), os.fstat if what == "file" else os.stat

    def foreign(target, **keywords):
        found = list(real(target, **keywords))
        found[4] = mine + 1
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat" if what == "file" else "stat", foreign)
    assert store.get(PAD, KEY) is None


@POSIX
def test_files_are_for_the_user_alone(store):
    old = os.umask(0)
    try:
        store.put(KEY, CODE)
    finally:
        os.umask(old)
    assert path(store).stat().st_mode & 0o077 == 0 and store.folder.stat().st_mode & 0o077 == 0


def test_old_versions_and_strays_go(store):
    keys = [f"{n:x}" * 64 for n in range(6)]
    for n, key in enumerate(keys):
        store.put(key, CODE)
        os.utime(store.folder / f"{PAD}-{key[:32]}", (n, n))
    (store.folder / ".stray").touch()
    os.utime(store.folder / ".stray", (0, 0))
    (store.folder / ".young").touch()
    store.put(KEY, CODE)
    assert sum(store.get(PAD, key) is not None for key in keys) == caching.KEPT - 1
    assert store.get(PAD, KEY) == CODE
    assert [p.name for p in store.folder.glob(".*")] == [".young"]


def test_many_fill_it_at_once(store):
    codes = [Code(PAD, (), bytes([n]) * 100_000) for n in range(8)]

    def fill(code):
        for _ in range(20):
            store.put(KEY, code)
            found = store.get(PAD, KEY)
            assert found in codes
            done.append(code)

    done = []
    threads = [threading.Thread(target=fill, args=(code,)) for code in codes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 160 and len(list(store.folder.iterdir())) == 1


def test_a_file_that_cannot_be_replaced(store, monkeypatch):
    """As on Windows, while another process reads it."""

    def refuse(source, target):
        raise PermissionError(target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        store.put(KEY, CODE)
    monkeypatch.undo()
    store.put(KEY, CODE)
    monkeypatch.setattr(os, "replace", refuse)
    store.put(KEY, CODE)
    assert store.get(PAD, KEY) == CODE and len(list(store.folder.iterdir())) == 1


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("MINITFL_CACHE", str(tmp_path))
    assert caching.cache_folder() == tmp_path
    monkeypatch.delenv("MINITFL_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert caching.cache_folder() == tmp_path / "minitfl"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert caching.cache_folder() == tmp_path / ".cache" / "minitfl"
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return
    assert caching.cache_folder() == user_cache_path("minitfl", appauthor=False)


# ---- keys


def imports(path):
    """The names that a module imports from minitfl, by its syntax tree."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_needs_are_all_that_is_imported():
    found = Sources()
    for path in PACKAGE.glob("source/*.py"):
        needs = set(found.needs(f"{SOURCE}.{path.stem}"))
        assert path.stem == "__init__" or f"{SOURCE}.{path.stem}" in needs
        for name in needs - {sources.ALWAYS}:
            for module in imports(found.path(name)):
                assert not module.startswith("minitfl") or found.text(module) is None or module in needs


def test_the_needs_of_the_driver_are_few():
    assert len(Sources().needs(module_of(DRIVER))) <= 6


def copied(tmp_path):
    """A copy of the engine's modules, to be edited."""
    shutil.copytree(PACKAGE, tmp_path / "minitfl" / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "minitfl" / "engine"


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("source/conv_float.py", {"conv_float.panels1x1"}),
        ("layouts/move.py", {PAD}),
        ("source/ir.py", {PAD, DRIVER, "conv_float.panels1x1"}),
        ("build.py", {PAD, DRIVER, "conv_float.panels1x1"}),
        ("emit/conv_float.py", set()),
    ],
)
def test_an_edit_changes_the_keys_of_what_comes_of_it(tmp_path, edited, stale):
    folder = copied(tmp_path)
    kernels = (PAD, DRIVER, "conv_float.panels1x1")
    before = {k: Keys(isa.best(), Sources(tmp_path)).key(k) for k in kernels}
    with open(folder / edited, "a") as file:
        file.write("# edited\n")
    after = {k: Keys(isa.best(), Sources(tmp_path)).key(k) for k in kernels}
    assert {k for k in kernels if before[k] != after[k]} == stale


def test_keys_tell_machines_and_versions_apart(monkeypatch):
    def key(chosen=None):
        return Keys(chosen or isa.host_best(), Sources()).key(PAD)

    keys = {key(), *map(key, isa.ISAS)}
    assert len(keys) == len(isa.ISAS)
    for module, name, value in [
        (caching, "_numba_version", lambda: "numba-0.0.1.dist-info"),
        (caching, "host_features", lambda: frozenset({"avx2"})),
        (caching, "FORMAT", b"another\n"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            keys.add(key())
    monkeypatch.setenv("NUMBA_OPT", "0")
    keys.add(key())
    assert len(keys) == len(isa.ISAS) + 4


def test_the_version_of_numba():
    import numba

    assert numba.__version__ in caching._numba_version()


# ---- symbols


def elf(*names):
    """An ELF object with undefined symbols: a table of names, a table of symbols."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    entries = [struct.pack("<IBBHQQ", strings.index(b"\0" + n.encode() + b"\0") + 1, 16, 0, 0, 0, 0) for n in names]
    table = b"".join([bytes(24), *entries, struct.pack("<IBBHQQ", 1, 16, 0, 1, 0, 0)])
    head = b"\x7fELF\2\1\1" + bytes(33) + struct.pack("<Q", 64) + bytes(10) + struct.pack("<HHH", 64, 3, 1)
    start = 64 + 3 * 64
    section = "<IIQQQQIIQQ"
    sections = bytes(64) + struct.pack(section, 0, 3, 0, 0, start, len(strings), 0, 0, 1, 0)
    sections += struct.pack(section, 0, 2, 0, 0, start + len(strings), len(table), 1, 0, 8, 24)
    return head.ljust(64, b"\0") + sections + strings + table


def test_undefined_symbols():
    assert symbols.undefined(elf("memcpy", "NRT_Allocate")) == {"memcpy", "NRT_Allocate"}
    assert symbols.undefined(elf()) == frozenset()
    assert symbols.undefined(b"\xcf\xfa\xed\xfe" + bytes(100)) is None
    for n in (5, 40, 63, 100, 200):
        with pytest.raises(ValueError, match="object code"):
            symbols.undefined(elf("memcpy")[:n])


BAD = """
import numpy as np

def allocates(block, slots, first, last):
    return np.empty(last).size

def fails(block, slots, first, last):
    return block.nothing

KERNELS = {"allocates": allocates, "fails": fails}
"""


def compile_in(root, kernel, folder, key=None):
    """build.main in a process of its own, on the modules in `root`; (exit code, last line of its errors)."""
    chosen = isa.best()
    key = key or Keys(chosen, Sources(root)).key(kernel)
    first = {"path": sys.path, "isa": chosen.name, "folder": str(folder), "nice": 0}
    start = (
        "import minitfl.engine.sources as s, pathlib, json, sys; first = json.loads(sys.stdin.readline());"
        f" s.Sources.__init__.__defaults__ = (pathlib.Path({str(root)!r}),);"
        " from minitfl.engine.build import main; main(first)"
    )
    done = subprocess.run(
        [sys.executable, "-c", start],
        input=json.dumps(first) + f"\n{kernel} {key}\n",
        env={**compilers.environment(chosen), "PYTHONPATH": str(sources.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def test_kernels_that_need_too_much_are_refused(tmp_path):
    (copied(tmp_path) / "source" / "bad.py").write_text(BAD)
    code, said = compile_in(tmp_path, "bad.allocates", tmp_path / "out")
    assert code == 1 and said.startswith("bad.allocates can't be compiled: ValueError: it needs NRT_")
    assert "which not every process has" in said
    code, said = compile_in(tmp_path, "bad.fails", tmp_path / "out")
    assert code == 1 and said.startswith("bad.fails can't be compiled: TypingError: ")
    assert not (tmp_path / "out").exists()


ANSWER = """
def answer(block, slots, first, last):
    return first + 1

KERNELS = {"answer": answer}
"""


def test_what_is_compiled_is_what_the_key_says(tmp_path):
    """Edited twice within a second, to a text of the same length: bytecode on disk would be taken for up to date."""
    module = copied(tmp_path) / "source" / "lately.py"
    for number in (1, 2):
        module.write_text(ANSWER.replace("+ 1", f"+ {number}"))
        os.utime(module, (1, 1))
        chosen, store = isa.best(), Store(tmp_path / "out")
        key = Keys(chosen, Sources(tmp_path)).key("lately.answer")
        assert compile_in(tmp_path, "lately.answer", store.folder) == (0, "")
        code = store.get("lately.answer", key)
        made = Library(chosen)
        assert _Run(made._link(code))(0, 0, 10, 0) == 10 + number
    code, said = compile_in(tmp_path, "lately.answer", tmp_path / "other", key=KEY)
    assert code == 1 and "its sources have been changed" in said and not (tmp_path / "other").exists()


# ---- the library


def test_it_is_compiled_once_and_then_loaded(library):
    assert library.load([PAD]) is False
    library.wait([DRIVER, PAD])
    assert library.addresses.keys() == {DRIVER, PAD}
    again = Library(library.isa)
    assert again.load([DRIVER, PAD]) and again._compilers is None
    symbols_of = {again._stores[0].get(k, again._keys.key(k)).needs for k in (DRIVER, PAD)}
    assert symbols_of == {(), ("memcpy", "memset")}


def test_it_is_picked_up_between_runs(library):
    library.request([DRIVER])
    before, start = library.news(), time.monotonic()
    library.request([PAD])  # another batch while a process is at work
    while library._wanted and time.monotonic() - start < 60:
        library.news()
        time.sleep(0.01)
    assert library.news() > before and library.addresses.keys() == {DRIVER, PAD}
    assert not library._compilers._processes  # they end when there is nothing left to do
    library.wait(["threads.run"])  # and others start for more
    assert len(library.addresses) == 3


def test_it_is_news_too_what_another_has_waited_for(library):
    assert not library.has([DRIVER])
    before = library.news()
    other = Library(library.isa)
    other.wait([DRIVER])  # so that it is in the cache, and not this library's look that finds it
    library.load([DRIVER])
    assert library.news() > before


def test_another_process_was_faster(library):
    """What is in the cache already is not compiled again."""
    library.wait([PAD])
    file = path(library._stores[0])
    os.utime(file, (1, 1))
    second = compilers.Compilers(library.isa)
    second.start(file.parent, [(PAD, library._keys.key(PAD))], True)
    second.finish()
    assert second._ending[0].popen.wait() == 0
    assert file.stat().st_mtime == 1


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINITFL_CACHE", str(tmp_path / "file"))
    made = Library(isa.best())
    made.wait([DRIVER])
    assert made.addresses[DRIVER]
    private = made._stores[1].folder
    assert private.is_dir() and list(private.glob(f"{DRIVER}-*"))


def test_a_private_folder_goes_with_its_process(tmp_path):
    program = "from minitfl.engine.compilers import temporary_folder; print(temporary_folder())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() and not Path(done.stdout.strip()).exists()


def test_two_threads_bind_at_once(library, monkeypatch):
    from minitfl.engine import engine

    monkeypatch.setattr(engine, "library", lambda: library)
    content = convolution()
    results, x = [], np.ones((1, 5, 5, 3), np.float32)

    def run():
        interpreter = Interpreter(model_content=content, kernels="numba")
        results.append(interpreter(x)["y"])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = Interpreter(model_content=content, kernels="numpy")(x)["y"]
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize(("type", "packings"), [("float32", 0), ("int8", 1)])
def test_first_in_numpy_then_fast(library, monkeypatch, type, packings):
    from minitfl.engine import engine

    monkeypatch.setattr(engine, "library", lambda: library)
    monkeypatch.setenv("MINITFL_KERNELS", "auto")
    interpreter = Interpreter(model_content=convolution(type))
    x = np.ones((1, 5, 5, 3), type)
    first = interpreter(x)["y"]
    frame = interpreter._interpreter.runtime.instance(0).frame
    planner = interpreter._interpreter.runtime.planner
    # nothing is packed for code that is not there
    assert frame.fast is None and planner.packings == packings
    start = time.monotonic()
    while frame.fast is None and time.monotonic() - start < 60:
        last = interpreter(x)["y"]
        time.sleep(0.01)
    np.testing.assert_allclose(interpreter(x)["y"], first, rtol=1e-5)
    np.testing.assert_allclose(last, first, rtol=1e-5)
    assert frame.fast is not None and planner.packings == packings + 1
    # what NumPy needed is given back
    assert interpreter.memory_plan().packed_nbytes == frame.fast.program.constants_nbytes


def forked_while_locked(lock):
    """os.fork() while another thread holds a lock."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child:
        done.set()
        thread.join()
    return child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_compiles_for_itself(library):
    library.request([PAD])
    child = forked_while_locked(library.lock)
    if not child:
        code = 1
        try:
            assert not library._wanted
            library.wait([DRIVER])
            code = 0 if library.addresses[DRIVER] else 1
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    library.wait([PAD])  # and the parent's process is still at work


# ---- what goes wrong


def failing(library, monkeypatch, text="import sys; sys.exit('no compiler today')"):
    monkeypatch.setattr(compilers, "_START", text)
    return library


def test_a_failure_is_told_once(library, monkeypatch):
    from minitfl.engine import engine

    monkeypatch.setattr(engine, "library", lambda: failing(library, monkeypatch))
    monkeypatch.setenv("MINITFL_KERNELS", "auto")
    x = np.ones((1, 5, 5, 3), np.float32)
    with pytest.warns(RuntimeWarning, match=r"minitfl stays with NumPy: no compiler today") as caught:
        interpreter = Interpreter(model_content=convolution())
        start = time.monotonic()
        while library.hopeful and time.monotonic() - start < 60:
            interpreter(x)
            time.sleep(0.01)
        interpreter(x)
    assert len(caught) == 1 and not library.hopeful
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Interpreter(model_content=convolution())(x)
    with pytest.raises(RuntimeError, match="kernels='numba': no compiler today"):
        Interpreter(model_content=convolution(), kernels="numba")(x)


@pytest.mark.parametrize("text", ["import os; os.kill(os.getpid(), 9)", "pass"])
def test_a_process_that_ends_without_a_word(library, monkeypatch, text):
    failing(library, monkeypatch, text)
    with pytest.raises(RuntimeError, match=r"the compiling process ended with -?[09]"):
        library.wait([DRIVER])


def test_no_python_to_compile_with(library, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(RuntimeError, match="no Python to compile kernels with"):
        library.wait([DRIVER])


def test_no_source_to_compile(monkeypatch):
    from minitfl.engine import library

    monkeypatch.setattr(library.Sources, "text", lambda self, module: None)
    assert library.library.__wrapped__() is None


def test_numba_is_missing(monkeypatch):
    from minitfl.engine import engine

    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("MINITFL_KERNELS", "auto")
    assert engine.engine("auto") is None
    with pytest.raises(ValueError, match=r"needs numba, which is not installed: pip install 'minitfl\[fast\]'"):
        engine.engine("numba")


def test_it_ends_with_its_process(tmp_path):
    """At exit the compiling process is killed; when we are killed it sees the end of its orders."""
    program = (
        "from minitfl.engine.library import library; import sys, time; made = library();"
        " made.request(['driver.run', 'move.pad']); print(made._compilers._processes[0].popen.pid, flush=True);"
        " time.sleep(float(sys.argv[1]))"
    )
    for sleep, kill in (("0", False), ("60", True)):
        environment = {**os.environ, "MINITFL_CACHE": str(tmp_path / sleep)}
        words = [sys.executable, "-c", program, sleep]
        parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if kill:
            parent.kill()
        parent.wait()
        parent.stdout.close()
        start = time.monotonic()
        while running(child) and time.monotonic() - start < 60:
            time.sleep(0.05)
        assert not running(child)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a process that nobody waits for is none
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def test_a_process_that_never_imports_numba():
    """With all in the cache."""
    program = (
        "import sys; from minitfl.engine.library import library; assert library().load(['driver.run', 'move.pad']);"
        " assert not {'numba', 'platformdirs', 'minitfl.engine.compilers'} & sys.modules.keys(), 'imported'"
    )
    from minitfl.engine.library import library

    library().wait([DRIVER, PAD])
    environment = {**os.environ, "PYTHONPATH": str(sources.ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
