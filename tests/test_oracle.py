"""The oracle, the comparison and the session's rules: each is shown to fail where it must."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests import cases, oracle
from tests.cases import OursFailed, array, broadcasting, check, compare, differential, quantization, shapes
from tests.conftest import allowed_skips

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def uncounted(monkeypatch):
    """What fails here on purpose is no result."""
    monkeypatch.delenv("MINITFL_RESULTS", raising=False)


def add_model(shape=(1, 2, 2, 3)):
    m = Model()
    x, y, out = m.input(shape, "float32"), m.input(shape, "float32"), m.tensor(shape, "float32")
    m.op("ADD", [x, y], [out])
    m.output(out)
    m.signature("serving_default", {"x": x, "y": y}, {"sum": out})
    return m.content()


def softmax_model(depth):
    m = Model()
    x = m.input((1, depth), "int8", scale=0.1, zero_point=0)
    y = m.tensor((1, depth), "int8", scale=1 / 256, zero_point=-128)
    m.op("SOFTMAX", [x], [y], beta=1.0)
    m.output(y)
    return m.content()


def gather_model():
    m = Model()
    x, i, y = m.input((3,), "float32"), m.input((2,), "int32"), m.tensor((2,), "float32")
    m.op("GATHER", [x, i], [y])
    m.output(y)
    return m.content()


def conv_model():
    """Refuses inputs with other channels than 2, at allocate."""
    m = Model()
    x, y = m.input((1, 2, 2, 2), "float32"), m.tensor((1, 2, 2, 1), "float32")
    w, b = m.constant(np.ones((1, 1, 1, 2), np.float32)), m.constant(np.zeros(1, np.float32))
    m.op("CONV_2D", [x, w, b], [y], padding="SAME", stride_w=1, stride_h=1)
    m.output(y)
    return m.content()


def sum_model():
    """An RNN step that keeps h = x + h."""
    m = Model()
    one, zero = m.constant(np.ones((1, 1), np.float32)), m.constant(np.zeros(1, np.float32))
    x, h, y = m.input((1, 1), "float32"), m.variable((1, 1), "float32"), m.tensor((1, 1), "float32")
    m.op("RNN", [x, one, one, zero, h], [y])
    m.output(y)
    return m.content()


ONES = np.ones((1, 2, 2, 3), np.float32)

# ---- the worker


def test_run_tensors_signature(official):
    content = add_model()
    (y,) = official.run(content, [ONES, 2 * ONES])
    assert y.dtype == np.float32 and np.array_equal(y, 3 * ONES)
    assert {i: a.flat[0] for i, a in official.tensors(content, [ONES, 2 * ONES]).items()} == {0: 1, 1: 2, 2: 3}
    assert np.array_equal(official.signature(content, None, {"x": ONES, "y": ONES})["sum"], 2 * ONES)
    assert official.runtime[0] in oracle.RUNTIMES


def test_inputs_are_resized(official):
    wide = np.ones((5, 2, 2, 3), np.float32)
    assert official.run(add_model(), [wide, wide])[0].shape == (5, 2, 2, 3)


def test_sequence_keeps_the_state(official):
    turns = [[np.full((1, 1), value, np.float32)] for value in (1, 2, 3)]
    assert [float(outputs[0][0, 0]) for outputs in official.run(sum_model(), turns, sequence=True)] == [1, 3, 6]


def test_steps_go_on_after_an_error(official):
    outcomes = official.steps(add_model(), [("invoke",), ("allocate_tensors",), ("get_tensor", 99), ("num_subgraphs",)])
    assert [outcome[0] for outcome in outcomes] == ["error", "ok", "error", "ok"]
    assert outcomes[0][1] == "RuntimeError" and "not ready" in outcomes[0][2] and outcomes[3][1] == 1


def test_reference_kernels_run_without_a_delegate(official):
    def names(resolver):
        return [op["op_name"] for op in official.details(add_model(), resolver=resolver)["ops"]]

    assert names("BUILTIN_REF") == ["ADD"]
    assert "DELEGATE" in names("AUTO")  # so that the line above can fail


@pytest.mark.parametrize(
    ("stage", "content", "inputs"),
    [
        ("construct", lambda: b"no model at all", []),
        ("allocate", conv_model, [np.ones((1, 2, 2, 3), np.float32)]),
        ("set", conv_model, [np.ones((1, 2, 2, 2), np.float64)]),
        ("invoke", gather_model, [np.ones(3, np.float32), np.array([0, 7], np.int32)]),
    ],
)
def test_errors_carry_their_stage(official, stage, content, inputs):
    with pytest.raises(official.Error) as caught:
        official.run(content(), inputs)
    assert caught.value.stage == stage and caught.value.type in ("ValueError", "RuntimeError") and caught.value.text


def test_a_death_is_reported_and_the_worker_started_again(official):
    logits = np.zeros((1, 512), np.int8)
    assert official.run(softmax_model(511), [logits[:, :511]])[0].shape == (1, 511)
    starts = official.starts
    with pytest.raises(official.Died) as caught:  # the reference kernel's sum of exponentials overflows at 512
        official.run(softmax_model(512), [logits])
    assert caught.value.name == "SIGABRT"
    assert official.run(softmax_model(511), [logits[:, :511]])[0].shape == (1, 511)
    assert official.starts == starts + 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP on Windows")
def test_a_case_over_its_time_limit_ends_the_worker(official):
    import signal

    own = oracle.Official(seconds=20)
    try:
        own.run(add_model(), [ONES, ONES])
        os.kill(own._process.pid, signal.SIGSTOP)
        own.seconds = 0.3
        with pytest.raises(official.Died) as caught:
            own.run(add_model(), [ONES, ONES])
        assert caught.value.name == "timeout"
        own.seconds = 20
        assert np.array_equal(own.run(add_model(), [ONES, ONES])[0], 2 * ONES)
    finally:
        own.close()


def test_pytest_never_imports_the_official_runtime(official):
    official.run(add_model(), [ONES, ONES])
    assert not [name for name in sys.modules if "_pywrap" in name]  # what loads their native code


def test_without_a_runtime_tests_are_skipped_by_name(monkeypatch):
    monkeypatch.setattr(oracle, "RUNTIMES", ("no_such_runtime",))
    with pytest.raises(pytest.skip.Exception, match="neither ai_edge_litert nor tensorflow is installed"):
        oracle.Official().run(b"", [])


# ---- the comparison

F = np.float32


@pytest.mark.parametrize(
    ("mine", "theirs", "allowed", "message"),
    [
        (np.int8([1, 2, 3, 9]), np.int8([1, 2, 4, 5]), {}, r"2 of 4 .*\n.*\(2,\).*3.*4.*\n.* 4 at \(3,\)"),
        (np.int64([-(2**63)]), np.int64([2**63 - 1]), {}, "difference 18446744073709551615 "),
        (np.int8([1]), np.int16([1]), {}, "dtype int8, officially int16"),
        (np.zeros((1, 2)), np.zeros((2, 1)), {}, "shape"),
        (np.array([True]), np.array([False]), {}, "1 of 1"),
        (np.array([b"a"], object), np.array([b"b"], object), {}, "1 of 1"),
        (F([1, 1 + 2**-23]), F([1, 1]), {}, "1 of 2"),
        (F([1 + 3 * 2**-23]), F([1]), {"ulps": 2}, "1 of 1"),
        (F([2**-149 * 3]), F([0]), {"ulps": 2}, "1 of 1"),
        (F([1.5]), F([1]), {"bound": 0.4}, "1 of 1"),
        (F([1.5, 1.5]), F([1, 1]), {"bound": np.array([0.5, 0.4])}, r"\(1,\)"),
        (F([1.5]), F([1]), {"bound": lambda official: 0.4 * official}, "1 of 1"),
        (F([1.5]), F([1]), {"bound": [0.4]}, "1 of 1"),
        (F([np.nan]), F([1]), {"ulps": 2, "bound": 1e9}, "1 of 1"),
        (F([1]), F([np.nan]), {"ulps": 2, "bound": 1e9}, "1 of 1"),
        (F([np.inf]), F([-np.inf]), {"ulps": 2, "bound": np.inf}, "1 of 1"),
        (np.complex64([1 + 2j]), np.complex64([1 + 1j]), {"bound": 0.5}, "1 of 1"),
    ],
)
def test_compare_refuses(mine, theirs, allowed, message):
    with pytest.raises(AssertionError, match=message):
        compare([mine], [theirs], **allowed)


@pytest.mark.parametrize(
    ("mine", "theirs", "allowed"),
    [
        (F([np.nan, np.inf, -0.0]), F([np.nan, np.inf, 0.0]), {}),
        (F([1 + 2 * 2**-23]), F([1]), {"ulps": 2}),
        (F([2**-149 * 2]), F([0]), {"ulps": 2}),
        (np.float16([1 + 2**-9]), np.float16([1]), {"ulps": 2}),
        (np.float64([1 + 2**-51]), np.float64([1]), {"ulps": 2}),
        (F([1.5]), F([1]), {"bound": 0.5}),
        (F([1.5, 1 + 2**-23]), F([1, 1]), {"ulps": 1, "bound": np.array([0.5, 0])}),
        (np.zeros((0, 3), np.int8), np.zeros((0, 3), np.int8), {}),
        (np.array(b"a", object), np.array(b"a", object), {}),
    ],
)
def test_compare_accepts(mine, theirs, allowed):
    compare([mine], [theirs], **allowed)


def test_compare_counts_outputs():
    with pytest.raises(AssertionError, match="1 outputs, officially 2"):
        compare([ONES], [ONES, ONES])


def test_check_agrees_on_a_sum():
    assert check(add_model(), [ONES, ONES]) == "equal"


def test_check_fails_on_a_planted_difference(monkeypatch):
    def planted(content, inputs, sequence=False):
        outputs = official_outputs(content, inputs)
        outputs[0][0, 1, 0, 2] += 1
        return outputs

    official_outputs = oracle.official.run
    monkeypatch.setattr(cases, "ours", planted)
    with pytest.raises(AssertionError, match=r"(?s)1 of 12.*\(0, 1, 0, 2\).*3.0.*2.0"):
        check(add_model(), [ONES, ONES], ulps=2)


def test_check_tries_as_often_as_it_is_told(monkeypatch):
    """Each time with a fresh process; what differs in all of them counts."""
    calls = []

    def chance(content, inputs, **keywords):
        calls.append(content)
        return [np.float32([len(calls)])]

    monkeypatch.setattr(oracle.official, "run", chance)
    monkeypatch.setattr(cases, "ours", lambda *_, **__: [np.float32([3])])
    assert check(b"", [], tries=3) == "equal"
    with pytest.raises(AssertionError, match=r"minitfl np.float32\(3.0\)"):
        check(b"", [], tries=3)
    assert len(calls) == 6


def test_check_compares_stages(monkeypatch):
    def raises_at(stage, kind=RuntimeError):
        def planted(content, inputs, sequence=False):
            raise OursFailed(stage, kind("planted"))

        return planted

    case = (gather_model(), [np.ones(3, np.float32), np.array([0, 7], np.int32)])
    with pytest.raises(AssertionError, match="refuses the case at invoke"):
        check(*case)
    monkeypatch.setattr(cases, "ours", raises_at("invoke"))
    assert check(*case, must_run=False) == "error at invoke"
    monkeypatch.setattr(cases, "ours", raises_at("allocate"))
    with pytest.raises(AssertionError, match="raised at allocate"):
        check(*case, must_run=False)
    monkeypatch.setattr(cases, "ours", raises_at("invoke", TypeError))
    with pytest.raises(AssertionError, match=r"TypeError: planted.*\n.*officially RuntimeError"):
        check(*case, must_run=False)
    monkeypatch.setattr(cases, "ours", lambda *_, **__: [np.zeros(2, np.float32)])
    with pytest.raises(AssertionError, match="minitfl runs what the official runtime refuses"):
        check(*case, must_run=False)


def test_check_reports_a_death():
    case = (softmax_model(512), [np.zeros((1, 512), np.int8)])
    with pytest.raises(AssertionError, match="died: ended with SIGABRT"):
        check(*case)
    assert check(*case, must_run=False) == "died with SIGABRT"


# ---- the strategies


@differential(50)
@given(st.data())
def test_arrays_stay_in_range(data):
    kind = data.draw(st.sampled_from([*cases.RANGES, "bool", "float32", "float16", "complex64", "string"]))
    shape = data.draw(shapes(0, 3, 4, min_side=0))
    values = array(data.draw, kind, shape)
    assert values.shape == shape
    if kind in cases.RANGES:
        low, high = cases.RANGES[kind]
        assert all(low <= int(value) <= high for value in values.ravel())
        numbers = data.draw(quantization(kind))
        assert low <= numbers["zero_point"] <= high and numbers["scale"] == np.float32(numbers["scale"]) > 0
    limited = array(data.draw, "float32", shape, low=1.0, high=2.0)
    assert ((1 <= limited) & (limited <= 2)).all()


@differential(50)
@given(broadcasting())
def test_broadcasting_shapes_broadcast(pair):
    np.broadcast_shapes(*pair)


# ---- the session's rule about skips


def pytest_run(folder, text, *arguments, **environment):
    """Run pytest on one file of `text` with this folder's conftest as a plugin."""
    (folder / "test_one.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", **environment}
    return subprocess.run([*command, str(folder)], cwd=folder, env=environment, capture_output=True, text=True)


SKIPS = "import pytest\n\ndef test_skipped():\n    pytest.skip('no reason given')\n"


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_an_unexpected_skip_fails_the_session(tmp_path, arguments):
    done = pytest_run(tmp_path, SKIPS, *arguments, MINITFL_REQUIRE_ORACLE="1")
    assert done.returncode == 1 and "test_one.py::test_skipped: Skipped: no reason given" in done.stdout


def test_a_skipped_file_fails_the_session(tmp_path):
    text = "import pytest\npytest.importorskip('no_such_module')\n"
    done = pytest_run(tmp_path, text, MINITFL_REQUIRE_ORACLE="1")
    assert done.returncode != 0 and "no_such_module" in done.stdout.split("unexpected skips")[1]


def test_skips_pass_where_the_oracle_is_not_required(tmp_path):
    assert pytest_run(tmp_path, SKIPS, MINITFL_REQUIRE_ORACLE="0").returncode == 0


def test_allowed_skips_are_a_pattern_and_a_reason():
    listed = allowed_skips("# a comment\n\ntests/test_a.py::*  no reason\n")
    assert listed == [("tests/test_a.py::*", "no reason")]
