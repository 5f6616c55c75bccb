"""Runs shared by threads: the same bits as alone, whatever happens around them."""

import ctypes
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.engine import program, threads
from minitfl.engine.layouts.driver import INSTRUCTION
from tests.cases import shared_model

pytest.importorskip("numba")
KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)


@pytest.fixture(name="many", autouse=True)
def many_fixture(monkeypatch):
    """So many threads as are asked for, on any host, and each unit a chunk."""
    monkeypatch.setattr(threads, "_processors", lambda: 8)
    threads.usable.cache_clear()
    monkeypatch.setattr(program, "LEAST_CHUNK", 0)
    monkeypatch.setattr(program, "MOST_CHUNKS", 1 << 40)
    yield
    threads.usable.cache_clear()


def network(size=12, channels=8, layers=4, seed=0):
    """Convolutions with borders, one after the other."""
    chance = np.random.default_rng(seed)
    m = Model()
    x = m.input((1, size, size, channels))
    for _ in range(layers):
        w = m.constant(chance.uniform(-1, 1, (channels, 3, 3, channels)).astype(np.float32))
        bias = m.constant(chance.uniform(-1, 1, channels).astype(np.float32))
        y = m.tensor((1, size, size, channels))
        m.op("CONV_2D", [x, w, bias], [y], padding="SAME", stride_h=1, stride_w=1, fused_activation_function="RELU6")
        x = y
    m.output(x)
    return m.content()


def made(content, num_threads, seed=0):
    interpreter = Interpreter(model_content=content, num_threads=num_threads, kernels="numba")
    interpreter.allocate_tensors()
    chance = np.random.default_rng(seed)
    for detail in interpreter.get_input_details():
        if detail["dtype"] == np.float32:
            value = chance.uniform(-1, 1, detail["shape"]).astype(np.float32)
        else:
            info = np.iinfo(detail["dtype"])
            value = chance.integers(info.min, info.max, detail["shape"], detail["dtype"], endpoint=True)
        interpreter.set_tensor(detail["index"], value)
    return interpreter


def result(interpreter):
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]).tobytes() for d in interpreter.get_output_details()]


def code(interpreter):
    """(instructions, words): what the runs of this interpreter follow."""
    return interpreter._interpreter.runtime.instance(0).frame.fast.program.code


# ---- the same bits


@given(st.integers(1, 20), st.integers(1, 70), st.integers(1, 4), st.integers(0, 100))
def test_equal(size, channels, count, seed):
    content = network(size, channels, 2, seed)
    alone = result(made(content, 1, seed))
    shared = made(content, count, seed)
    for _ in range(5):
        assert result(shared) == alone


@pytest.mark.parametrize("name", ["coral/mobilenet_v2_1.0_224_quant", "mlperf_tiny/kws_ref_model_float32"])
def test_equal_in_real_networks(name):
    content = shared_model(f"{name}.tflite").read_bytes()
    shared = made(content, 2)
    alone = result(made(content, 1))
    for _ in range(5):
        assert result(shared) == alone


def test_the_number_is_set_later():
    content = network()
    interpreter = made(content, 1)
    alone = result(interpreter)
    for count in (3, 1, 2, -1):
        interpreter._interpreter.SetNumThreads(count)
        assert interpreter._interpreter.runtime.threads == count
        assert result(interpreter) == alone
    assert made(content, 2).clone()._interpreter.runtime.threads == 2


def test_work_is_really_shared():
    """A kernel that does not return before another thread has come."""
    interpreter = made(network(), 2)
    meeting, seen = threading.Barrier(2), set()

    def kernel(block, slots, first, last):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            meeting.wait(30)
        return 0

    function = KERNEL(kernel)
    code(interpreter)[:, INSTRUCTION.function] = ctypes.cast(function, ctypes.c_void_p).value
    interpreter.invoke()
    assert len(seen) == 2


# ---- what happens around them


