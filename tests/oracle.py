"""The official runtime as an oracle: `official.run(content, inputs)`, in a worker process of its own.

The official runtime kills its process on some valid models, so it never runs inside pytest: a crash or a case over its
time limit raises `Died`, an exception of the runtime raises `Error`, and the next case starts a fresh worker. Without
ai_edge_litert and tensorflow every test that asks is skipped, by name.
"""

import importlib.util
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

LENGTH = struct.Struct("<Q")
WORKER = Path(__file__).with_name("oracle_worker.py")
RUNTIMES = ("ai_edge_litert", "tensorflow")
MISSING = "needs the official runtime: neither ai_edge_litert nor tensorflow is installed"


class Error(Exception):
    """The official runtime raised `type`, `text` at `stage`: construct, resize, allocate, set, invoke or get."""

    def __init__(self, stage, type, text):
        super().__init__(f"at {stage}: {type}: {text}")
        self.stage, self.type, self.text = stage, type, text


class Died(Exception):
    """The official runtime killed its process (`signal`: a number, None after an exit) or took too long (`timeout`)."""

    def __init__(self, code, timeout=None):
        self.signal = -code if code is not None and code < 0 and timeout is None else None
        self.code, self.timeout = code, timeout
        super().__init__(f"no answer in {timeout} s" if timeout else f"ended with {self.name}")

    @property
    def name(self):
        """SIGSEGV, SIGABRT, ..., "timeout" or "exit 3"."""
        if self.timeout is not None:
            return "timeout"
        return signal.Signals(self.signal).name if self.signal else f"exit {self.code}"


class Official:
    """A handle on the worker. `seconds`: the time limit of a case. `starts` counts the workers started so far."""

    Error = Error
    Died = Died

    def __init__(self, seconds=20.0):
        self.seconds = seconds
        self.starts = 0
        self.runtime = None
        self._process = None
        self._lock = threading.Lock()

    # ---- what tests call

    def run(self, content, inputs, *, resolver="BUILTIN_REF", sequence=False, threads=1, **keywords):
        """The outputs of one invoke, in order; with `sequence` a list of them for a list of inputs, state kept between.

        Inputs are resized to the arrays' shapes; None leaves an input unset. Other keywords go to the constructor.
        """
        if sequence:
            inputs = [_arrays(turn) for turn in inputs]
        else:
            inputs = _arrays(inputs)
        keywords = {"num_threads": threads, **keywords}
        return self._ask("run", _bytes(content), inputs, resolver, sequence, keywords)

    def run_threads(self, content, inputs, threads, *, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        """`run` with that many threads, which the reference kernels make no use of."""
        return self.run(content, inputs, resolver=resolver, threads=threads)

    def tensors(self, content, inputs, *, resolver="BUILTIN_REF"):
        """{index: array} of all tensors of the main subgraph that can be read after one invoke."""
        return self._ask("tensors", _bytes(content), _arrays(inputs), resolver)

    def details(self, content, *, resolver="BUILTIN_REF", allocate=True):
        """The official detail dicts: {"inputs", "outputs", "tensors", "ops": lists of dict, "signatures": dict}."""
        return self._ask("details", _bytes(content), resolver, allocate)

    def signature(self, content, key, inputs, *, resolver="BUILTIN_REF"):
        """{output name: array} of a signature called with {input name: array}; `key` None where there is only one."""
        inputs = {name: np.asarray(value) for name, value in inputs.items()}
        return self._ask("signature", _bytes(content), key, inputs, resolver)

    def signatures(self, content, calls, *, resolver="BUILTIN_REF"):
        """The results of several signature calls, (key, {input name: array}), on one interpreter."""
        calls = [(key, {name: np.asarray(value) for name, value in inputs.items()}) for key, inputs in calls]
        return self._ask("signatures", _bytes(content), calls, resolver)

    def steps(self, content, script, *, resolver="BUILTIN_REF", **keywords):
        """Call methods of one interpreter in turn: a script of (method, argument, ..., {keyword: value}).

        Gives ("ok", value) or ("error", type name, text) for each step; an exception does not end the script.
        """
        return self._ask("steps", _bytes(content), list(script), resolver, keywords)

    def close(self):
        """End the worker; the next case starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    # ---- the conversation

    def _ask(self, method, *arguments):
        message = pickle.dumps((method, arguments), protocol=5)
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            reply = self._exchange(message, self.seconds)
        return self._open(reply)

    def _open(self, reply):
        kind, *rest = reply
        if kind == "error":
            raise Error(*rest)
        if kind == "bug":
            raise RuntimeError(f"the oracle's worker failed:\n{rest[0]}")
        return rest[0]

    def _start(self):
        self.close()
        if not available():
            _skip()
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.starts += 1
        self.runtime = self._open(self._exchange(b"", 180.0))

    def _exchange(self, message, seconds):
        """Send (nothing, to hear the greeting) and receive; a watchdog sees to the limit, as pipes have none."""
        process = self._process
        late = threading.Event()

        def end():
            late.set()
            process.kill()

        watchdog = threading.Timer(seconds, end)
        watchdog.daemon = True
        watchdog.start()
        try:
            if message:
                process.stdin.write(LENGTH.pack(len(message)))
                process.stdin.write(message)
                process.stdin.flush()
            head = process.stdout.read(LENGTH.size)
            if len(head) == LENGTH.size:
                size = LENGTH.unpack(head)[0]
                body = process.stdout.read(size)
                if len(body) == size:
                    return pickle.loads(body)
        except BrokenPipeError:
            pass
        except BaseException:  # interrupted halfway: what the pipes hold is of no use any more
            self.close()
            raise
        finally:
            watchdog.cancel()
        code = process.wait()
        try:
            self.close()
        except BrokenPipeError:
            pass
        raise Died(code, seconds if late.is_set() else None)


def available():
    """Is an official runtime installed? Nothing is imported to find out."""
    return any(importlib.util.find_spec(name) is not None for name in RUNTIMES)


def _skip():
    import pytest

    pytest.skip(MISSING)


def _bytes(content):
    return bytes(content) if isinstance(content, (bytes, bytearray, memoryview)) else Path(content).read_bytes()


def _arrays(inputs):
    return [None if value is None else np.asarray(value) for value in inputs]


official = Official()
