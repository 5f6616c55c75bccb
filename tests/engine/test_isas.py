"""The tests of kernels on each instruction set that this host can run, not the best alone: a process for each.

Where the vectors are as wide as in a better one, only what sums up products of bytes is another.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minitfl.engine.isa import ISAS, best, host_features, suits

pytest.importorskip("numba")
HERE = Path(__file__).parent
HERE_TOO = [isa for isa in ISAS if suits(isa, host_features()) and isa != best()]
LANES = {isa.lanes: isa for isa in (*HERE_TOO, best()) if isa is not None}  # the last of each width
BETWEEN = "import between\n"  # but not what plants faults, which imports more
KERNELS = [path for path in HERE.glob("test_*.py") if BETWEEN in path.read_text()]
OF_BYTES = ("test_conv_int.py", "test_depthwise.py", "test_rescale.py")


def files(isa):
    """All tests once for each width of vectors that is not the best's."""
    whole = isa == LANES[isa.lanes]
    return sorted({str(path) for path in KERNELS if whole or path.name in OF_BYTES} | {str(HERE / "test_rescale.py")})


@pytest.mark.parametrize("isa", HERE_TOO or [isa for isa in (best(),) if isa is not None], ids=lambda isa: isa.name)
def test_on(isa):
    environment = {**os.environ, "MINITFL_ISA": isa.name, "MINITFL_EXAMPLES": "10"}
    for name in ("MINITFL_REQUIRE_ORACLE", "MINITFL_RESULTS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files(isa)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    print(done.stdout.splitlines()[-1])