def test_giving_up():
    """One unit of an instruction gives up: the step runs in NumPy, and the steps after it in their fast forms."""
    content = network()
    alone, interpreter = result(made(content, 1)), made(content, 2)
    words = code(interpreter)
    shared = [n for n, row in enumerate(words) if row[INSTRUCTION.units] > 3]
    sound = words[shared[2], INSTRUCTION.function]

    def kernel(block, slots, first, last):
        return int(first <= 3 < last)

    function = KERNEL(kernel)
    words[shared[2], INSTRUCTION.function] = ctypes.cast(function, ctypes.c_void_p).value
    interpreter.invoke()
    words[shared[2], INSTRUCTION.function] = sound
    given = [np.frombuffer(a, np.float32) for a in alone]
    for detail, expected in zip(interpreter.get_output_details(), given):
        assert np.allclose(interpreter.get_tensor(detail["index"]).ravel(), expected, atol=1e-4)
    assert result(interpreter) == alone


def test_many_interpreters_in_many_threads():
    """Those that find the helpers at work run alone."""
    contents = [network(seed=n) for n in range(6)]
    expected = [result(made(content, 1)) for content in contents]
    wrong = []

    def work(n):
        interpreter = made(contents[n], 2 + n % 3)
        for _ in range(50):
            if result(interpreter) != expected[n]:
                wrong.append(n)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers) and not wrong


def test_a_run_within_a_run():
    """A second interpreter runs, alone, while the first one leads."""
    inner, outer = made(network(), 2), made(network(), 2)
    expected, found = result(inner), []

    def kernel(block, slots, first, last):
        if first == 0:
            found.append(result(inner))
        return 0

    function = KERNEL(kernel)
    code(outer)[:1, INSTRUCTION.function] = ctypes.cast(function, ctypes.c_void_p).value
    outer.invoke()
    assert found == [expected]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None) if os.name == "posix" else None, "nanosleep"), reason="no nanosleep")
def test_the_interpreter_lock_is_free():
    """Two interpreters of one thread each are asleep in machine code at the same time."""
    sleep = ctypes.cast(ctypes.CDLL(None).nanosleep, ctypes.c_void_p).value
    half = np.array([0, 500_000_000], np.int64)  # seconds, nanoseconds
    interpreters = [made(network(layers=1), 1) for _ in range(2)]
    for interpreter in interpreters:
        words = code(interpreter)
        words[:, INSTRUCTION.function] = sleep
        words[:, INSTRUCTION.block] = half.ctypes.data
        assert len(words) == 2
    start = time.monotonic()
    workers = [threading.Thread(target=interpreter.invoke) for interpreter in interpreters]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert 1 <= time.monotonic() - start < 1.8


def test_helpers_sleep_when_there_is_nothing_to_do():
    interpreter = made(network(), 3)
    result(interpreter)
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    result(interpreter)


# ---- in processes of their own

BEGIN = """
import os, signal, sys, threading, time
from minitfl.engine import threads
threads._processors = lambda: 4
from tests.engine.test_threads import made, network, result
interpreter = made(network(), 3)
expected = result(interpreter)
"""
PROGRAMS = {
    "exit": "",
    "exit with a thread at work": """
def work():
    while True:
        result(interpreter)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
""",
    "exit by an exception": "raise SystemExit(0)",
    "fork": """
for _ in range(5):
    child = os.fork()
    if child == 0:
        good = result(interpreter) == expected and result(made(network(), 3)) == expected
        os._exit(0 if good else 1)
    assert result(interpreter) == expected
    _, status = os.waitpid(child, 0)
    assert status == 0, status
""",
    "fork while others run": """
def work():
    mine = made(network(), 2)
    while not done:
        assert result(mine) == expected
done = []
worker = threading.Thread(target=work)
worker.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        os._exit(0 if result(interpreter) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
done.append(1)
worker.join()
""",
    "a pool of processes": """
import multiprocessing
context = multiprocessing.get_context("fork")
def work(_):
    return result(interpreter) == expected
with context.Pool(2) as pool:
    assert all(pool.map(work, range(8)))
""",
    "interrupts": """
stop = time.monotonic() + 2
frame, hits = interpreter._interpreter.runtime.instance(0).frame, 0
def beat():
    while time.monotonic() < stop:
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=beat, daemon=True).start()
while time.monotonic() < stop + 0.2:
    try:
        while time.monotonic() < stop + 0.2:
            frame.run()
    except KeyboardInterrupt:
        hits += 1
assert hits > 3, hits
crew = threads.crew({})
assert not crew._words[0], "the crew is still taken"
assert result(interpreter) == expected
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_a_process_of_its_own(name):
    if "fork" in name + PROGRAMS[name] and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + PROGRAMS[name]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
