"""Of what says how fast it is: times, rates, layers."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a ratio is upside down",
        "timing.py",
        "block[which] / block[other] for",
        "block[other] / block[which] for",
        "test_timing.py::test_ratios_within_blocks",
    ),
    Fault(
        "blocks always have the same order",
        "timing.py",
        "order if n % 2 else order[::-1]",
        "order",
        "test_timing.py::test_turns",
    ),
    Fault(
        "a multiply-accumulate counts as one operation",
        "profiling.py",
        "(2 * self.macs or self.nbytes) / self.seconds",
        "(self.macs or self.nbytes) / self.seconds",
        "test_profiling.py::test_the_numbers",
    ),
    Fault(
        "nodes that do nothing are timed",
        "profiling.py",
        "if n in self.fast or not step.skip",
        "if True",
        "test_profiling.py::test_the_nodes",
    ),
    Fault(
        "what does nothing has a layer",
        "inspect.py",
        "        if not step.skip:\n            in_loops",
        "        if True:\n            in_loops",
        "test_inspect.py::test_layers",
    ),
]
