"""Hypothesis profiles, the `official` fixture, and MINITFL_REQUIRE_ORACLE=1: no skip but those in allowed_skips.txt.

MINITFL_CASES=10 runs ten times as many cases of each property test, with fresh random seeds (profile "long");
MINITFL_EXAMPLES=10 runs ten of each that has no number of its own.
"""

import fnmatch
import os
from pathlib import Path

import pytest

try:
    from hypothesis import HealthCheck, Phase, settings
except ImportError:  # tests/portable runs without
    pass
else:
    calm = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
    examples = int(os.environ.get("MINITFL_EXAMPLES", "100"))
    settings.register_profile("ci", derandomize=True, database=None, print_blob=True, max_examples=examples, **calm)
    # a planted fault only has to be found, not to be made small
    settings.register_profile(
        "faults", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate], **calm
    )
    settings.register_profile("long", derandomize=False, print_blob=True, **calm)
    chosen = "faults" if os.environ.get("MINITFL_FAULTS") else "long" if os.environ.get("MINITFL_CASES") else "ci"
    settings.load_profile(chosen)

# what "auto" means in all tests: those of the engine ask for it by name
os.environ.setdefault("MINITFL_KERNELS", "numpy")

SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture(name="official")
def official_fixture():
    """The official runtime; without one the test is skipped before it does any work."""
    from tests.oracle import MISSING, available, official

    if not available():
        pytest.skip(MISSING)
    return official


class SkipGuard:
    """Collects the skips that allowed_skips.txt doesn't name and fails the session for them."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.unexpected = []

    def note(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            if not any(fnmatch.fnmatchcase(report.nodeid, name) and text in reason for name, text in self.allowed):
                self.unexpected.append((report.nodeid, reason))

    pytest_runtest_logreport = note
    pytest_collectreport = note

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        if self.unexpected and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self.unexpected:
            terminalreporter.section("unexpected skips (MINITFL_REQUIRE_ORACLE=1)", red=True)
            for name, reason in self.unexpected:
                terminalreporter.line(f"{name}: {reason}")


def allowed_skips(text):
    """[(pattern of test ids, part of the reason)] of the lines of allowed_skips.txt."""
    lines = [line.strip() for line in text.splitlines()]
    return [tuple(line.split("  ", 1)) for line in lines if line and not line.startswith("#")]


def pytest_sessionfinish(session):
    from tests import results

    if results.wanted() and results.COUNTS:
        results.write(os.environ.get("PYTEST_XDIST_WORKER", "main"))


def pytest_configure(config):
    if os.environ.get("MINITFL_REQUIRE_ORACLE") == "1":
        config.pluginmanager.register(SkipGuard(allowed_skips(SKIPS.read_text())), "skip-guard")
